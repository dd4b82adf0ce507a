//! What is done after some steps, and when the next ones are.

use super::{Burst, MAX_PAUSE};
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::eip4844::Blob;
use alloy_primitives::B256;
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_derive::{BlobProvider, IndexedBlobHash, L1Provider, ProviderError, Severity};
use lockstep_engine::{Engine, EngineConfig, NoTransactions};
use lockstep_execution::MemoryState;
use lockstep_follower::{Follower, FollowerError, L1Heads, L1Watch, Progress};
use lockstep_protocol::{BlockInfo, RollupConfig, RollupGenesis};
use lockstep_storage::{GenesisBlock, MemoryStorage};
use std::{sync::Arc, time::Duration};

const POLL: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[error("nobody knows")]
struct Unknown;

impl ProviderError for Unknown {
    fn severity(&self) -> Severity {
        Severity::Temporary
    }
}

/// An L1 of one block, that does not say where it is.
#[derive(Clone, Debug)]
struct Secretive(Header);

impl Secretive {
    fn block(&self) -> BlockInfo {
        BlockInfo::from_header(&self.0, self.0.hash_slow())
    }
}

impl L1Provider for Secretive {
    type Error = Unknown;

    fn header_by_hash(&mut self, _: B256) -> Result<Header, Unknown> {
        Ok(self.0.clone())
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, Unknown> {
        Ok((number == 0).then(|| self.block()))
    }

    fn receipts(&mut self, _: B256) -> Result<Vec<ReceiptEnvelope>, Unknown> {
        Ok(Vec::new())
    }

    fn transactions(&mut self, _: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), Unknown> {
        Ok((self.block(), Vec::new()))
    }
}

impl L1Watch for Secretive {
    fn heads(&mut self) -> Result<L1Heads, Unknown> {
        Err(Unknown)
    }
}

impl BlobProvider for Secretive {
    type Error = Unknown;

    fn blobs(&mut self, _: &BlockInfo, _: &[IndexedBlobHash]) -> Result<Vec<Box<Blob>>, Unknown> {
        Err(Unknown)
    }
}

#[test]
fn derivation_goes_on_where_l1_does_not_say_where_it_is() {
    let l1 = Secretive(Header { timestamp: 100, ..Header::default() });
    let header = Header {
        timestamp: 100,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        state_root: MemoryState::default().state_root(),
        ..Header::default()
    };
    let genesis = RollupGenesis {
        l1: l1.block().id(),
        l2: (0, header.hash_slow()).into(),
        l2_time: 100,
        ..RollupGenesis::default()
    };
    let config = RollupConfig {
        genesis,
        block_time: 2,
        seq_window_size: 10,
        l2_chain_id: 901,
        ..RollupConfig::default()
    };
    let storage = MemoryStorage::new(&GenesisBlock::new(header, MemoryState::default()).unwrap());
    let builder = Arc::new(NoTransactions);
    let engine =
        Engine::open(config.chain(), Arc::new(storage), builder, EngineConfig::default()).unwrap();
    let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka);
    let l1_chain = Arc::new(Ethereum::new(900, forks));
    let mut follower = Follower::new(engine, Arc::new(config), l1_chain, l1.clone(), l1);
    let burst = Burst::of(&mut follower, true);
    assert!(burst.watched.is_err());
    assert!(matches!(burst.progress, Ok(Progress::Idle)), "{:?}", burst.progress);
    assert_eq!(follower.status().read().derived_up_to.map(|block| block.number), Some(0));
    assert_eq!(burst.wait(POLL, 0), POLL);
}

#[test]
fn pauses_grow_with_failures_and_with_beginning_anew_in_vain() {
    let burst = |progress, restarts| Burst { progress, restarts, watched: Ok(()) };
    let failed = || {
        let (reason, severity) = (Box::new(Unknown), Severity::Temporary);
        burst(Err(FollowerError::L1 { reason, severity }), 0)
    };
    assert_eq!(burst(Ok(Progress::Worked), 0).wait(POLL, 0), Duration::ZERO);
    assert_eq!(burst(Ok(Progress::Worked), 1).wait(POLL, 0), Duration::ZERO);
    for (times, pause) in [(0, POLL), (1, 2 * POLL), (2, 4 * POLL), (9, MAX_PAUSE), (99, MAX_PAUSE)]
    {
        assert_eq!(burst(Ok(Progress::Worked), times + 2).wait(POLL, 0), pause);
        assert_eq!(failed().wait(POLL, times + 1), pause);
    }
}

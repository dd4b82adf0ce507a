//! Transactions from bytes, as users and peers send them to the pool: nothing panics, and what is taken in is found
//! again under its hash.
//!
//! Input: a transaction in its network encoding (EIP-2718), with or without blobs.

#![no_main]

use alloy_consensus::Header;
use alloy_primitives::{Address, U256};
use libfuzzer_sys::fuzz_target;
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_execution::MemoryState;
use lockstep_pool::{Origin, Pool, PoolConfig, PoolHead};
use lockstep_storage::{GenesisBlock, MemoryStorage, Storage};
use std::sync::LazyLock;

static POOL: LazyLock<Pool<Ethereum>> = LazyLock::new(|| {
    let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka));
    let mut state = MemoryState::default();
    state.set_account(Address::ZERO, 0, U256::ONE, Default::default());
    let header = Header {
        state_root: state.state_root(),
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(7),
        withdrawals_root: Some(alloy_consensus::EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(Default::default()),
        requests_hash: Some(Default::default()),
        ..Default::default()
    };
    chain.validate_header(&header).expect("the first header is valid");
    let genesis = GenesisBlock::new(header, state).expect("the state is that of the header");
    let snapshot = MemoryStorage::new(&genesis).snapshot().expect("memory does not fail");
    let header = snapshot.header(0).expect("memory does not fail").expect("the first header");
    let state = snapshot.state(0).expect("memory does not fail");
    Pool::new(chain, PoolConfig::default(), PoolHead { header, state })
});

fuzz_target!(|input: &[u8]| {
    for origin in [Origin::External, Origin::Local] {
        if let Ok(hash) = POOL.add_raw(input, origin) {
            assert!(POOL.contains(&hash));
            POOL.remove(&hash);
        }
    }
});

//! Whether a range of rollup blocks is what L1 makes of them.

use crate::{Entry, Host, HostError, Sources, Store};
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes, Sealed};
use lockstep_chain::{Chain, Ethereum, genesis};
use lockstep_preimage::PreimageKey;
use lockstep_protocol::OutputRoot;
use lockstep_providers::{ClientError, L1Client};
use lockstep_stf::{BootInfo, Verdict};
use serde_json::{Value, json};

/// How many L1 blocks beyond the origin of the claimed block are looked at first. Batches are mostly
/// posted within minutes.
const FIRST_L1_BLOCKS: u64 = 16;

/// The longest range that is run at once: its state grows in memory.
pub const MAX_RANGE: u64 = 10_000;

/// Blocks of a rollup: those after `agreed`, up to `claimed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRange {
    /// The block that is taken for granted.
    pub agreed: u64,
    /// The block that is verified.
    pub claimed: u64,
}

impl BlockRange {
    /// The blocks after `agreed`, up to `claimed`.
    ///
    /// # Errors
    /// [`HostError::Range`] if there are none or more than [`MAX_RANGE`].
    pub fn new(agreed: u64, claimed: u64) -> Result<Self, HostError> {
        match claimed.checked_sub(agreed) {
            None | Some(0) => Err(HostError::Range(format!(
                "there is nothing to verify after block {agreed} up to block {claimed}"
            ))),
            Some(blocks) if blocks > MAX_RANGE => Err(HostError::Range(format!(
                "{blocks} blocks are too many for one run, the limit is {MAX_RANGE}"
            ))),
            Some(_) => Ok(Self { agreed, claimed }),
        }
    }

    /// The number of blocks.
    pub const fn blocks(&self) -> u64 {
        self.claimed - self.agreed
    }

    /// The same blocks in ranges of at most `blocks` (at least one), each of which begins where the
    /// one before ends.
    pub fn split(self, blocks: u64) -> impl Iterator<Item = Self> {
        let blocks = blocks.max(1);
        std::iter::successors(Some(self.agreed), move |agreed| agreed.checked_add(blocks))
            .take_while(move |agreed| *agreed < self.claimed)
            .map(move |agreed| Self {
                agreed,
                claimed: agreed.saturating_add(blocks).min(self.claimed),
            })
    }
}

/// What a run was about, and what came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was agreed and claimed.
    pub boot: BootInfo,
    /// The block that was taken for granted.
    pub agreed: BlockNumHash,
    /// What came of the claim.
    pub verdict: Verdict,
}

impl Outcome {
    /// Whether L1 makes the claimed block of it, and the block has the claimed output root. (A claim
    /// may also hold because L1 does not reach that far; nobody has asked that here.)
    pub const fn is_verified(&self) -> bool {
        self.verdict.holds && self.verdict.head.number == self.boot.claimed_l2_block
    }
}

impl<S: Store> Host<S> {
    /// Runs the program on what the nodes say about the range: what is claimed is the node's output
    /// root. L1 is taken to a few blocks after the claimed block's origin, and further if the claimed
    /// block is not derived from that: up to the end of the sequencing window or of L1.
    ///
    /// `l1_genesis` is the genesis file of an L1 that is no public chain; without one, the L1 node
    /// is asked for its configuration.
    ///
    /// # Errors
    /// When the host has no nodes, they do not have the range, or the program fails. That the claim
    /// is wrong is none.
    pub fn verify(
        &self,
        range: BlockRange,
        l1_genesis: Option<Bytes>,
    ) -> Result<Outcome, HostError> {
        let sources = self.sources().ok_or_else(|| {
            HostError::Range("a host without nodes can only repeat a run".to_owned())
        })?;
        let claim = Claim::new(sources, range, l1_genesis)?;
        let newest = sources
            .l1
            .block(BlockNumberOrTag::Latest)?
            .ok_or_else(|| HostError::Range("L1 has no blocks".to_owned()))?;
        let window_end = claim.origin.saturating_add(claim.boot.rollup_config.seq_window_size);
        let last = newest.number.min(window_end.saturating_add(1)).max(claim.origin);
        let mut beyond = FIRST_L1_BLOCKS;
        loop {
            let number = claim.origin.saturating_add(beyond).min(last);
            let outcome = self.run_claim(sources, &claim, number)?;
            if outcome.verdict.head.number == range.claimed || number >= last {
                return Ok(outcome);
            }
            tracing::info!(
                l1_head = number,
                derived = outcome.verdict.head.number,
                "the claimed block was not derived yet, more of L1 is taken"
            );
            beyond = beyond.saturating_mul(4);
        }
    }

    fn run_claim(
        &self,
        sources: &Sources,
        claim: &Claim,
        l1_head: u64,
    ) -> Result<Outcome, HostError> {
        let head = sources.l1.block(BlockNumberOrTag::Number(l1_head))?;
        let endpoint = sources.l1.endpoint().clone();
        let head = head.ok_or(ClientError::NoBlock { endpoint, number: l1_head })?;
        let boot = BootInfo { l1_head: head.hash, ..claim.boot.clone() };
        self.store().put(&Entry::keccak256(Bytes::copy_from_slice(&claim.agreed.encode())))?;
        for (key, value) in boot.preimages(claim.l1_genesis.clone()) {
            self.store().put(&local(key, value))?;
        }
        self.repeat()
    }

    /// Runs the program on what the host keeps, and asks nodes for the rest if there are any.
    ///
    /// # Errors
    /// When something is missing, or the program fails. That the claim is wrong is none.
    pub fn repeat(&self) -> Result<Outcome, HostError> {
        let boot = BootInfo::read(self).map_err(|error| HostError::program(&error))?;
        let agreed = boot.agreed_header(self).map_err(|error| HostError::program(&error))?;
        let agreed = BlockNumHash { number: agreed.number, hash: agreed.hash() };
        let verdict = lockstep_stf::run(self).map_err(|error| HostError::program(&error))?;
        Ok(Outcome { boot, agreed, verdict })
    }
}

fn local(key: PreimageKey, value: Bytes) -> Entry {
    Entry::known(crate::EntryKey::Preimage(key), value)
}

/// What the nodes say about a range, but for the L1 head.
struct Claim {
    boot: BootInfo,
    agreed: OutputRoot,
    /// The L1 origin of the claimed block.
    origin: u64,
    l1_genesis: Option<Bytes>,
}

impl Claim {
    fn new(
        sources: &Sources,
        range: BlockRange,
        l1_genesis: Option<Bytes>,
    ) -> Result<Self, HostError> {
        let config = sources.l2.config();
        config.validate().map_err(|error| HostError::Range(error.to_string()))?;
        check_chain("the L1 node", config.l1_chain_id, sources.l1.chain_id()?)?;
        check_chain("the rollup node", config.l2_chain_id, sources.l2.chain_id()?)?;
        let genesis = config.genesis.l2.number;
        if range.agreed < genesis {
            return Err(HostError::Range(format!(
                "block {} is before the first block of the rollup, {genesis}",
                range.agreed
            )));
        }
        let (l1_chain, l1_genesis) = find_l1_chain(&sources.l1, config.l1_chain_id, l1_genesis)?;
        let agreed = sources.l2.output(&canonical(sources, range.agreed)?)?;
        let claimed = sources.l2.output(&canonical(sources, range.claimed)?)?;
        let boot = BootInfo {
            l1_head: B256::ZERO,
            agreed_l2_output_root: agreed.hash(),
            claimed_l2_output_root: claimed.hash(),
            claimed_l2_block: range.claimed,
            rollup_config: (**config).clone(),
            l1_chain,
        };
        let origin = sources.l2.block_info(range.claimed)?.l1_origin.number;
        Ok(Self { boot, agreed, origin, l1_genesis })
    }
}

fn canonical(sources: &Sources, number: u64) -> Result<Sealed<alloy_consensus::Header>, HostError> {
    let header = sources.l2.header(BlockNumberOrTag::Number(number))?;
    let endpoint = sources.l2.endpoint().clone();
    Ok(header.ok_or(ClientError::NoBlock { endpoint, number })?)
}

fn check_chain(who: &str, expected: u64, found: u64) -> Result<(), HostError> {
    if expected == found {
        return Ok(());
    }
    Err(HostError::Range(format!("{who} is of chain {found}, the configuration of {expected}")))
}

/// The definition of the L1 with this chain id, and its genesis file if it is no public chain:
/// `genesis`, or one with what the L1 node says of its configuration.
///
/// # Errors
/// When the file is none of that chain, or the node does not tell.
pub fn find_l1_chain(
    l1: &L1Client,
    chain_id: u64,
    genesis: Option<Bytes>,
) -> Result<(Ethereum, Option<Bytes>), HostError> {
    let public = [Ethereum::mainnet(), Ethereum::sepolia(), Ethereum::hoodi()];
    if let Some(chain) = public.into_iter().find(|chain| chain.chain_id() == chain_id) {
        return Ok((chain, None));
    }
    let genesis = match genesis {
        Some(genesis) => genesis,
        None => fetch_genesis(l1, chain_id)?,
    };
    let chain = genesis::parse(&genesis)
        .and_then(|genesis| Ethereum::from_genesis(&genesis))
        .map_err(|error| HostError::Range(format!("the genesis file of L1: {error}")))?;
    check_chain("the genesis file of L1", chain_id, chain.chain_id())?;
    Ok((chain, Some(genesis)))
}

/// A genesis file with the configuration that the L1 node says it has, and nothing else.
fn fetch_genesis(l1: &L1Client, chain_id: u64) -> Result<Bytes, HostError> {
    let config: Value = l1.rpc().call("debug_chainConfig", &[(); 0]).map_err(|error| {
        HostError::Range(format!(
            "L1 has chain id {chain_id}, which is no public chain, and its node does not tell its \
             configuration ({error}): give its genesis file"
        ))
    })?;
    let genesis = json!({ "config": config, "difficulty": "0x0", "gasLimit": "0x0", "alloc": {} });
    Ok(genesis.to_string().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_split_without_gaps() {
        let range = BlockRange::new(10, 35).unwrap();
        let parts = |blocks| -> Vec<(u64, u64)> {
            range.split(blocks).map(|part| (part.agreed, part.claimed)).collect()
        };
        assert_eq!(parts(10), [(10, 20), (20, 30), (30, 35)]);
        assert_eq!(parts(25), [(10, 35)]);
        assert_eq!(parts(100), [(10, 35)]);
        assert_eq!(parts(0).len(), 25);
        let last = BlockRange::new(u64::MAX - 3, u64::MAX).unwrap();
        assert_eq!(last.split(2).map(|part| part.blocks()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn a_range_has_blocks_and_not_too_many() {
        for (agreed, claimed) in [(5, 5), (5, 4), (0, MAX_RANGE + 1)] {
            assert!(matches!(BlockRange::new(agreed, claimed), Err(HostError::Range(_))));
        }
        assert_eq!(BlockRange::new(0, MAX_RANGE).unwrap().blocks(), MAX_RANGE);
    }
}

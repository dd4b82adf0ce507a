//! Whether a range of rollup blocks is what L1 makes of them.

use crate::{Entry, EntryKey, Host, HostError, Locals, Sources, Store};
use alloy_consensus::Header;
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_primitives::{B256, Bytes, Sealed};
use lockstep_chain::{Chain, Ethereum};
use lockstep_preimage::PreimageKey;
use lockstep_protocol::OutputRoot;
use lockstep_providers::{ClientError, L1Client};
use lockstep_stf::{BootInfo, MAX_L1_BLOCKS, Outcome, StfError};
use serde_json::value::RawValue;
use std::convert::Infallible;

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

impl<S: Store> Host<S> {
    /// Runs the program on what the nodes say about the range: what is claimed is the node's output
    /// root. L1 is taken to a few blocks after the claimed block's origin, and further if the claimed
    /// block is not derived from that: up to the end of the sequencing window or of L1.
    ///
    /// `l1_genesis` is the genesis file of an L1 that is no public chain, or the configuration in it;
    /// without one, the L1 node is asked for its configuration.
    ///
    /// # Errors
    /// When the host has no nodes, they do not have the range, or the program fails. That the claim
    /// is wrong is none.
    pub fn verify(
        &self,
        range: BlockRange,
        l1_genesis: Option<Bytes>,
    ) -> Result<Outcome, HostError> {
        let sources = self.nodes()?;
        let claim = Claim::new(sources, range, l1_genesis)?;
        let last = claim.last_l1_block(sources)?;
        let mut beyond = FIRST_L1_BLOCKS;
        loop {
            let number = claim.origin.saturating_add(beyond).min(last);
            self.prime(&claim, l1_hash(sources, number)?)?;
            let outcome = self.repeat()?;
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

    /// Says what a run about the range is about, as [`Self::verify`] does, without making it: then
    /// [`Self::repeat`] makes it here, or [`serve`](crate::serve) serves a program that makes it elsewhere.
    ///
    /// L1 is taken up to the block `l1_head`; without one, to the end of the sequencing window of the
    /// claimed block or to the newest block, by which the claimed block must be on L1.
    ///
    /// # Errors
    /// When the host has no nodes, or they do not have the range.
    pub fn prepare(
        &self,
        range: BlockRange,
        l1_head: Option<B256>,
        l1_genesis: Option<Bytes>,
    ) -> Result<BootInfo, HostError> {
        let sources = self.nodes()?;
        let claim = Claim::new(sources, range, l1_genesis)?;
        let l1_head = match l1_head {
            Some(hash) => hash,
            None => l1_hash(sources, claim.last_l1_block(sources)?)?,
        };
        self.prime(&claim, l1_head)
    }

    fn nodes(&self) -> Result<&Sources, HostError> {
        self.sources().ok_or_else(|| {
            HostError::Range("a host without nodes can only repeat a run".to_owned())
        })
    }

    fn prime(&self, claim: &Claim, l1_head: B256) -> Result<BootInfo, HostError> {
        let boot = BootInfo { l1_head, ..claim.boot.clone() };
        self.store().put(&Entry::keccak256(Bytes::copy_from_slice(&claim.agreed.encode())))?;
        let preimages = boot.preimages(claim.l1_genesis.clone()).into_iter();
        let numbered = |(key, value): (PreimageKey, Bytes)| Some((key.local_number()?, value));
        self.set_locals(preimages.filter_map(numbered).collect::<Locals>());
        Ok(boot)
    }

    /// Runs the program on what the host keeps, and asks nodes for the rest if there are any.
    ///
    /// # Errors
    /// When something is missing, or the program fails. That the claim is wrong is none.
    pub fn repeat(&self) -> Result<Outcome, HostError> {
        lockstep_stf::run(self).map_err(|error| HostError::program(&error))
    }

    /// The L1 blocks that the run has read, from `head` down to the first that it has not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn l1_blocks(&self, head: B256) -> Result<L1Blocks, HostError> {
        let mut blocks = L1Blocks { head: 0, hashes: Vec::new() };
        let mut hash = head;
        while blocks.hashes.len() < MAX_L1_BLOCKS {
            let key = EntryKey::Preimage(PreimageKey::keccak256(hash));
            if !self.was_used(&key) {
                break;
            }
            let Some(rlp) = self.store().get(&key)? else { break };
            let Ok(header) = alloy_rlp::decode_exact::<Header>(&rlp) else { break };
            if blocks.hashes.is_empty() {
                blocks.head = header.number;
            }
            blocks.hashes.push(hash);
            hash = header.parent_hash;
        }
        Ok(blocks)
    }
}

/// Blocks of L1 that end with one block, each the parent of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct L1Blocks {
    /// The number of the newest.
    head: u64,
    /// From the newest down.
    hashes: Vec<B256>,
}

impl L1Blocks {
    /// The newest block; `None` if there is none.
    pub fn head(&self) -> Option<BlockNumHash> {
        self.hashes.first().map(|hash| BlockNumHash { number: self.head, hash: *hash })
    }

    /// Whether the newest block of one is the same as, or an ancestor of, the newest block of the other, as
    /// the other knows: whether both are of one chain.
    pub fn is_one_chain_with(&self, other: &Self) -> bool {
        let knows = |longer: &Self, shorter: &Self| {
            let below = longer.head.checked_sub(shorter.head);
            let below = below.and_then(|below| usize::try_from(below).ok());
            let hash = below.and_then(|below| longer.hashes.get(below));
            hash.is_some() && hash == shorter.hashes.first()
        };
        knows(self, other) || knows(other, self)
    }
}

fn l1_hash(sources: &Sources, number: u64) -> Result<B256, HostError> {
    let head = sources.l1.block(BlockNumberOrTag::Number(number))?;
    let endpoint = sources.l1.endpoint().clone();
    Ok(head.ok_or(ClientError::NoBlock { endpoint, number })?.hash)
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

impl Claim {
    /// The last L1 block that the claimed block can depend on, if L1 has that yet.
    fn last_l1_block(&self, sources: &Sources) -> Result<u64, HostError> {
        let newest = sources
            .l1
            .block(BlockNumberOrTag::Latest)?
            .ok_or_else(|| HostError::Range("L1 has no blocks".to_owned()))?;
        let window_end = self.origin.saturating_add(self.boot.rollup_config.seq_window_size);
        Ok(newest.number.min(window_end.saturating_add(1)).max(self.origin))
    }
}

fn canonical(sources: &Sources, number: u64) -> Result<Sealed<Header>, HostError> {
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
    let chain = BootInfo::parse_l1_chain(&genesis, chain_id)
        .map_err(|error: StfError<Infallible>| HostError::Range(error.to_string()))?;
    Ok((chain, Some(genesis)))
}

/// The configuration that the L1 node says it has.
fn fetch_genesis(l1: &L1Client, chain_id: u64) -> Result<Bytes, HostError> {
    let config: Box<RawValue> = l1.rpc().call("debug_chainConfig", &[(); 0]).map_err(|error| {
        HostError::Range(format!(
            "L1 has chain id {chain_id}, which is no public chain, and its node does not tell its \
             configuration ({error}): give its genesis file"
        ))
    })?;
    Ok(config.get().as_bytes().to_vec().into())
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
    fn l1_blocks_are_of_one_chain_if_one_knows_the_head_of_the_other() {
        let blocks = |head, hashes: &[u8]| L1Blocks {
            head,
            hashes: hashes.iter().map(|byte| B256::repeat_byte(*byte)).collect(),
        };
        let longer = blocks(9, &[9, 8, 7]);
        for (shorter, expected) in [
            (blocks(9, &[9]), true),
            (blocks(7, &[7, 6]), true),
            (blocks(7, &[1]), false),
            (blocks(9, &[8]), false),
            (blocks(6, &[6]), false),
            (blocks(0, &[]), false),
        ] {
            assert_eq!(longer.is_one_chain_with(&shorter), expected, "{shorter:?}");
            assert_eq!(shorter.is_one_chain_with(&longer), expected, "{shorter:?}");
        }
        assert_eq!(longer.head().map(|head| head.number), Some(9));
        assert_eq!(blocks(0, &[]).head(), None);
    }

    #[test]
    fn a_range_has_blocks_and_not_too_many() {
        for (agreed, claimed) in [(5, 5), (5, 4), (0, MAX_RANGE + 1)] {
            assert!(matches!(BlockRange::new(agreed, claimed), Err(HostError::Range(_))));
        }
        assert_eq!(BlockRange::new(0, MAX_RANGE).unwrap().blocks(), MAX_RANGE);
    }
}

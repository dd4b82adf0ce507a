//! What a rollup of a union has said to the others, by its proven state.

use alloy_consensus::Header;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, Sealed, U256, keccak256};
use eyre::{Result, WrapErr, ensure};
use lockstep_execution::StateReader;
use lockstep_host::{Host, Outcome, Store};
use lockstep_preimage::{Hint, PreimageKey, PreimageOracle};
use lockstep_stf::OracleState;
use lockstep_union::{GATE, pair_slot};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// What was said with a peer (rules of super transactions, 1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Transcript {
    /// The rolling hash of all messages between the two.
    pub(super) hash: B256,
    /// Ether that went to the peer, in wei.
    #[serde(serialize_with = "decimal")]
    pub(super) sent: U256,
    /// Ether that came from the peer, in wei.
    #[serde(serialize_with = "decimal")]
    pub(super) received: U256,
}

fn decimal<S: Serializer>(wei: &U256, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(wei)
}

impl Transcript {
    /// What the peer must have of this rollup.
    pub(super) const fn mirrored(self) -> Self {
        Self { hash: self.hash, sent: self.received, received: self.sent }
    }
}

/// The transcripts after the claimed block, by the peer's chain id; none of a rollup that is in no union, or whose claim does
/// not hold. They are read as the program reads: through the hashes that lead to them from the block's.
pub(super) fn read<S: Store>(
    host: &Host<S>,
    outcome: &Outcome,
) -> Result<BTreeMap<u64, Transcript>> {
    let config = &outcome.boot.rollup_config;
    let union = config.union.as_ref().filter(|_| outcome.is_verified());
    let Some(union) = union else { return Ok(BTreeMap::new()) };
    let state = OracleState::new(host, header(host, outcome.verdict.head)?);
    let slot = |slot: U256| {
        state
            .storage(&GATE, &slot)
            .wrap_err_with(|| format!("the Gate of chain {}", config.l2_chain_id))
    };
    let peers = union.chains.iter().filter(|peer| **peer != config.l2_chain_id);
    let pair = |peer: &u64| {
        let first = pair_slot(*peer);
        let at = |offset: u64| slot(first.wrapping_add(U256::from(offset)));
        let transcript = Transcript { hash: at(0)?.into(), sent: at(1)?, received: at(2)? };
        Ok((*peer, transcript))
    };
    peers.map(pair).collect()
}

fn header<S: Store>(host: &Host<S>, block: BlockNumHash) -> Result<Sealed<Header>> {
    host.hint(&Hint::L2Header(block.hash))?;
    let rlp = host.get(PreimageKey::keccak256(block.hash))?;
    ensure!(keccak256(&rlp) == block.hash, "block {}: a header of another hash", block.number);
    let header: Header = alloy_rlp::decode_exact(&rlp)
        .wrap_err_with(|| format!("the header of block {}", block.number))?;
    Ok(Sealed::new_unchecked(header, block.hash))
}

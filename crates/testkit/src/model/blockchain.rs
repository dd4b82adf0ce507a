//! Blockchain tests: blocks as RLP, imported on a genesis state.

use super::{account::Accounts, header::HeaderFields};
use crate::fields::{HexBytes, Number};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::B256;
use core::fmt;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use std::collections::BTreeMap;

/// A blockchain test of any vintage.
#[derive(Clone, Debug, Deserialize)]
pub struct BlockchainTest {
    /// The forks, for example `FrontierToHomesteadAt5`.
    pub network: String,
    /// The first block's header.
    #[serde(rename = "genesisBlockHeader")]
    pub genesis: HeaderFields,
    /// The first block.
    #[serde(rename = "genesisRLP")]
    pub genesis_rlp: Option<HexBytes>,
    /// The first block's state.
    pub pre: Accounts,
    /// The blocks to import, in this order.
    pub blocks: Vec<Block>,
    /// The head of the chain after the import.
    #[serde(rename = "lastblockhash")]
    pub last_block_hash: B256,
    /// The state of the head.
    #[serde(rename = "postState")]
    pub post_state: Option<Accounts>,
    /// The root of the state of the head.
    #[serde(rename = "postStateHash")]
    pub post_state_hash: Option<B256>,
    /// Whether blocks carry a proof of work.
    #[serde(rename = "sealEngine", default)]
    pub seal_engine: SealEngine,
    /// Chain id and blob parameters, where they are not the usual ones.
    pub config: Option<Config>,
}

/// Who vouches for a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum SealEngine {
    /// Nobody: seals are arbitrary.
    #[default]
    NoProof,
    /// Ethash.
    Ethash,
}

/// Chain parameters that a fixture sets.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Config {
    /// The EIP-155 chain id.
    #[serde(alias = "chainId")]
    pub chainid: Option<Number>,
    /// Blob parameters by fork (EIP-7840).
    #[serde(rename = "blobSchedule", default)]
    pub blob_schedule: BTreeMap<String, BlobFields>,
}

/// The blob parameters of one fork.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names of EIP-7840")]
pub struct BlobFields {
    pub target: Number,
    pub max: Number,
    pub base_fee_update_fraction: Number,
}

impl BlobFields {
    /// More blobs than any block could ever hold.
    const MAX_BLOBS: u64 = 1 << 32;

    /// The parameters, with what EIP-7840 does not schedule as in Cancun; `None` if they make no
    /// sense.
    pub fn params(&self) -> Option<BlobParams> {
        let is_sensible = self.target.0 <= self.max.0
            && self.max.0 <= Self::MAX_BLOBS
            && self.base_fee_update_fraction.0 > 0;
        is_sensible.then(|| BlobParams {
            target_blob_count: self.target.0,
            max_blob_count: self.max.0,
            update_fraction: self.base_fee_update_fraction.0.into(),
            ..BlobParams::cancun()
        })
    }
}

/// One block to import.
#[derive(Clone, Debug)]
pub struct Block {
    /// The block, possibly malformed.
    pub rlp: HexBytes,
    /// The decoded header; absent if the block is invalid.
    pub header: Option<HeaderFields>,
    /// Why the block must be refused, by network; the key is empty if under every network.
    pub exceptions: BTreeMap<String, String>,
}

impl Block {
    /// Why the block must be refused under `network`; `None` if it must be accepted.
    pub fn expected_exception(&self, network: &str) -> Option<&str> {
        let named = ["", "ALL", network].iter().find_map(|key| self.exceptions.get(*key));
        match (&self.header, named) {
            (_, Some(exception)) => Some(exception),
            (None, None) => Some("invalid (unnamed)"),
            (Some(_), None) => None,
        }
    }
}

/// Reads `rlp`, `blockHeader` and every `expectException<network>`; skips the decoded body, which
/// is long and says nothing that the RLP does not.
impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BlockVisitor)
    }
}

struct BlockVisitor;

impl<'de> Visitor<'de> for BlockVisitor {
    type Value = Block;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block with `rlp`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Block, A::Error> {
        let (mut rlp, mut header, mut exceptions) = (None, None, BTreeMap::new());
        while let Some(key) = map.next_key::<String>()? {
            match (key.as_str(), key.strip_prefix("expectException")) {
                ("rlp", _) => rlp = Some(map.next_value()?),
                ("blockHeader", _) => header = map.next_value()?,
                (_, Some(network)) => {
                    if let Some(exception) = map.next_value::<Option<String>>()? {
                        exceptions.insert(network.to_owned(), exception);
                    }
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let rlp = rlp.ok_or_else(|| serde::de::Error::missing_field("rlp"))?;
        Ok(Block { rlp, header, exceptions })
    }
}

//! What a run is about: what is agreed, what is claimed, and by which rules to judge.

use crate::{DataError, StfError};
use alloc::{string::ToString, vec, vec::Vec};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, Sealed};
use lockstep_chain::{Chain, Ethereum, genesis};
use lockstep_preimage::{Hint, PreimageKey, PreimageOracle};
use lockstep_protocol::{OutputRoot, RollupConfig};

/// The local keys of the fields (OP spec: fault proof § bootstrapping).
const L1_HEAD: u64 = 1;
const AGREED_L2_OUTPUT_ROOT: u64 = 2;
const CLAIMED_L2_OUTPUT_ROOT: u64 = 3;
const CLAIMED_L2_BLOCK: u64 = 4;
const CHAIN_ID: u64 = 5;
const ROLLUP_CONFIG: u64 = 6;
const L1_GENESIS: u64 = 7;

/// What a run is about. Whoever acts on its outcome must know all of this by other means: the oracle
/// is believed what it says here.
#[derive(Clone, Debug)]
pub struct BootInfo {
    /// The hash of the L1 block up to which the rollup is derived (local key 1).
    pub l1_head: B256,
    /// The output root of the rollup block to begin after (local key 2).
    pub agreed_l2_output_root: B256,
    /// The output root that is claimed (local key 3)...
    pub claimed_l2_output_root: B256,
    /// ... of the rollup block with this number (local key 4).
    pub claimed_l2_block: u64,
    /// The configuration of the rollup: by its chain id (local key 5) where that is a public chain's,
    /// otherwise from the oracle (local key 6, a `rollup.json`).
    pub rollup_config: RollupConfig,
    /// The definition of its L1: by the chain id that the configuration names where that is a public
    /// chain's, otherwise from the oracle (local key 7, a genesis file whose allocation is not read).
    pub l1_chain: Ethereum,
}

impl BootInfo {
    /// Reads everything under the local keys.
    ///
    /// # Errors
    /// What is missing or malformed.
    pub fn read<O: PreimageOracle>(oracle: &O) -> Result<Self, StfError<O::Error>> {
        let chain_id = u64::from_be_bytes(read_exact(oracle, CHAIN_ID)?);
        let rollup_config = rollup_config(oracle, chain_id)?;
        Ok(Self {
            l1_head: read_exact(oracle, L1_HEAD)?.into(),
            agreed_l2_output_root: read_exact(oracle, AGREED_L2_OUTPUT_ROOT)?.into(),
            claimed_l2_output_root: read_exact(oracle, CLAIMED_L2_OUTPUT_ROOT)?.into(),
            claimed_l2_block: u64::from_be_bytes(read_exact(oracle, CLAIMED_L2_BLOCK)?),
            l1_chain: l1_chain(oracle, rollup_config.l1_chain_id)?,
            rollup_config,
        })
    }

    /// What an oracle must answer for [`Self::read`] to find this. The L1 chain is not among it where
    /// it is no public one: its genesis file comes with `l1_genesis`.
    pub fn preimages(&self, l1_genesis: Option<Bytes>) -> Vec<(PreimageKey, Bytes)> {
        let config = serde_json::to_vec(&self.rollup_config).expect("every field has a JSON form");
        let mut preimages = vec![
            (L1_HEAD, self.l1_head.into()),
            (AGREED_L2_OUTPUT_ROOT, self.agreed_l2_output_root.into()),
            (CLAIMED_L2_OUTPUT_ROOT, self.claimed_l2_output_root.into()),
            (CLAIMED_L2_BLOCK, self.claimed_l2_block.to_be_bytes().into()),
            (CHAIN_ID, self.rollup_config.l2_chain_id.to_be_bytes().into()),
            (ROLLUP_CONFIG, Bytes::from(config)),
        ];
        preimages.extend(l1_genesis.map(|genesis| (L1_GENESIS, genesis)));
        preimages.into_iter().map(|(key, value)| (PreimageKey::local(key), value)).collect()
    }

    /// The header of the block to begin after, which the agreed output root commits to.
    ///
    /// # Errors
    /// When the oracle does not have what the root, or the block hash in it, is the hash of.
    pub fn agreed_header<O: PreimageOracle>(
        &self,
        oracle: &O,
    ) -> Result<Sealed<Header>, StfError<O::Error>> {
        let hash = self.agreed_l2_output_root;
        oracle.hint(&Hint::L2Output(hash)).map_err(DataError::Oracle)?;
        let preimage = crate::data::keccak_preimage(oracle, hash)?;
        let output = OutputRoot::decode(&preimage).ok_or_else(|| DataError::Malformed {
            what: "the output root",
            hash,
            reason: "it is none of version 0".into(),
        })?;
        oracle.hint(&Hint::L2Header(output.block_hash)).map_err(DataError::Oracle)?;
        Ok(crate::data::header(oracle, output.block_hash)?)
    }
}

fn read<O: PreimageOracle>(oracle: &O, key: u64) -> Result<Bytes, StfError<O::Error>> {
    Ok(oracle.get(PreimageKey::local(key)).map_err(DataError::Oracle)?)
}

fn read_exact<const N: usize, O: PreimageOracle>(
    oracle: &O,
    key: u64,
) -> Result<[u8; N], StfError<O::Error>> {
    let value = read(oracle, key)?;
    value.as_ref().try_into().map_err(|_| StfError::Boot {
        key,
        reason: alloc::format!("{} bytes, expected {N}", value.len()),
    })
}

fn rollup_config<O: PreimageOracle>(
    oracle: &O,
    chain_id: u64,
) -> Result<RollupConfig, StfError<O::Error>> {
    if let Some(config) = RollupConfig::of_chain(chain_id) {
        return Ok(config);
    }
    let key = ROLLUP_CONFIG;
    let config = RollupConfig::from_json(&read(oracle, key)?)
        .map_err(|error| StfError::Boot { key, reason: error.to_string() })?;
    if config.l2_chain_id == chain_id {
        return Ok(config);
    }
    let reason = alloc::format!("it is of chain {}, expected {chain_id}", config.l2_chain_id);
    Err(StfError::Boot { key, reason })
}

fn l1_chain<O: PreimageOracle>(oracle: &O, chain_id: u64) -> Result<Ethereum, StfError<O::Error>> {
    let known = [Ethereum::mainnet(), Ethereum::sepolia(), Ethereum::hoodi()];
    if let Some(chain) = known.into_iter().find(|chain| chain.chain_id() == chain_id) {
        return Ok(chain);
    }
    let key = L1_GENESIS;
    let chain = genesis::parse(&read(oracle, key)?)
        .and_then(|genesis| Ethereum::from_genesis(&genesis))
        .map_err(|error| StfError::Boot { key, reason: error.to_string() })?;
    if chain.chain_id() == chain_id {
        return Ok(chain);
    }
    let reason = alloc::format!("it is of chain {}, expected {chain_id}", chain.chain_id());
    Err(StfError::Boot { key, reason })
}

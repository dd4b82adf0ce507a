//! What a run is about: what is agreed, what is claimed, and by which rules to judge.

use crate::{DataError, StfError};
use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use alloy_consensus::Header;
use alloy_genesis::Genesis;
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
    /// chain's, otherwise from the oracle (local key 7, a genesis file, of which nothing but the
    /// configuration is read, or that configuration alone).
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
    /// it is no public one: its genesis file, or the configuration in it, comes with `l1_genesis`.
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
    /// When the oracle does not have what the root, or the block hash in it, is the hash of, or the root
    /// names another state than the header.
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
        let header = crate::data::header(oracle, output.block_hash)?;
        // Every honest output root has the header's state root; execution begins with that.
        if output.state_root != header.state_root {
            let (what, found) = ("the output root", header.state_root);
            let reason = alloc::format!(
                "it names the state {}, the header of its block the state {found}",
                output.state_root
            );
            return Err(DataError::Malformed { what, hash, reason }.into());
        }
        Ok(header)
    }

    /// The definition of the L1 with this chain id, from its genesis file or from the configuration in
    /// that alone, which is what other programs put under local key 7.
    ///
    /// # Errors
    /// [`StfError::Boot`] if `json` is neither, or of another chain.
    pub fn parse_l1_chain<E>(json: &[u8], chain_id: u64) -> Result<Ethereum, StfError<E>> {
        let fault = |reason: String| StfError::Boot { key: L1_GENESIS, reason };
        let file = genesis::parse(json).map_err(|error| fault(error.to_string()))?;
        let genesis = if file.config.chain_id == chain_id {
            file
        } else {
            // A configuration alone reads as a file that configures nothing.
            match serde_json::from_slice(json) {
                Ok(config) => Genesis { config, ..Genesis::default() },
                Err(_) => file,
            }
        };
        if genesis.config.chain_id != chain_id {
            return Err(fault(alloc::format!(
                "neither a genesis file nor a configuration of chain {chain_id}"
            )));
        }
        Ethereum::from_genesis(&genesis).map_err(|error| fault(error.to_string()))
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
        // A few public chains keep their data elsewhere: L1 would tell of their deposits alone.
        let is_valid = config.validate();
        is_valid.map_err(|error| StfError::Boot { key: CHAIN_ID, reason: error.to_string() })?;
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
    BootInfo::parse_l1_chain(&read(oracle, L1_GENESIS)?, chain_id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_preimage::PreimageSet;
    use std::format;

    fn read(local: &[(u64, Vec<u8>)]) -> Result<BootInfo, String> {
        let mut set = PreimageSet::new();
        for (key, value) in local {
            set.insert(PreimageKey::local(*key), value.clone().into()).expect("no hash");
        }
        BootInfo::read(&set).map_err(|error| error.to_string())
    }

    fn of_chain(chain_id: u64) -> Vec<(u64, Vec<u8>)> {
        vec![
            (L1_HEAD, vec![1; 32]),
            (AGREED_L2_OUTPUT_ROOT, vec![2; 32]),
            (CLAIMED_L2_OUTPUT_ROOT, vec![3; 32]),
            (CLAIMED_L2_BLOCK, 7_u64.to_be_bytes().to_vec()),
            (CHAIN_ID, chain_id.to_be_bytes().to_vec()),
        ]
    }

    #[test]
    fn public_chains_need_no_configuration_and_those_with_data_elsewhere_are_refused() {
        let mut refused = 0;
        for chain_id in RollupConfig::public_chains() {
            let config = RollupConfig::of_chain(chain_id).expect("it is public");
            match (config.validate(), read(&of_chain(chain_id))) {
                (Ok(()), Ok(boot)) => assert_eq!(boot.rollup_config, config),
                (Err(reason), Err(error)) => {
                    refused += 1;
                    assert!(error.contains(&reason.to_string()), "{error}");
                }
                (validated, read) => panic!("chain {chain_id}: {validated:?}, but {read:?}"),
            }
        }
        assert!(refused > 0, "some public chains keep their data elsewhere");
    }

    #[test]
    fn what_is_missing_or_of_another_length_is_named() {
        let whole = of_chain(10);
        assert!(read(&whole).is_ok());
        for left_out in 0..whole.len() {
            let mut rest = whole.clone();
            let (key, value) = rest.remove(left_out);
            assert!(read(&rest).is_err(), "without key {key}");
            rest.push((key, [value, vec![0]].concat()));
            let error = read(&rest).expect_err("too long");
            assert!(error.contains(&format!("local key {key}")), "{error}");
        }
        assert!(read(&of_chain(123_456_789)).is_err(), "not public, and no configuration");
    }

    #[test]
    fn an_l1_is_read_from_its_genesis_file_or_its_configuration_alone() {
        let config = r#"{"chainId": 900, "homesteadBlock": 0, "terminalTotalDifficulty": 0}"#;
        let file = format!(
            r#"{{"config": {config}, "difficulty": "0x0", "gasLimit": "0x0", "alloc": {{}}}}"#
        );
        let parse = |json: &str, chain_id| {
            let parsed =
                BootInfo::parse_l1_chain::<core::convert::Infallible>(json.as_bytes(), chain_id);
            parsed.map_err(|error| error.to_string())
        };
        let chain = parse(&file, 900).expect("a genesis file");
        assert_eq!(chain.chain_id(), 900);
        assert_eq!(parse(config, 900), Ok(chain));
        for (json, chain_id) in [(file.as_str(), 901), (config, 901), ("{}", 900), ("7", 900)] {
            let error = parse(json, chain_id).expect_err("another chain, or none");
            assert!(error.starts_with("boot information, local key 7"), "{error}");
        }
        assert!(parse("{}", 900).is_err_and(|error| error.contains("of chain 900")));
    }
}

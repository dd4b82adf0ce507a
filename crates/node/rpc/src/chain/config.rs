//! The parameters of a fork, in the form of EIP-7910.

use alloy_eip2124::ForkHash;
use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
};
use alloy_primitives::{Address, B256, Bytes, U64};
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, ForkCondition};
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer of `eth_config`.
#[derive(Clone, Debug, Serialize)]
pub struct ForkConfigs {
    /// The parameters in force.
    pub current: ForkConfig,
    /// Those of the next scheduled fork.
    pub next: Option<ForkConfig>,
    /// Those of the last scheduled fork.
    pub last: Option<ForkConfig>,
}

/// The parameters of one fork.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkConfig {
    /// When the fork begins, in seconds since 1970.
    pub activation_time: u64,
    /// Its blob parameters; `None` before Cancun.
    pub blob_schedule: Option<BlobSchedule>,
    /// The chain id.
    pub chain_id: U64,
    /// The fork hash (EIP-2124).
    pub fork_id: Bytes,
    /// The precompiles by name.
    pub precompiles: BTreeMap<&'static str, Address>,
    /// The system contracts by name.
    pub system_contracts: BTreeMap<&'static str, Address>,
}

/// Blob parameters (EIP-7840).
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlobSchedule {
    /// The target number of blobs per block.
    pub target: u64,
    /// The largest number of blobs per block.
    pub max: u64,
    /// How fast the price moves.
    pub base_fee_update_fraction: u64,
}

/// Precompiles, the fork that brought each, and its address' last two bytes.
const PRECOMPILES: [(&str, EthereumHardfork, u16); 18] = {
    use EthereumHardfork as F;
    [
        ("ECREC", F::Frontier, 0x01),
        ("SHA256", F::Frontier, 0x02),
        ("RIPEMD160", F::Frontier, 0x03),
        ("ID", F::Frontier, 0x04),
        ("MODEXP", F::Byzantium, 0x05),
        ("BN254_ADD", F::Byzantium, 0x06),
        ("BN254_MUL", F::Byzantium, 0x07),
        ("BN254_PAIRING", F::Byzantium, 0x08),
        ("BLAKE2F", F::Istanbul, 0x09),
        ("KZG_POINT_EVALUATION", F::Cancun, 0x0a),
        ("BLS12_G1ADD", F::Prague, 0x0b),
        ("BLS12_G1MSM", F::Prague, 0x0c),
        ("BLS12_G2ADD", F::Prague, 0x0d),
        ("BLS12_G2MSM", F::Prague, 0x0e),
        ("BLS12_PAIRING_CHECK", F::Prague, 0x0f),
        ("BLS12_MAP_FP_TO_G1", F::Prague, 0x10),
        ("BLS12_MAP_FP2_TO_G2", F::Prague, 0x11),
        ("P256VERIFY", F::Osaka, 0x100),
    ]
};

/// The configurations around `timestamp` (in seconds).
pub(crate) fn fork_configs(
    chain: &Ethereum,
    timestamp: u64,
    genesis: B256,
    genesis_timestamp: u64,
) -> ForkConfigs {
    let times: BTreeMap<u64, EthereumHardfork> = chain
        .forks()
        .iter()
        .filter_map(|(fork, condition)| match condition {
            ForkCondition::Timestamp(time) => Some((time.max(genesis_timestamp), fork)),
            _ => None,
        })
        .collect();
    let config = |(time, fork): (&u64, &EthereumHardfork)| ForkConfig {
        activation_time: if *time == genesis_timestamp { 0 } else { *time },
        blob_schedule: chain.blob_params(*fork).map(|params| BlobSchedule {
            target: params.target_blob_count,
            max: params.max_blob_count,
            base_fee_update_fraction: u64::try_from(params.update_fraction).unwrap_or(u64::MAX),
        }),
        chain_id: U64::from(chain.chain_id()),
        fork_id: fork_hash(chain, *time, genesis, genesis_timestamp),
        precompiles: PRECOMPILES
            .iter()
            .filter(|(_, since, _)| since <= fork)
            .map(|(name, _, address)| (*name, precompile_address(*address)))
            .collect(),
        system_contracts: system_contracts(chain, *fork),
    };
    let mut later = times.range(timestamp.saturating_add(1)..);
    let next = later.next();
    // A chain without forks by time is described by its newest fork by block.
    let current = times
        .range(..=timestamp)
        .next_back()
        .map_or_else(|| config((&0, &EthereumHardfork::Paris)), config);
    let last = later.next_back().or(next).map(config);
    ForkConfigs { current, next: next.map(config), last }
}

fn system_contracts(chain: &Ethereum, fork: EthereumHardfork) -> BTreeMap<&'static str, Address> {
    let mut contracts = BTreeMap::new();
    if fork >= EthereumHardfork::Cancun {
        contracts.insert("BEACON_ROOTS_ADDRESS", BEACON_ROOTS_ADDRESS);
    }
    if fork >= EthereumHardfork::Prague {
        contracts.insert(
            "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS",
            CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
        );
        contracts.insert("DEPOSIT_CONTRACT_ADDRESS", chain.deposit_contract());
        contracts.insert("HISTORY_STORAGE_ADDRESS", HISTORY_STORAGE_ADDRESS);
        contracts
            .insert("WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS", WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS);
    }
    contracts
}

/// The fork hash (EIP-2124) of a chain at `timestamp`, all of whose forks by block are past.
fn fork_hash(chain: &Ethereum, timestamp: u64, genesis: B256, genesis_timestamp: u64) -> Bytes {
    let mut blocks: Vec<u64> = Vec::new();
    let mut times: Vec<u64> = Vec::new();
    for (_, condition) in chain.forks().iter() {
        match condition {
            ForkCondition::Block(number) if number > 0 => blocks.push(number),
            ForkCondition::TTD { fork_block: Some(number), .. } if number > 0 => {
                blocks.push(number);
            }
            ForkCondition::Timestamp(time) if time > genesis_timestamp && time <= timestamp => {
                times.push(time);
            }
            _ => {}
        }
    }
    blocks.sort_unstable();
    blocks.dedup();
    times.sort_unstable();
    times.dedup();
    let mut hash = ForkHash::from(genesis);
    for fork in blocks.into_iter().chain(times) {
        hash += fork;
    }
    Bytes::copy_from_slice(&hash.0)
}

fn precompile_address(last_bytes: u16) -> Address {
    let mut address = Address::ZERO;
    if let Some(last) = address.0.last_chunk_mut::<2>() {
        *last = last_bytes.to_be_bytes();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    const MAINNET: B256 = b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");

    /// The hashes stand in EIP-2124, EIP-6122 and EIP-7910.
    #[test]
    fn mainnet_has_the_fork_hashes_of_the_eips() {
        let chain = Ethereum::mainnet();
        let cancun = fork_configs(&chain, 1_710_338_135, MAINNET, 0).current;
        assert_eq!(cancun.fork_id, Bytes::from_static(&[0x9f, 0x3d, 0x22, 0x54]));
        assert_eq!(cancun.activation_time, 1_710_338_135);
        assert_eq!(cancun.precompiles.len(), 10);
        let prague = fork_configs(&chain, 1_746_612_311, MAINNET, 0).current;
        assert_eq!(prague.fork_id, Bytes::from_static(&[0xc3, 0x76, 0xcf, 0x8b]));
        assert_eq!(prague.precompiles.len(), 17);
        assert_eq!(prague.system_contracts.len(), 5);
    }

    #[test]
    fn the_next_and_the_last_fork_are_told() {
        let configs = fork_configs(&Ethereum::mainnet(), 1_710_338_135, MAINNET, 0);
        assert_eq!(configs.next.unwrap().activation_time, 1_746_612_311);
        assert!(configs.last.unwrap().activation_time > 1_746_612_311);
        let configs = fork_configs(&Ethereum::mainnet(), u64::MAX - 1, MAINNET, 0);
        assert!(configs.next.is_none() && configs.last.is_none());
    }
}

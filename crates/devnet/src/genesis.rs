//! How the development chains begin.

use alloy_eips::{
    eip2935, eip4788, eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS, eip7002, eip7251,
    eip7840::BlobParams,
};
use alloy_genesis::{ChainConfig, Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, U256, address};
use lockstep_chain::{EthereumHardfork, OpHardfork};
use lockstep_contracts::{FeeRecipient, predeploys, preinstalls};
use serde_json::json;
use std::collections::BTreeMap;

/// The chain id of the development L1.
pub const L1_CHAIN_ID: u64 = 1337;

/// The chain id of the first development rollup; further ones count up from it.
pub const ROLLUP_CHAIN_ID: u64 = 901;

/// Where the example app [`Cafe`](lockstep_contracts::Cafe) is, on each rollup of a development union.
pub const CAFE: Address = address!("cafe000000000000000000000000000000000000");

/// What a funded account begins with: 10,000 ether, in wei.
pub const BALANCE: U256 = U256::from_limbs([0x19e0_c9ba_b240_0000, 0x21e, 0, 0]);

/// The block gas limit of the development chains.
pub const GAS_LIMIT: u64 = 60_000_000;

/// The base fee of the first block, in wei.
const BASE_FEE: u64 = 1_000_000_000;

/// The base fee of a rollup: its gas target is the gas limit divided by this.
pub(crate) const EIP1559_ELASTICITY: u32 = 6;

/// The base fee of a rollup changes by one part in so many at most.
pub(crate) const EIP1559_DENOMINATOR: u32 = 250;

/// As [`EIP1559_DENOMINATOR`], before Canyon.
const EIP1559_DENOMINATOR_BEDROCK: u32 = 50;

/// The forks of a development rollup, all active from the beginning on.
const ROLLUP_FORKS: [&str; 8] =
    ["regolith", "canyon", "ecotone", "fjord", "granite", "holocene", "isthmus", "jovian"];

/// The genesis of the development L1: every fork up to `newest` from the beginning on, the system
/// contracts, those that tools expect, and `funded` accounts.
///
/// `newest` is one of Shanghai, Cancun, Prague and Osaka; `timestamp` is in seconds.
pub fn l1_genesis(newest: EthereumHardfork, timestamp: u64, funded: &[Address]) -> Genesis {
    let since = |fork| (newest >= fork).then_some(0);
    let config = ChainConfig {
        chain_id: L1_CHAIN_ID,
        shanghai_time: Some(0),
        cancun_time: since(EthereumHardfork::Cancun),
        prague_time: since(EthereumHardfork::Prague),
        osaka_time: since(EthereumHardfork::Osaka),
        terminal_total_difficulty: Some(U256::ZERO),
        deposit_contract_address: Some(MAINNET_DEPOSIT_CONTRACT_ADDRESS),
        blob_schedule: blob_schedule(newest),
        ..ethereum_blocks()
    };
    let mut alloc = allocation(funded);
    if newest >= EthereumHardfork::Cancun {
        alloc.insert(eip4788::BEACON_ROOTS_ADDRESS, system(&eip4788::BEACON_ROOTS_CODE));
    }
    if newest >= EthereumHardfork::Prague {
        alloc.insert(eip2935::HISTORY_STORAGE_ADDRESS, system(&eip2935::HISTORY_STORAGE_CODE));
        let withdrawals = system(&eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_CODE);
        alloc.insert(eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, withdrawals);
        let consolidations = system(&eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_CODE);
        alloc.insert(eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, consolidations);
    }
    genesis(config, timestamp, alloc)
}

/// The genesis of a development rollup: an OP Stack chain at Jovian from the beginning on, with its
/// predeploys, the contracts that tools expect, and `funded` accounts. Fees go to the first of these.
///
/// `timestamp` is in seconds.
pub fn rollup_genesis(chain_id: u64, timestamp: u64, funded: &[Address]) -> Genesis {
    let mut config = ChainConfig {
        chain_id,
        shanghai_time: Some(0),
        cancun_time: Some(0),
        prague_time: Some(0),
        terminal_total_difficulty: Some(U256::ZERO),
        ..ethereum_blocks()
    };
    for fork in ROLLUP_FORKS {
        config.extra_fields.insert(format!("{fork}Time"), json!(0));
    }
    config.extra_fields.insert("bedrockBlock".to_owned(), json!(0));
    let fees = json!({
        "eip1559Elasticity": EIP1559_ELASTICITY,
        "eip1559Denominator": EIP1559_DENOMINATOR_BEDROCK,
        "eip1559DenominatorCanyon": EIP1559_DENOMINATOR,
    });
    config.extra_fields.insert("optimism".to_owned(), fees);
    let mut alloc = allocation(funded);
    alloc.insert(eip4788::BEACON_ROOTS_ADDRESS, system(&eip4788::BEACON_ROOTS_CODE));
    alloc.insert(eip2935::HISTORY_STORAGE_ADDRESS, system(&eip2935::HISTORY_STORAGE_CODE));
    let fees_to = FeeRecipient::OnRollup(funded.first().copied().unwrap_or_default());
    alloc.extend(predeploys(OpHardfork::Jovian, fees_to, U256::ZERO));
    let mut genesis = genesis(config, timestamp, alloc);
    // Jovian: version 1, denominator and elasticity of four bytes each, the least base fee of eight.
    let (denominator, elasticity) = (EIP1559_DENOMINATOR, EIP1559_ELASTICITY);
    let fields = [&[1][..], &denominator.to_be_bytes(), &elasticity.to_be_bytes(), &[0; 8]];
    genesis.extra_data = fields.concat().into();
    genesis
}

/// The blob parameters of the forks up to `newest`, which some clients want to be told.
fn blob_schedule(newest: EthereumHardfork) -> BTreeMap<String, BlobParams> {
    let forks = [
        (EthereumHardfork::Cancun, "cancun", BlobParams::cancun()),
        (EthereumHardfork::Prague, "prague", BlobParams::prague()),
        (EthereumHardfork::Osaka, "osaka", BlobParams::osaka()),
    ];
    let known = forks.into_iter().filter(|(fork, ..)| *fork <= newest);
    known.map(|(_, name, params)| (name.to_owned(), params)).collect()
}

/// Every fork by number from the first block on.
fn ethereum_blocks() -> ChainConfig {
    ChainConfig {
        homestead_block: Some(0),
        eip150_block: Some(0),
        eip155_block: Some(0),
        eip158_block: Some(0),
        byzantium_block: Some(0),
        constantinople_block: Some(0),
        petersburg_block: Some(0),
        istanbul_block: Some(0),
        berlin_block: Some(0),
        london_block: Some(0),
        merge_netsplit_block: Some(0),
        terminal_total_difficulty_passed: true,
        ..Default::default()
    }
}

fn allocation(funded: &[Address]) -> BTreeMap<Address, GenesisAccount> {
    let mut alloc = preinstalls();
    for address in funded {
        alloc.insert(*address, GenesisAccount { balance: BALANCE, ..Default::default() });
    }
    alloc
}

/// A system contract, which has a nonce of one as if it had been deployed.
fn system(code: &Bytes) -> GenesisAccount {
    GenesisAccount { nonce: Some(1), code: Some(code.clone()), ..Default::default() }
}

fn genesis(
    config: ChainConfig,
    timestamp: u64,
    alloc: BTreeMap<Address, GenesisAccount>,
) -> Genesis {
    Genesis {
        config,
        timestamp,
        alloc,
        gas_limit: GAS_LIMIT,
        base_fee_per_gas: Some(BASE_FEE.into()),
        difficulty: U256::ZERO,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_chain::{Chain, Ethereum, Rollup, genesis};

    /// What `--print-genesis` prints must describe the same chain to whoever reads it.
    #[test]
    fn the_l1_genesis_survives_json_and_begins_at_the_fork_asked_for() {
        for fork in [
            EthereumHardfork::Shanghai,
            EthereumHardfork::Cancun,
            EthereumHardfork::Prague,
            EthereumHardfork::Osaka,
        ] {
            let genesis = l1_genesis(fork, 1_700_000_000, &[Address::repeat_byte(1)]);
            let json = serde_json::to_vec(&genesis).expect("it serialises");
            let read = genesis::parse(&json).expect("it parses");
            let chain = Ethereum::from_genesis(&read).expect("it is valid");
            let header = chain.genesis_header(&read);
            assert_eq!(chain.fork(&header), fork);
            chain.validate_header(&header).expect("the first header is valid");
            assert_eq!(header, chain.genesis_header(&genesis));
        }
    }

    #[test]
    fn the_rollup_genesis_survives_json_and_begins_at_jovian() {
        let genesis = rollup_genesis(ROLLUP_CHAIN_ID, 1_700_000_000, &[Address::repeat_byte(1)]);
        let json = serde_json::to_vec(&genesis).expect("it serialises");
        let read = genesis::parse(&json).expect("it parses");
        let chain = Rollup::from_genesis(&read).expect("it is valid");
        let header = chain.genesis_header(&read);
        assert_eq!(chain.fork(&header), OpHardfork::Jovian);
        chain.validate_header(&header).expect("the first header is valid");
    }

    #[test]
    fn funded_accounts_have_ten_thousand_ether() {
        assert_eq!(BALANCE, U256::from(10_000) * U256::from(10).pow(U256::from(18)));
    }
}

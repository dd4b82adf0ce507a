//! What a development rollup consists of: its genesis, its contracts on L1, its configuration.

use crate::{
    Operators,
    genesis::{EIP1559_DENOMINATOR, EIP1559_ELASTICITY, GAS_LIMIT, ROLLUP_CHAIN_ID},
    rollup_genesis,
};
use alloy_eips::BlockNumHash;
use alloy_genesis::Genesis;
use alloy_primitives::{Address, ChainId, U256};
use lockstep_contracts::{L1Addresses, L1Settings, SettingsError, l1_genesis_accounts};
use lockstep_protocol::{ChainOpConfig, RollupConfig, RollupGenesis};

/// L1 blocks after which an epoch without batches is filled with deposits alone.
pub(crate) const SEQUENCING_WINDOW: u64 = 3_600;

/// For how long a claim about the rollup can be deleted, and a proof of a withdrawal must wait, in
/// seconds: long enough to see it, short enough to wait for it.
pub const FINALIZATION_PERIOD_S: u64 = 10;

/// What the fees for L1 are weighed with, in millionths (those of OP Mainnet).
const BASE_FEE_SCALAR: u32 = 1_368;
const BLOB_BASE_FEE_SCALAR: u32 = 810_949;

/// Gas per byte of estimated data (Jovian's default).
const DA_FOOTPRINT_GAS_SCALAR: u16 = 400;

/// When and where a rollup begins.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// The timestamp of the first rollup block, in seconds.
    pub timestamp: u64,
    /// The number of the L1 block that it takes as its origin.
    pub l1_origin: u64,
    /// Seconds from one rollup block to the next.
    pub block_time_s: u64,
}

/// What a development rollup consists of.
#[derive(Clone, Debug)]
pub struct RollupPlan {
    /// How it begins.
    pub genesis: Genesis,
    /// What its contracts on L1 begin with.
    pub settings: L1Settings,
    /// Where they are.
    pub addresses: L1Addresses,
}

/// Who would have created the contracts that are in the genesis of an embedded L1: nobody, so that
/// they are where no contract of a user will be.
pub(crate) fn nobody() -> Address {
    Address::left_padding_from(b"lockstep")
}

/// Where the contracts are that are in the genesis of an embedded L1.
pub(crate) fn embedded_addresses() -> L1Addresses {
    L1Addresses::created_by(nobody(), 0)
}

/// The inbox that the OP Stack's convention gives to a chain: 0xff, and the chain id as digits.
fn batch_inbox(chain_id: u64) -> Address {
    let digits = format!("ff{chain_id:038}");
    digits.parse().unwrap_or_default()
}

/// The ether that a chain begins with, in wei.
pub(crate) fn supply(genesis: &Genesis) -> U256 {
    let balances = genesis.alloc.values().map(|account| account.balance);
    balances.fold(U256::ZERO, U256::saturating_add)
}

impl RollupPlan {
    /// The rollup that begins so, with `funded` accounts, of which the first owns the contracts.
    pub fn new(
        beginning: &Beginning,
        addresses: L1Addresses,
        funded: &[Address],
        operators: &Operators,
    ) -> Self {
        Self::of_chain(ROLLUP_CHAIN_ID, beginning, addresses, funded, operators)
    }

    /// As [`Self::new`], with another chain id than [`ROLLUP_CHAIN_ID`].
    pub fn of_chain(
        chain_id: ChainId,
        beginning: &Beginning,
        addresses: L1Addresses,
        funded: &[Address],
        operators: &Operators,
    ) -> Self {
        let owner = funded.first().copied().unwrap_or(operators.proposer.address);
        let settings = L1Settings {
            owner,
            batcher: operators.batcher.address,
            batch_inbox: batch_inbox(chain_id),
            unsafe_block_signer: owner,
            proposer: operators.proposer.address,
            challenger: owner,
            l2_chain_id: chain_id,
            gas_limit: GAS_LIMIT,
            base_fee_scalar: BASE_FEE_SCALAR,
            blob_base_fee_scalar: BLOB_BASE_FEE_SCALAR,
            eip1559_denominator: EIP1559_DENOMINATOR,
            eip1559_elasticity: EIP1559_ELASTICITY,
            operator_fee_scalar: 0,
            operator_fee_constant: 0,
            min_base_fee: 0,
            da_footprint_gas_scalar: DA_FOOTPRINT_GAS_SCALAR,
            start_block: beginning.l1_origin,
            submission_interval: 1,
            l2_block_time_s: beginning.block_time_s,
            starting_block_number: 0,
            starting_timestamp_s: beginning.timestamp,
            finalization_period_s: FINALIZATION_PERIOD_S,
        };
        let genesis = rollup_genesis(chain_id, beginning.timestamp, funded);
        Self { genesis, settings, addresses }
    }

    /// Puts the rollup's contracts and the ether of its operators into the genesis of an L1. The portal
    /// begins with as much as there is on the rollup, so that all of it can be withdrawn.
    ///
    /// # Errors
    /// When the contracts would refuse their settings.
    pub fn put_into(&self, l1: &mut Genesis) -> Result<(), SettingsError> {
        l1.alloc.extend(l1_genesis_accounts(&self.settings, &self.addresses)?);
        l1.alloc.entry(self.addresses.portal).or_default().balance = supply(&self.genesis);
        for operator in [self.settings.batcher, self.settings.proposer] {
            l1.alloc.entry(operator).or_default().balance = crate::BALANCE;
        }
        Ok(())
    }

    /// The configuration of the rollup whose first block is `l2`, with the origin `l1`.
    pub fn config(&self, l1_chain_id: u64, l1: BlockNumHash, l2: BlockNumHash) -> RollupConfig {
        let now = Some(0);
        RollupConfig {
            genesis: RollupGenesis {
                l1,
                l2,
                l2_time: self.genesis.timestamp,
                system_config: self.settings.system_config(),
            },
            block_time: self.settings.l2_block_time_s,
            max_sequencer_drift: 600,
            seq_window_size: SEQUENCING_WINDOW,
            channel_timeout: 300,
            l1_chain_id,
            l2_chain_id: self.genesis.config.chain_id,
            regolith_time: now,
            canyon_time: now,
            delta_time: now,
            ecotone_time: now,
            fjord_time: now,
            granite_time: now,
            holocene_time: now,
            isthmus_time: now,
            jovian_time: now,
            batch_inbox_address: self.settings.batch_inbox,
            deposit_contract_address: self.addresses.portal,
            l1_system_config_address: self.addresses.system_config,
            chain_op_config: ChainOpConfig::default(),
            ..RollupConfig::default()
        }
    }
}

/// Ether that an operator is given on a foreign L1: 100, in wei.
pub(crate) const ALLOWANCE: U256 = U256::from_limbs([0x6bc7_5e2d_6310_0000, 5, 0, 0]);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MNEMONIC, accounts, l1_genesis, operators};
    use lockstep_chain::{Chain, Ethereum, EthereumHardfork, OpHardfork, Rollup};

    const BEGINNING: Beginning =
        Beginning { timestamp: 1_700_000_000, l1_origin: 0, block_time_s: 1 };

    fn plan() -> RollupPlan {
        let accounts = accounts(MNEMONIC, 2).expect("the mnemonic is valid");
        let funded: Vec<Address> = accounts.iter().map(|account| account.address).collect();
        let operators = operators(MNEMONIC).expect("the mnemonic is valid");
        RollupPlan::new(&BEGINNING, embedded_addresses(), &funded, &operators)
    }

    #[test]
    fn the_configuration_is_valid_and_describes_the_genesis() {
        let plan = plan();
        let config = plan.config(1337, BlockNumHash::default(), BlockNumHash::default());
        config.validate().expect("it is valid");
        let json = serde_json::to_vec(&config).expect("it serialises");
        assert_eq!(RollupConfig::from_json(&json).expect("it parses"), config);
        let chain = Rollup::from_genesis(&plan.genesis).expect("the genesis is valid");
        let header = chain.genesis_header(&plan.genesis);
        assert_eq!(config.chain().fork(&header), OpHardfork::Jovian);
        assert_eq!(config.chain().fork(&header), chain.fork(&header));
        assert_eq!(config.genesis.system_config.gas_limit, header.gas_limit);
        assert_eq!(config.chain_op_config.eip1559_denominator_canyon, 250);
        assert_eq!(config.chain_op_config.eip1559_elasticity, 6);
    }

    #[test]
    fn an_l1_genesis_takes_the_contracts() {
        let mut genesis = l1_genesis(EthereumHardfork::Osaka, 1_700_000_000, &[]);
        let plan = plan();
        plan.put_into(&mut genesis).expect("the settings are valid");
        let addresses = embedded_addresses();
        for contract in [addresses.portal, addresses.system_config, addresses.output_oracle] {
            assert!(genesis.alloc.get(&contract).is_some_and(|account| account.code.is_some()));
        }
        let balance = |address| genesis.alloc.get(&address).map(|account| account.balance);
        // Two accounts have ether on the rollup.
        assert_eq!(balance(addresses.portal), Some(crate::BALANCE * U256::from(2)));
        assert_eq!(
            genesis.alloc.get(&plan.settings.batcher).map(|a| a.balance),
            Some(crate::BALANCE)
        );
        Ethereum::from_genesis(&genesis).expect("the genesis is valid");
    }

    #[test]
    fn the_inbox_shows_the_chain_id() {
        let inbox = batch_inbox(901).to_string().to_lowercase();
        assert_eq!(inbox, "0xff00000000000000000000000000000000000901");
    }

    #[test]
    fn the_allowance_is_a_hundred_ether() {
        assert_eq!(ALLOWANCE, U256::from(100) * U256::from(10).pow(U256::from(18)));
    }
}

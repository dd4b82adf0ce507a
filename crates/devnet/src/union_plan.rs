//! What a development union consists of: its rollups, its contracts on L1, the proposers that opted in.

use crate::{
    BALANCE, Beginning, CAFE, Operators, ROLLUP_CHAIN_ID, RollupPlan,
    beacon::{BeaconLimits, BeaconSpec, types::BlsPublicKey},
    plan::{SEQUENCING_WINDOW, nobody, supply},
};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, ChainId, U256};
use lockstep_contracts::{
    BeaconChain, Cafe, Delegation, MemberAddresses, OptedInProposer, SettingsError, StateLayout,
    UnionAddresses, UnionHoldings, UnionSettings, union_genesis_accounts, union_predeploys,
};
use lockstep_lookahead::PROVABLE_SLOTS;

/// The collateral of each proposer's key: 1 ether, in wei.
const COLLATERAL: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// For how many slots after its last delegated one a proposer's collateral stays.
const EXIT_DELAY_SLOTS: u64 = 64;

/// For how many slots after its own a batch can be posted: half an hour of a machine that sleeps.
const WINDOW_SLOTS: u64 = 1_000;

/// Owners can be proven for as long, also by a gateway that has lost what it kept; and a slot's batch that the inbox takes is
/// derived from.
const _: () = assert!(
    WINDOW_SLOTS < BeaconLimits::STATES
        && WINDOW_SLOTS <= PROVABLE_SLOTS
        && WINDOW_SLOTS < SEQUENCING_WINDOW
);

/// A validator of the L1 that opted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptedInValidator {
    /// Its key.
    pub key: BlsPublicKey,
    /// The gateway to which it delegated all of its slots, from the first on.
    pub gateway: Address,
}

/// What a development union consists of.
///
/// In the genesis of its L1 the contracts are where an account without a key would have created them with its
/// first transactions (`UnionAddresses::created_by`), all rollups are in the vault, and the proposers have
/// registered and delegated. Rollup number `n` has the chain id [`ROLLUP_CHAIN_ID`]` + n`.
#[derive(Clone, Debug)]
pub struct UnionPlan {
    /// The rollups; each genesis has a Gate, a port, a token bridge, and an example of an app ([`CAFE`]).
    pub rollups: Vec<RollupPlan>,
    /// What the contracts on L1 begin with.
    pub settings: UnionSettings,
    /// Where they are.
    pub addresses: UnionAddresses,
    /// What they hold from the beginning.
    pub holdings: UnionHoldings,
}

impl UnionPlan {
    /// The union of so many rollups that begin so, with `funded` accounts on each, of which the first owns the
    /// contracts.
    pub fn new(
        beginning: &Beginning,
        beacon: &BeaconSpec,
        rollups: usize,
        opted_in: &[OptedInValidator],
        funded: &[Address],
        operators: &Operators,
    ) -> Self {
        let addresses = UnionAddresses::created_by(nobody(), 0, rollups);
        let rollups: Vec<_> = (ROLLUP_CHAIN_ID..)
            .zip(&addresses.rollups)
            .map(|(chain, at)| member(chain, beginning, *at, funded, operators))
            .collect();
        let owner = funded.first().copied().unwrap_or(operators.proposer.address);
        let settings = UnionSettings {
            beacon: beacon_chain(beacon),
            min_collateral: COLLATERAL,
            exit_delay_slots: EXIT_DELAY_SLOTS,
            first_slot: 0,
            window_slots: WINDOW_SLOTS,
            admin: owner,
            settlement: owner,
            rollups: rollups.iter().map(|rollup| rollup.settings).collect(),
        };
        let proposers = opted_in.iter().map(|validator| OptedInProposer {
            key: validator.key,
            owner,
            collateral: COLLATERAL,
            delegations: vec![Delegation::of_all_slots(validator.gateway)],
        });
        let ether =
            rollups.iter().map(|rollup| (rollup.settings.l2_chain_id, supply(&rollup.genesis)));
        let holdings = UnionHoldings { proposers: proposers.collect(), ether: ether.collect() };
        Self { rollups, settings, addresses, holdings }
    }

    /// Puts the union's contracts and the ether of its operators into the genesis of an L1. The vault begins with as
    /// much of each rollup as there is on it, so that all of it can be withdrawn.
    ///
    /// # Errors
    /// When the contracts would refuse their settings, or what they are to hold.
    pub fn put_into(&self, l1: &mut Genesis) -> Result<(), SettingsError> {
        l1.alloc.extend(union_genesis_accounts(&self.settings, &self.addresses, &self.holdings)?);
        for rollup in &self.rollups {
            for operator in [rollup.settings.batcher, rollup.settings.proposer] {
                l1.alloc.entry(operator).or_default().balance = BALANCE;
            }
        }
        Ok(())
    }
}

fn member(
    chain: ChainId,
    beginning: &Beginning,
    addresses: MemberAddresses,
    funded: &[Address],
    operators: &Operators,
) -> RollupPlan {
    let mut plan = RollupPlan::of_chain(chain, beginning, addresses.rollup, funded, operators);
    plan.genesis.alloc.extend(union_predeploys(addresses.token_portal));
    let cafe = GenesisAccount {
        nonce: Some(1),
        code: Some(Cafe::DEPLOYED_BYTECODE.clone()),
        ..Default::default()
    };
    plan.genesis.alloc.insert(CAFE, cafe);
    plan
}

fn beacon_chain(spec: &BeaconSpec) -> BeaconChain {
    BeaconChain {
        genesis_time_s: spec.genesis_time,
        seconds_per_slot: spec.seconds_per_slot,
        slots_per_epoch: spec.preset.slots_per_epoch,
        end_slot: u64::MAX,
        // Of all states of a dev beacon, also before Fulu.
        layouts: vec![StateLayout::fulu(0)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{L1_CHAIN_ID, MNEMONIC, accounts, beacon::ValidatorKeys, l1_genesis, operators};
    use lockstep_chain::{Chain, Ethereum, EthereumHardfork, Rollup};
    use lockstep_contracts::{GATE, PORT, TOKEN_BRIDGE};

    const BEGINNING: Beginning =
        Beginning { timestamp: 1_700_000_000, l1_origin: 0, block_time_s: 1 };

    fn plan(rollups: usize) -> UnionPlan {
        let accounts = accounts(MNEMONIC, 2).expect("the mnemonic is valid");
        let funded: Vec<Address> = accounts.iter().map(|account| account.address).collect();
        let beacon = BeaconSpec::dev(BEGINNING.timestamp, L1_CHAIN_ID);
        let opted_in: Vec<_> = ValidatorKeys::interop(3)
            .public()
            .iter()
            .map(|key| OptedInValidator { key: *key, gateway: Address::repeat_byte(7) })
            .collect();
        let operators = operators(MNEMONIC).expect("the mnemonic is valid");
        UnionPlan::new(&BEGINNING, &beacon, rollups, &opted_in, &funded, &operators)
    }

    #[test]
    fn an_l1_genesis_takes_the_contracts_of_all_rollups() {
        let plan = plan(3);
        let mut genesis = l1_genesis(EthereumHardfork::Osaka, BEGINNING.timestamp, &[]);
        plan.put_into(&mut genesis).expect("the settings are valid");
        Ethereum::from_genesis(&genesis).expect("the genesis is valid");
        let UnionAddresses { lookahead, registry, inbox, vault, rollups } = &plan.addresses;
        let of_rollups = rollups.iter().flat_map(|at| {
            let rollup = at.rollup;
            [rollup.output_oracle, rollup.system_config, rollup.portal, at.token_portal]
        });
        let contracts: Vec<_> = [*lookahead, *registry, *inbox, *vault].into_iter().collect();
        for contract in contracts.into_iter().chain(of_rollups) {
            assert!(genesis.alloc.get(&contract).is_some_and(|account| account.code.is_some()));
        }
        let balance = |address| genesis.alloc.get(address).map(|account| account.balance);
        // Two accounts have ether on each of three rollups, and three proposers have collateral.
        assert_eq!(balance(vault), Some(BALANCE * U256::from(6)));
        assert_eq!(balance(registry), Some(COLLATERAL * U256::from(3)));
        assert_eq!(COLLATERAL, U256::from(10).pow(U256::from(18)));
    }

    #[test]
    fn each_rollup_has_its_chain_id_and_a_gate() {
        let plan = plan(2);
        for (id, rollup) in [901, 902].into_iter().zip(&plan.rollups) {
            let chain = Rollup::from_genesis(&rollup.genesis).expect("the genesis is valid");
            assert_eq!(chain.chain_id(), id);
            let config = rollup.config(L1_CHAIN_ID, Default::default(), Default::default());
            config.validate().expect("it is valid");
            assert_eq!(config.l2_chain_id, id);
            assert!(
                [GATE, PORT, TOKEN_BRIDGE, CAFE]
                    .iter()
                    .all(|it| rollup.genesis.alloc.contains_key(it))
            );
            assert!(rollup.settings.batch_inbox.to_string().ends_with(&id.to_string()));
        }
        assert_ne!(plan.addresses.rollups[0].token_portal, plan.addresses.rollups[1].token_portal);
    }
}

//! What a union's contracts on L1 begin with.

use crate::{L1Settings, SettingsError};
use alloy_primitives::{Address, B256, ChainId, FixedBytes, U256};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The longest exit delay that [`Registry`](crate::Registry) takes, in slots: a year at 12 seconds.
pub const MAX_EXIT_DELAY_SLOTS: u64 = 2_628_000;

/// The most slots in an epoch that [`Lookahead`](crate::Lookahead) takes.
const MAX_SLOTS_PER_EPOCH: u64 = 64;

/// The last slot that a delegation can name: 48 bits.
const LAST_SLOT: u64 = (1 << 48) - 1;

/// Where fields are in the states of a fork of the beacon chain: generalised indices below a state's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// The first slot of the fork.
    pub first_slot: u64,
    /// The vector `proposer_lookahead`.
    pub proposer_lookahead: u64,
    /// The list `validators`.
    pub validators: u64,
}

impl StateLayout {
    /// The layout of Fulu, where a state has 38 fields, so 64 leaves.
    pub const fn fulu(first_slot: u64) -> Self {
        Self { first_slot, proposer_lookahead: 64 + 37, validators: 64 + 11 }
    }
}

/// The beacon chain of the L1, as [`Lookahead`](crate::Lookahead) must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeaconChain {
    /// The time of slot 0, in seconds.
    pub genesis_time_s: u64,
    /// The length of a slot.
    pub seconds_per_slot: u64,
    /// A power of two from 2 to 64.
    pub slots_per_epoch: u64,
    /// The first slot whose states have a layout that is not known yet.
    pub end_slot: u64,
    /// The layouts that are, by ascending slot.
    pub layouts: Vec<StateLayout>,
}

/// What the contracts of a union on L1 begin with, those of its rollups included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnionSettings {
    /// The beacon chain.
    pub beacon: BeaconChain,
    /// The least collateral of a proposer's key, in wei.
    pub min_collateral: U256,
    /// For how many slots after its last delegated one a proposer's collateral stays.
    pub exit_delay_slots: u64,
    /// The first slot that can have a batch.
    pub first_slot: u64,
    /// For how many slots after its own a batch can be posted.
    pub window_slots: u64,
    /// Who adds rollups to the vault.
    pub admin: Address,
    /// Who moves ether and tokens between the rollups' accounts in the vault.
    pub settlement: Address,
    /// The rollups, in the order in which their contracts are created.
    pub rollups: Vec<L1Settings>,
}

/// What the contracts of a union in a genesis hold already, as if it had been sent to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnionHoldings {
    /// Proposers that have registered.
    pub proposers: Vec<OptedInProposer>,
    /// The ether of a rollup in the vault, in wei; of a rollup that is not named, none.
    pub ether: BTreeMap<ChainId, U256>,
}

/// A proposer that has registered, with collateral, and delegated slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptedInProposer {
    /// The validator's key, compressed.
    pub key: FixedBytes<48>,
    /// Who may leave and take the collateral.
    pub owner: Address,
    /// In wei.
    pub collateral: U256,
    /// By ascending slot, without overlap. Unlike those that are recorded by a call, they may begin at slot 0 and
    /// end whenever.
    pub delegations: Vec<Delegation>,
}

/// Slots that a proposer gave to a gateway, as far as it proposes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The first slot.
    pub first_slot: u64,
    /// The last slot, at most `2^48 - 1`.
    pub last_slot: u64,
    /// Who orders the union's transactions in them.
    pub gateway: Address,
}

impl Delegation {
    /// All slots, from 0 on.
    pub const fn of_all_slots(gateway: Address) -> Self {
        Self { first_slot: 0, last_slot: LAST_SLOT, gateway }
    }
}

/// The name of a validator's key in [`Registry`](crate::Registry): its root in a beacon state (SSZ's of 48
/// bytes).
pub fn validator_key_root(key: &FixedBytes<48>) -> B256 {
    let mut chunks = [0; 64];
    let (first, _) = chunks.split_at_mut(key.len());
    first.copy_from_slice(key.as_slice());
    B256::new(Sha256::digest(chunks).into())
}

impl BeaconChain {
    fn validate(&self) -> Result<(), SettingsError> {
        let slots = self.slots_per_epoch;
        if !(2..=MAX_SLOTS_PER_EPOCH).contains(&slots) || !slots.is_power_of_two() {
            return Err(SettingsError::SlotsPerEpoch { got: slots });
        }
        let Some(last) = self.layouts.last() else { return Err(SettingsError::NoLayout) };
        let is_ascending = self.layouts.is_sorted_by(|a, b| a.first_slot < b.first_slot);
        let indices = self.layouts.iter().flat_map(|it| [it.proposer_lookahead, it.validators]);
        let are_indices = indices.into_iter().all(|index| (2..1 << 32).contains(&index));
        if !is_ascending || !are_indices {
            return Err(SettingsError::Layouts);
        }
        if self.end_slot <= last.first_slot {
            return Err(SettingsError::EndSlot { end: self.end_slot, last_fork: last.first_slot });
        }
        Ok(())
    }
}

impl UnionSettings {
    /// Refuses what the constructors and the vault refuse, but for what depends on the time of creation.
    ///
    /// # Errors
    /// The first setting that is out of its range.
    pub fn validate(&self) -> Result<(), SettingsError> {
        let numbers = [
            ("seconds_per_slot", U256::from(self.beacon.seconds_per_slot)),
            ("min_collateral", self.min_collateral),
            ("exit_delay_slots", U256::from(self.exit_delay_slots)),
            ("window_slots", U256::from(self.window_slots)),
        ];
        if let Some((field, _)) = numbers.into_iter().find(|(_, value)| value.is_zero()) {
            return Err(SettingsError::Zero { field });
        }
        let roles = [("admin", self.admin), ("settlement", self.settlement)];
        if let Some((field, _)) = roles.into_iter().find(|(_, address)| address.is_zero()) {
            return Err(SettingsError::Nobody { field });
        }
        if self.exit_delay_slots > MAX_EXIT_DELAY_SLOTS {
            return Err(SettingsError::ExitDelay { got: self.exit_delay_slots });
        }
        self.beacon.validate()?;
        let mut chains = BTreeSet::new();
        for rollup in &self.rollups {
            rollup.validate()?;
            if rollup.l2_chain_id == 0 {
                return Err(SettingsError::Zero { field: "l2_chain_id" });
            }
            if !chains.insert(rollup.l2_chain_id) {
                return Err(SettingsError::ChainTwice { chain: rollup.l2_chain_id });
            }
        }
        Ok(())
    }
}

impl UnionHoldings {
    /// Refuses what the contracts would not hold.
    ///
    /// # Errors
    /// The first proposer that the registry would refuse, but for the time of its delegations; ether of a rollup
    /// that is not in the union.
    pub fn validate(&self, settings: &UnionSettings) -> Result<(), SettingsError> {
        let mut keys = BTreeSet::new();
        for OptedInProposer { key, owner, collateral, delegations } in &self.proposers {
            let key = *key;
            if !keys.insert(key) {
                return Err(SettingsError::KeyTwice { key });
            }
            if owner.is_zero() {
                return Err(SettingsError::Nobody { field: "owner" });
            }
            if *collateral < settings.min_collateral {
                let least = settings.min_collateral;
                return Err(SettingsError::SmallCollateral { key, got: *collateral, least });
            }
            let mut least = 0;
            for Delegation { first_slot, last_slot, gateway } in delegations {
                if gateway.is_zero() {
                    return Err(SettingsError::Nobody { field: "gateway" });
                }
                if *first_slot < least || last_slot < first_slot || *last_slot > LAST_SLOT {
                    let (first, last) = (*first_slot, *last_slot);
                    return Err(SettingsError::DelegatedSlots { key, first, last });
                }
                least = last_slot.saturating_add(1);
            }
        }
        let is_member = |chain| settings.rollups.iter().any(|it| it.l2_chain_id == chain);
        match self.ether.keys().find(|chain| !is_member(**chain)) {
            Some(chain) => Err(SettingsError::NotAMember { chain: *chain }),
            None => Ok(()),
        }
    }
}

//! Who opted in, and for whom.

use crate::{RuleError, Slot};
use alloy_primitives::{Address, B256, FixedBytes};
use lockstep_ssz::hash_pair;
use std::collections::BTreeMap;

/// The most delegations that are kept: one for each slot of the longest schedule, and many times more.
pub const MAX_DELEGATIONS: usize = 65_536;

/// Slots, both included, and who orders the union's transactions in those that a proposer proposes
/// (`Registry.Delegation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The first slot.
    pub first_slot: Slot,
    /// The last slot.
    pub last_slot: Slot,
    /// The gateway.
    pub gateway: Address,
}

/// What proposers delegated, each by the root of its key ([`key_root`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delegations {
    /// In the order of their slots, which do not overlap.
    by_key: BTreeMap<B256, Vec<Delegation>>,
    count: usize,
}

/// The SSZ root of a validator's key, by which the contracts name it: SHA-256 of its 48 bytes and 16 zeros.
pub fn key_root(key: &FixedBytes<48>) -> B256 {
    let (first, rest) = key.split_at(32);
    hash_pair(&B256::from_slice(first), &B256::right_padding_from(rest))
}

impl Delegations {
    /// Adds a delegation of the proposer with this key. The same one again changes nothing.
    ///
    /// # Errors
    /// What `Registry` never holds: no gateway, slots out of order, or some that the key delegated otherwise;
    /// and more than [`MAX_DELEGATIONS`].
    pub fn insert(&mut self, key: B256, delegation: Delegation) -> Result<(), RuleError> {
        let Delegation { first_slot, last_slot, gateway } = delegation;
        if gateway.is_zero() || last_slot < first_slot {
            return Err(RuleError::Delegation { key, first_slot, last_slot, gateway });
        }
        let known = self.by_key.get(&key).map(Vec::as_slice).unwrap_or_default();
        let place = known.partition_point(|other| other.last_slot < first_slot);
        match known.get(place) {
            Some(other) if *other == delegation => return Ok(()),
            Some(other) if other.first_slot <= last_slot => {
                return Err(RuleError::Delegation { key, first_slot, last_slot, gateway });
            }
            _ if self.count == MAX_DELEGATIONS => {
                return Err(RuleError::DelegationCount { limit: MAX_DELEGATIONS });
            }
            _ => self.by_key.entry(key).or_default().insert(place, delegation),
        }
        self.count += 1;
        Ok(())
    }

    /// Who orders the union's transactions if the proposer with this key proposes `slot`; nobody if it did not opt in
    /// for it (`Registry.gatewayAt`).
    pub fn gateway_at(&self, key: &B256, slot: Slot) -> Option<Address> {
        let delegations = self.by_key.get(key)?;
        let place = delegations.partition_point(|delegation| delegation.last_slot < slot);
        let delegation = delegations.get(place)?;
        (delegation.first_slot <= slot).then_some(delegation.gateway)
    }
}

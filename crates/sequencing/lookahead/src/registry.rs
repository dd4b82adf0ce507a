//! What L1's `Registry` says, read from its storage.

use crate::{Delegation, Delegations, LookaheadError, MAX_EPOCHS, MAX_SLOTS_PER_EPOCH, Slot};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Sealed, U256, keccak256};
use lockstep_providers::L1Client;
use std::collections::{BTreeMap, BTreeSet};

/// The most proposers of whom delegations are looked up at once.
const MAX_PROPOSERS: usize = (MAX_EPOCHS * MAX_SLOTS_PER_EPOCH) as usize;

/// Where `Registry.lookahead` is; zero only where no registry is.
const LOOKAHEAD_SLOT: U256 = U256::ZERO;

/// Where the mapping `Registry._delegations` is.
const DELEGATIONS_SLOT: u64 = 5;

/// The `Registry` of a union on L1.
///
/// What it holds is read from its storage with proofs against the state root of a block, so that a node can neither
/// invent a delegation nor keep one back, as it could with logs.
#[derive(Clone, Debug)]
pub struct Registry {
    l1: L1Client,
    address: Address,
}

/// A search for the delegation of a slot: the first that does not end before it.
struct Search {
    key: B256,
    slot: Slot,
    /// The place of the key's first delegation in storage; the others follow.
    base: U256,
    low: u64,
    high: u64,
    count: u64,
}

impl Registry {
    /// The registry at an address.
    pub const fn new(l1: L1Client, address: Address) -> Self {
        Self { l1, address }
    }

    /// Its address.
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Of all delegations after the block with this header, those that say whose these slots are, each proposed by the
    /// validator whose key has this root.
    ///
    /// Takes as many round trips as the longest list of one key's delegations has binary digits, and one or two more.
    ///
    /// # Errors
    /// [`LookaheadError::NoRegistry`] if there is none at that address; [`LookaheadError::ProposerCount`] for more than
    /// three epochs of proposers; when the node does not answer, or not with proofs that hold.
    pub fn delegations(
        &self,
        at: &Sealed<Header>,
        proposers: &[(Slot, B256)],
    ) -> Result<Delegations, LookaheadError> {
        if proposers.len() > MAX_PROPOSERS {
            let (found, limit) = (proposers.len(), MAX_PROPOSERS);
            return Err(LookaheadError::ProposerCount { found, limit });
        }
        let mut storage = Storage { registry: self, at, known: BTreeMap::new() };
        let mut searches = self.begin(&mut storage, proposers)?;
        loop {
            let probes: Vec<U256> =
                searches.iter().filter(|search| search.is_open()).map(Search::probe).collect();
            if probes.is_empty() {
                break;
            }
            storage.load(probes)?;
            for search in searches.iter_mut().filter(|search| search.is_open()) {
                search.narrow(delegation(storage.value(search.probe())));
            }
        }
        searches.retain(|search| search.low < search.count);
        storage.load(searches.iter().map(Search::found))?;
        let mut delegations = Delegations::default();
        for search in &searches {
            delegations.insert(search.key, delegation(storage.value(search.found())))?;
        }
        Ok(delegations)
    }

    fn begin(
        &self,
        storage: &mut Storage<'_>,
        proposers: &[(Slot, B256)],
    ) -> Result<Vec<Search>, LookaheadError> {
        let lengths = proposers.iter().map(|(_, key)| length_slot(key));
        storage.load(lengths.chain([LOOKAHEAD_SLOT]))?;
        if storage.value(LOOKAHEAD_SLOT).is_zero() {
            let (address, block) = (self.address, storage.at.hash());
            return Err(LookaheadError::NoRegistry { address, block });
        }
        let search = |(slot, key): &(Slot, B256)| {
            let length = length_slot(key);
            // An array has no more elements than were written one by one.
            let count = storage.value(length).saturating_to();
            let base = keccak256(length.to_be_bytes::<32>()).into();
            Search { key: *key, slot: *slot, base, low: 0, high: count, count }
        };
        Ok(proposers.iter().map(search).collect())
    }
}

impl Search {
    const fn is_open(&self) -> bool {
        self.low < self.high
    }

    const fn middle(&self) -> u64 {
        self.low + (self.high - self.low) / 2
    }

    fn probe(&self) -> U256 {
        self.base.wrapping_add(U256::from(self.middle()))
    }

    fn found(&self) -> U256 {
        self.base.wrapping_add(U256::from(self.low))
    }

    const fn narrow(&mut self, probed: Delegation) {
        if probed.last_slot < self.slot {
            self.low = self.middle() + 1;
        } else {
            self.high = self.middle();
        }
    }
}

/// Where the length of a key's delegations is: an element of a mapping.
fn length_slot(key: &B256) -> U256 {
    let place = U256::from(DELEGATIONS_SLOT).to_be_bytes::<32>();
    keccak256([key.as_slice(), &place].concat()).into()
}

/// A `Registry.Delegation` as it is stored: two numbers of 48 bits and an address, from the lowest bits on.
fn delegation(stored: U256) -> Delegation {
    let number = |shift: usize| -> Slot {
        let shifted: U256 = stored >> shift;
        shifted.as_limbs()[0] & ((1 << 48) - 1)
    };
    let gateway = Address::from_word((stored >> 96_usize).into());
    Delegation { first_slot: number(0), last_slot: number(48), gateway }
}

/// The registry's storage after a block, as far as it was read.
struct Storage<'a> {
    registry: &'a Registry,
    at: &'a Sealed<Header>,
    known: BTreeMap<U256, U256>,
}

impl Storage<'_> {
    /// Reads what is not known yet.
    fn load(&mut self, slots: impl IntoIterator<Item = U256>) -> Result<(), LookaheadError> {
        let missing: BTreeSet<U256> =
            slots.into_iter().filter(|slot| !self.known.contains_key(slot)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let hashes: Vec<B256> = missing.iter().copied().map(B256::from).collect();
        let values = self.registry.l1.storage(self.at, self.registry.address, &hashes)?;
        self.known.extend(missing.into_iter().zip(values));
        Ok(())
    }

    fn value(&self, slot: U256) -> U256 {
        self.known.get(&slot).copied().unwrap_or_default()
    }
}

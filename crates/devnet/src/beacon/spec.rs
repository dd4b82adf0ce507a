//! The configuration of a dev beacon chain: what the specifications leave to a network.

use super::Preset;
use alloy_primitives::{Address, FixedBytes, address};

/// The forks between which a dev beacon chain may change.
///
/// Blocks have the same shape in both. They differ in the version of the Engine API's payloads: blobs
/// come with one proof each before Fulu, and with cell proofs from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BeaconFork {
    /// Electra, which goes with Prague.
    Electra,
    /// Fulu, which goes with Osaka.
    Fulu,
}

impl BeaconFork {
    /// The fork's name in the Beacon API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Electra => "electra",
            Self::Fulu => "fulu",
        }
    }
}

/// The most blobs in a block, from an epoch on (EIP-7892).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobLimit {
    /// Since when.
    pub epoch: u64,
    /// `MAX_BLOBS_PER_BLOCK`.
    pub max_blobs_per_block: u64,
}

/// What all parts of a dev beacon chain must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeaconSpec {
    /// The sizes.
    pub preset: &'static Preset,
    /// `CONFIG_NAME`.
    pub name: String,
    /// Unix time of slot 0, in seconds: not before the execution genesis block's.
    pub genesis_time: u64,
    /// `SECONDS_PER_SLOT`, at least 1.
    pub seconds_per_slot: u64,
    /// The epoch in which Fulu begins: 0 for a chain that begins with it,
    /// [`FAR_FUTURE_EPOCH`](super::FAR_FUTURE_EPOCH) for one that stays with Electra.
    pub fulu_epoch: u64,
    /// Limits on blobs from Fulu on, by ascending epoch; before, the limit is Electra's 9.
    pub blob_schedule: Vec<BlobLimit>,
    /// The execution chain's id, and its network's.
    pub chain_id: u64,
    /// The deposit contract on the execution chain.
    pub deposit_contract: Address,
}

impl BeaconSpec {
    /// A chain of Fulu, with the mainnet preset and slots of two seconds.
    pub fn dev(genesis_time: u64, chain_id: u64) -> Self {
        Self {
            preset: &Preset::MAINNET,
            name: "lockstep-dev".to_owned(),
            genesis_time,
            seconds_per_slot: 2,
            fulu_epoch: 0,
            blob_schedule: Vec::new(),
            chain_id,
            deposit_contract: address!("0x00000000219ab540356cbb839cbe05303d7705fa"),
        }
    }

    /// The fork in an epoch.
    pub const fn fork(&self, epoch: u64) -> BeaconFork {
        if epoch >= self.fulu_epoch { BeaconFork::Fulu } else { BeaconFork::Electra }
    }

    /// The version of a fork.
    pub const fn version(fork: BeaconFork) -> FixedBytes<4> {
        match fork {
            BeaconFork::Electra => fork_version(6),
            BeaconFork::Fulu => fork_version(7),
        }
    }

    /// When a slot begins: Unix time in seconds.
    pub const fn slot_time(&self, slot: u64) -> u64 {
        self.genesis_time.saturating_add(slot.saturating_mul(self.seconds_per_slot))
    }

    /// The slot at a Unix time in seconds; before genesis it is 0.
    pub const fn slot_at(&self, time: u64) -> u64 {
        time.saturating_sub(self.genesis_time) / self.seconds_per_slot
    }

    /// The most blobs in a block of an epoch.
    pub fn max_blobs(&self, epoch: u64) -> u64 {
        let limits = self.blob_schedule.iter().rev();
        let mut limits = limits.filter(|limit| limit.epoch <= epoch && epoch >= self.fulu_epoch);
        limits.next().map_or(9, |limit| limit.max_blobs_per_block)
    }
}

/// The version of the n-th fork (phase 0 is the first): none that a public network uses.
pub(crate) const fn fork_version(nth: u8) -> FixedBytes<4> {
    FixedBytes::new([nth << 4, 0x00, 0x6c, 0x73])
}

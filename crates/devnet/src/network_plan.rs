//! What the chains of a network consist of, before anything runs.

use crate::{
    Beginning, Clock, DevAccount, DevnetConfig, DevnetError, L1_CHAIN_ID, L1Source, Operators,
    OptedInValidator, RollupPlan, UnionPlan, accounts,
    beacon::{GenesisValidators, ValidatorKeys},
    embedded::beacon_spec,
    foreign,
    l1_access::l1_client,
    l1_genesis, operators,
    plan::{SEQUENCING_WINDOW, embedded_addresses},
    settings::{Identity, rollup_name},
};
use alloy_eips::BlockNumHash;
use alloy_genesis::Genesis;
use alloy_primitives::Address;
use lockstep_chain::{EthereumHardfork, Rollup};
use lockstep_contracts::{L1Addresses, SettingsError};
use lockstep_execution::MemoryState;
use lockstep_protocol::{RollupConfig, UnionConfig};
use lockstep_storage::GenesisBlock;
use std::sync::Arc;

/// What the chains of a network consist of.
pub(crate) struct NetworkPlan {
    pub(crate) rollups: Vec<RollupPlan>,
    pub(crate) union: Option<UnionPlan>,
}

/// A rollup of a network, on the L1 as it is.
pub(crate) struct PlannedRollup {
    pub(crate) name: String,
    /// Its number, from 0.
    pub(crate) index: usize,
    pub(crate) genesis: Genesis,
    pub(crate) first: GenesisBlock<Rollup>,
    pub(crate) config: Arc<RollupConfig>,
    pub(crate) contracts: L1Addresses,
}

impl NetworkPlan {
    /// The network with this identity.
    pub(crate) fn new(
        config: &DevnetConfig,
        identity: &Identity,
        accounts: &[DevAccount],
        operators: &Operators,
    ) -> Result<Self, DevnetError> {
        let funded = addresses_of(accounts);
        let beginning = Beginning {
            timestamp: identity.genesis_time,
            l1_origin: identity.first_origin,
            block_time_s: identity.rollup_block_time_s,
        };
        if identity.rollups > 1 {
            let L1Source::Embedded(settings) = &config.l1 else { return Err(DevnetError::Union) };
            if settings.fork != EthereumHardfork::Osaka {
                return Err(DevnetError::Union);
            }
            let beacon = beacon_spec(settings, identity.genesis_time, L1_CHAIN_ID)?;
            let (rollups, opted_in) = (identity.rollups, opted_in(operators.batcher.address));
            let union = UnionPlan::new(&beginning, &beacon, rollups, &opted_in, &funded, operators);
            return Ok(Self { rollups: union.rollups.clone(), union: Some(union) });
        }
        let addresses = match (identity.foreign_chain_id, funded.first()) {
            (Some(_), Some(deployer)) => L1Addresses::created_by(*deployer, identity.first_nonce),
            _ => embedded_addresses(),
        };
        let rollup = RollupPlan::new(&beginning, addresses, &funded, operators);
        Ok(Self { rollups: vec![rollup], union: None })
    }

    /// The rollups on the L1 with this chain id, of which they take `origin` as their first origin.
    pub(crate) fn on_l1(
        &self,
        l1_chain_id: u64,
        origin: BlockNumHash,
    ) -> Result<Vec<PlannedRollup>, DevnetError> {
        let union = self.union_config();
        let planned = self.rollups.iter().enumerate().map(|(index, plan)| {
            let chain = Rollup::from_genesis(&plan.genesis)?;
            let state = MemoryState::from_genesis(&plan.genesis);
            let first: GenesisBlock<Rollup> =
                GenesisBlock::new(chain.genesis_header(&plan.genesis), state)?;
            let block = BlockNumHash::new(first.block().header.number, first.block().seal());
            let config = plan.config(l1_chain_id, origin, block);
            Ok(PlannedRollup {
                name: rollup_name(index),
                index,
                genesis: plan.genesis.clone(),
                first,
                config: Arc::new(RollupConfig { union: union.clone(), ..config }),
                contracts: plan.addresses,
            })
        });
        planned.collect()
    }

    fn put_into(&self, l1: &mut Genesis) -> Result<(), SettingsError> {
        match &self.union {
            Some(union) => union.put_into(l1),
            None => self.rollups.iter().try_for_each(|rollup| rollup.put_into(l1)),
        }
    }

    /// What the rollups know of their union, on this beacon chain.
    fn union_config(&self) -> Option<UnionConfig> {
        let union = self.union.as_ref()?;
        Some(UnionConfig {
            inbox: union.addresses.inbox,
            chains: self.rollups.iter().map(|rollup| rollup.genesis.config.chain_id).collect(),
            slot_seconds: union.settings.beacon.seconds_per_slot,
            genesis_time: union.settings.beacon.genesis_time_s,
            block_time: self.rollups.first()?.settings.l2_block_time_s,
            seq_window_size: SEQUENCING_WINDOW,
            // From genesis on.
            isthmus_time: Some(0),
            jovian_time: Some(0),
        })
    }
}

/// The genesis of the L1 of a network that begins at `timestamp` (in seconds).
///
/// # Errors
/// When the mnemonic is none; when the L1 is a foreign one, with a setting that no chain has.
pub fn dev_l1_genesis(config: &DevnetConfig, timestamp: u64) -> Result<Genesis, DevnetError> {
    let fork = match &config.l1 {
        L1Source::Embedded(settings) => settings.fork,
        L1Source::Foreign { .. } => EthereumHardfork::Osaka,
    };
    let accounts = accounts(&config.mnemonic, config.accounts)?;
    let funded = addresses_of(&accounts);
    let operators = operators(&config.mnemonic)?;
    let mut wanted = identity_of(config, timestamp);
    wanted.fork = Some(fork.to_string());
    let plan = NetworkPlan::new(config, &wanted, &accounts, &operators)?;
    let mut genesis = l1_genesis(fork, timestamp, &funded);
    plan.put_into(&mut genesis)?;
    Ok(genesis)
}

fn addresses_of(accounts: &[DevAccount]) -> Vec<Address> {
    accounts.iter().map(|account| account.address).collect()
}

/// The validators of the dev beacon that opted in: two of three delegate to `gateway`.
fn opted_in(gateway: Address) -> Vec<OptedInValidator> {
    let count = GenesisValidators::default().count;
    let keys = ValidatorKeys::interop(count);
    let chosen = keys.public().iter().enumerate().filter(|(index, _)| index % 3 != 2);
    chosen.map(|(_, key)| OptedInValidator { key: *key, gateway }).collect()
}

/// A network that begins at `genesis_time`, in seconds, on an embedded L1.
fn identity_of(config: &DevnetConfig, genesis_time: u64) -> Identity {
    Identity {
        genesis_time,
        fork: None,
        slot_time_s: None,
        foreign_chain_id: None,
        first_origin: 0,
        first_nonce: 0,
        rollup_block_time_s: config.rollup_block_time_s.max(1),
        rollups: config.rollups.max(1),
        mnemonic: config.mnemonic.clone(),
        accounts: config.accounts,
    }
}

/// What a network that begins now would be.
pub(crate) fn identity_now(
    config: &DevnetConfig,
    deployer: Option<&DevAccount>,
    clock: &dyn Clock,
) -> Result<Identity, DevnetError> {
    let mut identity = identity_of(config, clock.unix_time().as_secs());
    match &config.l1 {
        L1Source::Embedded(l1) => {
            identity.fork = Some(l1.fork.to_string());
            identity.slot_time_s = Some(l1.slot_time_s);
        }
        L1Source::Foreign { url, .. } => {
            let deployer = deployer.map(|account| account.address).unwrap_or_default();
            let found = foreign::look_at(&l1_client(url)?, deployer)?;
            identity.foreign_chain_id = Some(found.chain_id);
            identity.first_origin = found.head.number;
            identity.first_nonce = found.nonce;
            // A rollup block is not older than its origin.
            identity.genesis_time = found.head.timestamp;
        }
    }
    Ok(identity)
}

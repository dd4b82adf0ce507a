//! A whole development network in one process, in real time.

use crate::{
    Beginning, Clock, DevAccount, DevnetConfig, FolderError, ForeignL1Error, L1Source, Operators,
    OptedInValidator, RollupPlan, UnionPlan, accounts,
    beacon::{BeaconError, GenesisValidators, ValidatorKeys},
    embedded::{L1, beacon_spec},
    foreign::{self, POLLS_AT_START, Settlement},
    l1_genesis, operators,
    plan::embedded_addresses,
    rollup::{L1Access, Members, RollupNodes, RollupStart, l1_client},
    settings::{Identity, rollup_file, rollup_name},
    signer::DevSigner,
    union::UnionGateway,
};
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use alloy_genesis::Genesis;
use alloy_primitives::Address;
use futures_util::future::{Either, select_all};
use lockstep_chain::{Ethereum, EthereumHardfork, GenesisError, Rollup};
use lockstep_contracts::{L1Addresses, SettingsError, UnionAddresses};
use lockstep_execution::MemoryState;
use lockstep_gateway::{GatewayError, PosterError};
use lockstep_node::{Node, NodeError, PartError};
use lockstep_protocol::{RollupConfig, UnionConfig};
use lockstep_providers::ClientError;
use lockstep_storage::{GenesisBlock, StorageError};
use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::{runtime::Handle, task, time};

/// Seconds between the blocks of an L1 of which that is not known.
const FOREIGN_BLOCK_TIME_S: u64 = 2;

/// Why a development network cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// The mnemonic is not one.
    #[error("the mnemonic: {0}")]
    Mnemonic(#[from] alloy_signer_local::LocalSignerError),
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A genesis is malformed.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The rollup's contracts would refuse their settings.
    #[error("the rollup's contracts: {0}")]
    Contracts(#[from] SettingsError),
    /// A chain cannot be stored.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A node cannot start, or has failed.
    #[error("{name}: {source}")]
    Node {
        /// Which node.
        name: String,
        /// Why.
        source: Box<NodeError>,
    },
    /// The dev beacon cannot start.
    #[error("the dev beacon: {0}")]
    Beacon(#[from] BeaconError),
    /// The Beacon API cannot be served.
    #[error("the Beacon API on {address}: {source}")]
    BeaconApi {
        /// Where it was to be served.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The rollup cannot begin on the foreign L1.
    #[error("the L1: {0}")]
    ForeignL1(#[from] ForeignL1Error),
    /// The L1 does not answer as it must.
    #[error("the L1: {0}")]
    L1(#[from] ClientError),
    /// The first origin of the rollup is no longer a block of the L1.
    #[error("the L1 has no block {0}, with which the rollup began")]
    NoOrigin(u64),
    /// The L1 in this process does not serve JSON-RPC, which the rollup's nodes need.
    #[error("the L1 serves no JSON-RPC over HTTP")]
    NoServer,
    /// A task was cut off.
    #[error("{0}")]
    Task(PartError),
    /// The gateway of a union cannot start.
    #[error("the gateway: {0}")]
    Gateway(#[from] GatewayError),
    /// The union's batches cannot be posted.
    #[error("posting: {0}")]
    Poster(#[from] PosterError),
    /// Several rollups need proposers whose slots are known.
    #[error("several rollups need the embedded L1, at Osaka: they are ordered by its proposers")]
    Union,
    /// The fork cannot be that of an L1 with a dev beacon.
    #[error("the L1 begins with Prague or Osaka, not with {0}")]
    Fork(EthereumHardfork),
}

/// A running development network: an L1, and rollups whose blocks are made, posted to it, and derived from
/// it by a second node each.
#[derive(Debug)]
pub struct Devnet {
    accounts: Vec<DevAccount>,
    operators: Operators,
    l1: Option<L1>,
    rollups: Vec<DevRollup>,
    gateway: Option<UnionGateway>,
    union: Option<UnionAddresses>,
    members: Members,
}

/// A rollup of a running development network.
#[derive(Debug)]
pub struct DevRollup {
    name: String,
    nodes: RollupNodes,
    config: Arc<RollupConfig>,
    file: Option<PathBuf>,
    addresses: L1Addresses,
}

impl DevRollup {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node on which its blocks are made.
    pub const fn sequencer(&self) -> &Node<Rollup> {
        &self.nodes.sequencer
    }

    /// The node that only derives.
    pub const fn follower(&self) -> &Node<Rollup> {
        &self.nodes.follower
    }

    /// How it is derived.
    pub fn config(&self) -> &RollupConfig {
        &self.config
    }

    /// The file with [`Self::config`], if the network is kept in a folder.
    pub const fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// Its contracts on L1.
    pub const fn contracts(&self) -> &L1Addresses {
        &self.addresses
    }
}

/// What the chains of a network are made of.
struct Plans {
    rollups: Vec<RollupPlan>,
    union: Option<UnionPlan>,
}

impl Plans {
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
            seq_window_size: crate::plan::SEQUENCING_WINDOW,
            // From genesis on.
            isthmus_time: Some(0),
            jovian_time: Some(0),
        })
    }
}

impl DevnetError {
    /// An error of the node with this name.
    pub(crate) fn node(name: &str) -> impl FnOnce(NodeError) -> Self + use<> {
        let name = name.to_owned();
        |source| Self::Node { name, source: Box::new(source) }
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
    let plans = plan(config, &wanted, &accounts, &operators)?;
    let mut genesis = l1_genesis(fork, timestamp, &funded);
    plans.put_into(&mut genesis)?;
    Ok(genesis)
}

fn addresses_of(accounts: &[DevAccount]) -> Vec<Address> {
    accounts.iter().map(|account| account.address).collect()
}

impl Devnet {
    /// Starts everything, anew or where the folder left off.
    ///
    /// # Errors
    /// When a part cannot start; the others end then.
    pub async fn start(config: DevnetConfig, clock: Arc<dyn Clock>) -> Result<Self, DevnetError> {
        let accounts = accounts(&config.mnemonic, config.accounts)?;
        let operators = operators(&config.mnemonic)?;
        let signer = Arc::new(DevSigner::new(&accounts));
        let deployer = accounts.first().cloned();
        let identity = {
            let (config, clock) = (config.clone(), clock.clone());
            blocking(move || identity(&config, deployer.as_ref(), &*clock)).await?
        };
        let identity = match &config.data_dir {
            Some(folder) => Identity::load_or_store(folder, identity)?,
            None => identity,
        };
        let plans = plan(&config, &identity, &accounts, &operators)?;
        let (l1, access) = match &config.l1 {
            L1Source::Embedded(settings) => {
                let genesis = dev_l1_genesis(&config, identity.genesis_time)?;
                let l1 = L1::start(&config, settings, &genesis, &signer, &clock).await?;
                let access = L1Access::embedded(&l1, settings.slot_time_s, settings.fork)?;
                (Some(l1), access)
            }
            L1Source::Foreign { url, beacon } => {
                let access = L1Access::foreign(url, beacon, &identity)?;
                let plan = plans.rollups.first().ok_or(DevnetError::Union)?;
                (None, settle(access, &identity, plan, &accounts, &operators).await?)
            }
        };
        let l1_chain_id = identity.foreign_chain_id.unwrap_or(crate::L1_CHAIN_ID);
        let origin = origin(&access, identity.first_origin).await?;
        let union = plans.union_config();
        let members = Members::default();
        let mut rollups = Vec::new();
        for (index, plan) in plans.rollups.iter().enumerate() {
            let chain = Rollup::from_genesis(&plan.genesis)?;
            let state = MemoryState::from_genesis(&plan.genesis);
            let first: GenesisBlock<Rollup> =
                GenesisBlock::new(chain.genesis_header(&plan.genesis), state)?;
            let block = BlockNumHash::new(first.block().header.number, first.block().seal());
            let rollup = plan.config(l1_chain_id, origin, block);
            let rollup = Arc::new(RollupConfig { union: union.clone(), ..rollup });
            let start = RollupStart {
                name: rollup_name(index),
                index,
                genesis: &plan.genesis,
                first: &first,
                rollup: rollup.clone(),
                output_oracle: plan.addresses.output_oracle,
                operators: operators.clone(),
                signer: signer.clone(),
                clock: clock.clone(),
                members: &members,
            };
            let nodes = RollupNodes::start(&config, start, access.clone()).await?;
            let name = rollup_name(index);
            let folder = config.data_dir.as_ref().map(|folder| folder.join(&name));
            rollups.push(DevRollup {
                name,
                nodes,
                config: rollup,
                file: folder.map(|folder| rollup_file(&folder)),
                addresses: plan.addresses,
            });
        }
        let gateway = match &plans.union {
            Some(union) => {
                let nodes: Vec<_> =
                    rollups.iter().map(|it| (&it.nodes, it.addresses.output_oracle)).collect();
                let contracts = &union.addresses;
                Some(UnionGateway::start(&config, &nodes, &access, contracts, &operators, clock)?)
            }
            None => None,
        };
        let union = plans.union.map(|union| union.addresses);
        Ok(Self { accounts, operators, l1, rollups, gateway, union, members })
    }

    /// The funded accounts.
    pub fn accounts(&self) -> &[DevAccount] {
        &self.accounts
    }

    /// The accounts that post the rollup's blocks and claim its outputs.
    pub const fn operators(&self) -> &Operators {
        &self.operators
    }

    /// The L1's node, if it runs in this process.
    pub fn l1(&self) -> Option<&Node<Ethereum>> {
        self.l1.as_ref().map(|l1| &l1.node)
    }

    /// Where the Beacon API is served, if the L1 runs in this process.
    pub fn beacon_address(&self) -> Option<SocketAddr> {
        self.l1.as_ref().map(|l1| l1.beacon_address)
    }

    /// The rollups.
    pub fn rollups(&self) -> &[DevRollup] {
        &self.rollups
    }

    /// The union's contracts on L1, if the rollups are one.
    pub const fn union(&self) -> Option<&UnionAddresses> {
        self.union.as_ref()
    }

    /// Completes when a part has failed so that the network cannot go on.
    ///
    /// # Errors
    /// Why.
    pub async fn failed(&mut self) -> Result<(), DevnetError> {
        let l1 = async {
            match &mut self.l1 {
                Some(l1) => l1.node.failed().await,
                None => std::future::pending().await,
            }
        };
        let gateway = async {
            match &mut self.gateway {
                Some(gateway) => gateway.failed().await,
                None => std::future::pending().await,
            }
        };
        let rollups = self.rollups.iter_mut().flat_map(|rollup| {
            let (name, nodes) = (&rollup.name, &mut rollup.nodes);
            let (sequencer, follower) = (&mut nodes.sequencer, &mut nodes.follower);
            let sequencer =
                async move { sequencer.failed().await.map_err(DevnetError::node(name)) };
            let follower = async move {
                follower.failed().await.map_err(DevnetError::node(&format!("{name}-follower")))
            };
            [Either::Left(sequencer), Either::Right(follower)]
        });
        let rollups = select_all(rollups.map(Box::pin));
        tokio::select! {
            ended = l1 => ended.map_err(DevnetError::node("l1")),
            ended = gateway => ended,
            (ended, _, _) = rollups => ended,
        }
    }

    /// Stops everything and persists the chains.
    ///
    /// # Errors
    /// The first failure; everything is stopped even then.
    pub async fn shutdown(mut self) -> Result<(), DevnetError> {
        if let Some(gateway) = &mut self.gateway {
            gateway.stop().await;
        }
        let mut first = Ok(());
        for rollup in &self.rollups {
            self.members.sequencers.remove(rollup.config.l2_chain_id);
            self.members.followers.remove(rollup.config.l2_chain_id);
        }
        for rollup in self.rollups {
            let name = &rollup.name;
            let sequencer = rollup.nodes.sequencer.shutdown().await;
            first = first.and(sequencer.map_err(DevnetError::node(name)));
            let follower = rollup.nodes.follower.shutdown().await;
            first = first.and(follower.map_err(DevnetError::node(&format!("{name}-follower"))));
        }
        if let Some(gateway) = self.gateway {
            first = first.and(gateway.ended().await);
        }
        if let Some(l1) = self.l1 {
            first = first.and(l1.node.shutdown().await.map_err(DevnetError::node("l1")));
        }
        first
    }
}

impl L1Access {
    /// The L1 in this process, which is read as any other.
    fn embedded(l1: &L1, block_time_s: u64, fork: EthereumHardfork) -> Result<Self, DevnetError> {
        let address = l1.node.rpc_address().ok_or(DevnetError::NoServer)?;
        Ok(Self {
            url: format!("http://{address}"),
            beacon_url: format!("http://{}", l1.beacon_address),
            chain: Arc::new(l1.node.context().chain().clone()),
            has_osaka: fork >= EthereumHardfork::Osaka,
            block_time_s,
            settlement: None,
        })
    }

    /// An L1 somewhere else. Whether it has Osaka is not known yet.
    fn foreign(url: &str, beacon_url: &str, identity: &Identity) -> Result<Self, DevnetError> {
        let mut genesis = l1_genesis(EthereumHardfork::Osaka, 0, &[]);
        genesis.config.chain_id = identity.foreign_chain_id.unwrap_or_default();
        Ok(Self {
            url: url.to_owned(),
            beacon_url: beacon_url.to_owned(),
            chain: Arc::new(Ethereum::from_genesis(&genesis)?),
            has_osaka: true,
            block_time_s: FOREIGN_BLOCK_TIME_S,
            settlement: None,
        })
    }
}

/// Calls what waits for answers.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, DevnetError> + Send + 'static,
) -> Result<T, DevnetError> {
    task::spawn_blocking(call).await.map_err(|cut_off| DevnetError::Task(cut_off.into()))?
}

/// The block that the rollup begins with.
async fn origin(access: &L1Access, number: u64) -> Result<BlockNumHash, DevnetError> {
    let client = access.client()?;
    blocking(move || {
        let block = client.block(BlockNumberOrTag::Number(number))?;
        Ok(block.ok_or(DevnetError::NoOrigin(number))?.id())
    })
    .await
}

/// Creates what the rollup needs on a foreign L1.
async fn settle(
    access: L1Access,
    identity: &Identity,
    plan: &RollupPlan,
    accounts: &[DevAccount],
    operators: &Operators,
) -> Result<L1Access, DevnetError> {
    let Some(deployer) = accounts.first().cloned() else { return Ok(access) };
    let client = access.client()?;
    let settlement = Settlement {
        rpc: client.rpc().clone(),
        chain_id: identity.foreign_chain_id.unwrap_or_default(),
        plan: plan.clone(),
        deployer,
        first_nonce: identity.first_nonce,
        operators: operators.clone(),
    };
    let runtime = Handle::current();
    blocking(move || {
        let pause = |duration| runtime.block_on(time::sleep(duration));
        settlement.settle(POLLS_AT_START, pause)?;
        let has_osaka = foreign::has_osaka(&client)?;
        Ok(L1Access { has_osaka, settlement: Some(settlement), ..access })
    })
    .await
}

fn plan(
    config: &DevnetConfig,
    identity: &Identity,
    accounts: &[DevAccount],
    operators: &Operators,
) -> Result<Plans, DevnetError> {
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
        let beacon = beacon_spec(settings, identity.genesis_time, crate::L1_CHAIN_ID)?;
        let opted_in = opted_in(operators.batcher.address);
        let union =
            UnionPlan::new(&beginning, &beacon, identity.rollups, &opted_in, &funded, operators);
        return Ok(Plans { rollups: union.rollups.clone(), union: Some(union) });
    }
    let addresses = match (identity.foreign_chain_id, funded.first()) {
        (Some(_), Some(deployer)) => L1Addresses::created_by(*deployer, identity.first_nonce),
        _ => embedded_addresses(),
    };
    let rollup = RollupPlan::new(&beginning, addresses, &funded, operators);
    Ok(Plans { rollups: vec![rollup], union: None })
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
fn identity(
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

//! A whole development network in one process, in real time.

use crate::{
    Clock, DevAccount, DevnetConfig, DevnetError, L1Source, Operators, accounts, dev_l1_genesis,
    embedded::L1,
    l1_access::{L1Access, blocking},
    network_plan::{NetworkPlan, PlannedRollup, identity_now},
    operators,
    rollup::{Members, Network, RollupNodes},
    settings::{Identity, rollup_file},
    signer::DevSigner,
    union::{self, UnionGateway},
};
use futures_util::future::{Either, select_all};
use lockstep_batcher::KzgProver;
use lockstep_chain::{Ethereum, Rollup};
use lockstep_contracts::{L1Addresses, UnionAddresses};
use lockstep_gateway::Sealer;
use lockstep_node::Node;
use lockstep_protocol::RollupConfig;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::task;

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
    contracts: L1Addresses,
}

impl DevRollup {
    async fn start(network: &Network<'_>, rollup: PlannedRollup) -> Result<Self, DevnetError> {
        let nodes = RollupNodes::start(network, &rollup).await?;
        let PlannedRollup { name, config, contracts, .. } = rollup;
        let folder = network.config.data_dir.as_ref().map(|folder| folder.join(&name));
        let file = folder.map(|folder| rollup_file(&folder));
        Ok(Self { name, nodes, config, file, contracts })
    }

    /// The nodes, with what they tell each other.
    pub(crate) const fn nodes(&self) -> &RollupNodes {
        &self.nodes
    }

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
        &self.contracts
    }
}

impl Devnet {
    /// Starts everything, anew or where the folder left off.
    ///
    /// # Errors
    /// When a part cannot start; the others end then.
    pub async fn start(config: DevnetConfig, clock: Arc<dyn Clock>) -> Result<Self, DevnetError> {
        // Seconds of work, for which the first batch would wait otherwise, and users' first transactions with it.
        task::spawn_blocking(KzgProver::prepare);
        let accounts = accounts(&config.mnemonic, config.accounts)?;
        let operators = operators(&config.mnemonic)?;
        let signer = Arc::new(DevSigner::new(&accounts));
        let identity = identity(&config, &accounts, &clock).await?;
        let plan = NetworkPlan::new(&config, &identity, &accounts, &operators)?;
        let (l1, access) = match &config.l1 {
            L1Source::Embedded(settings) => {
                let genesis = dev_l1_genesis(&config, identity.genesis_time)?;
                let l1 = L1::start(&config, settings, &genesis, &signer, &clock).await?;
                let access = L1Access::embedded(&l1, settings.slot_time_s, settings.fork)?;
                (Some(l1), access)
            }
            L1Source::Foreign { url, beacon } => {
                let access = L1Access::foreign(url, beacon, &identity)?;
                let rollup = plan.rollups.first().ok_or(DevnetError::Union)?;
                (None, access.settle(&identity, rollup, &accounts, &operators).await?)
            }
        };
        let l1_chain_id = identity.foreign_chain_id.unwrap_or(crate::L1_CHAIN_ID);
        let planned = plan.on_l1(l1_chain_id, access.origin(identity.first_origin).await?)?;
        let sealer = match plan.union {
            Some(_) => Some(union::sealer(&config, &operators, &planned)?),
            None => None,
        };
        let ledger = sealer.as_ref().map(Sealer::ledger);
        let members = Members::default();
        let network = Network {
            config: &config,
            l1: &access,
            operators: &operators,
            signer: &signer,
            clock: &clock,
            members: &members,
            ledger: ledger.as_ref(),
        };
        let mut rollups = Vec::new();
        for rollup in planned {
            rollups.push(DevRollup::start(&network, rollup).await?);
        }
        let union = plan.union.map(|union| union.addresses);
        let gateway = match (&union, sealer) {
            (Some(union), Some(sealer)) => {
                Some(UnionGateway::start(&network, &rollups, union, sealer)?)
            }
            _ => None,
        };
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

/// What the network is: what its folder says, or one that begins now.
async fn identity(
    config: &DevnetConfig,
    accounts: &[DevAccount],
    clock: &Arc<dyn Clock>,
) -> Result<Identity, DevnetError> {
    let deployer = accounts.first().cloned();
    let (wanted, now) = (config.clone(), clock.clone());
    let identity = blocking(move || identity_now(&wanted, deployer.as_ref(), &*now)).await?;
    match &config.data_dir {
        Some(folder) => Ok(Identity::load_or_store(folder, identity)?),
        None => Ok(identity),
    }
}

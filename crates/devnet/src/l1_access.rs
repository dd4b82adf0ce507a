//! The L1 as the rollups' nodes see it: behind JSON-RPC and the Beacon API, wherever it runs.

use crate::{
    DevAccount, DevnetError, Operators, RollupPlan,
    embedded::L1,
    foreign::{self, POLLS_AT_START, Settlement},
    l1_genesis,
    settings::Identity,
};
use alloy_eips::{BlockNumHash, BlockNumberOrTag};
use lockstep_chain::{Ethereum, EthereumHardfork};
use lockstep_node::FollowedL1;
use lockstep_providers::{BeaconClient, ClientError, L1Client, Retry, RpcClient, Timeouts};
use std::{sync::Arc, time::Duration};
use tokio::{runtime::Handle, task, time};

/// Seconds between the blocks of an L1 of which that is not known.
const FOREIGN_BLOCK_TIME_S: u64 = 2;

/// How often an L1 is asked for something new at least, and at most.
const MAX_POLL: Duration = Duration::from_secs(2);
const MIN_POLL: Duration = Duration::from_millis(200);

/// How long the sequencer waits for an L1 that says nothing, each of the two times that it asks. A block
/// is late by twice as much at most, and keeps its origin then.
const SEQUENCER_TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(1), total: Duration::from_secs(3) };

/// The L1 as the rollup's nodes see it.
#[derive(Clone)]
pub(crate) struct L1Access {
    pub(crate) url: String,
    pub(crate) beacon_url: String,
    pub(crate) chain: Arc<Ethereum>,
    /// Whether blobs come with cell proofs.
    pub(crate) has_osaka: bool,
    /// Seconds from one block to the next, as far as that is known.
    pub(crate) block_time_s: u64,
    /// What must be there, on an L1 that others run.
    pub(crate) settlement: Option<Settlement>,
}

impl L1Access {
    /// The L1 in this process, which is read as any other.
    pub(crate) fn embedded(
        l1: &L1,
        block_time_s: u64,
        fork: EthereumHardfork,
    ) -> Result<Self, DevnetError> {
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
    pub(crate) fn foreign(
        url: &str,
        beacon_url: &str,
        identity: &Identity,
    ) -> Result<Self, DevnetError> {
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

    pub(crate) fn poll(&self) -> Duration {
        (Duration::from_secs(self.block_time_s) / 4).clamp(MIN_POLL, MAX_POLL)
    }

    /// A client of its own for whoever asks: no two share what they were told.
    pub(crate) fn client(&self) -> Result<L1Client, ClientError> {
        l1_client(&self.url)
    }

    /// The L1 for one that makes blocks and cannot wait for long.
    pub(crate) fn sequencer_client(&self) -> Result<L1Client, ClientError> {
        Ok(L1Client::new(RpcClient::http(&self.url, SEQUENCER_TIMEOUTS)?))
    }

    /// The beacon node of the L1.
    pub(crate) fn beacon(&self) -> Result<BeaconClient, ClientError> {
        BeaconClient::http(
            std::slice::from_ref(&self.beacon_url),
            Timeouts::default(),
            Retry::default(),
        )
    }

    pub(crate) fn followed(&self) -> Result<FollowedL1<L1Client, BeaconClient>, ClientError> {
        Ok(FollowedL1 {
            chain: self.chain.clone(),
            blocks: self.client()?,
            blobs: self.beacon()?,
            poll: self.poll(),
        })
    }

    /// The block with this number, with which a rollup begins.
    pub(crate) async fn origin(&self, number: u64) -> Result<BlockNumHash, DevnetError> {
        let client = self.client()?;
        blocking(move || {
            let block = client.block(BlockNumberOrTag::Number(number))?;
            Ok(block.ok_or(DevnetError::NoOrigin(number))?.id())
        })
        .await
    }

    /// Creates what the rollup needs on a foreign L1.
    pub(crate) async fn settle(
        self,
        identity: &Identity,
        plan: &RollupPlan,
        accounts: &[DevAccount],
        operators: &Operators,
    ) -> Result<Self, DevnetError> {
        let Some(deployer) = accounts.first().cloned() else { return Ok(self) };
        let client = self.client()?;
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
            Ok(Self { has_osaka, settlement: Some(settlement), ..self })
        })
        .await
    }
}

/// The L1 behind this URL.
pub(crate) fn l1_client(url: &str) -> Result<L1Client, ClientError> {
    Ok(L1Client::new(RpcClient::http(url, Timeouts::default())?))
}

/// Calls what waits for answers.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, DevnetError> + Send + 'static,
) -> Result<T, DevnetError> {
    task::spawn_blocking(call).await.map_err(|cut_off| DevnetError::Task(cut_off.into()))?
}

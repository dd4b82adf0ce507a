//! A running node.

use crate::{NodeChain, NodeContext, NodeError, PartError};
use lockstep_rpc::{RpcServer, engine_api::EngineServer};
use std::{net::SocketAddr, time::Duration};
use tokio::{sync::watch, task::JoinHandle, time};

/// How often it is asked whether the engine still works.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long requests that run when the node stops have to end. A client that never finishes its
/// request must not keep the node from persisting its chain.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

async fn grace(stopped: impl Future<Output = ()>) {
    if time::timeout(SHUTDOWN_GRACE, stopped).await.is_err() {
        tracing::warn!(target: "lockstep_node", "cut off connections that did not end");
    }
}

/// The servers of a node.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    pub(crate) rpc: Option<RpcServer>,
    pub(crate) engine_api: Option<EngineServer>,
}

/// A running node. Stop it with [`Self::shutdown`]; dropping it ends it as if the process had been
/// killed, which loses nothing that was acknowledged.
#[derive(Debug)]
pub struct Node<C: NodeChain> {
    context: NodeContext<C>,
    stop: watch::Sender<bool>,
    servers: Servers,
    driver: Option<JoinHandle<Result<(), PartError>>>,
}

impl<C: NodeChain> Node<C> {
    pub(crate) const fn new(
        context: NodeContext<C>,
        stop: watch::Sender<bool>,
        servers: Servers,
        driver: Option<JoinHandle<Result<(), PartError>>>,
    ) -> Self {
        Self { context, stop, servers, driver }
    }

    /// What the parts share.
    pub const fn context(&self) -> &NodeContext<C> {
        &self.context
    }

    /// Where HTTP and WebSocket are served, if they are.
    pub fn rpc_address(&self) -> Option<SocketAddr> {
        self.servers.rpc.as_ref().and_then(RpcServer::address)
    }

    /// Where the Engine API is served, if it is.
    pub fn engine_api_address(&self) -> Option<SocketAddr> {
        self.servers.engine_api.as_ref().map(EngineServer::address)
    }

    /// Completes when the node cannot go on: the engine refuses work, or the consensus driver has
    /// ended although nobody stopped the node.
    ///
    /// # Errors
    /// Why.
    pub async fn failed(&mut self) -> Result<(), NodeError> {
        let engine = self.context.engine().clone();
        let engine_failed = async move {
            let mut interval = time::interval(CHECK_INTERVAL);
            loop {
                interval.tick().await;
                if let Err(error) = engine.check_running() {
                    return Err(error.into());
                }
            }
        };
        tokio::select! {
            failed = engine_failed => failed,
            ended = self.driver_ended() => ended,
        }
    }

    async fn driver_ended(&mut self) -> Result<(), NodeError> {
        let part = |reason| NodeError::Part { part: "consensus driver", reason };
        let Some(driver) = &mut self.driver else { return std::future::pending().await };
        let ended = driver.await;
        self.driver = None;
        match ended {
            Ok(ended) => ended.map_err(part),
            Err(panicked) => Err(part(panicked.into())),
        }
    }

    /// Stops serving and driving, and persists the chain.
    ///
    /// # Errors
    /// When the driver ended with an error, or the chain could not be persisted. Nothing that was
    /// acknowledged is lost even then.
    pub async fn shutdown(mut self) -> Result<(), NodeError> {
        // Nobody listens if the driver has ended already.
        let _ = self.stop.send(true);
        if let Some(server) = self.servers.engine_api.take() {
            grace(server.stopped()).await;
        }
        if let Some(server) = self.servers.rpc.take() {
            grace(server.stopped()).await;
        }
        let driven = match self.driver {
            Some(_) => self.driver_ended().await,
            None => Ok(()),
        };
        let engine = self.context.engine().clone();
        let persisted = tokio::task::spawn_blocking(move || engine.shutdown()).await;
        persisted
            .map_err(|panicked| NodeError::Part { part: "engine", reason: panicked.into() })??;
        driven
    }
}

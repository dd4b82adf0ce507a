//! The Beacon API: what a consensus client offers, over HTTP.
//!
//! Answers have the shapes of the official `beacon-APIs`. Limits: request bodies are at most 4 KiB, lists in
//! queries have at most 128 items, and at most 64 clients listen to events; one that falls
//! behind by more than 64 events is disconnected, and should read the head before it listens again.

mod answer;
mod blocks;
mod config;
mod dev;
mod events;
mod node;
mod states;
mod validator;

use super::{BeaconControls, BeaconView};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use std::{future::Future, io, sync::Arc, time::Duration};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
};

/// The longest body of a request, in bytes.
const MAX_BODY: usize = 4096;
/// Clients that may listen to events at once.
const MAX_LISTENERS: usize = 64;

/// How long open connections have to end when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);

/// What the handlers share.
#[derive(Clone, Debug)]
struct Api {
    view: BeaconView,
    controls: Option<BeaconControls>,
    listeners: Arc<Semaphore>,
}

/// The Beacon API of a chain. With `controls`, the dev endpoints under `/lockstep/v1/dev` work, too.
pub fn beacon_api(view: BeaconView, controls: Option<BeaconControls>) -> Router {
    let api = Api { view, controls, listeners: Arc::new(Semaphore::new(MAX_LISTENERS)) };
    Router::new()
        .route("/eth/v1/beacon/genesis", get(config::genesis))
        .route("/eth/v1/config/spec", get(config::spec))
        .route("/eth/v1/config/fork_schedule", get(config::fork_schedule))
        .route("/eth/v1/config/deposit_contract", get(config::deposit_contract))
        .route("/eth/v1/node/version", get(node::version))
        .route("/eth/v1/node/health", get(node::health))
        .route("/eth/v1/node/syncing", get(node::syncing))
        .route("/eth/v1/node/identity", get(node::identity))
        .route("/eth/v1/beacon/headers", get(blocks::headers))
        .route("/eth/v1/beacon/headers/{block_id}", get(blocks::header))
        .route("/eth/v2/beacon/blocks/{block_id}", get(blocks::block))
        .route("/eth/v1/beacon/blocks/{block_id}/root", get(blocks::root))
        .route("/eth/v1/beacon/blob_sidecars/{block_id}", get(blocks::blob_sidecars))
        .route("/eth/v1/beacon/blobs/{block_id}", get(blocks::blobs))
        .route("/eth/v1/beacon/states/{state_id}/root", get(states::root))
        .route("/eth/v1/beacon/states/{state_id}/fork", get(states::fork))
        .route(
            "/eth/v1/beacon/states/{state_id}/finality_checkpoints",
            get(states::finality_checkpoints),
        )
        .route("/eth/v1/beacon/states/{state_id}/validators", get(states::validators))
        .route("/eth/v1/beacon/states/{state_id}/validators/{validator}", get(states::validator))
        .route("/eth/v1/beacon/states/{state_id}/proposer_lookahead", get(states::lookahead))
        .route("/eth/v1/beacon/states/{state_id}/randao", get(states::randao))
        .route("/eth/v2/debug/beacon/states/{state_id}", get(states::state))
        .route("/eth/v1/validator/duties/proposer/{epoch}", get(validator::proposers_v1))
        .route("/eth/v2/validator/duties/proposer/{epoch}", get(validator::proposers_v2))
        .route("/eth/v1/events", get(events::events))
        .route("/lockstep/v1/dev/skip", post(dev::skip))
        .route("/lockstep/v1/dev/reorg", post(dev::reorg))
        .route("/lockstep/v1/dev/stall_finality", post(dev::stall_finality))
        .route("/lockstep/v1/dev/resume_finality", post(dev::resume_finality))
        .route("/lockstep/v1/dev/mine", post(dev::mine))
        .fallback(answer::no_such_route)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api)
}

/// Serves the Beacon API on a listener until `shutdown` completes. Connections that are open then may
/// end within two seconds; a stream of events never would.
///
/// The API has no authentication: the listener should be on a loopback address.
///
/// # Errors
/// If the listener fails.
pub async fn serve_beacon_api(
    listener: TcpListener,
    view: BeaconView,
    controls: Option<BeaconControls>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (begun, has_begun) = oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        // The receiver lives as long as this future.
        let _ = begun.send(());
    };
    let server = axum::serve(listener, beacon_api(view, controls)).with_graceful_shutdown(shutdown);
    let grace_over = async move {
        if has_begun.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        served = async { server.await } => served,
        () = grace_over => Ok(()),
    }
}

//! Prometheus metrics: one recorder per process, served over HTTP.

use axum::{Router, extract::State, routing::get};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::{future::Future, io, time::Duration};
use tokio::{net::TcpListener, time};

/// Upper bounds of the histograms of durations, in seconds: from a fork choice to a large block.
const DURATION_BOUNDS_S: [f64; 14] = [
    0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 0.5,
    1.0, 5.0,
];

/// How often histograms are folded, so that their memory stays bounded while nobody asks.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Collects what all crates of the process report from now on.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder of this process.
    ///
    /// # Errors
    /// When the process has one already.
    pub fn install() -> Result<Self, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BOUNDS_S)?
            .install_recorder()?;
        Ok(Self { handle })
    }

    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Serves `GET /metrics` until `stop` completes.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let upkeep = tokio::spawn({
            let handle = self.handle.clone();
            async move {
                let mut interval = time::interval(UPKEEP_INTERVAL);
                loop {
                    interval.tick().await;
                    handle.run_upkeep();
                }
            }
        });
        let render = |State(metrics): State<Self>| async move { metrics.render() };
        let router = Router::new().route("/metrics", get(render)).with_state(self);
        let served = axum::serve(listener, router).with_graceful_shutdown(stop).await;
        upkeep.abort();
        served
    }
}

//! What long-running commands share: the runtime, the clock, logs, metrics and the signal to stop.

use crate::{failure, output::print_line};
use clap::{Args as ClapArgs, ValueEnum};
use eyre::{Context, Result, eyre};
use lockstep_devnet::Clock;
use lockstep_node::Metrics;
use std::{
    io::{self, IsTerminal},
    net::{Ipv4Addr, SocketAddr},
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, writer::BoxMakeWriter},
};

/// Logs if neither `--log` nor the environment says which.
const DEFAULT_LOG: &str = "info";

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// The options of every service.
#[derive(Debug, ClapArgs)]
pub(crate) struct ServiceArgs {
    /// What is logged to standard error: a level, or a filter like `lockstep_engine=debug,warn`.
    #[arg(long, value_name = "FILTER", env = "RUST_LOG", default_value = DEFAULT_LOG)]
    log: String,
    /// How it is logged.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// Serve Prometheus metrics at http://127.0.0.1:PORT/metrics; 0 picks a free port.
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
}

/// Runs a service until it is told to stop (SIGINT or SIGTERM) or ends by itself; whether it ended as
/// it was told. A second signal ends it as if it had been killed.
pub(crate) fn run<F: Future<Output = Result<()>>>(
    args: &ServiceArgs,
    service: impl FnOnce(Stop) -> F,
) -> Result<bool> {
    run_with_logs(args, BoxMakeWriter::new(io::stderr), io::stderr().is_terminal(), service)
}

/// As [`run`], with logs that go elsewhere; in colour or not.
pub(crate) fn run_with_logs<F: Future<Output = Result<()>>>(
    args: &ServiceArgs,
    logs: BoxMakeWriter,
    in_colour: bool,
    service: impl FnOnce(Stop) -> F,
) -> Result<bool> {
    let filter = EnvFilter::try_new(&args.log).wrap_err("--log")?;
    // That nobody reads the logs any more must not end the service, which telling it on standard error would.
    let logs = fmt::Subscriber::builder()
        .with_env_filter(filter)
        .with_ansi(in_colour)
        .with_writer(logs)
        .log_internal_errors(false);
    match args.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    crate::open_files::raise_limit();
    let runtime = Runtime::new().wrap_err("cannot start threads")?;
    let ended = runtime.block_on(async {
        let (send, receive) = watch::channel(false);
        let stop = Stop { stopping: receive };
        let mut signals = Signals::listen().wrap_err("cannot listen for signals")?;
        // Ends with the second signal.
        let signals = tokio::spawn(async move {
            for _ in 0..2 {
                signals.next().await;
                // The service may have ended by itself.
                let _ = send.send(true);
            }
        });
        if let Some(port) = args.metrics_port {
            serve_metrics(port, stop.clone()).await?;
        }
        let ended = tokio::select! {
            ended = service(stop) => ended,
            _ = signals => Err(eyre!("stopped by a second signal")),
        };
        if let Err(error) = &ended {
            failure::tell(error);
        }
        Ok(ended.is_ok())
    });
    // Whoever still waits for an answer from elsewhere is cut off, as by a kill. That loses nothing; what
    // the service had to put in order it has.
    runtime.shutdown_background();
    ended
}

/// Tells a service that it is to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    stopping: watch::Receiver<bool>,
}

impl Stop {
    /// Completes when the service is to stop.
    pub(crate) async fn wait(&self) {
        let mut stopping = self.stopping.clone();
        // The sender is gone only when the service is.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    }
}

/// The signals that end a service. None that comes after [`Signals::listen`] is missed.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }
}

async fn serve_metrics(port: u16, stop: Stop) -> Result<()> {
    let metrics = Metrics::install().wrap_err("metrics")?;
    let address = loopback(port);
    let listener =
        TcpListener::bind(address).await.wrap_err_with(|| format!("--metrics-port {port}"))?;
    let address = listener.local_addr()?;
    tracing::info!(target: "lockstep", %address, "serving metrics");
    tokio::spawn(async move {
        if let Err(error) = metrics.serve(listener, async move { stop.wait().await }).await {
            tracing::error!(target: "lockstep", %error, "metrics are no longer served");
        }
    });
    Ok(())
}

/// Servers listen on this machine alone.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Prints one event as a line of JSON, at once.
pub(crate) fn print_event(event: &serde_json::Value) -> Result<()> {
    print_line(&event.to_string())
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one clock that services are given")]
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    #[expect(clippy::disallowed_methods, reason = "the one clock that services are given")]
    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }
}

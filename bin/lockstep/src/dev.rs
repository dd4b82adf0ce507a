//! `lockstep dev`: a development network in one process.

mod screen;
mod welcome;

use crate::{
    network::{self, NetworkArgs},
    output::{print_json, print_line, terminal_size},
    service::{self, ServiceArgs, Stop, SystemClock, loopback, print_event},
    status::{self, Observer, Room},
};
use clap::{Args as ClapArgs, ValueEnum};
use eyre::{Result, WrapErr, bail, ensure};
use lockstep_chain::{Chain, EthereumHardfork};
use lockstep_devnet::{
    CAFE, Clock, DataAvailability, Devnet, DevnetConfig, EmbeddedL1, L1Source, MNEMONIC,
    dev_l1_genesis, dev_server, rollup_name,
};
use screen::Terminal;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    future::pending,
    io::{self, IsTerminal},
    iter,
    net::SocketAddr,
    num::NonZeroUsize,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{task::spawn_blocking, time::sleep};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// A network's nodes are many, and leave the machine to whoever develops on it.
const MAX_EXECUTION_THREADS: usize = 4;

/// How often the view of the network is brought up to date.
const VIEW_INTERVAL: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Fork {
    Prague,
    Osaka,
}

/// How the rollup's blocks get into the L1.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Data {
    Blobs,
    Calldata,
    /// What is cheaper.
    Auto,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Keep the network in this folder, and go on with the one that is there [default: in memory].
    #[arg(long, value_name = "DIR")]
    datadir: Option<PathBuf>,
    /// Seconds per slot of the L1.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    slot_time: u64,
    /// How many rollups there are. Several are a union: contracts on one call those on others. One is an
    /// OP Stack rollup with a sequencer and a batcher.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    rollups: u16,
    /// How often users of a union are shown what was executed, in milliseconds; 0: at once.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    update_interval: u64,
    /// Seconds from one block of a rollup to the next.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    block_time: u64,
    /// The fork that the L1 begins with.
    #[arg(long, value_enum, default_value_t = Fork::Osaka)]
    fork: Fork,
    /// The mnemonic of the funded accounts.
    #[arg(long, value_name = "WORDS", default_value = MNEMONIC)]
    mnemonic: String,
    /// How many accounts are funded.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    accounts: u32,
    /// The port of the L1's JSON-RPC (HTTP and WebSocket); 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = network::L1_PORT)]
    http_port: u16,
    /// The port of the L1's Beacon API; 0 picks a free one.
    #[arg(long, value_name = "PORT", default_value_t = network::BEACON_PORT)]
    beacon_port: u16,
    /// The port of the first rollup's JSON-RPC (HTTP and WebSocket), the next one's is higher by two; 0
    /// picks free ones.
    #[arg(long, value_name = "PORT", default_value_t = network::ROLLUP_PORT)]
    rollup_http_port: u16,
    /// The port of the JSON-RPC (HTTP and WebSocket) of the node that derives the first rollup from the L1
    /// alone, the next one's is higher by two; 0 picks free ones.
    #[arg(long, value_name = "PORT", default_value_t = network::FOLLOWER_PORT)]
    follower_http_port: u16,
    /// How the blocks of a single rollup (`--rollups 1`) are posted to the L1 [default: blobs].
    #[arg(long, value_enum)]
    data_availability: Option<Data>,
    /// Use the L1 at this URL instead of an embedded one, for a single rollup (`--rollups 1`).
    #[arg(long, value_name = "URL", requires = "l1_beacon")]
    l1: Option<String>,
    /// The Beacon API of the L1 at `--l1`, from which the rollup's blobs are read.
    #[arg(long, value_name = "URL", requires = "l1")]
    l1_beacon: Option<String>,
    /// Print the genesis file of the L1 in geth's format, and exit. With `--datadir`, that of the
    /// network in the folder.
    #[arg(long)]
    print_genesis: bool,
    /// Print events as lines of JSON.
    #[arg(long)]
    json: bool,
    /// Print log lines, as if the output were no terminal, instead of showing what the network does.
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

/// How this program was called, for commands to copy.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "lockstep".to_owned())
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<bool> {
    check(args)?;
    if args.print_genesis {
        return print_genesis(args).map(|()| true);
    }
    if args.json || args.plain || !io::stdout().is_terminal() {
        return service::run(&args.service, |stop| serve(args, None, stop));
    }
    let terminal = Terminal::new();
    let logs = BoxMakeWriter::new(terminal.clone());
    service::run_with_logs(&args.service, logs, false, |stop| serve(args, Some(terminal), stop))
}

/// What cannot work together is refused: what only one kind of network has for the other, and ports that two
/// servers would have.
fn check(args: &Args) -> Result<()> {
    check_ports(args)?;
    if args.rollups == 1 {
        return Ok(());
    }
    let rollups = args.rollups;
    ensure!(
        args.l1.is_none(),
        "--l1 is for a single rollup: add --rollups 1 ({rollups} are ordered by the proposers of the embedded L1)"
    );
    ensure!(
        matches!(args.fork, Fork::Osaka),
        "--fork prague is for a single rollup: add --rollups 1 ({rollups} are ordered by a look-ahead that \
         begins with Osaka)"
    );
    ensure!(
        args.data_availability.is_none(),
        "--data-availability is for a single rollup: add --rollups 1 ({rollups} are posted together, in blobs)"
    );
    Ok(())
}

/// The ports of rollups go up by two, and end somewhere.
fn check_ports(args: &Args) -> Result<()> {
    let mut taken: BTreeMap<u16, String> = BTreeMap::new();
    let mut take = |option: &str, port: u16, of: String| match taken
        .insert(port, format!("{of} ({option})"))
    {
        Some(other) if port != 0 => {
            bail!("{of} would have port {port}, which is that of {other}: choose another {option}")
        }
        _ => Ok(()),
    };
    if args.l1.is_none() {
        take("--http-port", args.http_port, "the L1".to_owned())?;
        take("--beacon-port", args.beacon_port, "the Beacon API".to_owned())?;
    }
    for (option, first, kind) in [
        ("--rollup-http-port", args.rollup_http_port, ""),
        ("--follower-http-port", args.follower_http_port, "the follower of "),
    ] {
        for index in (0..args.rollups).filter(|_| first != 0) {
            let of = format!("{kind}{}", rollup_name(index.into()));
            let Some(port) = first.checked_add(index * network::PORT_STEP) else {
                bail!(
                    "{option} {first} leaves no port for {of}: choose a lower one, or 0 for free ones"
                )
            };
            take(option, port, of)?;
        }
    }
    Ok(())
}

async fn serve(args: &Args, terminal: Option<Terminal>, stop: Stop) -> Result<()> {
    let mut devnet = tokio::select! {
        started = Devnet::start(config(args), Arc::new(SystemClock)) => match &args.l1 {
            Some(l1) => started.wrap_err_with(|| format!("with the L1 at --l1 {l1}"))?,
            None => started?,
        },
        () = stop.wait() => return Ok(()),
    };
    let ready = ready(args, &devnet);
    if args.json {
        print_event(&ready)?;
    } else {
        let columns = terminal_size().map_or(usize::MAX, |size| size.columns);
        print_line(&welcome::text(&ready, &program(), columns))?;
    }
    let failed = tokio::select! {
        failed = devnet.failed() => failed,
        () = stop.wait() => Ok(()),
        () = watch(&ready, terminal.as_ref()) => Ok(()),
    };
    if let Some(terminal) = &terminal {
        terminal.release();
    }
    let stopped = devnet.shutdown().await;
    let printed = if args.json { print_event(&json!({ "event": "stopped" })) } else { Ok(()) };
    failed?;
    stopped?;
    printed
}

/// Shows on the terminal what the network does, for as long as it runs.
async fn watch(ready: &Value, terminal: Option<&Terminal>) {
    if let Some(terminal) = terminal
        && let Err(error) = try_watch(ready, terminal).await
    {
        terminal.release();
        tracing::warn!(target: "lockstep", %error, "the network is not shown any more");
    }
    pending().await
}

async fn try_watch(ready: &Value, terminal: &Terminal) -> Result<()> {
    let url = |value: &Value, path: &str| value.pointer(path)?.as_str().map(str::to_owned);
    let rollups = ready.get("rollups").and_then(Value::as_array).into_iter().flatten();
    let rollups: Vec<String> = rollups.filter_map(|rollup| url(rollup, "/http")).collect();
    let l1 = url(ready, "/l1/http").unwrap_or_default();
    let beacon = url(ready, "/l1/beacon").unwrap_or_default();
    let connect = move || Observer::new(NetworkArgs { rollups }.connect()?, &l1, &beacon);
    let mut observer = spawn_blocking(connect).await??;
    loop {
        let network;
        (observer, network) = spawn_blocking(move || {
            let network = observer.observe(SystemClock.unix_time().as_secs());
            (observer, network)
        })
        .await?;
        let mut lines = vec![String::new()];
        let room = terminal.room();
        lines.extend(status::lines(&network, Room { rows: room.rows.saturating_sub(1), ..room }));
        terminal.show(lines)?;
        sleep(VIEW_INTERVAL).await;
    }
}

impl Fork {
    const fn hardfork(self) -> EthereumHardfork {
        match self {
            Self::Prague => EthereumHardfork::Prague,
            Self::Osaka => EthereumHardfork::Osaka,
        }
    }
}

fn config(args: &Args) -> DevnetConfig {
    let ipc = args.datadir.as_ref().map(|folder| folder.join("l1.ipc"));
    let foreign = args.l1.as_ref().zip(args.l1_beacon.as_ref());
    let l1 = match foreign {
        Some((url, beacon)) => L1Source::Foreign { url: url.clone(), beacon: beacon.clone() },
        None => L1Source::Embedded(EmbeddedL1 {
            fork: args.fork.hardfork(),
            slot_time_s: args.slot_time,
            server: dev_server(args.http_port, ipc),
            beacon_address: loopback(args.beacon_port),
        }),
    };
    DevnetConfig {
        data_dir: args.datadir.clone(),
        l1,
        mnemonic: args.mnemonic.clone(),
        accounts: args.accounts,
        rollups: args.rollups.into(),
        rollup_block_time_s: args.block_time,
        update_interval: Duration::from_millis(args.update_interval),
        rollup_server: dev_server(args.rollup_http_port, None),
        follower_server: dev_server(args.follower_http_port, None),
        data_availability: match args.data_availability {
            None | Some(Data::Blobs) => DataAvailability::Blobs,
            Some(Data::Calldata) => DataAvailability::Calldata,
            Some(Data::Auto) => DataAvailability::Auto,
        },
        execution_threads: execution_threads(args.rollups.into()),
        ..Default::default()
    }
}

/// Threads that each node executes a block with: the processors, shared out among the rollups, whose nodes derive the same
/// batch's blocks at the same time.
fn execution_threads(rollups: usize) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    (processors / rollups.max(1)).clamp(1, MAX_EXECUTION_THREADS)
}

/// What users of the network must know.
fn ready(args: &Args, devnet: &Devnet) -> Value {
    let http = |address: Option<SocketAddr>| address.map(|address| format!("http://{address}"));
    let ws = |address: Option<SocketAddr>| address.map(|address| format!("ws://{address}"));
    let l1 = match devnet.l1() {
        Some(node) => json!({
            "chainId": node.context().chain().chain_id(),
            "http": http(node.rpc_address()),
            "ws": ws(node.rpc_address()),
            "ipc": args.datadir.as_ref().map(|folder| folder.join("l1.ipc")),
            "beacon": http(devnet.beacon_address()),
            "genesis": args.datadir.as_ref().map(|folder| folder.join("l1/genesis.json")),
        }),
        None => json!({ "http": args.l1, "beacon": args.l1_beacon }),
    };
    let operators = devnet.operators();
    let token_portals = devnet.union().into_iter().flat_map(|union| &union.rollups);
    let token_portals = token_portals.map(|at| Some(at.token_portal)).chain(iter::repeat(None));
    let rollups = devnet.rollups().iter().zip(token_portals).map(|(rollup, token_portal)| {
        let (sequencer, follower) = (rollup.sequencer(), rollup.follower());
        let contracts = rollup.contracts();
        json!({
            "name": rollup.name(),
            "chainId": sequencer.context().chain().chain_id(),
            "http": http(sequencer.rpc_address()),
            "ws": ws(sequencer.rpc_address()),
            "follower": {
                "http": http(follower.rpc_address()),
                "ws": ws(follower.rpc_address()),
            },
            "rollupConfig": rollup.file(),
            "contracts": {
                "portal": contracts.portal,
                "tokenPortal": token_portal,
                "systemConfig": contracts.system_config,
                "outputOracle": contracts.output_oracle,
                "batchInbox": rollup.config().batch_inbox_address,
            },
            "batcher": operators.batcher.address,
            "proposer": operators.proposer.address,
        })
    });
    let union = devnet.union().map(|union| {
        json!({
            "inbox": union.inbox,
            "registry": union.registry,
            "lookahead": union.lookahead,
            "vault": union.vault,
        })
    });
    let accounts: Vec<Value> = devnet
        .accounts()
        .iter()
        .map(|account| {
            let address = account.address.to_checksum(None);
            json!({ "address": address, "privateKey": account.signer.to_bytes() })
        })
        .collect();
    json!({
        "event": "ready",
        "l1": l1,
        "rollups": rollups.collect::<Vec<_>>(),
        "union": union,
        "cafe": devnet.union().map(|_| CAFE.to_checksum(None)),
        "accounts": accounts,
    })
}

fn print_genesis(args: &Args) -> Result<()> {
    ensure!(args.l1.is_none(), "--print-genesis is for the embedded L1, not for one at --l1");
    let stored = match &args.datadir {
        Some(folder) => lockstep_devnet::stored_l1_genesis(folder)?,
        None => None,
    };
    let genesis = match stored {
        Some(genesis) => genesis,
        None => dev_l1_genesis(&config(args), SystemClock.unix_time().as_secs())?,
    };
    print_json(&genesis)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn checked(words: &[&str]) -> Result<()> {
        let command = Command::try_parse_from([&["dev"], words].concat()).expect("they parse");
        check(&command.args)
    }

    #[test]
    fn no_two_servers_have_one_port_and_none_has_a_port_that_is_none() {
        for words in [
            &[][..],
            &["--rollups", "64"],
            &["--http-port", "0", "--beacon-port", "0", "--rollup-http-port", "0"],
            &["--rollups", "3", "--rollup-http-port", "65530", "--follower-http-port", "65531"],
        ] {
            checked(words).expect("all have ports");
        }
        for (words, option, other) in [
            (&["--http-port", "5052"][..], "--beacon-port", "the L1"),
            (&["--rollup-http-port", "8543"], "--rollup-http-port", "the L1"),
            (&["--follower-http-port", "9547"], "--follower-http-port", "beta"),
            (&["--rollups", "3", "--rollup-http-port", "65532"], "--rollup-http-port", "gamma"),
        ] {
            let error = checked(words).expect_err("two have one port").to_string();
            assert!(error.contains(option) && error.contains(other), "{words:?}: {error}");
        }
    }

    #[test]
    fn what_only_a_single_rollup_has_is_refused_for_a_union() {
        let l1 = ["--l1", "http://h:1", "--l1-beacon", "http://h:2"];
        for words in [&l1[..], &["--fork", "prague"], &["--data-availability", "calldata"]] {
            let error = checked(words).expect_err("it is of a single rollup").to_string();
            assert!(error.contains("--rollups 1"), "{error}");
            checked(&[words, &["--rollups", "1"]].concat()).expect("it is a single rollup");
        }
    }
}

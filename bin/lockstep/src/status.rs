//! `lockstep status`: who owns the next slots, and how far each rollup is.

mod observer;
mod view;

pub(crate) use observer::Observer;
pub(crate) use view::{Room, lines};

use crate::{
    network::{Away, BEACON_PORT, L1_PORT, NetworkArgs, local},
    output::{print_json, print_line, terminal_size},
    service::SystemClock,
};
use alloy_primitives::{Address, B256};
use clap::Args as ClapArgs;
use eyre::Result;
use lockstep_devnet::Clock;
use lockstep_rpc::ConfirmationLevel;
use serde::Serialize;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(flatten)]
    network: NetworkArgs,
    /// JSON-RPC of a node of the L1 [default: that of a `lockstep dev` on this machine].
    #[arg(long, value_name = "URL")]
    l1: Option<String>,
    /// Beacon API of that L1 [default: that of a `lockstep dev` on this machine].
    #[arg(long, value_name = "URL")]
    l1_beacon: Option<String>,
    /// Print the status as JSON.
    #[arg(long)]
    json: bool,
}

/// What a network looks like at one time.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Network {
    /// Not known if its node does not answer.
    pub(crate) l1: Option<L1Heads>,
    /// The current slot and some after it; none of rollups that are no union.
    pub(crate) slots: Vec<Slot>,
    pub(crate) rollups: Vec<Rollup>,
    /// The newest ones, the newest last.
    pub(crate) super_transactions: Vec<SuperTransaction>,
    /// What could not be found out, and why.
    pub(crate) problems: Vec<String>,
}

/// The newest blocks of L1, by their tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct L1Heads {
    pub(crate) latest: u64,
    pub(crate) safe: Option<u64>,
    pub(crate) finalized: Option<u64>,
}

/// Who owns a slot of the L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Slot {
    pub(crate) slot: u64,
    /// Nobody if no proposer opted in, as far as is known.
    pub(crate) gateway: Option<Address>,
    /// By whose proposer: that of the slot, or the first after it that opted in.
    pub(crate) by_slot: Option<u64>,
    /// Whether that can still change.
    pub(crate) is_decided: bool,
}

/// How far a rollup is: its newest block of each confirmation level (`lockstep_heads`), as far as its node knows.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rollup {
    pub(crate) name: String,
    pub(crate) chain_id: u64,
    /// Complete or not.
    pub(crate) preconfirmed: u64,
    pub(crate) posted: Option<u64>,
    pub(crate) safe: Option<u64>,
    pub(crate) settled: Option<u64>,
    #[serde(rename = "final")]
    pub(crate) finalized: Option<u64>,
    /// Of the blocks of the last seconds.
    pub(crate) gas_per_second: f64,
    /// Of the blocks of the last seconds; those of users.
    pub(crate) transactions_per_second: f64,
}

/// A super transaction that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SuperTransaction {
    pub(crate) slot: u64,
    pub(crate) index: u64,
    pub(crate) home: u64,
    /// The rollups that the home sent to.
    pub(crate) peers: Vec<u64>,
    pub(crate) transaction_hash: B256,
    pub(crate) block_number: u64,
    /// How sure the block is.
    pub(crate) level: ConfirmationLevel,
}

/// Runs the command; whether everything could be found out.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let (nodes, away) = args.network.connect_each()?;
    let l1 = args.l1.clone().unwrap_or_else(|| local(L1_PORT));
    let beacon = args.l1_beacon.clone().unwrap_or_else(|| local(BEACON_PORT));
    let mut observer = Observer::new(nodes, &l1, &beacon)?;
    let mut network = observer.observe(SystemClock.unix_time().as_secs());
    network.problems.extend(away.iter().flat_map(Away::reasons));
    if args.json {
        print_json(&network)?;
    } else {
        let columns = terminal_size().map_or(Room::UNLIMITED.columns, |size| size.columns);
        let room = Room { columns, ..Room::UNLIMITED };
        print_line(&lines(&network, room).join("\n"))?;
    }
    Ok(network.problems.is_empty())
}

//! Asks the nodes of a network what it looks like.

use super::{L1Heads, Network, Rollup, Slot, SuperTransaction};
use crate::network::RollupNode;
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_sol_types::SolCall;
use eyre::{Result, WrapErr};
use lockstep_chain::{PORT, UnionRules};
use lockstep_contracts::Inbox;
use lockstep_lookahead::{LookaheadError, LookaheadSource, Ownership};
use lockstep_providers::{BeaconClient, ClientError, L1Client, Retry, RpcClient, Timeouts};
use lockstep_rpc::ConfirmationLevel;
use lockstep_union::Part;
use serde::Deserialize;
use serde_json::json;
use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

/// Rates are those of the blocks of so many seconds.
const WINDOW_S: u64 = 10;

/// The most blocks of a rollup that are read at once, and kept.
const MAX_BLOCKS: u64 = 32;

/// Super transactions that are kept.
const MAX_SUPER: usize = 16;

/// Slots that are shown, the current one among them.
const SHOWN_SLOTS: u64 = 12;

/// Slots of an epoch on Ethereum, and on the L1 of `lockstep dev`.
const SLOTS_PER_EPOCH: u64 = 32;

const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(1), total: Duration::from_secs(5) };

/// Asks again and again, and remembers what rates are made from.
#[derive(Debug)]
pub(crate) struct Observer {
    l1: L1Client,
    l1_url: String,
    beacon: BeaconClient,
    rollups: Vec<Watched>,
    owners: Option<LookaheadSource>,
    super_transactions: VecDeque<SuperTransaction>,
}

#[derive(Debug)]
struct Watched {
    node: RollupNode,
    /// The newest ones, in order.
    blocks: VecDeque<Seen>,
}

/// What is remembered of a block.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u64,
    hash: B256,
    timestamp: u64,
    gas_used: u64,
    transactions: u64,
}

/// How blocks that were read go on from those that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continuation {
    /// None are known.
    Begins,
    /// The first is the last one that is known.
    Same,
    /// Some in between are not known.
    Skips,
    /// What is known was taken back.
    Replaces,
}

impl Continuation {
    fn of(last: Option<&Seen>, first: Option<(u64, B256)>) -> Self {
        match (last, first) {
            (None, _) => Self::Begins,
            (Some(last), Some((_, hash))) if hash == last.hash => Self::Same,
            (Some(last), Some((number, _))) if number > last.number => Self::Skips,
            (Some(_), _) => Self::Replaces,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Numbered {
    number: U64,
}

impl Numbered {
    fn number(&self) -> u64 {
        self.number.to()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    number: U64,
    hash: B256,
    timestamp: U64,
    gas_used: U64,
    transactions: Vec<Transaction>,
}

#[derive(Debug, Deserialize)]
struct Transaction {
    hash: B256,
    #[serde(rename = "type")]
    kind: U64,
    from: Address,
    input: Bytes,
}

/// What `lockstep_heads` answers.
#[derive(Debug, Deserialize)]
struct Heads {
    preconfirmed: Numbered,
    posted: Option<Numbered>,
    safe: Option<Numbered>,
    settled: Option<Numbered>,
    #[serde(rename = "final")]
    finalized: Option<Numbered>,
}

impl Observer {
    /// Of the network of these nodes, on the L1 at these URLs.
    pub(crate) fn new(nodes: Vec<RollupNode>, l1: &str, beacon: &str) -> Result<Self> {
        let rpc = RpcClient::http(l1, TIMEOUTS).wrap_err_with(|| format!("--l1 {l1}"))?;
        let beacon = BeaconClient::http(&[beacon.to_owned()], TIMEOUTS, Retry::default())
            .wrap_err_with(|| format!("--l1-beacon {beacon}"))?;
        Ok(Self {
            l1: L1Client::new(rpc),
            l1_url: l1.to_owned(),
            beacon,
            rollups: nodes
                .into_iter()
                .map(|node| Watched { node, blocks: VecDeque::new() })
                .collect(),
            owners: None,
            super_transactions: VecDeque::new(),
        })
    }

    /// What the network looks like at `now`, in seconds.
    pub(crate) fn observe(&mut self, now: u64) -> Network {
        let mut network = Network::default();
        match self.l1_heads() {
            Ok(heads) => network.l1 = Some(heads),
            Err(error) => network.problems.push(l1_problem(&error, &self.l1_url)),
        }
        if network.l1.is_some() {
            match self.slots(now) {
                Ok(slots) => network.slots = slots,
                Err(error) => network.problems.push(format!("owners of slots: {error:#}")),
            }
        }
        for watched in &mut self.rollups {
            match watched.observe(&mut self.super_transactions) {
                Ok(rollup) => network.rollups.push(rollup),
                Err(error) => network.problems.push(format!("{}: {error}", watched.node)),
            }
        }
        network.super_transactions = self.super_transactions.iter().cloned().collect();
        network
    }

    fn l1_heads(&self) -> Result<L1Heads, ClientError> {
        let tags = ["latest", "safe", "finalized"].map(|tag| json!([tag, false]));
        let heads: Vec<Option<Numbered>> =
            self.l1.rpc().batch_all("eth_getBlockByNumber", &tags)?;
        let mut heads = heads.iter().map(|head| head.as_ref().map(Numbered::number));
        let mut next = || heads.next().flatten();
        Ok(L1Heads { latest: next().unwrap_or_default(), safe: next(), finalized: next() })
    }

    /// The owners of the current slot and some after it, if the rollups are a union.
    fn slots(&mut self, now: u64) -> Result<Vec<Slot>> {
        let Some(union) = self.rollups.iter().find_map(|it| it.node.config.union.as_ref()) else {
            return Ok(Vec::new());
        };
        let Some(current) = union.slot_at(now) else { return Ok(Vec::new()) };
        let owners = match &mut self.owners {
            Some(owners) => owners,
            owners @ None => {
                let registry =
                    ask::<Inbox::registryCall>(&self.l1, union.inbox, &Inbox::registryCall {})?;
                let source = LookaheadSource::new(
                    self.beacon.clone(),
                    self.l1.clone(),
                    registry,
                    SLOTS_PER_EPOCH,
                )?;
                owners.insert(source)
            }
        };
        match owners.refresh(now) {
            // What was known of the coming slots still holds.
            Err(error) if owners.schedule().is_none() => return Err(explained(error)),
            _ => {}
        }
        let schedule = owners.schedule();
        let slots = current..current.saturating_add(SHOWN_SLOTS);
        let slot = |slot| {
            let ownership = schedule.map_or(Ownership::Unknown, |it| it.ownership(slot));
            let owner = match ownership {
                Ownership::Owned(owner) => Some(owner),
                _ => None,
            };
            Slot {
                slot,
                gateway: owner.map(|owner| owner.gateway),
                by_slot: owner.map(|owner| owner.by_slot),
                is_decided: matches!(ownership, Ownership::Owned(_) | Ownership::Nobody),
            }
        };
        Ok(slots.map(slot).collect())
    }
}

/// Forgets the oldest ones. All rollups of a union have one order of them, however they were read.
fn keep_newest(found: &mut VecDeque<SuperTransaction>) {
    found.make_contiguous().sort_by_key(|it| (it.slot, it.index));
    let extra = found.len().saturating_sub(MAX_SUPER);
    found.drain(..extra);
}

fn l1_problem(error: &ClientError, url: &str) -> String {
    match error {
        ClientError::Unreachable { reason, .. } => format!(
            "no L1 answers at {url} ({reason}): say where it is with --l1 URL --l1-beacon URL"
        ),
        error => format!("L1: {error}"),
    }
}

fn explained(error: LookaheadError) -> eyre::Report {
    eyre::Report::new(error).wrap_err("--l1-beacon URL says where the Beacon API is")
}

/// Calls a contract on L1.
fn ask<C: SolCall>(l1: &L1Client, contract: Address, call: &C) -> Result<C::Return> {
    let call = json!({ "to": contract, "input": Bytes::from(call.abi_encode()) });
    let answer: Bytes = l1.rpc().call("eth_call", &json!([call, "latest"]))?;
    C::abi_decode_returns(&answer).wrap_err_with(|| {
        format!("{contract} is not the union's inbox on this L1: --l1 URL says which L1 it is")
    })
}

impl Watched {
    fn observe(&mut self, found: &mut VecDeque<SuperTransaction>) -> Result<Rollup, ClientError> {
        let heads: Heads = self.node.call("lockstep_heads", &json!([]))?;
        let complete: U64 = self.node.call("eth_blockNumber", &json!([]))?;
        self.read_blocks(complete.to(), found)?;
        let (gas_per_second, transactions_per_second) = self.rates();
        let chain_id = self.node.chain_id();
        let number = |head: &Option<Numbered>| head.as_ref().map(Numbered::number);
        let rollup = Rollup {
            name: self.node.name.clone(),
            chain_id,
            preconfirmed: heads.preconfirmed.number(),
            posted: number(&heads.posted),
            safe: number(&heads.safe),
            settled: number(&heads.settled),
            finalized: number(&heads.finalized),
            gas_per_second,
            transactions_per_second,
        };
        for found in found.iter_mut().filter(|found| found.home == chain_id) {
            found.level = rollup.level_of(found.block_number);
        }
        Ok(rollup)
    }

    /// Reads the blocks up to `newest` that are not known.
    fn read_blocks(
        &mut self,
        newest: u64,
        found: &mut VecDeque<SuperTransaction>,
    ) -> Result<(), ClientError> {
        let chain = self.node.chain_id();
        let mut blocks = self.ask_blocks(newest)?;
        let first = blocks.first().map(|block| (block.number.to(), block.hash));
        match Continuation::of(self.blocks.back(), first) {
            Continuation::Begins => {}
            Continuation::Same => drop(blocks.remove(0)),
            Continuation::Skips => self.blocks.clear(),
            Continuation::Replaces => {
                // What is in their place may be something else.
                self.blocks.clear();
                found.retain(|it| it.home != chain);
                blocks = self.ask_blocks(newest)?;
            }
        }
        for block in blocks {
            found.extend(self.super_transactions_of(&block));
            let users = block.transactions.iter().filter(|it| !it.is_deposit());
            self.blocks.push_back(Seen {
                number: block.number.to(),
                hash: block.hash,
                timestamp: block.timestamp.to(),
                gas_used: block.gas_used.to(),
                transactions: users.count() as u64,
            });
        }
        let extra = self.blocks.len().saturating_sub(MAX_BLOCKS as usize);
        self.blocks.drain(..extra);
        keep_newest(found);
        Ok(())
    }

    /// The blocks from the newest one that is known to `newest`.
    fn ask_blocks(&self, newest: u64) -> Result<Vec<Block>, ClientError> {
        let first = self.blocks.back().map_or(0, |last| last.number);
        let first = first.max(newest.saturating_sub(MAX_BLOCKS - 1)).max(1);
        let wanted: Vec<_> =
            (first..=newest).map(|number| json!([format!("{number:#x}"), true])).collect();
        let blocks: Vec<Option<Block>> = self.node.call_each("eth_getBlockByNumber", &wanted)?;
        Ok(blocks.into_iter().flatten().collect())
    }

    /// Gas and transactions per second, of the blocks of the last seconds.
    fn rates(&self) -> (f64, f64) {
        let Some(last) = self.blocks.back() else { return (0.0, 0.0) };
        let is_recent = |seen: &&Seen| seen.timestamp.saturating_add(WINDOW_S) > last.timestamp;
        let recent: Vec<&Seen> = self.blocks.iter().filter(is_recent).collect();
        let first = recent.first().map_or(last.timestamp, |seen| seen.timestamp);
        let seconds =
            last.timestamp.saturating_sub(first).saturating_add(self.node.config.block_time);
        let seconds = seconds.max(1) as f64;
        let sum = |of: fn(&Seen) -> u64| recent.iter().map(|seen| of(seen) as f64).sum::<f64>();
        (sum(|seen| seen.gas_used) / seconds, sum(|seen| seen.transactions) / seconds)
    }

    /// The super transactions of a block whose home is this rollup.
    fn super_transactions_of(&self, block: &Block) -> Vec<SuperTransaction> {
        let most = UnionRules::new([]).max_part_steps();
        let chain = self.node.chain_id();
        let pairs = block.transactions.iter().zip(block.transactions.iter().skip(1));
        let found = pairs.filter_map(|(part, user)| {
            if !part.is_deposit() || part.from != PORT {
                return None;
            }
            let part = Part::decode(&mut part.input.as_ref(), most).ok()?;
            let sent = part.steps.iter().filter(|step| step.is_sent).map(|step| step.peer);
            let peers: BTreeSet<u64> = sent.collect();
            (part.home == chain).then(|| SuperTransaction {
                slot: part.id.slot,
                index: part.id.index,
                home: chain,
                peers: peers.into_iter().collect(),
                transaction_hash: user.hash,
                block_number: block.number.to(),
                level: ConfirmationLevel::Preconfirmed,
            })
        });
        found.collect()
    }
}

impl Rollup {
    /// How sure a block is.
    fn level_of(&self, number: u64) -> ConfirmationLevel {
        let reaches = |newest: Option<u64>| newest.is_some_and(|newest| number <= newest);
        if reaches(self.finalized) {
            ConfirmationLevel::Final
        } else if reaches(self.settled) {
            ConfirmationLevel::Settled
        } else if reaches(self.safe) {
            ConfirmationLevel::Safe
        } else if reaches(self.posted) {
            ConfirmationLevel::Posted
        } else {
            ConfirmationLevel::Preconfirmed
        }
    }
}

impl Transaction {
    /// Type 0x7e: the attributes of L1, what was deposited there, and parts.
    fn is_deposit(&self) -> bool {
        self.kind == U64::from(0x7e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_were_taken_back_are_noticed() {
        let hash = B256::repeat_byte;
        let last = Seen { number: 7, hash: hash(7), timestamp: 0, gas_used: 0, transactions: 0 };
        for (last, first, expected) in [
            (None, Some((7, hash(7))), Continuation::Begins),
            (Some(&last), Some((7, hash(7))), Continuation::Same),
            (Some(&last), Some((9, hash(9))), Continuation::Skips),
            (Some(&last), Some((7, hash(8))), Continuation::Replaces),
            // The chain is shorter by now.
            (Some(&last), None, Continuation::Replaces),
        ] {
            assert_eq!(Continuation::of(last, first), expected, "{last:?} {first:?}");
        }
    }

    #[test]
    fn the_newest_super_transactions_are_kept_whichever_rollup_was_read_last() {
        let found = |home, slot| SuperTransaction {
            slot,
            index: 0,
            home,
            peers: Vec::new(),
            transaction_hash: B256::ZERO,
            block_number: slot,
            level: ConfirmationLevel::Preconfirmed,
        };
        let alpha = [98, 100].map(|slot| found(901, slot));
        let beta = (0..MAX_SUPER as u64).map(|slot| found(902, slot)).chain([found(902, 99)]);
        let mut all: VecDeque<_> = alpha.into_iter().chain(beta).collect();
        keep_newest(&mut all);
        assert_eq!(all.len(), MAX_SUPER);
        let newest: Vec<_> = all.iter().rev().take(3).map(|it| (it.home, it.slot)).collect();
        assert_eq!(newest, [(901, 100), (902, 99), (901, 98)]);
    }

    #[test]
    fn a_block_is_as_sure_as_the_heads_say() {
        let rollup = Rollup {
            name: String::new(),
            chain_id: 901,
            preconfirmed: 9,
            posted: Some(7),
            safe: Some(5),
            settled: None,
            finalized: Some(3),
            gas_per_second: 0.0,
            transactions_per_second: 0.0,
        };
        let levels = [3, 4, 6, 8].map(|number| rollup.level_of(number).name());
        assert_eq!(levels, ["final", "safe", "posted", "preconfirmed"]);
    }
}

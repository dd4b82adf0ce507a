//! Count what the transactions of blocks are, and how they depend on each other.
//!
//! Real blocks are counted so that made-up ones ([`crate::gigagas`]) can be like them.

use alloy_consensus::{BlockHeader, Transaction, TxReceipt};
use alloy_primitives::{Address, B256, Log, U256, b256, map::HashMap};
use lockstep_chain::{Block, Ethereum};
use lockstep_execution::{
    BlockExecutor, BlockOutput, BlockParts, ExecutionError, MemoryState, StateChanges,
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

/// `keccak256("Transfer(address,address,uint256)")`, of ERC-20 and, with one more topic, ERC-721.
pub const TRANSFER_EVENT: B256 =
    b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// `transfer(address,uint256)` and `transferFrom(address,address,uint256)`.
const TRANSFER_SELECTORS: [[u8; 4]; 2] = [[0xa9, 0x05, 0x9c, 0xbb], [0x23, 0xb8, 0x72, 0xdd]];

/// Events by which exchanges say that one thing was exchanged for another.
const SWAP_EVENTS: [B256; 7] = [
    // Uniswap v2: Swap(address,uint256,uint256,uint256,uint256,address)
    b256!("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"),
    // Uniswap v3: Swap(address,address,int256,int256,uint160,uint128,int24)
    b256!("c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"),
    // Uniswap v1: TokenPurchase(address,uint256,uint256), EthPurchase(address,uint256,uint256)
    b256!("cd60aa75dea3072fbc07ae6d7d856b5dc5f4eee88854f5b4abf7b680ef8bc50f"),
    b256!("7f4091b46c33e918a0f3aa42307641d17bb67029427a5369e54b353984238705"),
    // Curve: TokenExchange(address,int128,uint256,int128,uint256)
    b256!("8b3e96f2b889fa771c53c981b40daf005f63f637f1869f707052d15a3dd97140"),
    // Balancer v2: Swap(bytes32,address,address,uint256,uint256)
    b256!("2170c741c41531aec20e7c107c24eecfdd15e69c9bb0a8dd37b1840b9e0b207b"),
    // EtherDelta: Trade(address,uint256,address,uint256,address,address)
    b256!("6effdda786735d5033bfad5f53e5131abcced9e52be6c507b62d639685fbed6d"),
];

/// What a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Ether for an account without code.
    Transfer,
    /// A call of `transfer` or `transferFrom` that logs one ERC-20 `Transfer` and nothing else.
    TokenTransfer,
    /// A call in which an exchange of Uniswap's, Curve's, Balancer's or EtherDelta's logs that it exchanged.
    Swap,
    /// The creation of a contract.
    Creation,
    /// Any other call.
    Call,
}

/// A number of transactions and their gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Transactions.
    pub transactions: u64,
    /// Gas that they used.
    pub gas: u64,
}

/// Transactions, and how many of them relate to others.
///
/// One transaction depends on another if it reads or writes an account's nonce, balance or code, or a
/// storage slot, that the other changed before it in the same block. The account of the block's
/// beneficiary is left out, since every transaction pays it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// All of them.
    pub all: Count,
    /// Those that failed.
    pub failed: Count,
    /// Those whose sender sent another one before in the block.
    pub same_sender: Count,
    /// Those for an account that another one before in the block was for, too.
    pub same_recipient: Count,
    /// Those that read or write a storage slot that another one changed.
    pub same_slot: Count,
    /// Those that depend on another one, by an account or a slot.
    pub dependent: Count,
}

/// What the transactions of some blocks are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Blocks with transactions.
    pub blocks: u64,
    /// All transactions.
    pub total: Group,
    /// By what they are.
    pub by_kind: BTreeMap<Kind, Group>,
    /// Gas of the longest chain of dependent transactions of each block, added up.
    pub longest_chain_gas: u64,
}

/// How a transaction relates to those before it.
#[derive(Clone, Copy, Debug, Default)]
struct Relations {
    failed: bool,
    same_sender: bool,
    same_recipient: bool,
    same_slot: bool,
    dependent: bool,
}

/// What the transactions of a block did so far, for those that come after.
#[derive(Default)]
struct Past {
    senders: BTreeSet<Address>,
    recipients: BTreeSet<Address>,
    /// By place, the gas of the longest chain that ends with whoever changed it last.
    accounts: HashMap<Address, u64>,
    slots: HashMap<(Address, U256), u64>,
}

impl Count {
    fn add(&mut self, is_counted: bool, gas: u64) {
        if is_counted {
            self.transactions += 1;
            self.gas += gas;
        }
    }
}

impl Group {
    fn add(&mut self, relations: Relations, gas: u64) {
        self.all.add(true, gas);
        self.failed.add(relations.failed, gas);
        self.same_sender.add(relations.same_sender, gas);
        self.same_recipient.add(relations.same_recipient, gas);
        self.same_slot.add(relations.same_slot, gas);
        self.dependent.add(relations.dependent, gas);
    }
}

impl Census {
    /// Counts a block's transactions by executing them on the state before it.
    ///
    /// Blocks of forks up to Cancun: later ones read accounts after their transactions, which would count
    /// as reads of each.
    ///
    /// # Errors
    /// If the block cannot be executed.
    pub fn add(
        &mut self,
        chain: &Ethereum,
        block: &Block<Ethereum>,
        senders: &[Address],
        mut state: MemoryState,
    ) -> Result<(), ExecutionError<Infallible>> {
        let mut before = BlockExecutor::new(chain, &block.header, &state);
        before.begin()?;
        let changes = before.changes();
        drop(before);
        state.apply(&changes);
        let mut past = Past::default();
        let mut longest_chain = 0;
        for (transaction, sender) in block.body.transactions.iter().zip(senders) {
            let has_code = transaction.to().and_then(|to| state.get(&to)).is_some_and(has_code);
            let mut executor = BlockExecutor::new(chain, &block.header, &state);
            executor.transact(transaction, *sender)?;
            let changes = executor.changes();
            let parts = BlockParts { ommers: &[], withdrawals: &[] };
            let output = executor.finish(parts, true)?;
            let (mut relations, needed) = past.relations(block.header.beneficiary(), &output);
            relations.failed = !output.receipts.iter().all(TxReceipt::status);
            relations.same_sender = !past.senders.insert(*sender);
            relations.same_recipient =
                transaction.to().is_some_and(|to| !past.recipients.insert(to));
            let logs = output.receipts.first().map_or(&[][..], |receipt| receipt.logs());
            let kind = kind(transaction, has_code, logs);
            self.total.add(relations, output.gas_used);
            self.by_kind.entry(kind).or_default().add(relations, output.gas_used);
            let chain_gas = needed + output.gas_used;
            longest_chain = longest_chain.max(chain_gas);
            past.add(&changes, chain_gas);
            state.apply(&changes);
        }
        self.blocks += u64::from(!senders.is_empty());
        self.longest_chain_gas += longest_chain;
        Ok(())
    }

    /// How many times as fast a block could be with any number of threads, if time were gas: all gas over
    /// that of the longest chains.
    pub fn parallelism(&self) -> f64 {
        self.total.all.gas as f64 / self.longest_chain_gas.max(1) as f64
    }
}

impl Past {
    /// How a transaction relates to what was before it, by what it accessed; and the gas of the longest
    /// chain of transactions that it needs.
    fn relations<R>(&self, beneficiary: Address, output: &BlockOutput<R>) -> (Relations, u64) {
        let accessed = output.accessed.iter().flat_map(|accessed| &accessed.accounts.0);
        let (mut by_account, mut by_slot) = (None, None);
        for item in accessed {
            if item.address != beneficiary {
                by_account = by_account.max(self.accounts.get(&item.address));
            }
            for slot in &item.storage_keys {
                by_slot = by_slot.max(self.slots.get(&(item.address, (*slot).into())));
            }
        }
        let needed = by_account.max(by_slot);
        let (same_slot, dependent) = (by_slot.is_some(), needed.is_some());
        (Relations { same_slot, dependent, ..Default::default() }, needed.copied().unwrap_or(0))
    }

    fn add(&mut self, changes: &StateChanges, chain_gas: u64) {
        for account in changes.accounts() {
            if account.before() != account.after() {
                self.accounts.insert(account.address(), chain_gas);
            }
            for slot in changes.slots(account) {
                self.slots.insert((account.address(), slot.slot), chain_gas);
            }
        }
    }
}

fn has_code(account: &lockstep_execution::MemoryAccount) -> bool {
    !account.info.is_empty_code_hash()
}

fn kind(transaction: &impl Transaction, has_code: bool, logs: &[Log]) -> Kind {
    let is_swap = |log: &Log| log.topics().first().is_some_and(|it| SWAP_EVENTS.contains(it));
    let is_transfer_call =
        || transaction.input().first_chunk().is_some_and(|it| TRANSFER_SELECTORS.contains(it));
    match transaction.to() {
        None => Kind::Creation,
        Some(_) if !has_code => Kind::Transfer,
        Some(_) if logs.iter().any(is_swap) => Kind::Swap,
        Some(_) if is_transfer_call() && is_one_transfer(logs) => Kind::TokenTransfer,
        Some(_) => Kind::Call,
    }
}

fn is_one_transfer(logs: &[Log]) -> bool {
    let [log] = logs else { return false };
    log.topics().len() == 3 && log.topics().first() == Some(&TRANSFER_EVENT)
}

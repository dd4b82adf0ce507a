//! Transactions that several threads work on: who executes what ahead of its turn.

use crate::{
    hints::{Order, Wait},
    hot::HotContracts,
    memory::{Memory, Turn, View},
    place::{LeftToItsTurn, Place},
};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, U256, map::AddressMap};
use crossbeam_utils::CachePadded;
use lockstep_execution::{
    BlockExecutor, HaltReasonOf, Speculate, Speculation, Speculator, StateChanges, StateReader,
    Transfer, TransferRules,
};
use parking_lot::Mutex;
use revm::state::Account;
use std::{
    fmt,
    hint::black_box,
    iter, mem,
    ops::Range,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

/// What a worker takes at once, in gas and in transactions: neighbours are often related.
const CHUNK_GAS: u64 = 2_000_000;
const MAX_CHUNK: usize = 10;

/// So much gas, by the limits of transactions, is executed ahead at the most: outcomes take memory, and on the wrong state
/// they may be larger than the block's gas pays for.
pub(crate) const MAX_GAS_AHEAD: u64 = 400_000_000;

/// So many transactions a worker puts aside that wait for others, before it takes no more.
const MAX_ASIDE: usize = 64;

/// The outcome of a transaction of chain `C`.
pub(crate) type Outcome<C> = Box<Speculation<HaltReasonOf<C>>>;

/// A transaction of a batch.
pub(crate) struct Item<'w, C: Speculate> {
    pub(crate) transaction: &'w C::Transaction,
    pub(crate) sender: Address,
    /// `None` if nobody executes ahead.
    pub(crate) place: Option<&'w Place<HaltReasonOf<C>>>,
    pub(crate) turn: Turn,
}

/// What a worker takes at once.
#[derive(Clone, Debug)]
struct Chunk {
    range: Range<usize>,
    /// The gas limits of all transactions before.
    gas_before: u64,
}

/// What there is to be executed ahead.
pub(crate) enum Next {
    /// These transactions, and their chunk's number.
    Chunk(usize, Range<usize>),
    /// Nothing before the block has got further.
    Later,
    /// Nothing any more.
    Nothing,
}

/// Transactions of one block that follow each other, with what they are executed on.
pub struct Batch<'w, C: Speculate> {
    /// The chain.
    pub chain: &'w C,
    /// The block's header, as far as transactions can tell.
    pub header: &'w C::Header,
    /// The transactions.
    pub transactions: &'w [C::Transaction],
    /// Their senders, one for each.
    pub senders: &'w [Address],
    /// So many of them come into the block before any other is executed.
    pub first: usize,
}

impl<C: Speculate> fmt::Debug for Batch<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("transactions", &self.transactions.len())
            .field("first", &self.first)
            .finish_non_exhaustive()
    }
}

/// What is known when the first transactions are in the block.
struct Begun<C: Speculate> {
    remembered: C::Remembered,
    transfers: Option<TransferRules>,
}

/// A batch that several threads work on, or one.
pub(crate) struct Work<'w, 'a, C: Speculate, S> {
    batch: Batch<'w, C>,
    /// What those know who execute ahead; `None` if nobody does.
    memory: Option<&'w Memory<'a, S>>,
    /// The turn before that of the batch's first transaction.
    turns_before: Turn,
    begun: OnceLock<Begun<C>>,
    /// The most gas that is executed ahead.
    max_gas_ahead: u64,
    /// Whether what the memory has of the parent is so.
    trusts_parents: bool,
    /// Which transactions are said to need others.
    order: Option<Order<'w>>,
    /// The transaction whose turn it is.
    reached: CachePadded<AtomicUsize>,
    chunks: Vec<Chunk>,
    places: Vec<Place<HaltReasonOf<C>>>,
    is_over: AtomicBool,
    pub(crate) hot: &'w HotContracts,
    next_chunk: CachePadded<AtomicUsize>,
    /// Chunks whose turn has come.
    begun_chunks: CachePadded<AtomicUsize>,
    /// Outcomes that were used, whose memory can be used again.
    spare: CachePadded<Mutex<Vec<Outcome<C>>>>,
}

/// What executes transactions ahead.
pub(crate) struct Worker<'w, 'a, C: Speculate, S: StateReader> {
    speculator: Speculator<'w, C, View<'w, 'a, S>>,
    spare: Vec<Outcome<C>>,
    /// What waits for others.
    aside: Vec<usize>,
}

/// Whether a transaction can be executed ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// Once others have been.
    Later,
    /// Only at its turn.
    AtItsTurn,
}

impl<C: Speculate, S> Work<'_, '_, C, S> {
    /// Nothing is to be executed ahead any more.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl<'w, 'a, C: Speculate, S: StateReader + Sync> Work<'w, 'a, C, S> {
    pub(crate) fn new(
        batch: Batch<'w, C>,
        memory: Option<&'w Memory<'a, S>>,
        turns_before: Turn,
        hot: &'w HotContracts,
    ) -> Self {
        let Batch { transactions, first, .. } = batch;
        let count = transactions.len();
        let (chunks, places) = if memory.is_some() {
            let places = iter::repeat_with(Place::default).take(count).collect();
            (chunks::<C>(transactions, first), places)
        } else {
            (vec![Chunk { range: first..count, gas_before: 0 }], Vec::new())
        };
        Self {
            memory,
            turns_before,
            begun: OnceLock::new(),
            max_gas_ahead: MAX_GAS_AHEAD,
            trusts_parents: true,
            order: None,
            reached: CachePadded::new(AtomicUsize::new(first)),
            chunks,
            places,
            is_over: AtomicBool::new(memory.is_none()),
            hot,
            next_chunk: CachePadded::default(),
            begun_chunks: CachePadded::default(),
            spare: CachePadded::default(),
            batch,
        }
    }

    /// Executes no more gas ahead.
    pub(crate) const fn with_limit(mut self, gas: u64) -> Self {
        self.max_gas_ahead = gas;
        self
    }

    /// Whether the memory's reader says what the state before the block is.
    pub(crate) const fn trusting(mut self, trusts_parents: bool) -> Self {
        self.trusts_parents = trusts_parents;
        self
    }

    /// Executes ahead in an order that somebody said.
    pub(crate) fn in_order(mut self, order: Option<Order<'w>>) -> Self {
        self.order = order;
        self
    }

    /// Others may begin: what the EVM remembers of the first transactions is known.
    pub(crate) fn begin(&self, remembered: C::Remembered) {
        let Batch { chain, header, .. } = self.batch;
        let transfers = chain.transfer_rules(header, &remembered);
        // It may have been known before.
        let _ = self.begun.set(Begun { remembered, transfers });
    }

    /// Whether others may begin.
    pub(crate) fn is_ready(&self) -> bool {
        self.begun.get().is_some()
    }

    /// So many transactions come into the block before any other is executed.
    pub(crate) const fn first(&self) -> usize {
        self.batch.first
    }

    /// How many chunks there are.
    pub(crate) const fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The transactions of a chunk, whose turn has come; `None` after the last.
    pub(crate) fn begin_chunk(&self, at: usize) -> Option<Range<usize>> {
        let chunk = self.chunks.get(at)?.range.clone();
        self.begun_chunks.store(at + 1, Ordering::Relaxed);
        self.touch(chunk.clone());
        Some(chunk)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub(crate) fn item(&self, index: usize) -> Option<Item<'_, C>> {
        Some(Item {
            transaction: self.batch.transactions.get(index)?,
            sender: *self.batch.senders.get(index)?,
            place: self.places.get(index),
            turn: Turn::try_from(index).ok()?.checked_add(1)?.checked_add(self.turns_before)?,
        })
    }

    /// Makes the memory of outcomes available again.
    pub(crate) fn give_back(&self, used: &mut Vec<Outcome<C>>) {
        self.spare.lock().append(used);
    }

    pub(crate) fn worker(&self) -> Option<Worker<'w, 'a, C, S>> {
        let Batch { chain, header, .. } = self.batch;
        let view = View::new(self.memory?, self.trusts_parents);
        let mut speculator = Speculator::new(chain, header, view)?;
        speculator.remember(&self.begun.get()?.remembered);
        Some(Worker { speculator, spare: Vec::new(), aside: Vec::new() })
    }

    /// Executes transactions before their turns until there are no more.
    pub(crate) fn help(&self) {
        let Some(mut worker) = self.worker() else { return };
        let mut skipped = 0;
        loop {
            self.resume(&mut worker);
            let has_room = worker.aside.len() < MAX_ASIDE;
            let (at, chunk) = match if has_room { self.take_chunk(skipped) } else { Next::Later } {
                Next::Chunk(at, chunk) => (at, chunk),
                Next::Nothing if worker.aside.is_empty() => return,
                Next::Later | Next::Nothing => {
                    skipped = 0;
                    thread::yield_now();
                    continue;
                }
            };
            skipped = 0;
            for index in chunk {
                // The rest is faster executed in order than taken over, and so is the next one: else the other thread
                // would wait at the beginning of each.
                if self.begun_chunks.load(Ordering::Relaxed) > at {
                    skipped = 1;
                    break;
                }
                match self.readiness(index) {
                    Readiness::Ready => {
                        self.speculate(&mut worker, index);
                        self.resume(&mut worker);
                    }
                    Readiness::Later => worker.aside.push(index),
                    Readiness::AtItsTurn => {}
                }
            }
        }
    }

    /// Executes what was put aside and waits for nothing any more, and forgets whose turn has come.
    fn resume(&self, worker: &mut Worker<'w, 'a, C, S>) {
        let mut aside = mem::take(&mut worker.aside);
        aside.retain(|index| {
            if self.is_over() || *index <= self.reached.load(Ordering::Relaxed) {
                return false;
            }
            let readiness = self.readiness(*index);
            if readiness == Readiness::Ready {
                self.speculate(worker, *index);
            }
            readiness == Readiness::Later
        });
        worker.aside = aside;
    }

    /// Whether a transaction can be executed ahead, and nobody has done so or does.
    pub(crate) fn is_free(&self, index: usize) -> bool {
        !self.is_over()
            && self.places.get(index).is_some_and(Place::is_free)
            && self.readiness(index) == Readiness::Ready
    }

    /// The turn of a transaction has come: those before it are in the block, or left out.
    pub(crate) fn reach(&self, index: usize) {
        if self.order.is_some() {
            self.reached.store(index, Ordering::Release);
        }
    }

    /// Whether what a transaction is said to need is there. Nobody needs itself or what comes later.
    pub(crate) fn readiness(&self, index: usize) -> Readiness {
        let Some(order) = &self.order else { return Readiness::Ready };
        let Wait::For(needed) = order.wait(index) else { return Readiness::AtItsTurn };
        let is_there = |needed: &u32| {
            let needed = *needed as usize;
            needed >= index
                || needed < self.reached.load(Ordering::Acquire)
                || self.places.get(needed).is_none_or(Place::is_done)
        };
        if needed.iter().all(is_there) { Readiness::Ready } else { Readiness::Later }
    }

    /// The next chunk that nobody has taken, after the current one and so many more.
    pub(crate) fn take_chunk(&self, skipped: usize) -> Next {
        let mut next = self.next_chunk.load(Ordering::Relaxed);
        loop {
            let begun = self.begun_chunks.load(Ordering::Relaxed);
            let taken = next.max(begun + skipped);
            let Some(chunk) = self.chunks.get(taken).filter(|_| !self.is_over()) else {
                return Next::Nothing;
            };
            let gas_begun = self.chunks.get(begun.saturating_sub(1)).map_or(0, |it| it.gas_before);
            if chunk.gas_before.saturating_sub(gas_begun) > self.max_gas_ahead {
                return Next::Later;
            }
            let order = Ordering::Relaxed;
            match self.next_chunk.compare_exchange_weak(next, taken + 1, order, order) {
                Ok(_) => return Next::Chunk(taken, chunk.range.clone()),
                Err(now) => next = now,
            }
        }
    }

    /// Executes a transaction ahead, unless somebody else has it.
    pub(crate) fn speculate(&self, worker: &mut Worker<'w, 'a, C, S>, index: usize) {
        let Some(Item { transaction, sender, place: Some(place), turn }) = self.item(index) else {
            return;
        };
        if self.is_over() || !place.take() {
            return;
        }
        let _left = LeftToItsTurn(place);
        let is_hot = transaction.to().is_some_and(|contract| self.hot.contains(&contract));
        if is_hot || !self.may_speculate(index) {
            return;
        }
        if worker.spare.is_empty() {
            worker.spare = mem::take(&mut *self.spare.lock());
        }
        let mut outcome = worker.spare.pop().unwrap_or_default();
        let transfer =
            self.transfer(index).filter(|transfer| self.is_plain(transfer, &sender, turn));
        let is_done = if let Some(transfer) = transfer {
            outcome.set_transfer(transfer);
            true
        } else {
            worker.speculator.view_mut().turn = turn;
            worker.speculator.transact(transaction, sender, &mut outcome, |state| {
                self.tell(turn, &sender, state);
            })
        };
        if is_done {
            place.put(outcome);
        } else {
            worker.spare.push(outcome);
        }
    }

    /// Tells those who execute ahead, if there are any, what a transaction changed.
    pub(crate) fn tell(&self, turn: Turn, sender: &Address, state: &AddressMap<Account>) {
        if let Some(memory) = self.memory.filter(|_| !self.is_over()) {
            memory.tell(turn, sender, state);
        }
    }

    /// Tells those who execute ahead, if there are any, what came before the batch.
    pub(crate) fn tell_changes(&self, changes: impl FnOnce() -> StateChanges) {
        if let Some(memory) = self.memory {
            memory.tell_changes(self.turns_before, &changes());
        }
    }

    /// Takes back what was told of a transaction that came to something else, or is not in the block.
    pub(crate) fn retract(&self, turn: Turn, outcome: &Speculation<HaltReasonOf<C>>) {
        if let Some(memory) = self.memory {
            memory.retract(turn, outcome);
        }
    }

    fn may_speculate(&self, index: usize) -> bool {
        self.batch.chain.may_speculate(self.batch.transactions, index)
    }

    /// Puts right what a transaction was shown whose turn has come.
    pub(crate) fn correct<R: StateReader>(
        &self,
        turn: Turn,
        outcome: &Speculation<HaltReasonOf<C>>,
        executor: &BlockExecutor<'_, C, R>,
    ) {
        if let Some(memory) = self.memory {
            let account = |address: &Address| executor.known_account(address);
            let slot = |address: &Address, slot: &U256| executor.known_slot(address, slot);
            memory.correct(turn, outcome, account, slot);
        }
    }

    /// The transaction as one that does nothing but pay, as far as it can be told without the state; unless others
    /// wait to be told what it changes.
    pub(crate) fn transfer(&self, index: usize) -> Option<Transfer> {
        let Item { transaction, sender, .. } = self.item(index)?;
        if self.order.as_ref().is_some_and(|order| order.is_needed(index)) {
            return None;
        }
        let rules = self.begun.get()?.transfers.as_ref().filter(|_| self.may_speculate(index))?;
        rules.transfer(transaction, sender)
    }

    /// Whether a transfer seems to pay an account without code. Reads what the transfer will need.
    fn is_plain(&self, transfer: &Transfer, sender: &Address, turn: Turn) -> bool {
        let has_no_code = |address| self.memory.is_some_and(|it| it.has_no_code(address, turn));
        has_no_code(sender) && has_no_code(&transfer.to())
    }

    /// Fetches what is there of these transactions, all at the same time.
    fn touch(&self, range: Range<usize>) {
        let places = self.places.get(range).unwrap_or_default();
        black_box(places.iter().fold(0, |sum, place| sum ^ place.touch()));
    }
}

/// The ranges that workers take.
fn chunks<C: Speculate>(transactions: &[C::Transaction], first: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut begin, mut gas, mut gas_before) = (first, 0_u64, 0_u64);
    for (index, transaction) in transactions.iter().enumerate().skip(first) {
        gas = gas.saturating_add(transaction.gas_limit());
        if gas >= CHUNK_GAS || index + 1 - begin >= MAX_CHUNK || index + 1 == transactions.len() {
            chunks.push(Chunk { range: begin..index + 1, gas_before });
            gas_before = gas_before.saturating_add(gas);
            (begin, gas) = (index + 1, 0);
        }
    }
    chunks
}

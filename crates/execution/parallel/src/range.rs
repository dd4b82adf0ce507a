//! Blocks that follow each other, in one run.

use crate::{
    Ahead, ParallelExecutor, Statistics,
    caution::Caution,
    hints::{Entries, Order},
    hot::HotContracts,
    memory::{Memory, Turn},
    overlay::Overlay,
    work::{Batch, MAX_GAS_AHEAD, Work},
};
use alloy_consensus::BlockHeader as _;
use alloy_primitives::{Address, B256, Sealable as _};
use lockstep_chain::{Block, Chain};
use lockstep_execution::{
    BlockExecutor, BlockOutput, BlockParts, ExecutionError, Hints, Speculate, StateReader,
};
use std::{
    fmt,
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// So many blocks after the one whose turn it is are executed ahead, each with its share of the gas.
const MAX_BLOCKS_AHEAD: usize = 3;

/// The most blocks of which something is kept at the same time; longer ranges are cut.
const MAX_BLOCKS: usize = 64;

/// A block with the senders of its transactions.
pub struct RangeBlock<'t, C: Chain> {
    /// The block.
    pub block: &'t Block<C>,
    /// Who sent its transactions, one for each.
    pub senders: &'t [Address],
}

impl<C: Chain> Clone for RangeBlock<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: Chain> Copy for RangeBlock<'_, C> {}

impl<C: Chain> fmt::Debug for RangeBlock<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeBlock").field("header", &self.block.header).finish_non_exhaustive()
    }
}

/// What a block of a range comes to.
pub type RangeOutput<C, S> =
    Result<BlockOutput<<C as Chain>::Receipt>, ExecutionError<<S as StateReader>::Error>>;

/// Is given what the blocks of a range come to, with their places, and says whether to go on.
pub type EachOutput<'e, C, S> = &'e mut dyn FnMut(usize, RangeOutput<C, S>) -> ControlFlow<()>;

impl ParallelExecutor {
    /// Executes blocks that follow each other over the state before the first, as [`Self::execute_block`] would one
    /// after the other, and gives `each` what they come to. While that is busy, and where a block ends, the next
    /// blocks are executed ahead.
    ///
    /// It ends after the last block, the first one that cannot be executed, or when `each` says so. Receipts lack
    /// intermediate state roots (before Byzantium).
    pub fn execute_range<C, S>(
        &self,
        chain: &C,
        blocks: &[RangeBlock<'_, C>],
        state: &S,
        record_access: bool,
        each: EachOutput<'_, C, S>,
    ) where
        C: Speculate,
        S: StateReader + Sync,
    {
        // What those who execute ahead take for the parent's state.
        let mut before = Overlay::new(state);
        for (at, blocks) in (0..).step_by(MAX_BLOCKS).zip(blocks.chunks(MAX_BLOCKS)) {
            let range = Range::new(chain, blocks, record_access);
            let mut each = |index, output| each(at + index, output);
            let mut overlay = Overlay::new(&before);
            if self.run(&range, &before, &mut overlay, &mut each).is_break() {
                return;
            }
            let changed = overlay.into_changed();
            before.extend(changed);
        }
    }

    pub(crate) fn run<C, S>(
        &self,
        range: &Range<'_, C>,
        state: &S,
        overlay: &mut Overlay<'_, S>,
        each: EachOutput<'_, C, S>,
    ) -> ControlFlow<()>
    where
        C: Speculate,
        S: StateReader + Sync,
    {
        let hot = HotContracts::default();
        let Some(pool) = self.pool().filter(|_| self.is_worth_waking(range)) else {
            return self.lead(range, None, &range.works(None, &hot), overlay, each);
        };
        let entries = range.entries();
        let tables = self.take_tables(range.transactions().max(entries.room()));
        let fee_recipients = range.fee_recipients();
        let memory = Memory::new(state, &tables, &fee_recipients, &range.hashes)
            .with_hints(!matches!(range.hints, Hints::None));
        let works = range.works(Some(&memory), &hot);
        let chunks = works.iter().map(Work::chunks).fold(0, usize::saturating_add);
        let others = (self.threads() - 1).min(chunks);
        let current = AtomicUsize::new(0);
        let done = pool.in_place_scope(|scope| {
            for _ in 0..others {
                scope.spawn(|_| {
                    entries.enter(&memory, || works.iter().all(Work::is_over));
                    follow(&works, &current);
                });
            }
            self.lead(range, Some(&current), &works, overlay, each)
        });
        drop(works);
        self.put_back(pool, tables);
        done
    }

    /// Executes the blocks in order, with what others have executed ahead.
    fn lead<C, S>(
        &self,
        range: &Range<'_, C>,
        current: Option<&AtomicUsize>,
        works: &[Work<'_, '_, C, S>],
        overlay: &mut Overlay<'_, S>,
        each: EachOutput<'_, C, S>,
    ) -> ControlFlow<()>
    where
        C: Speculate,
        S: StateReader + Sync,
    {
        let _ends = EndsAll(works);
        for (index, (block, work)) in range.blocks.iter().zip(works).enumerate() {
            if let Some(current) = current {
                current.store(index, Ordering::Relaxed);
            }
            let mut statistics = Statistics::default();
            let output = range.execute(*block, work, overlay, &mut statistics);
            self.note(&statistics);
            let is_last = output.is_err();
            if let (Ok(output), Some((number, hash))) = (&output, range.hashes.get(index)) {
                overlay.add(*number, *hash, &output.changes);
            }
            each(index, output)?;
            if is_last {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

/// Executes transactions of one block after the other ahead.
fn follow<C: Speculate, S: StateReader + Sync>(
    works: &[Work<'_, '_, C, S>],
    current: &AtomicUsize,
) {
    for (index, work) in works.iter().enumerate() {
        let is_too_far = || index > current.load(Ordering::Relaxed) + MAX_BLOCKS_AHEAD;
        while !work.is_over() && (!work.is_ready() || is_too_far()) {
            thread::yield_now();
        }
        work.help();
    }
}

/// Ends all work when it is dropped, also if a thread panics: others would wait for ever.
struct EndsAll<'e, 'w, 'a, C: Speculate, S>(&'e [Work<'w, 'a, C, S>]);

impl<C: Speculate, S> Drop for EndsAll<'_, '_, '_, C, S> {
    fn drop(&mut self) {
        self.0.iter().for_each(Work::end);
    }
}

/// Blocks that follow each other.
pub(crate) struct Range<'r, C: Speculate> {
    chain: &'r C,
    blocks: &'r [RangeBlock<'r, C>],
    /// Of all blocks, if there are several.
    hashes: Vec<(u64, B256)>,
    record_access: bool,
    record_hints: bool,
    /// Of the only block.
    hints: Hints<'r>,
}

impl<'r, C: Speculate> Range<'r, C> {
    pub(crate) fn new(chain: &'r C, blocks: &'r [RangeBlock<'r, C>], record_access: bool) -> Self {
        let hash = |it: &RangeBlock<'_, C>| (it.block.header.number(), it.block.header.hash_slow());
        let hashes = if blocks.len() > 1 { blocks.iter().map(hash).collect() } else { Vec::new() };
        Self { chain, blocks, hashes, record_access, record_hints: false, hints: Hints::None }
    }

    /// For one block alone: whether to record hints, and what is known of it.
    pub(crate) const fn with_hints(mut self, record: bool, hints: Hints<'r>) -> Self {
        self.record_hints = record;
        self.hints = hints;
        self
    }

    /// What an access list says of the block.
    fn entries(&self) -> Entries<'r> {
        let (Hints::AccessList(list), [block]) = (self.hints, self.blocks) else {
            return Entries::default();
        };
        let transactions = &block.block.body.transactions;
        // What is in the block before others begin is known.
        let first = self.chain.ordered_prefix(transactions) + 1;
        Entries::new(list, block.block.header.gas_limit(), first..=transactions.len())
    }

    /// The transactions of each block.
    pub(crate) fn batches(&self) -> impl Iterator<Item = Batch<'r, C>> {
        let Self { chain, blocks, .. } = *self;
        blocks.iter().map(|RangeBlock { block, senders }| {
            let (header, transactions) = (&block.header, &*block.body.transactions);
            let first = chain.ordered_prefix(transactions).min(transactions.len());
            Batch { chain, header, transactions, senders, first }
        })
    }

    fn transactions(&self) -> usize {
        self.blocks.iter().map(|it| it.senders.len()).fold(0, usize::saturating_add)
    }

    fn order(&self) -> Option<Order<'r>> {
        match (self.hints, self.blocks) {
            (Hints::Dependencies(dependencies), [block]) => {
                Some(Order::new(dependencies, block.senders.len()))
            }
            _ => None,
        }
    }

    fn fee_recipients(&self) -> Vec<Address> {
        let recipients =
            self.blocks.iter().flat_map(|it| self.chain.fee_recipients(&it.block.header));
        let mut recipients: Vec<_> = recipients.collect();
        recipients.sort_unstable();
        recipients.dedup();
        recipients
    }

    fn works<'w, 'a, S: StateReader + Sync>(
        &self,
        memory: Option<&'w Memory<'a, S>>,
        hot: &'w HotContracts,
    ) -> Vec<Work<'w, 'a, C, S>>
    where
        'r: 'w,
    {
        let mut turns: Turn = 0;
        let gas_ahead = if self.blocks.len() > 1 {
            MAX_GAS_AHEAD / (MAX_BLOCKS_AHEAD as u64 + 1)
        } else {
            MAX_GAS_AHEAD
        };
        let mut work = |(index, batch): (usize, Batch<'r, C>)| {
            let turns_before = turns;
            let own = Turn::try_from(batch.transactions.len()).unwrap_or(Turn::MAX);
            turns = turns.saturating_add(own).saturating_add(1);
            let known = self.chain.remembered_before(batch.header);
            let work = Work::new(batch, memory, turns_before, hot)
                .with_limit(gas_ahead)
                // What the state's reader says is not what it is after the first block.
                .trusting(index == 0)
                .in_order(self.order());
            if let Some(known) = known {
                work.begin(known);
            }
            work
        };
        self.batches().enumerate().map(&mut work).collect()
    }

    /// Executes a block, with what others have executed ahead.
    fn execute<S: StateReader + Sync>(
        &self,
        RangeBlock { block, senders }: RangeBlock<'_, C>,
        work: &Work<'_, '_, C, S>,
        overlay: &Overlay<'_, S>,
        statistics: &mut Statistics,
    ) -> RangeOutput<C, S> {
        let transactions = &*block.body.transactions;
        if senders.len() != transactions.len() {
            let (senders, transactions) = (senders.len(), transactions.len());
            return Err(ExecutionError::SenderCount { senders, transactions });
        }
        let mut executor = BlockExecutor::new(self.chain, &block.header, overlay);
        if self.record_hints {
            executor = executor.recording_hints();
        }
        executor.reserve(transactions.len());
        executor.begin()?;
        for (transaction, sender) in transactions.iter().zip(senders).take(work.first()) {
            executor.transact(transaction, *sender)?;
        }
        work.tell_changes(|| executor.changes());
        work.begin(executor.remembered());
        let mut caution = Caution::default();
        let mut ahead = Ahead::new(work, &mut caution);
        while let Some(candidate) = ahead.next_turn() {
            if let Err(error) = candidate.transact(&mut executor) {
                *statistics = ahead.statistics();
                return Err(error);
            }
        }
        *statistics = ahead.statistics();
        drop(ahead);
        let parts = BlockParts {
            ommers: &block.body.ommers,
            withdrawals: block.body.withdrawals.as_deref().map_or(&[], |list| list.as_slice()),
        };
        executor.finish(parts, self.record_access)
    }
}

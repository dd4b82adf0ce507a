//! Execute each transaction before its turn, on what the state was before the block, and take over what is still right.
//!
//! The parallel executor has no time for that in blocks of one or two transactions, of which most tests consist.

use alloy_primitives::{Address, B256, U256};
use lockstep_chain::Block;
use lockstep_execution::{
    AccountInfo, BlockExecutor, BlockOutput, BlockParts, Bytecode, ExecutionError, Speculate,
    Speculation, SpeculativeView, Speculator, StateReader,
};

/// The state before the block.
struct Parent<'a, S>(&'a S);

impl<S: StateReader> StateReader for Parent<'_, S> {
    type Error = S::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, S::Error> {
        self.0.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, S::Error> {
        self.0.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, S::Error> {
        self.0.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, S::Error> {
        self.0.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, S::Error> {
        self.0.block_hash(number)
    }
}

impl<S: StateReader> SpeculativeView for Parent<'_, S> {
    fn was_parents(&self) -> bool {
        true
    }
}

/// Executes a block, with everything that was read.
///
/// # Errors
/// As [`lockstep_execution::execute_block`], and the same.
pub(super) fn execute_ahead<C: Speculate, S: StateReader>(
    chain: &C,
    block: &Block<C>,
    senders: &[Address],
    state: &S,
) -> Result<BlockOutput<C::Receipt>, ExecutionError<S::Error>> {
    let transactions = &block.body.transactions;
    let mut executor = BlockExecutor::new(chain, &block.header, state);
    executor.begin()?;
    let first = chain.ordered_prefix(transactions);
    let mut speculator = Speculator::new(chain, &block.header, Parent(state));
    let mut outcome = Speculation::default();
    for (index, (transaction, sender)) in transactions.iter().zip(senders).enumerate() {
        if let Some(speculator) = &mut speculator
            && index >= first
            && chain.may_speculate(transactions, index)
        {
            speculator.remember(&executor.remembered());
            if speculator.transact(transaction, *sender, &mut outcome, |_| ())
                && executor.adopt(transaction, *sender, &mut outcome)?.is_some()
            {
                continue;
            }
        }
        executor.transact(transaction, *sender)?;
    }
    let withdrawals = block.body.withdrawals.as_deref().map_or(&[][..], |list| list.as_slice());
    executor.finish(BlockParts { ommers: &block.body.ommers, withdrawals }, true)
}

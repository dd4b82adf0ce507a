//! The executors that blocks of tests run on.

mod ahead;

use crate::{difference::difference_of_results, mainnet::Mismatch};
use ahead::execute_ahead;
use alloy_primitives::Address;
use lockstep_chain::Block;
use lockstep_execution::{
    BlockOutput, ExecuteOptions, IntermediateRoots, Speculate, StateReader, execute_block,
};
use lockstep_parallel::ParallelExecutor;

/// Who executes the blocks of tests.
#[derive(Debug, Default)]
pub enum Executors {
    /// The serial executor, which is the specification.
    #[default]
    Serial,
    /// The one with several threads.
    Parallel(ParallelExecutor),
    /// Both. What the serial one says counts, and the other one must say the same; as must a thread that executes each
    /// transaction before its turn.
    Both(ParallelExecutor),
}

/// Why a block was not executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The block breaks a rule.
    #[error("{0}")]
    Refused(String),
    /// The executors made different things of it, so at least one of them is wrong, whatever is expected.
    #[error("the executors differ: {0}")]
    Disputed(Mismatch),
}

impl From<String> for BlockError {
    fn from(reason: String) -> Self {
        Self::Refused(reason)
    }
}

impl From<&str> for BlockError {
    fn from(reason: &str) -> Self {
        Self::Refused(reason.into())
    }
}

impl Executors {
    /// Executes a block over its parent's state; `roots` computes the state roots in receipts of old forks.
    ///
    /// Of both executors every bit is compared: receipts, changes in their order, requests, gas, what was read, or the
    /// text of the error. Where a receipt has a state root, which only serial execution knows, that is once more without.
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn execute<C: Speculate, S: StateReader + Sync>(
        &self,
        chain: &C,
        block: &Block<C>,
        senders: &[Address],
        state: &S,
        roots: IntermediateRoots<'_>,
    ) -> Result<BlockOutput<C::Receipt>, BlockError>
    where
        BlockOutput<C::Receipt>: PartialEq,
        C::Receipt: PartialEq + core::fmt::Debug,
    {
        if let Self::Both(parallel) = self {
            let serial = execute_block(chain, block, senders, state, recorded());
            let found = parallel.execute_block(chain, block, senders, state, recorded());
            let ahead = execute_ahead(chain, block, senders, state);
            for found in [found, ahead] {
                if let Some(mismatch) = difference_of_results(&serial, &found) {
                    return Err(BlockError::Disputed(mismatch));
                }
            }
            if !chain.has_intermediate_roots(&block.header) {
                return serial.map_err(|error| error.to_string().into());
            }
        }
        let options = ExecuteOptions { intermediate_roots: Some(roots), ..Default::default() };
        let executed = match self {
            Self::Serial | Self::Both(_) => execute_block(chain, block, senders, state, options),
            Self::Parallel(parallel) => {
                parallel.execute_block(chain, block, senders, state, options)
            }
        };
        executed.map_err(|error| error.to_string().into())
    }
}

fn recorded<'a>() -> ExecuteOptions<'a> {
    ExecuteOptions { record_access: true, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{BlockBody, Header};
    use alloy_primitives::{B256, U256};
    use core::convert::Infallible;
    use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
    use lockstep_execution::{AccountInfo, Bytecode};
    use std::sync::atomic::{AtomicU64, Ordering};

    const BENEFICIARY: Address = Address::repeat_byte(1);

    /// The beneficiary has one wei more each time somebody asks; `STEP` wei.
    #[derive(Default)]
    struct Changing<const STEP: u64>(AtomicU64);

    impl<const STEP: u64> StateReader for Changing<STEP> {
        type Error = Infallible;

        fn account(&self, _: &Address) -> Result<Option<AccountInfo>, Infallible> {
            let balance = U256::from(1 + self.0.fetch_add(STEP, Ordering::Relaxed));
            Ok(Some(AccountInfo { balance, ..Default::default() }))
        }

        fn storage(&self, _: &Address, _: &U256) -> Result<U256, Infallible> {
            Ok(U256::ZERO)
        }

        fn has_storage(&self, _: &Address) -> Result<bool, Infallible> {
            Ok(false)
        }

        fn code(&self, _: &B256) -> Result<Bytecode, Infallible> {
            Ok(Bytecode::default())
        }

        fn block_hash(&self, _: u64) -> Result<B256, Infallible> {
            Ok(B256::ZERO)
        }
    }

    /// Executes a block without transactions, whose beneficiary gets the reward of proof of work.
    fn execute<const STEP: u64>(
        executors: &Executors,
    ) -> Result<BlockOutput<lockstep_chain::EthereumReceipt>, BlockError> {
        let chain =
            Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Berlin));
        let header =
            Header { beneficiary: BENEFICIARY, difficulty: U256::ONE, ..Default::default() };
        let block = Block::<Ethereum>::new(header, BlockBody::default());
        executors
            .execute(&chain, &block, &[], &Changing::<STEP>::default(), &mut |_| Ok(B256::ZERO))
    }

    #[test]
    fn a_difference_between_executors_is_none_of_the_block() {
        let both = Executors::Both(ParallelExecutor::new(2).unwrap());
        let Err(BlockError::Disputed(mismatch)) = execute::<1>(&both) else {
            panic!("the difference was not seen");
        };
        assert!(mismatch.to_string().contains("parallel 0x0101"), "{mismatch}");
        let expected = execute::<0>(&Executors::Serial);
        assert!(expected.is_ok());
        let parallel = Executors::Parallel(ParallelExecutor::new(2).unwrap());
        for executors in [both, parallel] {
            let mut found = execute::<0>(&executors).unwrap();
            found.accessed = None;
            assert_eq!(Ok(found), expected);
        }
    }
}

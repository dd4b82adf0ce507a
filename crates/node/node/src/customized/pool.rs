//! How transactions of a customized chain wait: as the chain's own.

use super::Customized;
use crate::precompile::PrecompilesMap;
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_evm::EvmFactory;
use alloy_primitives::{Address, Sealed, U256};
use lockstep_execution::StateCommitment;
use lockstep_pool::{NextBlock, Origin, PoolError, Pooled, Rechecked};
use lockstep_storage::State;

impl<C, S: StateCommitment> Pooled for Customized<C, S>
where
    C: Pooled<EvmFactory: EvmFactory<Precompiles = PrecompilesMap>>,
{
    type PooledTransaction = C::PooledTransaction;
    type Rules = C::Rules;

    fn rules(&self, head: &Sealed<C::Header>, state: &dyn State) -> C::Rules {
        self.chain.rules(head, state)
    }

    fn next_block(rules: &C::Rules) -> NextBlock {
        C::next_block(rules)
    }

    fn rules_changed(before: &C::Rules, after: &C::Rules) -> bool {
        C::rules_changed(before, after)
    }

    fn max_blobs(rules: &C::Rules) -> usize {
        C::max_blobs(rules)
    }

    fn check(
        &self,
        rules: &C::Rules,
        tx: &C::PooledTransaction,
        sender: Address,
    ) -> Result<(), PoolError> {
        self.chain.check(rules, tx, sender)
    }

    fn check_sidecar(
        &self,
        rules: &C::Rules,
        tx: C::PooledTransaction,
        origin: Origin,
    ) -> Result<C::PooledTransaction, PoolError> {
        self.chain.check_sidecar(rules, tx, origin)
    }

    fn recheck(
        &self,
        rules: &C::Rules,
        tx: &C::PooledTransaction,
        sender: Address,
    ) -> Rechecked<C::PooledTransaction> {
        self.chain.recheck(rules, tx, sender)
    }

    fn extra_cost(&self, rules: &C::Rules, tx: &C::PooledTransaction) -> U256 {
        self.chain.extra_cost(rules, tx)
    }

    fn sidecar(tx: &C::PooledTransaction) -> Option<&BlobTransactionSidecarVariant> {
        C::sidecar(tx)
    }

    fn consensus(tx: &C::PooledTransaction) -> C::Transaction {
        C::consensus(tx)
    }

    fn pooled(tx: &C::Transaction) -> Option<C::PooledTransaction> {
        C::pooled(tx)
    }
}

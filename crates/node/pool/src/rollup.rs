//! A rollup's transactions, and what their data costs on L1.

use crate::{NextBlock, Origin, PoolError, Pooled, Rechecked, pooled::rule_error};
use alloy_consensus::{Header, Transaction};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Sealed, U256};
use lockstep_chain::{Chain, OpHardfork, Rollup};
use lockstep_execution::{BlockState, Execute, check_rollup_transaction};
use lockstep_storage::State;
use op_alloy_consensus::{OpPooledTransaction, OpTxEnvelope};
use op_revm::{L1BlockInfo, OpSpecId};

/// What a transaction must obey to stand in the child of a head.
#[derive(Debug)]
pub struct RollupRules {
    /// A header of the child's fork, gas limit and number, and without a base fee.
    header: Header,
    fork: OpHardfork,
    spec: OpSpecId,
    next: NextBlock,
    /// What data costs on L1 as of the head; `None` if that could not be read.
    l1: Option<L1BlockInfo>,
}

impl Pooled for Rollup {
    type PooledTransaction = OpPooledTransaction;
    type Rules = RollupRules;

    fn rules(&self, head: &Sealed<Header>, state: &dyn State) -> RollupRules {
        let header = Header {
            number: head.number.saturating_add(1),
            timestamp: head.timestamp,
            gas_limit: head.gas_limit,
            base_fee_per_gas: Some(0),
            ..Default::default()
        };
        let spec = self.evm_env(&header).cfg_env.spec;
        let mut reader = BlockState::new(state, self.state_rules(&header));
        let l1 = L1BlockInfo::try_fetch(&mut reader, U256::from(head.number), spec)
            .inspect_err(|error| {
                let head = head.number;
                tracing::warn!(%head, %error, "L1 fees could not be read; they count as zero");
            })
            .ok();
        let next = NextBlock {
            base_fee: self.next_base_fee(head, head.timestamp).unwrap_or_default(),
            blob_base_fee: None,
            gas_limit: head.gas_limit,
        };
        RollupRules { fork: self.fork(&header), header, spec, next, l1 }
    }

    fn next_block(rules: &RollupRules) -> NextBlock {
        rules.next
    }

    fn rules_changed(before: &RollupRules, after: &RollupRules) -> bool {
        before.fork != after.fork
    }

    fn max_blobs(_: &RollupRules) -> usize {
        0
    }

    fn check(
        &self,
        rules: &RollupRules,
        tx: &OpPooledTransaction,
        sender: Address,
    ) -> Result<(), PoolError> {
        check_rollup_transaction(self, &rules.header, &Self::consensus(tx), sender)
            .map(drop)
            .map_err(|error| rule_error(error, tx, self.chain_id()))
    }

    fn check_sidecar(
        &self,
        _: &RollupRules,
        tx: OpPooledTransaction,
        _: Origin,
    ) -> Result<OpPooledTransaction, PoolError> {
        Ok(tx)
    }

    fn recheck(
        &self,
        rules: &RollupRules,
        tx: &OpPooledTransaction,
        sender: Address,
    ) -> Rechecked<OpPooledTransaction> {
        match self.check(rules, tx, sender) {
            Ok(()) => Rechecked::Valid,
            Err(error) => Rechecked::Invalid(error),
        }
    }

    /// The L1 data fee, and the operator fee from Isthmus on (OP spec: Isthmus § operator fee).
    fn extra_cost(&self, rules: &RollupRules, tx: &OpPooledTransaction) -> U256 {
        let Some(l1) = &rules.l1 else { return U256::ZERO };
        let gas_limit = U256::from(tx.gas_limit());
        l1.clone().tx_cost(&tx.encoded_2718(), gas_limit, rules.spec)
    }

    fn consensus(tx: &OpPooledTransaction) -> OpTxEnvelope {
        tx.clone().into()
    }

    fn pooled(tx: &OpTxEnvelope) -> Option<OpPooledTransaction> {
        // A deposit must not be cloned only to be refused.
        if tx.is_deposit() { None } else { tx.clone().try_into().ok() }
    }
}

//! Rollups in JSON, as op-geth tells them.

use crate::chain::{Preceding, RpcChain, l1_fee::L1Fees, rpc_log};
use alloy_consensus::{
    Header, Receipt, ReceiptWithBloom, Transaction as _, TxReceipt,
    transaction::{Recovered, TxHashRef},
};
use alloy_primitives::{Address, B256, Sealed};
use alloy_rpc_types_eth::{Log, TransactionInfo, TransactionReceipt};
use lockstep_chain::{Block, Rollup};
use op_alloy_consensus::{
    OpDepositReceipt, OpReceipt, OpTxEnvelope,
    transaction::{OpDepositInfo, OpTransactionInfo},
};
use op_alloy_rpc_types::{OpTransactionReceipt, Transaction};
use std::ops::Range;

impl RpcChain for Rollup {
    type RpcTransaction = Transaction<OpTxEnvelope>;
    type RpcReceipt = OpTransactionReceipt;

    /// A deposit's nonce is assigned when it executes and stands in its receipt.
    const NEEDS_RECEIPTS: bool = true;

    fn rpc_transaction(
        &self,
        transaction: OpTxEnvelope,
        sender: Address,
        info: TransactionInfo,
        receipt: Option<&OpReceipt>,
    ) -> Self::RpcTransaction {
        let deposit_meta = match receipt {
            Some(OpReceipt::Deposit(deposit)) => OpDepositInfo {
                deposit_nonce: deposit.deposit_nonce,
                deposit_receipt_version: deposit.deposit_receipt_version,
            },
            _ => OpDepositInfo::default(),
        };
        let info = OpTransactionInfo { inner: info, deposit_meta };
        Transaction::from_transaction(Recovered::new_unchecked(transaction, sender), info)
    }

    fn rpc_receipts(
        &self,
        block: &Sealed<Block<Self>>,
        senders: &[Address],
        receipts: &[OpReceipt],
        range: Range<usize>,
    ) -> Vec<OpTransactionReceipt> {
        let fees = L1Fees::of(self, block);
        let mut before = Preceding::of(receipts, range.start);
        let mut told = Vec::with_capacity(range.len());
        for index in range {
            let (Some(receipt), Some(from)) = (receipts.get(index), senders.get(index)) else {
                break;
            };
            told.extend(rpc_receipt(block, index, *from, receipt, before, fees.as_ref()));
            before.advance(receipt);
        }
        told
    }

    fn blob_base_fee(&self, header: &Header) -> Option<u128> {
        // A rollup has no blobs; op-geth answers with the least price there is.
        header.excess_blob_gas.map(|_| 1)
    }

    fn next_blob_base_fee(&self, parent: &Header, _: u64) -> Option<u128> {
        self.blob_base_fee(parent)
    }

    fn max_blob_gas(&self, _: &Header) -> u64 {
        0
    }
}

fn rpc_receipt(
    block: &Sealed<Block<Rollup>>,
    index: usize,
    from: Address,
    receipt: &OpReceipt,
    before: Preceding,
    fees: Option<&L1Fees>,
) -> Option<OpTransactionReceipt> {
    let transaction = block.body.transactions.get(index)?;
    let hash = *TxHashRef::tx_hash(transaction);
    let logs = |logs: &[alloy_primitives::Log]| {
        let logs = logs.iter().enumerate();
        logs.map(|(at, log)| rpc_log(log, block, hash, index, before.logs + at, false)).collect()
    };
    let plain = |plain: &Receipt| Receipt {
        status: plain.status,
        cumulative_gas_used: plain.cumulative_gas_used,
        logs: logs(&plain.logs),
    };
    // A deposit's address depends on the nonce that it was executed with.
    let mut nonce = transaction.nonce();
    let body: OpReceipt<Log> = match receipt {
        OpReceipt::Legacy(receipt) => OpReceipt::Legacy(plain(receipt)),
        OpReceipt::Eip2930(receipt) => OpReceipt::Eip2930(plain(receipt)),
        OpReceipt::Eip1559(receipt) => OpReceipt::Eip1559(plain(receipt)),
        OpReceipt::Eip7702(receipt) => OpReceipt::Eip7702(plain(receipt)),
        OpReceipt::PostExec(receipt) => OpReceipt::PostExec(plain(receipt)),
        OpReceipt::Deposit(deposit) => {
            nonce = deposit.deposit_nonce.unwrap_or(nonce);
            OpReceipt::Deposit(OpDepositReceipt {
                inner: plain(&deposit.inner),
                deposit_nonce: deposit.deposit_nonce,
                deposit_receipt_version: deposit.deposit_receipt_version,
            })
        }
    };
    let effective_gas_price = match receipt {
        OpReceipt::Deposit(_) => 0,
        _ => transaction.effective_gas_price(block.header.base_fee_per_gas),
    };
    let cumulative = receipt.cumulative_gas_used();
    let inner = TransactionReceipt {
        inner: ReceiptWithBloom { receipt: body, logs_bloom: receipt.bloom() },
        transaction_hash: hash,
        transaction_index: Some(index as u64),
        block_hash: Some(block.seal()),
        block_number: Some(block.header.number),
        gas_used: cumulative.saturating_sub(before.gas),
        effective_gas_price,
        blob_gas_used: None,
        blob_gas_price: None,
        from,
        to: transaction.to(),
        contract_address: transaction.is_create().then(|| from.create(nonce)),
    };
    let l1_block_info = fees.map(|fees| fees.of_transaction(transaction)).unwrap_or_default();
    Some(OpTransactionReceipt { inner, l1_block_info, op_gas_refund: None })
}

/// The version-0 output root (OP spec: proposals § L2 output commitment construction).
pub(crate) fn output_root(state_root: B256, message_passer_root: B256, block_hash: B256) -> B256 {
    let mut preimage = [0_u8; 128];
    for (target, part) in
        preimage.chunks_exact_mut(32).skip(1).zip([state_root, message_passer_root, block_hash])
    {
        target.copy_from_slice(part.as_slice());
    }
    alloy_primitives::keccak256(preimage)
}

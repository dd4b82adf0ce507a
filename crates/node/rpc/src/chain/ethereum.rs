//! Ethereum in JSON.

use crate::chain::{Preceding, RpcChain, config, rpc_log};
use alloy_consensus::{
    Header, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _, TxReceipt, TxType,
    transaction::Recovered,
};
use alloy_primitives::{Address, B256, Sealed};
use alloy_rpc_types_eth::{Transaction, TransactionInfo, TransactionReceipt};
use lockstep_chain::{
    Block, Chain, Ethereum, EthereumReceipt, EthereumTransaction, next_excess_blob_gas,
};
use std::ops::Range;

impl RpcChain for Ethereum {
    type RpcTransaction = Transaction<EthereumTransaction>;
    type RpcReceipt = TransactionReceipt;

    const NEEDS_RECEIPTS: bool = false;

    fn rpc_transaction(
        &self,
        transaction: EthereumTransaction,
        sender: Address,
        info: TransactionInfo,
        _: Option<&EthereumReceipt>,
    ) -> Self::RpcTransaction {
        Transaction::from_transaction(Recovered::new_unchecked(transaction, sender), info)
    }

    fn rpc_receipts(
        &self,
        block: &Sealed<Block<Self>>,
        senders: &[Address],
        receipts: &[EthereumReceipt],
        range: Range<usize>,
    ) -> Vec<TransactionReceipt> {
        let mut before = Preceding::of(receipts, range.start);
        let blob_gas_price = self.blob_base_fee(&block.header);
        let mut told = Vec::with_capacity(range.len());
        for index in range {
            let (Some(receipt), Some(from)) = (receipts.get(index), senders.get(index)) else {
                break;
            };
            told.extend(rpc_receipt(block, index, *from, receipt, before, blob_gas_price));
            before.advance(receipt);
        }
        told
    }

    fn blob_base_fee(&self, header: &Header) -> Option<u128> {
        let params = self.blob_params(self.fork(header))?;
        Some(params.calc_blob_fee(header.excess_blob_gas?))
    }

    fn next_blob_base_fee(&self, parent: &Header, timestamp: u64) -> Option<u128> {
        let next = Header { number: parent.number + 1, timestamp, ..Header::default() };
        let params = self.blob_params(self.fork(&next))?;
        Some(params.calc_blob_fee(next_excess_blob_gas(params, parent)))
    }

    fn max_blob_gas(&self, header: &Header) -> u64 {
        self.blob_params(self.fork(header)).map_or(0, |params| params.max_blob_gas_per_block())
    }

    fn fork_configs(
        &self,
        header: &Header,
        genesis: B256,
        genesis_timestamp: u64,
    ) -> Option<config::ForkConfigs> {
        Some(config::fork_configs(self, header.timestamp, genesis, genesis_timestamp))
    }
}

fn rpc_receipt(
    block: &Sealed<Block<Ethereum>>,
    index: usize,
    from: Address,
    receipt: &EthereumReceipt,
    before: Preceding,
    blob_gas_price: Option<u128>,
) -> Option<TransactionReceipt> {
    let transaction = block.body.transactions.get(index)?;
    let hash = *transaction.tx_hash();
    let logs = receipt.receipt.logs.iter().enumerate();
    let logs = logs.map(|(at, log)| rpc_log(log, block, hash, index, before.logs + at, false));
    let body = ReceiptWithBloom {
        receipt: Receipt {
            status: receipt.receipt.status,
            cumulative_gas_used: receipt.receipt.cumulative_gas_used,
            logs: logs.collect(),
        },
        logs_bloom: receipt.bloom(),
    };
    let inner = match receipt.tx_type {
        TxType::Legacy => ReceiptEnvelope::Legacy(body),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(body),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(body),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(body),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(body),
    };
    let blob_gas_used = transaction.blob_gas_used();
    Some(TransactionReceipt {
        inner,
        transaction_hash: hash,
        transaction_index: Some(index as u64),
        block_hash: Some(block.seal()),
        block_number: Some(block.header.number),
        gas_used: receipt.receipt.cumulative_gas_used.saturating_sub(before.gas),
        effective_gas_price: transaction.effective_gas_price(block.header.base_fee_per_gas),
        blob_gas_used,
        blob_gas_price: blob_gas_used.and(blob_gas_price),
        from,
        to: transaction.to(),
        contract_address: transaction.is_create().then(|| from.create(transaction.nonce())),
    })
}

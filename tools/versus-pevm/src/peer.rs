//! pevm, and our blocks and states in its forms.

use crate::load::Load;
use alloy_consensus::{TxEnvelope, transaction::Recovered};
use alloy_rpc_types_eth::{Block, BlockTransactions, Header, Transaction};
use core::num::NonZeroUsize;
use eyre::{Result, ensure, eyre};
use lockstep_execution::Execute;
use pevm::{
    BlockHashes, Bytecodes, ChainState, EvmAccount, EvmCode, InMemoryStorage, Pevm,
    PevmTxExecutionResult,
    chain::{PevmChain, PevmEthereum},
};
use std::sync::Arc;

/// What pevm leaves behind: one receipt and one set of changes per transaction.
pub(crate) type Output = Vec<PevmTxExecutionResult>;

/// pevm, warm.
#[derive(Debug)]
pub(crate) struct Peer {
    pevm: Pevm,
    chain: PevmEthereum,
    threads: NonZeroUsize,
}

/// A block and the state before it, as pevm takes them.
#[derive(Debug)]
pub(crate) struct Input {
    block: Block<Transaction>,
    storage: InMemoryStorage,
}

impl Peer {
    pub(crate) fn new(threads: NonZeroUsize) -> Self {
        Self { pevm: Pevm::default(), chain: PevmEthereum::mainnet(), threads }
    }

    /// Executes a block by the same call as pevm's benchmark of mainnet blocks, which leaves small blocks to
    /// its sequential executor.
    pub(crate) fn execute(&mut self, input: &Input, is_sequential: bool) -> Result<Output> {
        let Self { pevm, chain, threads } = self;
        let output = pevm.execute(chain, &input.storage, &input.block, *threads, is_sequential);
        output.map_err(|error| eyre!("pevm: {error:?}"))
    }
}

impl Input {
    /// # Errors
    /// If pevm would apply other rules than we do: it knows mainnet up to Cancun.
    pub(crate) fn of(load: &Load) -> Result<Self> {
        let block = block(load);
        let Ok(theirs) = PevmEthereum::mainnet().get_block_spec(&block.header);
        let env = load.chain.evm_env(&load.block.header);
        let ours = env.cfg_env.spec;
        ensure!(theirs == ours, "block {}: pevm applies {theirs:?}, and we {ours:?}", load.number);
        ensure!(env.cfg_env.chain_id == 1, "block {}: pevm knows chain 1 alone", load.number);
        Ok(Self { block, storage: storage(load) })
    }
}

fn block(load: &Load) -> Block<Transaction> {
    let transactions = load.block.body.transactions.iter().zip(&load.senders);
    let transactions = transactions.map(|(transaction, sender)| {
        let envelope: TxEnvelope = transaction.clone().into();
        Transaction {
            inner: Recovered::new_unchecked(envelope, *sender),
            block_hash: None,
            block_number: None,
            transaction_index: None,
            effective_gas_price: None,
            block_timestamp: None,
        }
    });
    Block {
        header: Header::new(load.block.header.clone()),
        uncles: Vec::new(),
        transactions: BlockTransactions::Full(transactions.collect()),
        withdrawals: load.block.body.withdrawals.clone(),
    }
}

fn storage(load: &Load) -> InMemoryStorage {
    let mut accounts = ChainState::default();
    let mut codes = Bytecodes::default();
    for (address, account) in load.state.accounts() {
        let code = load.state.code_of(&account.info.code_hash);
        if let Some(code) = code {
            codes.insert(account.info.code_hash, EvmCode::from(code.clone()));
        }
        accounts.insert(
            *address,
            EvmAccount {
                balance: account.info.balance,
                nonce: account.info.nonce,
                code_hash: code.is_some().then_some(account.info.code_hash),
                code: None,
                storage: account.storage.iter().map(|(slot, value)| (*slot, *value)).collect(),
            },
        );
    }
    let hashes: BlockHashes = load.block_hashes.iter().map(|(n, hash)| (*n, *hash)).collect();
    InMemoryStorage::new(accounts, Arc::new(codes), Arc::new(hashes))
}

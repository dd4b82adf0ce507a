//! Blocks after blocks, each executed as it is made.

use super::{
    Error, GENESIS_TIMESTAMP, MAX_FEE_WEI, Settings,
    accounts::{Role, address_of},
    random::Random,
    workloads::{Intent, Script, script},
};
use alloy_consensus::{BlockBody, EMPTY_OMMER_ROOT_HASH, Header, SignableTransaction, TxEip1559};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Signature, U256, map::AddressMap};
use lockstep_chain::{
    Block, Ethereum, EthereumHardfork, EthereumReceipt, EthereumTransaction, ForkSchedule,
};
use lockstep_execution::{
    BlockExecutor, BlockOutput, BlockParts, ExecutionError, MemoryState, StateChanges, StateRoots,
    complete_block,
};
use std::convert::Infallible;

const CHAIN_ID: u64 = 1;

/// What a unit of gas costs, in wei: burnt, and for the beneficiary.
const BASE_FEE_WEI: u64 = 1_000_000_000;
const PRIORITY_FEE_WEI: u128 = 100_000_000;

/// Seconds between blocks.
const BLOCK_TIME: u64 = 12;

/// No transaction may use more.
const MAX_TRANSACTION_GAS: u64 = 10_000_000;

/// Makes the blocks of one workload, each on top of the one before.
#[derive(Debug)]
pub struct Generator {
    chain: Ethereum,
    settings: Settings,
    state: MemoryState,
    /// What the newest block changes in the state.
    pending: Option<StateChanges>,
    script: Box<dyn Script>,
    random: Random,
    nonces: AddressMap<u64>,
    number: u64,
    parent_hash: B256,
}

/// A block, and what it does.
#[derive(Debug)]
pub struct GeneratedBlock {
    /// The block. Its header is right in all but the state root, which is zero: it takes longer to compute
    /// than the block to execute. Signatures are made up.
    pub block: Block<Ethereum>,
    /// The senders of its transactions.
    pub senders: Vec<Address>,
    /// What serial execution made of it.
    pub output: BlockOutput<EthereumReceipt>,
}

impl Generator {
    /// Writes the state before the first block.
    pub fn new(settings: Settings) -> Self {
        let mut state = MemoryState::default();
        let script = script(&settings, &mut state);
        let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Cancun);
        Self {
            chain: Ethereum::new(CHAIN_ID, forks),
            random: Random::new(settings.seed()),
            settings,
            state,
            pending: None,
            script,
            nonces: AddressMap::default(),
            number: 0,
            parent_hash: B256::ZERO,
        }
    }

    /// The chain of the blocks: Ethereum's rules at Cancun, the newest at which a block reads and writes
    /// nothing but what its transactions do.
    pub const fn chain(&self) -> &Ethereum {
        &self.chain
    }

    /// The state before the newest block; before the first one, if none was made yet.
    pub const fn state(&self) -> &MemoryState {
        &self.state
    }

    /// Makes the next block: one transaction after the other is executed, until their gas is what was asked
    /// for, or more by less than one transaction.
    ///
    /// # Errors
    /// If a transaction does not succeed: the workload is wrong.
    pub fn next_block(&mut self) -> Result<GeneratedBlock, Error> {
        if let Some(changes) = self.pending.take() {
            self.state.apply(&changes);
        }
        self.number += 1;
        self.script.begin_block();
        let header = self.header();
        let mut executor = BlockExecutor::new(&self.chain, &header, &self.state);
        executor.begin().map_err(|error| refused(self.number, 0, error))?;
        let (mut transactions, mut senders) = (Vec::new(), Vec::new());
        while executor.progress().gas_used < self.settings.gas() {
            let intent = self.script.next(&mut self.random);
            let sender = intent.sender;
            let nonce = self.nonces.entry(sender).or_default();
            let transaction = transaction(intent, *nonce);
            *nonce += 1;
            let index = transactions.len();
            let outcome = executor
                .transact(&transaction, sender)
                .map_err(|error| refused(self.number, index, error))?;
            if !outcome.success {
                return Err(Error::Failed { block: self.number, index });
            }
            transactions.push(transaction);
            senders.push(sender);
        }
        let parts = BlockParts { ommers: &[], withdrawals: &[] };
        let output = executor
            .finish(parts, false)
            .map_err(|error| refused(self.number, transactions.len(), error))?;
        let body =
            BlockBody { transactions, ommers: vec![], withdrawals: Some(Withdrawals::default()) };
        let block = Block::<Ethereum> { header, body };
        let roots = StateRoots { state: B256::ZERO, storage: None };
        let block = complete_block(&self.chain, block, &output, roots);
        self.parent_hash = block.header.hash_slow();
        self.pending = Some(output.changes.clone());
        Ok(GeneratedBlock { block, senders, output })
    }

    fn header(&self) -> Header {
        Header {
            parent_hash: self.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: address_of(Role::Beneficiary, 0),
            number: self.number,
            gas_limit: self.settings.gas() + MAX_TRANSACTION_GAS,
            timestamp: GENESIS_TIMESTAMP + BLOCK_TIME * self.number,
            base_fee_per_gas: Some(BASE_FEE_WEI),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            ..Default::default()
        }
    }
}

const fn refused(block: u64, index: usize, source: ExecutionError<Infallible>) -> Error {
    Error::Refused { block, index, source }
}

fn transaction(intent: Intent, nonce: u64) -> EthereumTransaction {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: intent.gas_limit,
        max_fee_per_gas: MAX_FEE_WEI,
        max_priority_fee_per_gas: PRIORITY_FEE_WEI,
        to: intent.to,
        value: intent.value,
        input: intent.input,
        ..Default::default()
    };
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    EthereumTransaction::Eip1559(transaction.into_signed(signature))
}

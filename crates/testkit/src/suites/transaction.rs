//! Transaction tests: whether an encoded transaction is valid, its hash, sender and least gas.

use super::chain;
use crate::{model::transaction_test::Expected, report::Outcome};
use alloy_consensus::{BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Transaction};
use alloy_eips::{eip2718::Decodable2718, eip4895::Withdrawals};
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, B256, U256};
use lockstep_chain::{Block, Chain, Ethereum, EthereumHardfork, EthereumTransaction, body};
use lockstep_execution::{BlockState, Bytecode, Execute, MemoryState};

/// Runs one case: the transaction `encoded` under the rules of `network`.
pub fn run(network: &str, encoded: &[u8], expected: &Expected) -> Outcome {
    match chain(network, None) {
        Ok(chain) => compare(&chain, encoded, expected).into(),
        Err(outcome) => outcome,
    }
}

fn compare(chain: &Ethereum, encoded: &[u8], expected: &Expected) -> Result<(), String> {
    let judgement = Judgement::of(chain, encoded);
    let (Some(hash), Some(sender), None) = (expected.hash, expected.sender, &expected.exception)
    else {
        let exception = expected.exception.as_deref().unwrap_or("invalid (unnamed)");
        return match judgement {
            Ok(_) => Err(format!("the transaction was accepted, expected {exception}")),
            Err(_) => Ok(()),
        };
    };
    let valid = judgement.map_err(|error| format!("the transaction was refused: {error}"))?;
    if valid.hash() != hash {
        return Err(format!("hash: expected {hash}, got {}", valid.hash()));
    }
    if valid.sender != sender {
        return Err(format!("sender: expected {sender}, got {}", valid.sender));
    }
    match expected.intrinsic_gas.map(|gas| u64::try_from(gas.0)) {
        Some(Ok(intrinsic_gas)) => valid.expect_least_gas(chain, intrinsic_gas),
        Some(Err(_)) => Err("intrinsic gas: more than any transaction has".into()),
        None => Ok(()),
    }
}

/// A valid transaction in a block of its own.
struct Judgement {
    block: Block<Ethereum>,
    transaction: EthereumTransaction,
    sender: Address,
}

impl Judgement {
    /// Holds the transaction against every rule that does not depend on the state.
    fn of(chain: &Ethereum, encoded: &[u8]) -> Result<Self, String> {
        let transaction =
            EthereumTransaction::decode_2718_exact(encoded).map_err(|error| error.to_string())?;
        let block = block_of(chain, &transaction);
        chain.validate_body(&block).map_err(|error| error.to_string())?;
        let senders = chain.recover_senders(&block).map_err(|error| error.to_string())?;
        let sender = senders.first().copied().ok_or("no sender")?;
        let judgement = Self { block, transaction, sender };
        judgement.try_with_gas(chain, judgement.transaction.gas_limit())?;
        Ok(judgement)
    }

    fn hash(&self) -> B256 {
        *self.transaction.tx_hash()
    }

    /// Executes the transaction for a sender whom only the transaction itself can stop.
    fn try_with_gas(&self, chain: &Ethereum, gas_limit: u64) -> Result<(), String> {
        let mut state = MemoryState::default();
        let nonce = self.transaction.nonce();
        state.set_account(self.sender, nonce, U256::MAX, Bytecode::default());
        let header = &self.block.header;
        let state = BlockState::new(&state, chain.deletes_empty_accounts(header));
        let mut evm = chain.evm_factory().create_evm(state, chain.evm_env(header));
        let mut tx_env = chain.tx_env(&self.transaction, self.sender);
        // Nobody could pay the highest values, which are valid nevertheless.
        tx_env.value = U256::ZERO;
        tx_env.gas_limit = gas_limit;
        evm.transact_raw(tx_env).map(drop).map_err(|error| error.to_string())
    }

    /// `gas` is enough for the transaction to be valid, and one less is not.
    fn expect_least_gas(&self, chain: &Ethereum, gas: u64) -> Result<(), String> {
        self.try_with_gas(chain, gas)
            .map_err(|error| format!("intrinsic gas {gas} is not enough: {error}"))?;
        // From Prague on, the floor price of calldata (EIP-7623) may be what limits it.
        let has_floor = chain.fork(&self.block.header) >= EthereumHardfork::Prague;
        match gas.checked_sub(1).filter(|_| !has_floor) {
            Some(less) if self.try_with_gas(chain, less).is_ok() => {
                Err(format!("intrinsic gas: expected {gas}, but {less} is enough"))
            }
            _ => Ok(()),
        }
    }
}

/// A block with nothing in it but `transaction`.
fn block_of(chain: &Ethereum, transaction: &EthereumTransaction) -> Block<Ethereum> {
    let mut header = Header {
        number: 1,
        timestamp: 1,
        gas_limit: u64::MAX,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        transactions_root: body::transactions_root(core::slice::from_ref(transaction)),
        ..Default::default()
    };
    // With difficulty zero, the newest fork of the chain applies.
    let fork = chain.fork(&header);
    let since = |first| fork >= first;
    header.base_fee_per_gas = since(EthereumHardfork::London).then_some(0);
    let withdrawals = since(EthereumHardfork::Shanghai).then(Withdrawals::default);
    header.withdrawals_root = withdrawals.is_some().then(|| body::withdrawals_root(&[]));
    if since(EthereumHardfork::Cancun) {
        header.excess_blob_gas = Some(0);
        header.blob_gas_used = Some(transaction.blob_gas_used().unwrap_or_default());
    }
    let transactions = vec![transaction.clone()];
    Block::<Ethereum> { header, body: BlockBody { transactions, ommers: Vec::new(), withdrawals } }
}

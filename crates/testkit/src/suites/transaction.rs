//! Transaction tests: whether an encoded transaction is valid, its hash, sender and least gas.

use super::chain;
use crate::{model::transaction_test::Expected, report::Outcome};
use alloy_consensus::{BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Transaction};
use alloy_eips::{eip2718::Decodable2718, eip4895::Withdrawals};
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::U256;
use alloy_rlp::{EMPTY_STRING_CODE, Header as RlpHeader};
use lockstep_chain::{
    Block, Chain, Ethereum, EthereumHardfork, EthereumTransaction, body,
    signer::{Signed, recover_encoded, split_fields},
};
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
    if valid.signed.hash != hash {
        return Err(format!("hash: expected {hash}, got {}", valid.signed.hash));
    }
    if valid.signed.signer != sender {
        return Err(format!("sender: expected {sender}, got {}", valid.signed.signer));
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
    signed: Signed,
}

impl Judgement {
    /// Holds the transaction against every rule that does not depend on the state.
    fn of(chain: &Ethereum, encoded: &[u8]) -> Result<Self, String> {
        // No account can pay a fee beyond 128 bits, and no block contains such a transaction; the
        // rules that need no state do not mind it, and hold for the highest fee as well.
        let affordable = with_affordable_fees(encoded)?;
        let transaction = EthereumTransaction::decode_2718_exact(&affordable)
            .map_err(|error| error.to_string())?;
        let block = block_of(chain, &transaction);
        chain.validate_body(&block).map_err(|error| error.to_string())?;
        let allows_high_s = chain.fork(&block.header) < EthereumHardfork::Homestead;
        let signed = recover_encoded(encoded, allows_high_s).map_err(|error| error.to_string())?;
        if affordable == encoded {
            let senders = chain.recover_senders(&block).map_err(|error| error.to_string())?;
            if senders != [signed.signer] || signed.hash != *transaction.tx_hash() {
                return Err("hash or sender depends on how it is computed".into());
            }
        }
        let judgement = Self { block, transaction, signed };
        judgement.try_with_gas(chain, judgement.transaction.gas_limit())?;
        Ok(judgement)
    }

    /// Executes the transaction for a sender whom only the transaction itself can stop.
    fn try_with_gas(&self, chain: &Ethereum, gas_limit: u64) -> Result<(), String> {
        let mut state = MemoryState::default();
        let nonce = self.transaction.nonce();
        state.set_account(self.signed.signer, nonce, U256::MAX, Bytecode::default());
        let header = &self.block.header;
        let state = BlockState::new(&state, chain.state_rules(header));
        let mut evm = chain.evm_factory(header).create_evm(state, chain.evm_env(header));
        let mut tx_env = chain.tx_env(&self.transaction, self.signed.signer);
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

/// The same transaction if its type has room for its fees (128 bits). Otherwise no fee is more
/// than 64 bits, so that the price of any gas limit has room as well; their order stays.
fn with_affordable_fees(encoded: &[u8]) -> Result<Vec<u8>, String> {
    let (ty, mut list) = match encoded.split_first() {
        Some((ty, list)) if *ty < EMPTY_STRING_CODE => (Some(*ty), list),
        _ => (None, encoded),
    };
    // The fees, the highest last; the gas limit follows.
    let (first_fee, gas_limit) = match ty {
        None => (1, 2),
        Some(1) => (2, 3),
        Some(_) => (2, 4),
    };
    let fields = split_fields(&mut list).map_err(|error| error.to_string())?;
    let mut fields: Vec<Vec<u8>> = fields.into_iter().map(Vec::from).collect();
    let integer = |field: &Vec<u8>| alloy_rlp::decode_exact::<U256>(field).unwrap_or_default();
    let gas = fields.get(gas_limit).map(integer).unwrap_or_default();
    let fees = fields.get_mut(first_fee..gas_limit).unwrap_or_default();
    if !fees.iter().any(|fee| integer(fee) > U256::from(u128::MAX)) {
        return Ok(encoded.to_vec());
    }
    if fees.last().is_some_and(|fee| integer(fee).checked_mul(gas).is_none()) {
        return Err("gas limit times fee exceeds 256 bits".into());
    }
    for fee in fees {
        *fee = alloy_rlp::encode(integer(fee).min(U256::from(u64::MAX)));
    }
    let payload = fields.concat();
    let mut limited = Vec::from_iter(ty);
    RlpHeader { list: true, payload_length: payload.len() }.encode(&mut limited);
    limited.extend_from_slice(&payload);
    Ok(limited)
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

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxLegacy, transaction::SignerRecoverable};
    use alloy_eips::eip2718::Encodable2718;
    use alloy_primitives::{Address, B256, Signature};

    fn transfer() -> EthereumTransaction {
        let transaction = TxLegacy { gas_price: 1, gas_limit: 30_000, ..Default::default() };
        let to = Address::repeat_byte(1).into();
        TxLegacy { to, ..transaction }.into_signed(Signature::test_signature()).into()
    }

    fn expected(transaction: &EthereumTransaction, intrinsic_gas: u64) -> Expected {
        let sender = transaction.recover_signer().unwrap();
        serde_json::from_str(&format!(
            r#"{{"hash": "{}", "sender": "{sender}", "intrinsicGas": {intrinsic_gas}}}"#,
            transaction.tx_hash()
        ))
        .unwrap()
    }

    #[test]
    fn hash_sender_and_least_gas_are_compared() {
        let transaction = transfer();
        let encoded = transaction.encoded_2718();
        let run = |expected: Expected| run("Berlin", &encoded, &expected);
        assert_eq!(run(expected(&transaction, 21_000)), Outcome::Passed);
        assert!(run(expected(&transaction, 21_001)).is_failed());
        assert!(run(expected(&transaction, 20_999)).is_failed());
        let hash = Some(B256::ZERO);
        assert!(run(Expected { hash, ..expected(&transaction, 21_000) }).is_failed());
        let exception = Some("TransactionException.X".to_owned());
        assert!(run(Expected { exception, ..expected(&transaction, 21_000) }).is_failed());
    }

    #[test]
    fn truncated_transactions_are_refused() {
        let exception = Some("RLP".to_owned());
        let refused = Expected { exception, hash: None, sender: None, intrinsic_gas: None };
        let encoded = transfer().encoded_2718();
        for length in 0..encoded.len() {
            assert_eq!(run("Berlin", &encoded[..length], &refused), Outcome::Passed, "{length}");
        }
    }
}

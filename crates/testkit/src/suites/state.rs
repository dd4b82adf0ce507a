//! State tests: one transaction on a state, its root and its logs.

use super::chain;
use crate::{
    fields::Number,
    model::state::{Env, Post, StateTest},
    report::Outcome,
    world::{WithAncestors, differences, logs_hash, memory_state},
};
use alloy_consensus::{
    EthereumTypedTransaction, Header, SignableTransaction, TxEip4844, TxReceipt,
    transaction::SignerRecoverable,
};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, EthereumTransaction};
use lockstep_execution::{BlockExecutor, Bytecode, Execute, MemoryState};
use std::collections::BTreeMap;

/// The base fee that tests without one were made with.
const DEFAULT_BASE_FEE: u64 = 10;

/// A state test with what its cases share.
#[derive(Debug)]
pub struct Prepared {
    test: StateTest,
    state: MemoryState,
}

/// A transaction that may be tried, and who sent it.
type Sent = (EthereumTransaction, Address);

impl Prepared {
    /// Builds the state before the transaction.
    pub fn new(test: StateTest) -> Self {
        Self { state: memory_state(&test.pre), test }
    }

    /// By fork, what is to come of each combination of alternatives.
    pub const fn posts(&self) -> &BTreeMap<String, Vec<Post>> {
        &self.test.post
    }

    /// Runs the case at this index of [`Self::posts`] under the rules of `network`.
    pub fn run(&self, network: &str, index: usize) -> Outcome {
        let Some(post) = self.test.post.get(network).and_then(|posts| posts.get(index)) else {
            return Outcome::Failed(format!("there is no case {network}[{index}]"));
        };
        match chain(network, self.test.config.as_ref()) {
            Ok(chain) => self.run_on(&chain, post).into(),
            Err(outcome) => outcome,
        }
    }

    fn run_on(&self, chain: &Ethereum, post: &Post) -> Result<(), String> {
        let header = header(chain, &self.test.env);
        // BLOCKHASH gives the hash of the number's decimal digits.
        let hash_of = |number: u64| keccak256(number.to_string());
        let reader = WithAncestors::new(&self.state, hash_of);
        let mut executor = BlockExecutor::new(chain, &header, reader);
        let refusal = match self.transaction(chain, post) {
            Ok((transaction, sender)) => match executor.transact(&transaction, sender) {
                Ok(_) => None,
                Err(error) if error.is_invalid_block() => Some(error.to_string()),
                Err(error) => return Err(error.to_string()),
            },
            Err(reason) => Some(reason),
        };
        match (&post.expect_exception, refusal) {
            (None, Some(reason)) => return Err(format!("the transaction was refused: {reason}")),
            (Some(exception), None) => {
                return Err(format!("the transaction was accepted, expected {exception}"));
            }
            _ => {}
        }
        let logs = executor.receipts().last().map_or(&[][..], |receipt| receipt.logs());
        let logs_hash = logs_hash(logs);
        let mut state = self.state.clone();
        state.apply(&executor.changes());
        pay_nothing(chain, &header, &mut state);
        check_root(post, &state)?;
        if logs_hash != post.logs {
            return Err(format!("logs: expected {}, got {logs_hash}", post.logs));
        }
        Ok(())
    }

    /// The transaction and its sender.
    ///
    /// # Errors
    /// Why no such transaction can exist.
    fn transaction(&self, chain: &Ethereum, post: &Post) -> Result<Sent, String> {
        let at = post.indexes;
        let fields = self.test.transaction.at(at.data, at.gas, at.value, chain.chain_id());
        let fields = fields.map_err(|error| error.to_string())?;
        let Some(encoded) = &post.txbytes else {
            let sender = self.sender()?;
            // Execution takes the sender as given and never looks at the signature.
            return Ok((fields.into_signed(Signature::test_signature()).into(), sender));
        };
        let transaction = EthereumTransaction::decode_2718_exact(&encoded.0)
            .map_err(|error| format!("`txbytes`: {error}"))?;
        let sender = transaction.recover_signer_unchecked().map_err(|error| error.to_string())?;
        if self.test.transaction.sender.is_some_and(|given| given != sender) {
            return Err(format!("`txbytes` are signed by {sender}, not by `sender`"));
        }
        if !is_same(&transaction, fields) {
            return Err("`txbytes` hold another transaction than the fields".into());
        }
        Ok((transaction, sender))
    }

    fn sender(&self) -> Result<Address, String> {
        let transaction = &self.test.transaction;
        if let Some(sender) = transaction.sender {
            return Ok(sender);
        }
        let key = transaction.secret_key.ok_or("neither `sender` nor `secretKey`")?;
        let key = k256::ecdsa::SigningKey::from_slice(key.0.as_slice())
            .map_err(|error| format!("`secretKey`: {error}"))?;
        Ok(Address::from_private_key(&key))
    }
}

/// The reward of a block in a state test: nothing, which before Spurious Dragon (EIP-161) makes
/// the beneficiary exist even where no transaction did.
fn pay_nothing(chain: &Ethereum, header: &Header, state: &mut MemoryState) {
    let beneficiary = header.beneficiary;
    if !chain.state_rules(header).deletes_empty_accounts && state.get(&beneficiary).is_none() {
        state.set_account(beneficiary, 0, U256::ZERO, Bytecode::default());
    }
}

/// Whether a signed transaction has these fields. Only the signature of a legacy transaction says
/// whether it is bound to a chain.
fn is_same(
    transaction: &EthereumTransaction,
    mut fields: EthereumTypedTransaction<TxEip4844>,
) -> bool {
    if let (EthereumTypedTransaction::Legacy(fields), EthereumTransaction::Legacy(signed)) =
        (&mut fields, transaction)
    {
        fields.chain_id = signed.tx().chain_id;
    }
    EthereumTypedTransaction::from(transaction.clone()) == fields
}

fn check_root(post: &Post, state: &MemoryState) -> Result<(), String> {
    let root: B256 = state.state_root();
    if root == post.hash {
        return Ok(());
    }
    let mut message = format!("state root: expected {}, got {root}", post.hash);
    if let Some(expected) = &post.state {
        message.push_str(": ");
        message.push_str(&differences(expected, state));
    }
    Err(message)
}

/// The header of a block that offers this environment to its transactions.
pub(crate) fn header(chain: &Ethereum, env: &Env) -> Header {
    let mut header = Header {
        beneficiary: env.current_coinbase,
        gas_limit: env.current_gas_limit.0,
        number: env.current_number.0,
        timestamp: env.current_timestamp.0,
        ..Default::default()
    };
    // With difficulty zero, the newest fork of the chain applies.
    let fork = chain.fork(&header);
    if fork < EthereumHardfork::Paris {
        header.difficulty = env.current_difficulty.0;
    } else {
        header.mix_hash = env.current_random.unwrap_or_default().0;
    }
    if fork >= EthereumHardfork::London {
        let base_fee = env.current_base_fee.map_or(DEFAULT_BASE_FEE, |base_fee| base_fee.0);
        header.base_fee_per_gas = Some(base_fee);
    }
    if let Some(params) = chain.blob_params(fork).filter(|_| fork >= EthereumHardfork::Cancun) {
        let of_parent = |gas: Option<Number>| gas.map_or(0, |gas| gas.0);
        let from_parent = of_parent(env.parent_excess_blob_gas)
            .saturating_add(of_parent(env.parent_blob_gas_used))
            .saturating_sub(params.target_blob_gas_per_block());
        let given = env.current_excess_blob_gas.map(|gas| gas.0);
        header.excess_blob_gas = Some(given.unwrap_or(from_parent));
        header.parent_beacon_block_root = env.current_beacon_root;
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::account::Accounts;

    /// A transfer of 5 wei that costs 21,000 gas at 10 wei, with a hole for what is to come of it.
    const TEST: &str = r#"{
        "env": {"currentCoinbase": "0x00000000000000000000000000000000000000cb",
            "currentDifficulty": "0x020000", "currentGasLimit": "0x0f4240",
            "currentNumber": "0x01", "currentTimestamp": "0x03e8"},
        "pre": {"0x0000000000000000000000000000000000000bbb": {"balance": "0x0f4240"}},
        "transaction": {"data": ["0x"], "gasLimit": ["0x61a8"], "value": ["0x05", "0x0f4240"],
            "gasPrice": "0x0a", "nonce": "0x00", "sender": "0x0000000000000000000000000000000000000bbb",
            "to": "0x0000000000000000000000000000000000000aaa"},
        "post": {"NETWORK": [{"indexes": {"data": 0, "gas": 0, "value": VALUE}, "hash": "HASH",
            "logs": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347" MORE}]}
    }"#;

    const AFTER: &str = r#"{
        "0x0000000000000000000000000000000000000bbb": {"balance": "789995", "nonce": 1},
        "0x0000000000000000000000000000000000000aaa": {"balance": 5},
        "0x00000000000000000000000000000000000000cb": {"balance": 210000}
    }"#;

    const BEFORE: &str =
        r#"{"0x0000000000000000000000000000000000000bbb": {"balance": "0x0f4240"}}"#;

    fn root(accounts: &str) -> B256 {
        memory_state(&serde_json::from_str::<Accounts>(accounts).unwrap()).state_root()
    }

    fn run(network: &str, value: usize, after: &str, more: &str) -> Outcome {
        let text = TEST
            .replace("NETWORK", network)
            .replace("VALUE", &value.to_string())
            .replace("HASH", &root(after).to_string())
            .replace("MORE", more);
        Prepared::new(serde_json::from_str(&text).unwrap()).run(network, 0)
    }

    #[test]
    fn the_state_after_a_transfer_is_compared() {
        assert_eq!(run("Berlin", 0, AFTER, ""), Outcome::Passed);
        let more = format!(r#", "state": {AFTER}"#).replace("789995", "789994");
        let Outcome::Failed(reason) = run("Berlin", 0, BEFORE, &more) else { panic!("passed") };
        assert!(reason.contains(".balance: expected 789994, got 789995"), "{reason}");
    }

    #[test]
    fn a_transaction_that_must_be_refused_leaves_the_state() {
        let exception = r#", "expectException": "INSUFFICIENT_ACCOUNT_FUNDS""#;
        assert_eq!(run("Berlin", 1, BEFORE, exception), Outcome::Passed);
        assert!(run("Berlin", 1, BEFORE, "").is_failed());
        assert!(run("Berlin", 0, AFTER, exception).is_failed());
    }

    #[test]
    fn before_spurious_dragon_the_beneficiary_of_nothing_exists() {
        let exception = r#", "expectException": "INSUFFICIENT_ACCOUNT_FUNDS""#;
        let after =
            BEFORE.replacen('{', r#"{"0x00000000000000000000000000000000000000cb": {},"#, 1);
        assert_eq!(run("EIP150", 1, &after, exception), Outcome::Passed);
    }

    #[test]
    fn alternatives_that_do_not_exist_and_unknown_forks_are_told_apart() {
        assert!(run("Berlin", 9, BEFORE, "").is_failed());
        assert!(matches!(run("Amsterdam", 0, AFTER, ""), Outcome::Skipped(_)));
        assert!(run("Atlantis", 0, AFTER, "").is_failed());
    }

    #[test]
    fn a_sender_follows_from_its_key() {
        let text = TEST
            .replace("NETWORK", "Berlin")
            .replace("VALUE", "0")
            .replace("HASH", &B256::ZERO.to_string())
            .replace("MORE", "")
            .replace(
                r#""sender": "0x0000000000000000000000000000000000000bbb""#,
                r#""secretKey": "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8""#,
            );
        let prepared = Prepared::new(serde_json::from_str(&text).unwrap());
        let sender = alloy_primitives::address!("a94f5374fce5edbc8e2a8697c15331677e6ebf0b");
        assert_eq!(prepared.sender(), Ok(sender));
    }
}

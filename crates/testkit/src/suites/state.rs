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
use alloy_primitives::{Address, B256, Signature, keccak256};
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, EthereumTransaction};
use lockstep_execution::{BlockExecutor, MemoryState};

/// The base fee that tests without one were made with.
const DEFAULT_BASE_FEE: u64 = 10;

/// A state test with what its cases share.
#[derive(Debug)]
pub struct Prepared<'a> {
    test: &'a StateTest,
    state: MemoryState,
}

/// A transaction that may be tried, and who sent it.
type Sent = (EthereumTransaction, Address);

impl<'a> Prepared<'a> {
    /// Builds the state before the transaction.
    pub fn new(test: &'a StateTest) -> Self {
        Self { test, state: memory_state(&test.pre) }
    }

    /// Runs the case that `post` describes, under the rules of `network`.
    pub fn run(&self, network: &str, post: &Post) -> Outcome {
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

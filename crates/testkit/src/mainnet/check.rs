//! Check everything that a fixture permits.

use super::Fixture;
use alloy_consensus::Header;
use alloy_primitives::B256;
use core::fmt::{self, Display};
use lockstep_chain::{BodyError, Chain, Ethereum, body};
use lockstep_execution::{
    BlockExecutor, BlockOutput, ExecutionError, OutputError, validate_output,
};
use serde::Serialize;

/// A value that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// The field: of the header (by its name in JSON-RPC), of a transaction, or of the results of
    /// another implementation (then after `oracle`).
    pub field: String,
    /// The transaction's position in the block, where it is one's.
    pub transaction: Option<usize>,
    /// The value the fixture states.
    pub expected: String,
    /// The value found.
    pub got: String,
}

impl Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.transaction {
            write!(f, "transaction {index}: ")?;
        }
        write!(f, "{}: expected {}, got {}", self.field, self.expected, self.got)
    }
}

impl Mismatch {
    /// A mismatch, unless the values are equal.
    pub(super) fn of<T: PartialEq + Display>(
        field: &str,
        transaction: Option<usize>,
        expected: &T,
        got: &T,
    ) -> Option<Self> {
        (expected != got).then(|| Self {
            field: field.into(),
            transaction,
            expected: expected.to_string(),
            got: got.to_string(),
        })
    }

    /// A rule that is broken, where the error says it best.
    fn broken(field: &str, transaction: Option<usize>, error: impl Display) -> Self {
        let got = error.to_string();
        Self { field: field.into(), transaction, expected: "valid".into(), got }
    }
}

/// What a fixture does not permit to check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The block was decoded and not executed.
    NotExecuted {
        /// Codes that the fixture lacks.
        missing_codes: usize,
    },
    /// The ommers' headers are not in the fixture: their hash and rewards were not checked.
    OmmersAbsent,
}

impl Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotExecuted { missing_codes } => {
                write!(f, "decoded and not executed: {missing_codes} codes are missing")
            }
            Self::OmmersAbsent => f.write_str("ommers are not in the fixture"),
        }
    }
}

impl Fixture {
    /// Checks what needs no execution: the header's hash and rules, the roots of the body, the
    /// hashes and senders of the transactions.
    pub fn check_block(&self) -> Vec<Mismatch> {
        let mut found = Vec::new();
        let header: &Header = &self.block.header;
        found.extend(Mismatch::of("hash", None, &self.hash, &header.hash_slow()));
        if let Err(error) = self.chain.validate_header(header) {
            found.push(Mismatch::broken("header", None, error));
        }
        if self.has_ommers {
            let root = body::transactions_root(&self.block.body.transactions);
            found.extend(Mismatch::of("transactionsRoot", None, &header.transactions_root, &root));
        } else if let Err(error) = self.chain.validate_body(&self.block) {
            found.push(Mismatch::broken("body", transaction_of(&error), error));
        }
        match self.chain.recover_senders(&self.block) {
            Err(error) => found.push(Mismatch::broken("from", transaction_of(&error), error)),
            Ok(senders) => {
                for (index, (stated, sender)) in self.stated.iter().zip(senders).enumerate() {
                    found.extend(Mismatch::of("from", Some(index), &stated.from, &sender));
                }
            }
        }
        for (index, (stated, hash)) in self.stated.iter().zip(self.hashes()).enumerate() {
            found.extend(Mismatch::of("hash", Some(index), &stated.hash, &hash));
        }
        found
    }

    /// Checks what execution produced: everything the header commits to but the state root, which
    /// needs the whole state; and the results of the other implementation, if there are any.
    pub fn check_output(
        &self,
        output: &BlockOutput<<Ethereum as Chain>::Receipt>,
    ) -> Vec<Mismatch> {
        let mut found = Vec::new();
        match validate_output(&self.chain, &self.block.header, output) {
            Ok(()) => {}
            Err(OutputError::Mismatch { field, expected, got }) => {
                found.push(Mismatch { field: field.into(), transaction: None, expected, got });
            }
            Err(error) => found.push(Mismatch::broken("header", None, error)),
        }
        if self.oracle.is_some() {
            match self.compare_with_oracle(output) {
                Ok(differences) => found.extend(differences),
                Err(error) => found.push(refusal(&error)),
            }
        }
        found
    }

    /// Executes the transactions once more, without what comes after them, as the oracle did.
    fn compare_with_oracle(
        &self,
        output: &BlockOutput<<Ethereum as Chain>::Receipt>,
    ) -> Result<Vec<Mismatch>, ExecutionError<super::UnknownState>> {
        let Some(oracle) = &self.oracle else { return Ok(Vec::new()) };
        let mut executor = BlockExecutor::new(&self.chain, &self.block.header, &self.state);
        executor.begin()?;
        for (transaction, sender) in self.block.body.transactions.iter().zip(&self.senders) {
            executor.transact(transaction, *sender)?;
        }
        let mut after = self.state.accounts.clone();
        after.apply(&executor.changes());
        let hashes: Vec<B256> = self.hashes().collect();
        let receipts = executor.receipts();
        let mut found = oracle.compare(&hashes, receipts, &self.state.accounts, &after);
        if receipts != output.receipts {
            found.push(Mismatch::broken("receipts", None, "they differ between two executions"));
        }
        Ok(found)
    }

    fn hashes(&self) -> impl Iterator<Item = B256> + '_ {
        self.block.body.transactions.iter().map(|transaction| *transaction.hash())
    }
}

/// The block could not be executed.
pub fn refusal(error: &ExecutionError<super::UnknownState>) -> Mismatch {
    let transaction = match error {
        ExecutionError::GasLimit { index, .. }
        | ExecutionError::Transaction { index, .. }
        | ExecutionError::DepositEvent { index, .. } => Some(*index),
        _ => None,
    };
    Mismatch::broken("execution", transaction, error)
}

const fn transaction_of(error: &BodyError) -> Option<usize> {
    match error {
        BodyError::TransactionType { index, .. }
        | BodyError::TooManyBlobs { index, .. }
        | BodyError::Signature { index, .. }
        | BodyError::Sender { index } => Some(*index),
        _ => None,
    }
}

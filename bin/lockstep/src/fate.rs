//! What became of a transaction: how sure it is, and what its execution came to.

use crate::network::RollupNode;
use alloy_primitives::{Address, B256, U64};
use lockstep_providers::ClientError;
use lockstep_rpc::ConfirmationLevel;
use serde::Deserialize;
use serde_json::json;

/// How sure a transaction is, and where it stands (`lockstep_confirmation`).
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Confirmation {
    pub(crate) level: ConfirmationLevel,
    pub(crate) block_number: Option<U64>,
    /// Not known as long as the block is not complete.
    pub(crate) block_hash: Option<B256>,
}

/// What a node says of an execution.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Receipt {
    status: U64,
    gas_used: U64,
    pub(crate) contract_address: Option<Address>,
    block_number: Option<U64>,
    block_hash: Option<B256>,
}

/// What is known of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fate {
    pub(crate) confirmation: Confirmation,
    /// Of the execution that is so sure; not known of a transaction that waits, nor of others for moments.
    pub(crate) receipt: Option<Receipt>,
}

impl Receipt {
    /// Whether the transaction did not revert.
    pub(crate) fn is_success(&self) -> bool {
        self.status == U64::from(1)
    }

    pub(crate) fn gas_used(&self) -> u64 {
        self.gas_used.to()
    }

    /// Whether this execution is the one that the confirmation is about: a transaction whose block was taken back is
    /// executed again, and may come to something else.
    fn is_of(&self, confirmation: &Confirmation) -> bool {
        (self.block_number, self.block_hash) == (confirmation.block_number, confirmation.block_hash)
    }
}

impl Fate {
    /// Asks a node; `known` is what it said of the execution before. `None` of a transaction that it does not know.
    pub(crate) fn ask(
        hash: B256,
        node: &RollupNode,
        known: Option<Receipt>,
    ) -> Result<Option<Self>, ClientError> {
        let confirmation: Option<Confirmation> =
            node.call("lockstep_confirmation", &json!([hash]))?;
        let Some(confirmation) = confirmation else { return Ok(None) };
        let ask = || node.call("eth_getTransactionReceipt", &json!([hash]));
        Self::of(confirmation, known, ask).map(Some)
    }

    fn of<E>(
        confirmation: Confirmation,
        known: Option<Receipt>,
        ask: impl FnOnce() -> Result<Option<Receipt>, E>,
    ) -> Result<Self, E> {
        let known = known.filter(|receipt| receipt.is_of(&confirmation));
        let receipt = match known {
            None if confirmation.level > ConfirmationLevel::Pending => ask()?,
            known => known,
        };
        Ok(Self { confirmation, receipt: receipt.filter(|it| it.is_of(&confirmation)) })
    }

    /// Whether it is so sure, and known what it came to.
    pub(crate) fn is(&self, level: ConfirmationLevel) -> bool {
        let is_told = self.receipt.is_some() || level == ConfirmationLevel::Pending;
        self.confirmation.level >= level && is_told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyre::{Result, bail};

    fn confirmation(
        level: ConfirmationLevel,
        block: Option<u64>,
        hash: Option<u8>,
    ) -> Confirmation {
        let block_number = block.map(U64::from);
        Confirmation { level, block_number, block_hash: hash.map(B256::repeat_byte) }
    }

    fn receipt(status: u64, block: u64, hash: Option<u8>) -> Receipt {
        Receipt {
            status: U64::from(status),
            gas_used: U64::from(21_000),
            contract_address: None,
            block_number: Some(U64::from(block)),
            block_hash: hash.map(B256::repeat_byte),
        }
    }

    #[test]
    fn an_execution_that_was_undone_says_nothing_of_the_next() {
        use ConfirmationLevel::{Pending, Preconfirmed, Safe};
        let first = Some(receipt(1, 5, Some(1)));
        let fate = Fate::of(confirmation(Pending, None, None), first, || bail!("not asked"));
        assert!(fate.expect("it waits again").receipt.is_none());
        let again = || Ok(Some(receipt(0, 7, Some(2))));
        let fate: Result<Fate> = Fate::of(confirmation(Safe, Some(7), Some(2)), first, again);
        let fate = fate.expect("it was executed again");
        assert!(fate.is(Safe) && fate.receipt.is_some_and(|it| !it.is_success()));
        // Its block is complete now, and the node may say so before or after it was asked.
        let open = Some(receipt(1, 5, None));
        let complete = confirmation(Preconfirmed, Some(5), Some(1));
        let fate: Result<Fate> = Fate::of(complete, open, || Ok(None));
        let fate = fate.expect("it is asked again");
        assert!(!fate.is(Preconfirmed), "what it came to is not known");
        let known = Fate::of(complete, first, || bail!("not asked")).expect("it is known");
        assert!(known.is(Preconfirmed));
    }
}

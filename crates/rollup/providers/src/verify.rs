//! Holds what a node gave against the hashes that commit to it.

use crate::{ClientError, Endpoint};
use alloy_consensus::{Header, ReceiptEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Sealable, Sealed};
use std::fmt::Display;

/// Who said what is held against a hash.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Witness<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) method: &'static str,
}

impl Witness<'_> {
    /// `found` is `expected`, or the node is not to be believed.
    pub(crate) fn expect<T: PartialEq + Display>(
        &self,
        what: &'static str,
        expected: T,
        found: T,
    ) -> Result<(), ClientError> {
        if expected == found {
            return Ok(());
        }
        Err(self.untrue(what, expected, found))
    }

    /// The node is not to be believed.
    pub(crate) fn untrue(
        &self,
        what: &'static str,
        expected: impl Display,
        found: impl Display,
    ) -> ClientError {
        let (endpoint, method) = (self.endpoint.clone(), self.method);
        let (expected, found) = (expected.to_string(), found.to_string());
        tracing::warn!(%endpoint, method, what, expected, found, "a node gave a wrong answer");
        ClientError::Untrue { endpoint, method, what, expected, found }
    }

    /// The header hashes to the hash that the node calls it by, and to the one asked for.
    pub(crate) fn header(
        &self,
        header: alloy_rpc_types_eth::Header,
        asked: Option<B256>,
    ) -> Result<Sealed<Header>, ClientError> {
        let sealed = header.inner.seal_slow();
        self.expect("block hash", asked.unwrap_or(header.hash), sealed.hash())?;
        Ok(sealed)
    }

    /// The transactions are those of the header; returns how many bytes they encode to.
    pub(crate) fn transactions<T: Encodable2718>(
        &self,
        header: &Header,
        transactions: &[T],
    ) -> Result<usize, ClientError> {
        let mut bytes = 0;
        let root = lockstep_trie::ordered_root(transactions, |transaction, out| {
            let before = out.len();
            transaction.encode_2718(out);
            bytes += out.len() - before;
        });
        self.expect("transactions root", header.transactions_root, root)?;
        Ok(bytes)
    }

    /// The receipts are those of the header; returns how many bytes they encode to.
    pub(crate) fn receipts(
        &self,
        header: &Header,
        receipts: &[ReceiptEnvelope],
    ) -> Result<usize, ClientError> {
        let mut bytes = 0;
        let root = lockstep_trie::ordered_root(receipts, |receipt, out| {
            let before = out.len();
            receipt.encode_2718(out);
            bytes += out.len() - before;
        });
        self.expect("receipts root", header.receipts_root, root)?;
        Ok(bytes)
    }
}

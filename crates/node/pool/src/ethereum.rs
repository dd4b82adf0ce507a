//! Ethereum's transactions, with their blobs.

use crate::{NextBlock, Origin, PoolError, Pooled, Rechecked, pooled::rule_error};
use alloy_consensus::{EthereumTxEnvelope, Header, Signed, TxEip4844WithSidecar};
use alloy_eips::{
    eip4844::env_settings::EnvKzgSettings,
    eip7594::{BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{Address, B256, Sealed};
use lockstep_chain::{
    Chain, Ethereum, EthereumHardfork, EthereumTransaction, next_excess_blob_gas,
};
use lockstep_execution::check_transaction;
use lockstep_storage::State;

/// An Ethereum transaction as peers exchange it; its sidecar has blob proofs before Osaka, cell
/// proofs from Osaka on (EIP-7594).
pub type EthereumPooledTransaction =
    EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>;

/// What a transaction must obey to stand in the child of a head.
#[derive(Clone, Debug)]
pub struct EthereumRules {
    /// A header of the child's fork, gas limit and number, and without base fees.
    header: Header,
    fork: EthereumHardfork,
    next: NextBlock,
    max_blobs: usize,
}

impl EthereumRules {
    fn sidecar_version(&self) -> u8 {
        u8::from(self.fork >= EthereumHardfork::Osaka)
    }
}

impl Pooled for Ethereum {
    type PooledTransaction = EthereumPooledTransaction;
    type Rules = EthereumRules;

    fn rules(&self, head: &Sealed<Header>, _: &dyn State) -> EthereumRules {
        let child = Header {
            number: head.number.saturating_add(1),
            timestamp: head.timestamp,
            difficulty: head.difficulty,
            gas_limit: head.gas_limit,
            ..Default::default()
        };
        let fork = self.fork(&child);
        let blobs = self.blob_params(fork);
        let next = NextBlock {
            base_fee: self.next_base_fee(head, head.timestamp).unwrap_or_default(),
            blob_base_fee: blobs
                .map(|params| params.calc_blob_fee(next_excess_blob_gas(params, head))),
            gas_limit: head.gas_limit,
        };
        // With no excess the blob base fee is 1 wei, which every blob transaction must offer.
        let header = Header { excess_blob_gas: blobs.map(|_| 0), ..child };
        let max_blobs = blobs.map_or(0, |params| params.max_blobs_per_tx);
        EthereumRules { header, fork, next, max_blobs: usize::try_from(max_blobs).unwrap_or(0) }
    }

    fn next_block(rules: &EthereumRules) -> NextBlock {
        rules.next
    }

    fn rules_changed(before: &EthereumRules, after: &EthereumRules) -> bool {
        before.fork != after.fork
    }

    fn max_blobs(rules: &EthereumRules) -> usize {
        rules.max_blobs
    }

    fn check(
        &self,
        rules: &EthereumRules,
        tx: &EthereumPooledTransaction,
        sender: Address,
    ) -> Result<(), PoolError> {
        check_transaction(self, &rules.header, &Self::consensus(tx), sender)
            .map(drop)
            .map_err(|error| rule_error(error, tx, self.chain_id()))
    }

    fn check_sidecar(
        &self,
        rules: &EthereumRules,
        tx: EthereumPooledTransaction,
        origin: Origin,
    ) -> Result<EthereumPooledTransaction, PoolError> {
        let EthereumTxEnvelope::Eip4844(signed) = tx else { return Ok(tx) };
        let (got, expected) = (version(&signed.tx().sidecar), rules.sidecar_version());
        if got > expected || (got < expected && !origin.is_own()) {
            return Err(PoolError::SidecarVersion { expected, got });
        }
        let inner = signed.tx();
        validate_sidecar(&inner.sidecar, &inner.tx.blob_versioned_hashes)?;
        if got == expected {
            return Ok(EthereumTxEnvelope::Eip4844(signed));
        }
        convert(signed)
    }

    fn recheck(
        &self,
        rules: &EthereumRules,
        tx: &EthereumPooledTransaction,
        sender: Address,
    ) -> Rechecked<EthereumPooledTransaction> {
        if let Err(error) = self.check(rules, tx, sender) {
            return Rechecked::Invalid(error);
        }
        let EthereumTxEnvelope::Eip4844(signed) = tx else { return Rechecked::Valid };
        let (got, expected) = (version(&signed.tx().sidecar), rules.sidecar_version());
        match got.cmp(&expected) {
            std::cmp::Ordering::Equal => Rechecked::Valid,
            std::cmp::Ordering::Greater => {
                Rechecked::Invalid(PoolError::SidecarVersion { expected, got })
            }
            std::cmp::Ordering::Less => match convert(signed.clone()) {
                Ok(tx) => Rechecked::Converted(tx),
                Err(error) => Rechecked::Invalid(error),
            },
        }
    }

    fn sidecar(tx: &EthereumPooledTransaction) -> Option<&BlobTransactionSidecarVariant> {
        tx.as_eip4844().map(|signed| &signed.tx().sidecar)
    }

    fn consensus(tx: &EthereumPooledTransaction) -> EthereumTransaction {
        match tx {
            EthereumTxEnvelope::Legacy(tx) => EthereumTransaction::Legacy(tx.clone()),
            EthereumTxEnvelope::Eip2930(tx) => EthereumTransaction::Eip2930(tx.clone()),
            EthereumTxEnvelope::Eip1559(tx) => EthereumTransaction::Eip1559(tx.clone()),
            EthereumTxEnvelope::Eip7702(tx) => EthereumTransaction::Eip7702(tx.clone()),
            EthereumTxEnvelope::Eip4844(tx) => EthereumTransaction::Eip4844(Signed::new_unchecked(
                tx.tx().tx.clone(),
                *tx.signature(),
                *tx.hash(),
            )),
        }
    }

    fn pooled(tx: &EthereumTransaction) -> Option<EthereumPooledTransaction> {
        Some(match tx {
            EthereumTransaction::Legacy(tx) => EthereumTxEnvelope::Legacy(tx.clone()),
            EthereumTransaction::Eip2930(tx) => EthereumTxEnvelope::Eip2930(tx.clone()),
            EthereumTransaction::Eip1559(tx) => EthereumTxEnvelope::Eip1559(tx.clone()),
            EthereumTransaction::Eip7702(tx) => EthereumTxEnvelope::Eip7702(tx.clone()),
            EthereumTransaction::Eip4844(_) => return None,
        })
    }
}

/// The version of a sidecar's encoding.
fn version(sidecar: &BlobTransactionSidecarVariant) -> u8 {
    u8::from(sidecar.is_eip7594())
}

/// Checks that every versioned hash has its commitment, every commitment its blob, and that the
/// proofs hold.
fn validate_sidecar(
    sidecar: &BlobTransactionSidecarVariant,
    versioned_hashes: &[B256],
) -> Result<(), PoolError> {
    let (blobs, commitments) = (sidecar.blobs().len(), sidecar.commitments().len());
    let (proofs, per_blob) = match sidecar {
        BlobTransactionSidecarVariant::Eip4844(sidecar) => (sidecar.proofs.len(), 1),
        BlobTransactionSidecarVariant::Eip7594(sidecar) => {
            (sidecar.cell_proofs.len(), CELLS_PER_EXT_BLOB)
        }
    };
    let expected = versioned_hashes.len();
    if blobs != expected || commitments != expected || proofs != expected * per_blob {
        return Err(PoolError::Sidecar(format!(
            "{expected} blob hashes, {blobs} blobs, {commitments} commitments, {proofs} proofs"
        )));
    }
    sidecar
        .validate(versioned_hashes, EnvKzgSettings::Default.get())
        .map_err(|error| PoolError::Sidecar(error.to_string()))
}

/// Computes the cell proofs of a sidecar that has blob proofs.
fn convert(
    signed: Signed<TxEip4844WithSidecar<BlobTransactionSidecarVariant>>,
) -> Result<EthereumPooledTransaction, PoolError> {
    let (tx, signature, hash) = signed.into_parts();
    let tx = tx
        .try_map_sidecar(BlobTransactionSidecarVariant::try_convert_into_eip7594)
        .map_err(|error| PoolError::Sidecar(format!("{error:?}")))?;
    Ok(EthereumTxEnvelope::Eip4844(Signed::new_unchecked(tx, signature, hash)))
}

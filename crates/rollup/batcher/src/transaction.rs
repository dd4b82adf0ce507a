//! Transactions that carry data, signed.

use crate::{BatcherError, DataKind, Fees, fees::calldata_gas};
use alloy_consensus::{SignableTransaction, Signed, TxEip1559, TxEip4844, TxEip4844WithSidecar};
use alloy_eips::{
    eip4844::{
        AsCkzg, BYTES_PER_BLOB, Blob, BlobTransactionSidecar, env_settings::EnvKzgSettings,
        kzg_to_versioned_hash,
    },
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_signer::SignerSync;
use core::ops::Range;
use lockstep_protocol::ChannelId;
use std::{fmt, panic::resume_unwind, sync::Arc, thread};

/// Gas of a transaction without input.
const TRANSACTION_GAS: u64 = 21_000;

/// Which proofs come with blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobProofs {
    /// One for each blob (EIP-4844).
    Blob,
    /// One for each cell of the extended blob (EIP-7594).
    Cell,
}

/// Computes commitments and proofs of blobs.
pub trait BlobProver: fmt::Debug + Send {
    /// The sidecar with these blobs.
    ///
    /// # Errors
    /// [`BatcherError::Kzg`] if one of them is not a blob.
    fn sidecar(
        &self,
        blobs: Vec<Blob>,
        proofs: BlobProofs,
    ) -> Result<BlobTransactionSidecarVariant, BatcherError>;

    /// The versioned hashes of these blobs (EIP-4844).
    ///
    /// # Errors
    /// [`BatcherError::Kzg`] if one of them is not a blob.
    fn versioned_hashes(&self, blobs: Vec<Blob>) -> Result<Vec<B256>, BatcherError> {
        Ok(self.sidecar(blobs, BlobProofs::Blob)?.versioned_hashes().collect())
    }
}

/// Computes with the trusted setup of Ethereum's KZG ceremony.
#[derive(Clone, Copy, Debug, Default)]
pub struct KzgProver;

impl KzgProver {
    /// Computes the tables that all proofs take, once for the process. Whoever needs the first proof waits for them otherwise.
    pub fn prepare() {
        EnvKzgSettings::Default.get();
    }
}

impl BlobProver for KzgProver {
    fn sidecar(
        &self,
        blobs: Vec<Blob>,
        proofs: BlobProofs,
    ) -> Result<BlobTransactionSidecarVariant, BatcherError> {
        let sidecar = match proofs {
            BlobProofs::Blob => {
                let settings = EnvKzgSettings::Default.get();
                BlobTransactionSidecar::try_from_blobs_with_settings(blobs, settings)
                    .map(Into::into)
            }
            BlobProofs::Cell => {
                BlobTransactionSidecarEip7594::try_from_blobs(blobs).map(Into::into)
            }
        };
        sidecar.map_err(|error| BatcherError::Kzg(format!("{error:?}")))
    }

    /// Commitments alone, side by side: proofs cost as much again, and whoever waits for the hashes wants none.
    fn versioned_hashes(&self, blobs: Vec<Blob>) -> Result<Vec<B256>, BatcherError> {
        let settings = EnvKzgSettings::Default.get();
        let hash = |blob: &Blob| {
            let commitment = settings.blob_to_kzg_commitment(blob.as_ckzg());
            let commitment = commitment.map_err(|error| BatcherError::Kzg(format!("{error:?}")))?;
            Ok(kzg_to_versioned_hash(commitment.to_bytes().as_slice()))
        };
        thread::scope(|scope| {
            let threads: Vec<_> =
                blobs.iter().map(|blob| scope.spawn(move || hash(blob))).collect();
            let hashes = threads.into_iter().map(|thread| thread.join());
            hashes.map(|hash| hash.unwrap_or_else(|panic| resume_unwind(panic))).collect()
        })
    }
}

/// Which frames of which channel a transaction carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPart {
    /// The channel.
    pub channel: ChannelId,
    /// The numbers of its frames.
    pub frames: Range<usize>,
}

/// Who pays for transactions.
pub struct Account {
    /// The account.
    pub address: Address,
    /// Signs for it.
    pub signer: Box<dyn SignerSync + Send + Sync>,
    /// The chain id of L1.
    pub chain_id: u64,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, signer: _, chain_id } = self;
        f.debug_struct("Account")
            .field("address", address)
            .field("chain_id", chain_id)
            .finish_non_exhaustive()
    }
}

/// What a transaction does, whatever its nonce and fees.
#[derive(Clone, Debug)]
pub(crate) struct Payload<T> {
    /// What it carries; nothing if it only uses up a nonce.
    pub(crate) part: Option<T>,
    to: Address,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Calldata(Bytes),
    Blobs { sidecar: Arc<BlobTransactionSidecarVariant>, hashes: Vec<B256>, call: Call },
}

/// What a transaction with blobs asks of the contract that it goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The input.
    pub input: Bytes,
    /// The most gas that it may use.
    pub gas_limit: u64,
}

impl Default for Call {
    /// Nothing.
    fn default() -> Self {
        Self { input: Bytes::new(), gas_limit: TRANSACTION_GAS }
    }
}

impl<T> Payload<T> {
    /// A transaction to `to` with this input.
    pub(crate) const fn calldata(to: Address, part: Option<T>, input: Bytes) -> Self {
        Self { part, to, body: Body::Calldata(input) }
    }

    /// A transaction to `to` with the blobs of this sidecar.
    pub(crate) fn blobs(
        to: Address,
        part: Option<T>,
        sidecar: BlobTransactionSidecarVariant,
        call: Call,
    ) -> Self {
        let hashes = sidecar.versioned_hashes().collect();
        Self { part, to, body: Body::Blobs { sidecar: Arc::new(sidecar), hashes, call } }
    }

    pub(crate) const fn kind(&self) -> DataKind {
        match self.body {
            Body::Calldata(_) => DataKind::Calldata,
            Body::Blobs { .. } => DataKind::Blobs,
        }
    }

    /// The bytes that L1 carries for it.
    pub(crate) fn bytes(&self) -> usize {
        match &self.body {
            Body::Calldata(input) => input.len(),
            Body::Blobs { hashes, .. } => hashes.len() * BYTES_PER_BLOB,
        }
    }

    /// Makes the proofs those that pools ask for. It changes no hash and no signature.
    pub(crate) fn set_proofs(
        &mut self,
        proofs: BlobProofs,
        prover: &dyn BlobProver,
    ) -> Result<(), BatcherError> {
        let Body::Blobs { sidecar, .. } = &mut self.body else { return Ok(()) };
        let found = match **sidecar {
            BlobTransactionSidecarVariant::Eip4844(_) => BlobProofs::Blob,
            BlobTransactionSidecarVariant::Eip7594(_) => BlobProofs::Cell,
        };
        if found != proofs {
            *sidecar = Arc::new(prover.sidecar(sidecar.blobs().to_vec(), proofs)?);
        }
        Ok(())
    }

    /// Signs the transaction.
    pub(crate) fn sign(
        &self,
        account: &Account,
        nonce: u64,
        fees: Fees,
    ) -> Result<Attempt, BatcherError> {
        match &self.body {
            Body::Calldata(input) => {
                let tx = TxEip1559 {
                    chain_id: account.chain_id,
                    nonce,
                    gas_limit: calldata_gas(input),
                    max_fee_per_gas: fees.max_fee,
                    max_priority_fee_per_gas: fees.max_tip,
                    to: TxKind::Call(self.to),
                    value: U256::ZERO,
                    access_list: Default::default(),
                    input: input.clone(),
                };
                let tx = signed(tx, account, nonce)?;
                Ok(Attempt { hash: *tx.hash(), fees, tx: SignedTx::Calldata(tx) })
            }
            Body::Blobs { hashes, call, .. } => {
                let tx = TxEip4844 {
                    chain_id: account.chain_id,
                    nonce,
                    gas_limit: call.gas_limit,
                    max_fee_per_gas: fees.max_fee,
                    max_priority_fee_per_gas: fees.max_tip,
                    to: self.to,
                    value: U256::ZERO,
                    access_list: Default::default(),
                    blob_versioned_hashes: hashes.clone(),
                    max_fee_per_blob_gas: fees.max_blob_fee,
                    input: call.input.clone(),
                };
                let tx = signed(tx, account, nonce)?;
                Ok(Attempt { hash: *tx.hash(), fees, tx: SignedTx::Blobs(tx) })
            }
        }
    }
}

fn signed<T: SignableTransaction<alloy_primitives::Signature>>(
    tx: T,
    account: &Account,
    nonce: u64,
) -> Result<Signed<T>, BatcherError>
where
    Signed<T>: Sized,
{
    let signature = account
        .signer
        .sign_hash_sync(&tx.signature_hash())
        .map_err(|error| BatcherError::Signer { nonce, reason: error.to_string() })?;
    Ok(tx.into_signed(signature))
}

/// A signed transaction at a certain price.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) hash: B256,
    pub(crate) fees: Fees,
    tx: SignedTx,
}

#[derive(Clone, Debug)]
enum SignedTx {
    Calldata(Signed<TxEip1559>),
    Blobs(Signed<TxEip4844>),
}

impl Attempt {
    /// The transaction as it travels, with the blobs of `payload`.
    pub(crate) fn raw<T>(&self, payload: &Payload<T>) -> Vec<u8> {
        let mut raw = Vec::new();
        match (&self.tx, &payload.body) {
            (SignedTx::Blobs(tx), Body::Blobs { sidecar, .. }) => {
                let with_sidecar = TxEip4844WithSidecar::from_tx_and_sidecar(
                    tx.tx().clone(),
                    BlobTransactionSidecarVariant::clone(sidecar),
                );
                Signed::new_unchecked(with_sidecar, *tx.signature(), *tx.hash())
                    .eip2718_encode(&mut raw);
            }
            (SignedTx::Blobs(tx), Body::Calldata(_)) => tx.eip2718_encode(&mut raw),
            (SignedTx::Calldata(tx), _) => tx.eip2718_encode(&mut raw),
        }
        raw
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FeePolicy;
    use alloy_consensus::transaction::{EthereumTxEnvelope, SignerRecoverable};
    use alloy_eips::eip2718::Decodable2718;
    use alloy_signer_local::PrivateKeySigner;
    use lockstep_protocol::encode_blob;

    fn account() -> Account {
        let signer = PrivateKeySigner::from_bytes(&B256::repeat_byte(7)).unwrap();
        Account { address: signer.address(), signer: Box::new(signer), chain_id: 900 }
    }

    fn decode(
        raw: &[u8],
    ) -> EthereumTxEnvelope<TxEip4844WithSidecar<BlobTransactionSidecarVariant>> {
        let mut rest = raw;
        let tx = EthereumTxEnvelope::decode_2718(&mut rest).unwrap();
        assert!(rest.is_empty());
        tx
    }

    #[test]
    fn blobs_have_the_hashes_of_their_sidecar() {
        let blobs: Vec<Blob> =
            [&b"one"[..], b"two", b""].map(|data| *encode_blob(data).unwrap()).into();
        let hashes = KzgProver.versioned_hashes(blobs.clone()).unwrap();
        let sidecar = KzgProver.sidecar(blobs, BlobProofs::Blob).unwrap();
        assert!(sidecar.versioned_hashes().eq(hashes));
        let no_blob = Blob::repeat_byte(0xff);
        assert!(matches!(KzgProver.versioned_hashes(vec![no_blob]), Err(BatcherError::Kzg(_))));
    }

    #[test]
    fn blobs_have_the_proofs_of_the_fork_and_the_same_hash() {
        let blob = *encode_blob(b"data").unwrap();
        let sidecar = KzgProver.sidecar(vec![blob], BlobProofs::Blob).unwrap();
        let mut payload =
            Payload::<()>::blobs(Address::repeat_byte(1), None, sidecar, Call::default());
        let fees = Fees { max_fee: 7, max_tip: 3, max_blob_fee: 5 };
        let attempt = payload.sign(&account(), 4, fees).unwrap();
        for proofs in [BlobProofs::Blob, BlobProofs::Cell, BlobProofs::Blob] {
            payload.set_proofs(proofs, &KzgProver).unwrap();
            let tx = decode(&attempt.raw(&payload));
            assert_eq!(*tx.tx_hash(), attempt.hash);
            assert_eq!(tx.recover_signer().unwrap(), account().address);
            let EthereumTxEnvelope::Eip4844(tx) = tx else { panic!("{tx:?}") };
            let BlobProofs::Cell = proofs else {
                assert!(matches!(tx.tx().sidecar, BlobTransactionSidecarVariant::Eip4844(_)));
                tx.tx().validate_blob(EnvKzgSettings::Default.get()).unwrap();
                continue;
            };
            assert!(matches!(tx.tx().sidecar, BlobTransactionSidecarVariant::Eip7594(_)));
            tx.tx().validate_blob(EnvKzgSettings::Default.get()).unwrap();
        }
    }

    #[test]
    fn calldata_pays_for_its_bytes() {
        let payload = Payload::<()>::calldata(Address::ZERO, None, vec![0, 1, 0].into());
        let fees = FeePolicy::default().first(&Default::default(), DataKind::Calldata);
        let attempt = payload.sign(&account(), 0, fees).unwrap();
        let EthereumTxEnvelope::Eip1559(tx) = decode(&attempt.raw(&payload)) else { panic!() };
        assert_eq!(tx.tx().gas_limit, 21_000 + 10 + 40 + 10);
        assert_eq!(tx.tx().chain_id, 900);
    }
}

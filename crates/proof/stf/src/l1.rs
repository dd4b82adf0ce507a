//! L1, as far as it can be reached from its head.

use crate::{DataError, blob::verify_blob, data};
use alloc::{boxed::Box, string::ToString, vec, vec::Vec};
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::{
    eip2718::Decodable2718,
    eip4844::{BYTES_PER_BLOB, Blob, VERSIONED_HASH_VERSION_KZG},
};
use alloy_primitives::{B256, Sealed, U256};
use lockstep_derive::{BlobProvider, IndexedBlobHash, L1Provider, ProviderError, Severity};
use lockstep_preimage::{Hint, PreimageKey, PreimageOracle, blob_points};
use lockstep_protocol::BlockInfo;

/// How far back from its head L1 is walked: about five months.
pub const MAX_L1_BLOCKS: usize = 1 << 20;

impl<E: core::error::Error + Send + Sync + 'static> ProviderError for DataError<E> {
    /// What an oracle does not have now, it will not have later; and hashes do not change.
    fn severity(&self) -> Severity {
        Severity::Critical
    }
}

/// The chain of L1 blocks that ends with one block, by the pre-images of their hashes.
#[derive(Debug)]
pub(crate) struct OracleL1<'a, O> {
    oracle: &'a O,
    /// From the head down.
    blocks: Vec<BlockInfo>,
}

impl<'a, O: PreimageOracle> OracleL1<'a, O> {
    /// L1 up to the block with this hash.
    pub(crate) fn new(oracle: &'a O, head: B256) -> Result<Self, DataError<O::Error>> {
        let mut this = Self { oracle, blocks: Vec::new() };
        let header = this.header(head)?;
        this.blocks.push(BlockInfo::from_header(&header, head));
        Ok(this)
    }

    fn header(&self, hash: B256) -> Result<Sealed<Header>, DataError<O::Error>> {
        self.oracle.hint(&Hint::L1Header(hash)).map_err(DataError::Oracle)?;
        data::header(self.oracle, hash)
    }

    /// What an ordered trie of a block holds.
    fn list<T: Decodable2718>(
        &self,
        what: &'static str,
        hint: &Hint,
        root: B256,
    ) -> Result<Vec<T>, DataError<O::Error>> {
        self.oracle.hint(hint).map_err(DataError::Oracle)?;
        let items = data::ordered_list(self.oracle, root)?;
        items.iter().map(|item| data::decode_2718(what, root, item)).collect()
    }
}

impl<O: PreimageOracle> L1Provider for OracleL1<'_, O> {
    type Error = DataError<O::Error>;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, Self::Error> {
        Ok(self.header(hash)?.into_inner())
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, Self::Error> {
        let Some(head) = self.blocks.first().map(|head| head.number) else { return Ok(None) };
        let Some(below) = head.checked_sub(number) else { return Ok(None) };
        let below = usize::try_from(below).ok().filter(|below| *below < MAX_L1_BLOCKS);
        let below = below.ok_or(DataError::NotAnAncestor { number, head })?;
        while self.blocks.len() <= below {
            let Some(hash) = self.blocks.last().map(|block| block.parent_hash) else { break };
            let header = self.header(hash)?;
            self.blocks.push(BlockInfo::from_header(&header, hash));
        }
        Ok(self.blocks.get(below).copied())
    }

    fn receipts(&mut self, hash: B256) -> Result<Vec<ReceiptEnvelope>, Self::Error> {
        let root = self.header(hash)?.receipts_root;
        self.list("the receipt", &Hint::L1Receipts(hash), root)
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), Self::Error> {
        let header = self.header(hash)?;
        let hint = Hint::L1Transactions(hash);
        let transactions = self.list("the transaction", &hint, header.transactions_root)?;
        Ok((BlockInfo::from_header(&header, hash), transactions))
    }
}

/// Blobs, put together from their field elements.
///
/// That the elements are those of the commitment cannot be checked by hashing. Unless the oracle attests
/// them, as the fault-proof machine does, whose L1 contract holds each against a proof, a proof for the
/// whole blob is asked for and checked here.
#[derive(Debug)]
pub(crate) struct OracleBlobs<'a, O> {
    oracle: &'a O,
    /// Computed when the first blob is asked for.
    points: Vec<U256>,
}

impl<'a, O: PreimageOracle> OracleBlobs<'a, O> {
    pub(crate) const fn new(oracle: &'a O) -> Self {
        Self { oracle, points: Vec::new() }
    }

    fn blob(
        &self,
        block: &BlockInfo,
        blob: &IndexedBlobHash,
    ) -> Result<Box<Blob>, DataError<O::Error>> {
        let IndexedBlobHash { index, hash } = *blob;
        let malformed = |reason: &str| DataError::Malformed {
            what: "the blob",
            hash,
            reason: reason.to_string(),
        };
        if hash.first() != Some(&VERSIONED_HASH_VERSION_KZG) {
            return Err(malformed("the hash is none of a KZG commitment"));
        }
        let hint = Hint::L1Blob { hash, index, timestamp: block.timestamp };
        self.oracle.hint(&hint).map_err(DataError::Oracle)?;
        let commitment = data::preimage(self.oracle, PreimageKey::sha256(hash))?;
        let commitment: &[u8; 48] =
            commitment.as_ref().try_into().map_err(|_| malformed("no 48 bytes of commitment"))?;
        let mut bytes = vec![0; BYTES_PER_BLOB];
        for (point, place) in self.points.iter().zip(bytes.chunks_exact_mut(32)) {
            let element = data::preimage(self.oracle, PreimageKey::blob(commitment, point))?;
            let element: &[u8; 32] =
                element.as_ref().try_into().map_err(|_| malformed("no 32 bytes of element"))?;
            place.copy_from_slice(element);
        }
        if !self.oracle.attests_blobs() {
            let proof = data::preimage(self.oracle, PreimageKey::blob_proof(commitment))?;
            let proof: &[u8; 48] =
                proof.as_ref().try_into().map_err(|_| malformed("no 48 bytes of proof"))?;
            verify_blob(commitment, &bytes, &self.points, proof)
                .map_err(|fault| malformed(&fault.to_string()))?;
        }
        Ok(Box::new(Blob::from_slice(&bytes)))
    }
}

impl<O: PreimageOracle> BlobProvider for OracleBlobs<'_, O> {
    type Error = DataError<O::Error>;

    fn blobs(
        &mut self,
        block: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, Self::Error> {
        if self.points.is_empty() && !hashes.is_empty() {
            self.points = blob_points();
        }
        hashes.iter().map(|hash| self.blob(block, hash)).collect()
    }
}

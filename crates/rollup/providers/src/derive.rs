//! Derivation reads through these clients.

use crate::{BeaconClient, ClientError, L1Client, L2Client};
use alloy_consensus::{Header, ReceiptEnvelope, TxEnvelope};
use alloy_eips::{BlockNumberOrTag, eip4844::Blob};
use alloy_primitives::B256;
use lockstep_chain::{Block, Rollup};
use lockstep_derive::{
    BlobProvider, IndexedBlobHash, L1Provider, L2Provider, ProviderError, Severity,
};
use lockstep_protocol::{BlockInfo, L2BlockInfo, SystemConfig};

impl ProviderError for ClientError {
    fn severity(&self) -> Severity {
        Self::severity(self)
    }
}

impl L1Provider for L1Client {
    type Error = ClientError;

    fn header_by_hash(&mut self, hash: B256) -> Result<Header, ClientError> {
        Self::header_by_hash(self, hash)
    }

    fn block_by_number(&mut self, number: u64) -> Result<Option<BlockInfo>, ClientError> {
        self.block(BlockNumberOrTag::Number(number))
    }

    fn receipts(&mut self, hash: B256) -> Result<Vec<ReceiptEnvelope>, ClientError> {
        Ok(Self::receipts(self, hash)?.to_vec())
    }

    fn transactions(&mut self, hash: B256) -> Result<(BlockInfo, Vec<TxEnvelope>), ClientError> {
        let (header, transactions) = Self::transactions(self, hash)?;
        Ok((BlockInfo::from_header(&header, hash), transactions.to_vec()))
    }
}

impl BlobProvider for BeaconClient {
    type Error = ClientError;

    fn blobs(
        &mut self,
        block: &BlockInfo,
        hashes: &[IndexedBlobHash],
    ) -> Result<Vec<Box<Blob>>, ClientError> {
        let hashes: Vec<B256> = hashes.iter().map(|indexed| indexed.hash).collect();
        let blobs = Self::blobs(self, block.timestamp, &hashes)?;
        Ok(blobs.iter().map(|blob| Box::new(*blob.blob())).collect())
    }
}

impl L2Provider for L2Client {
    type Error = ClientError;

    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, ClientError> {
        Self::block_info(self, number)
    }

    fn block(&mut self, number: u64) -> Result<Block<Rollup>, ClientError> {
        Ok((*self.block_by_number(number)?).clone())
    }

    fn system_config(&mut self, number: u64) -> Result<SystemConfig, ClientError> {
        Self::system_config(self, number)
    }
}

//! The one trait a chain definition implements.

use crate::{BodyError, HeaderError, body};
use alloc::vec::Vec;
use alloy_consensus::{
    BlockHeader, Eip2718DecodableReceipt, Eip2718EncodableReceipt, Receipt, ReceiptWithBloom,
    Transaction, TransactionEnvelope, TxReceipt,
    transaction::{SignerRecoverable, TxHashRef},
};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bloom, Log, Sealable, Sealed, U256};
use alloy_rlp::{Decodable, Encodable};
use core::fmt::{Debug, Display};

/// A block of chain `C`.
pub type Block<C> = alloy_consensus::Block<<C as Chain>::Transaction, <C as Chain>::Header>;

/// Decodes a block from exactly the bytes that it encodes to.
///
/// alloy's decoder also takes typed transactions whose outer length is wrong or missing; peers
/// refuse such blocks, and so does this.
///
/// # Errors
/// What is malformed; [`alloy_rlp::Error::UnexpectedLength`] for trailing bytes,
/// [`alloy_rlp::Error::Custom`] if the encoding is not the canonical one.
pub fn decode_block<C: Chain>(rlp: &[u8]) -> alloy_rlp::Result<Block<C>> {
    let mut rest = rlp;
    let block = Block::<C>::decode(&mut rest)?;
    if !rest.is_empty() {
        return Err(alloy_rlp::Error::UnexpectedLength);
    }
    if alloy_rlp::encode(&block) != rlp {
        return Err(alloy_rlp::Error::Custom("the block's encoding is not canonical"));
    }
    Ok(block)
}

/// What every transaction type of a chain can do. Implemented for all types that qualify.
pub trait BlockTransaction:
    Transaction
    + TransactionEnvelope
    + SignerRecoverable
    + TxHashRef
    + Encodable2718
    + Decodable2718
    + Encodable
    + Decodable
    + Clone
    + PartialEq
    + Unpin
{
}

impl<T> BlockTransaction for T where
    T: Transaction
        + TransactionEnvelope
        + SignerRecoverable
        + TxHashRef
        + Encodable2718
        + Decodable2718
        + Encodable
        + Decodable
        + Clone
        + PartialEq
        + Unpin
{
}

/// What every receipt type of a chain can do. Implemented for all types that qualify.
pub trait BlockReceipt:
    TxReceipt<Log = Log> + Eip2718EncodableReceipt + Eip2718DecodableReceipt + Unpin + 'static
{
}

impl<T> BlockReceipt for T where
    T: TxReceipt<Log = Log> + Eip2718EncodableReceipt + Eip2718DecodableReceipt + Unpin + 'static
{
}

/// The definition of a chain: its types, its forks, and its rules that need no execution.
///
/// How blocks of the chain *execute* is added by `lockstep_execution::Execute`.
pub trait Chain: Clone + Debug + Send + Sync + 'static {
    /// A signed (or deposited) transaction as it stands in a block.
    type Transaction: BlockTransaction;
    /// A receipt, without its bloom (which is computed when needed).
    type Receipt: BlockReceipt;
    /// A block header.
    type Header: BlockHeader
        + Sealable
        + Encodable
        + Decodable
        + Clone
        + Debug
        + PartialEq
        + Send
        + Sync
        + Unpin
        + 'static;
    /// The rule sets the chain has gone through, oldest first.
    type Fork: Copy + Ord + Debug + Display + Send + Sync + 'static;

    /// The EIP-155 chain id.
    fn chain_id(&self) -> u64;

    /// The rule set that applies to a block with this header.
    fn fork(&self, header: &Self::Header) -> Self::Fork;

    /// Checks every rule that needs only the header itself.
    ///
    /// # Errors
    /// The first broken rule, with the values found.
    fn validate_header(&self, header: &Self::Header) -> Result<(), HeaderError>;

    /// Checks every rule that relates a header to its parent: number, time, gas limit, base fee,
    /// excess blob gas, difficulty and the transition to proof of stake.
    ///
    /// `parent_total_difficulty` (the sum of difficulties up to and including the parent) is
    /// needed only on chains whose merge block is not fixed by number.
    ///
    /// # Errors
    /// The first broken rule, with the values found.
    fn validate_header_against_parent(
        &self,
        header: &Self::Header,
        parent: &Sealed<Self::Header>,
        parent_total_difficulty: Option<U256>,
    ) -> Result<(), HeaderError>;

    /// Checks every rule that relates a body to its header: roots, blob gas, size, and the
    /// transaction types and signature forms that the fork knows.
    ///
    /// # Errors
    /// The first broken rule, naming the transaction where there is one.
    fn validate_body(&self, block: &Block<Self>) -> Result<(), BodyError>;

    /// Recovers the senders of all transactions of a block, in order.
    ///
    /// # Errors
    /// [`BodyError::Sender`] with the index of the first signature that recovers to nobody.
    fn recover_senders(&self, block: &Block<Self>) -> Result<Vec<Address>, BodyError> {
        self.recover_senders_of(&block.header, &block.body.transactions)
    }

    /// Recovers the senders of some transactions of the block with this header, in order.
    ///
    /// # Errors
    /// [`BodyError::Sender`] with the index, among them, of the first signature that recovers to nobody.
    fn recover_senders_of(
        &self,
        header: &Self::Header,
        transactions: &[Self::Transaction],
    ) -> Result<Vec<Address>, BodyError> {
        let _ = header;
        body::recover_senders(transactions)
    }

    /// The base fee per gas (in wei) that the child of `parent` must have if its timestamp is
    /// `timestamp` (in seconds); `None` before EIP-1559.
    fn next_base_fee(&self, parent: &Self::Header, timestamp: u64) -> Option<u64>;

    /// Assembles the receipt of a transaction from what its execution left behind.
    ///
    /// `deposit_nonce` is the sender's nonce before the transaction where the transaction is a
    /// deposit, otherwise `None`.
    fn receipt(
        &self,
        header: &Self::Header,
        transaction: &Self::Transaction,
        receipt: Receipt,
        deposit_nonce: Option<u64>,
    ) -> Self::Receipt;

    /// The root of the ordered trie of receipts, and the bloom over all of them.
    fn receipts_root(&self, header: &Self::Header, receipts: &[Self::Receipt]) -> (B256, Bloom) {
        let _ = header;
        receipts_root(receipts)
    }
}

/// The ordered trie root of receipts (as EIP-2718 encoded with their blooms), and the union of
/// the blooms.
pub(crate) fn receipts_root<R: BlockReceipt>(receipts: &[R]) -> (B256, Bloom) {
    let mut bloom = Bloom::ZERO;
    let root = lockstep_trie::ordered_root(receipts, |receipt, out| {
        let logs_bloom = receipt.bloom();
        bloom |= logs_bloom;
        ReceiptWithBloom { receipt, logs_bloom }.encode_2718(out);
    });
    (root, bloom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ethereum, EthereumTransaction};
    use alloc::vec;
    use alloy_consensus::{BlockBody, Header, SignableTransaction, TxEip1559};
    use alloy_primitives::Signature;

    fn block() -> Block<Ethereum> {
        let signature = Signature::new(U256::ONE, U256::ONE, false);
        let tx = TxEip1559 { input: vec![7; 100].into(), ..Default::default() };
        let tx = EthereumTransaction::Eip1559(tx.into_signed(signature));
        Header::default().into_block(BlockBody { transactions: vec![tx], ..Default::default() })
    }

    #[test]
    fn a_block_decodes_from_its_own_encoding_alone() {
        let block = block();
        let mut rlp = alloy_rlp::encode(&block);
        assert_eq!(decode_block::<Ethereum>(&rlp), Ok(block));
        rlp.push(0);
        assert_eq!(decode_block::<Ethereum>(&rlp), Err(alloy_rlp::Error::UnexpectedLength));
    }

    /// Found by fuzzing: the length before a typed transaction was not held against its content.
    #[test]
    fn a_wrong_length_before_a_typed_transaction_is_refused() {
        let block = block();
        let rlp = alloy_rlp::encode(&block);
        let tx = block.body.transactions[0].encoded_2718();
        let at = rlp.windows(tx.len()).position(|window| window == tx).unwrap();
        for change in [1, 7] {
            let mut rlp = rlp.clone();
            rlp[at - 1] -= change;
            assert!(decode_block::<Ethereum>(&rlp).is_err(), "length less by {change}");
        }
    }
}

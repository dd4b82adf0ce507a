//! What the rows of the tables say.

use super::{Cursor, Malformed, Table, Tx};
use crate::{ForkChoice, StorageError};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use lockstep_execution::AccountInfo;
use lockstep_trie::NodePath;
use signet_libmdbx::TransactionKind;

/// Says that the account has code.
const HAS_CODE: u8 = 0x80;

/// The length of an integer's bytes without leading zeros.
const fn width(bits: usize) -> u8 {
    bits.div_ceil(8) as u8
}

/// Appends an integer without leading zeros.
fn put_integer(out: &mut Vec<u8>, value: &U256) {
    let bytes = value.to_be_bytes::<32>();
    out.extend_from_slice(bytes.get(32 - value.byte_len()..).unwrap_or_default());
}

/// `[HAS_CODE | length of balance][length of nonce][nonce][balance][code hash]`.
pub(crate) fn encode_account(info: &AccountInfo, out: &mut Vec<u8>) {
    let has_code = info.code_hash != KECCAK256_EMPTY;
    let nonce = U256::from(info.nonce);
    out.push(width(info.balance.bit_len()) | if has_code { HAS_CODE } else { 0 });
    out.push(width(nonce.bit_len()));
    put_integer(out, &nonce);
    put_integer(out, &info.balance);
    if has_code {
        out.extend_from_slice(info.code_hash.as_slice());
    }
}

/// Reads what [`encode_account`] wrote.
pub(crate) fn decode_account(bytes: &[u8]) -> Result<AccountInfo, Malformed> {
    let mut cursor = Cursor(bytes);
    let flags = cursor.u8()?;
    let nonce_bytes = cursor.u8()?;
    let nonce = cursor.integer(nonce_bytes.into())?;
    let nonce = u64::try_from(nonce).map_err(|_| "the nonce is longer than 64 bits")?;
    let balance = cursor.integer((flags & !HAS_CODE).into())?;
    let code_hash = if flags & HAS_CODE == 0 { KECCAK256_EMPTY } else { cursor.hash()? };
    cursor.end()?;
    Ok(AccountInfo { balance, nonce, code_hash, account_id: None, code: None })
}

/// A slot's value or a difficulty without leading zeros.
pub(crate) fn encode_value(value: &U256) -> Vec<u8> {
    let mut out = Vec::with_capacity(32);
    put_integer(&mut out, value);
    out
}

/// Reads what [`encode_value`] wrote.
pub(crate) fn decode_value(bytes: &[u8]) -> Result<U256, Malformed> {
    Cursor(bytes).integer(bytes.len())
}

/// An account of the newest state.
pub(crate) fn account<K: TransactionKind>(
    tx: &Tx<K>,
    address: &Address,
) -> Result<Option<AccountInfo>, StorageError> {
    tx.get(Table::Accounts, address.as_slice(), decode_account)
}

/// The key of a slot: address and slot, or both hashed.
pub(crate) fn slot_key(owner: &[u8], slot: &B256) -> Vec<u8> {
    [owner, slot.as_slice()].concat()
}

/// Table and key of a trie node: the owner, if it has one, and a byte per nibble.
pub(crate) fn node_key(at: &NodePath) -> (Table, Vec<u8>) {
    let nibbles = at.path.to_vec();
    match at.owner {
        Some(owner) => (Table::StorageNodes, [owner.as_slice(), &nibbles].concat()),
        None => (Table::AccountNodes, nibbles),
    }
}

/// What is known of a canonical block by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockRow {
    pub(crate) hash: B256,
    pub(crate) state_root: B256,
    pub(crate) total_difficulty: U256,
}

impl BlockRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = [self.hash.as_slice(), self.state_root.as_slice()].concat();
        put_integer(&mut out, &self.total_difficulty);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor(bytes);
        let (hash, state_root) = (cursor.hash()?, cursor.hash()?);
        let total_difficulty = cursor.integer(cursor.0.len())?;
        Ok(Self { hash, state_root, total_difficulty })
    }
}

/// Which chain a folder holds, and in which format. Written once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) format: u32,
    pub(crate) segment_blocks: u64,
    pub(crate) chain_id: u64,
    pub(crate) genesis: BlockNumHash,
}

impl Identity {
    pub(crate) const KEY: &'static [u8] = b"identity";

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.format.to_le_bytes().to_vec();
        out.extend_from_slice(&self.segment_blocks.to_le_bytes());
        out.extend_from_slice(&self.chain_id.to_le_bytes());
        out.extend_from_slice(&self.genesis.number.to_le_bytes());
        out.extend_from_slice(self.genesis.hash.as_slice());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor(bytes);
        let (format, segment_blocks, chain_id) = (cursor.u32()?, cursor.u64()?, cursor.u64()?);
        let genesis = BlockNumHash::new(cursor.u64()?, cursor.hash()?);
        if segment_blocks == 0 {
            return Err("a segment holds no block");
        }
        // What follows belongs to a later format, which `format` tells.
        Ok(Self { format, segment_blocks, chain_id, genesis })
    }
}

/// How far the chain reaches. Written with every commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) tip: BlockNumHash,
    pub(crate) fork_choice: ForkChoice,
    /// The length of the newest data file of each kind, in bytes.
    pub(crate) lengths: [u64; 5],
}

impl Position {
    pub(crate) const KEY: &'static [u8] = b"position";

    pub(crate) fn encode(&self) -> Vec<u8> {
        let ForkChoice { head, safe, finalized } = self.fork_choice;
        let mut out = self.tip.number.to_le_bytes().to_vec();
        for hash in [self.tip.hash, head, safe, finalized] {
            out.extend_from_slice(hash.as_slice());
        }
        for length in self.lengths {
            out.extend_from_slice(&length.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut cursor = Cursor(bytes);
        let tip = BlockNumHash::new(cursor.u64()?, cursor.hash()?);
        let (head, safe, finalized) = (cursor.hash()?, cursor.hash()?, cursor.hash()?);
        let mut lengths = [0; 5];
        for length in &mut lengths {
            *length = cursor.u64()?;
        }
        cursor.end()?;
        Ok(Self { tip, fork_choice: ForkChoice { head, safe, finalized }, lengths })
    }

    /// The position that a transaction sees.
    pub(crate) fn read<K: TransactionKind>(tx: &Tx<K>) -> Result<Self, StorageError> {
        let position = tx.get(Table::Meta, Self::KEY, Self::decode)?;
        position.ok_or_else(|| tx.corrupt(Table::Meta, Self::KEY, "the row is missing"))
    }
}

//! Data that hashes commit to: headers, and lists of transactions or receipts.

use crate::DataError;
use alloc::{string::ToString, vec::Vec};
use alloy_consensus::Header;
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{B256, Bytes, Sealed};
use lockstep_preimage::{PreimageKey, PreimageOracle};
use lockstep_trie::{Nibbles, NodePath, NodeSource, SparseTrie};

/// What `key` stands for, hashed if need be.
pub(crate) fn preimage<O: PreimageOracle>(
    oracle: &O,
    key: PreimageKey,
) -> Result<Bytes, DataError<O::Error>> {
    let preimage = oracle.get(key).map_err(DataError::Oracle)?;
    if !oracle.is_trusted() {
        key.verify(&preimage)?;
    }
    Ok(preimage)
}

/// The bytes with this keccak-256 hash.
pub(crate) fn keccak_preimage<O: PreimageOracle>(
    oracle: &O,
    hash: B256,
) -> Result<Bytes, DataError<O::Error>> {
    preimage(oracle, PreimageKey::keccak256(hash))
}

/// The header with this hash.
pub(crate) fn header<O: PreimageOracle>(
    oracle: &O,
    hash: B256,
) -> Result<Sealed<Header>, DataError<O::Error>> {
    let rlp = keccak_preimage(oracle, hash)?;
    match alloy_rlp::decode_exact(&rlp) {
        Ok(header) => Ok(Sealed::new_unchecked(header, hash)),
        Err(error) => {
            let reason = error.to_string();
            Err(DataError::Malformed { what: "the header", hash, reason })
        }
    }
}

/// What an ordered trie with this root holds, in order: the transactions or receipts of a block.
pub(crate) fn ordered_list<O: PreimageOracle>(
    oracle: &O,
    root: B256,
) -> Result<Vec<Bytes>, DataError<O::Error>> {
    let mut trie = SparseTrie::from_root(root);
    let mut items = Vec::new();
    while let Some(item) = item(oracle, &mut trie, items.len())? {
        items.push(item);
    }
    Ok(items)
}

/// One item of an ordered trie with this root.
pub(crate) fn ordered_item<O: PreimageOracle>(
    oracle: &O,
    root: B256,
    index: usize,
) -> Result<Option<Bytes>, DataError<O::Error>> {
    item(oracle, &mut SparseTrie::from_root(root), index)
}

fn item<O: PreimageOracle>(
    oracle: &O,
    trie: &mut SparseTrie,
    index: usize,
) -> Result<Option<Bytes>, DataError<O::Error>> {
    let key = Nibbles::unpack(alloy_rlp::encode(index));
    Ok(trie.get(&key, &Nodes { oracle })?.map(Bytes::copy_from_slice))
}

/// Decodes an item of the ordered trie with this root.
pub(crate) fn decode_2718<T: Decodable2718, E>(
    what: &'static str,
    root: B256,
    item: &[u8],
) -> Result<T, DataError<E>> {
    T::decode_2718_exact(item).map_err(|error| DataError::Malformed {
        what,
        hash: root,
        reason: error.to_string(),
    })
}

/// Trie nodes by their hash, for tries that one hint announced as a whole.
struct Nodes<'a, O> {
    oracle: &'a O,
}

impl<O: PreimageOracle> NodeSource for Nodes<'_, O> {
    type Error = O::Error;

    fn node(&self, _: &NodePath, hash: B256) -> Result<Option<Bytes>, O::Error> {
        self.oracle.get(PreimageKey::keccak256(hash)).map(Some)
    }

    fn is_trusted(&self) -> bool {
        self.oracle.is_trusted()
    }
}

//! One trie node, outside of any trie, and its encoding (Yellow Paper, appendix D).

use alloc::vec::Vec;
use alloy_primitives::{B256, keccak256};
use alloy_rlp::{EMPTY_STRING_CODE, Encodable, Header};
use alloy_trie::Nibbles;
use core::fmt;

/// A node whose encoding is at least this long is referred to by hash, a shorter one is
/// embedded in its parent.
pub(crate) const HASHED_LEN: usize = 32;

/// A trie node. Its children are references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a node lives on the stack while it is decoded")]
pub enum Node<'a> {
    /// The end of a key, with the rest of that key.
    Leaf {
        /// The nibbles from here to the end of the key.
        key: Nibbles,
        /// The value, never empty.
        value: &'a [u8],
    },
    /// A run of nibbles that all keys below share.
    Extension {
        /// The shared nibbles, at least one.
        key: Nibbles,
        /// A branch.
        child: NodeRef,
    },
    /// A fork in sixteen, with at least two of its children and value present.
    Branch {
        /// The children by nibble.
        children: [NodeRef; 16],
        /// The value of the key that ends here, empty when none does.
        value: &'a [u8],
    },
}

impl Node<'_> {
    /// Appends the RLP of the node to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Leaf { key, value } => encode_leaf(key, value, out),
            Self::Extension { key, child } => encode_extension(key, child, out),
            Self::Branch { children, value } => encode_branch(children, value, out),
        }
    }
}

/// How a node refers to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRef {
    /// There is no child.
    Empty,
    /// The keccak-256 hash of the child's RLP.
    Hash(B256),
    /// The child itself, shorter than 32 bytes.
    Embedded(EmbeddedNode),
}

impl NodeRef {
    /// The reference to the node that is encoded as `rlp`.
    pub(crate) fn to_node(rlp: &[u8]) -> Self {
        EmbeddedNode::new(rlp).map_or_else(|| Self::Hash(keccak256(rlp)), Self::Embedded)
    }

    const fn encoded_len(&self) -> usize {
        match self {
            Self::Empty => 1,
            Self::Hash(_) => 33,
            Self::Embedded(node) => node.len as usize,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Empty => out.push(EMPTY_STRING_CODE),
            Self::Hash(hash) => {
                out.push(EMPTY_STRING_CODE + 32);
                out.extend_from_slice(hash.as_slice());
            }
            Self::Embedded(node) => out.extend_from_slice(node.as_rlp()),
        }
    }
}

/// The RLP of a node that is short enough to stand inside its parent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedNode {
    len: u8,
    bytes: [u8; HASHED_LEN - 1],
}

impl EmbeddedNode {
    /// Copies `rlp`, or `None` when it is 32 bytes or longer.
    pub(crate) fn new(rlp: &[u8]) -> Option<Self> {
        let mut bytes = [0; HASHED_LEN - 1];
        bytes.get_mut(..rlp.len())?.copy_from_slice(rlp);
        Some(Self { len: u8::try_from(rlp.len()).ok()?, bytes })
    }

    /// The RLP of the node.
    pub fn as_rlp(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Debug for EmbeddedNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedNode({})", alloy_primitives::hex::encode(self.as_rlp()))
    }
}

pub(crate) fn encode_leaf(key: &Nibbles, value: &[u8], out: &mut Vec<u8>) {
    let path = CompactPath::new(key, true);
    encode_list_header(path.as_slice().length() + value.length(), out);
    path.as_slice().encode(out);
    value.encode(out);
}

pub(crate) fn encode_extension(key: &Nibbles, child: &NodeRef, out: &mut Vec<u8>) {
    let path = CompactPath::new(key, false);
    encode_list_header(path.as_slice().length() + child.encoded_len(), out);
    path.as_slice().encode(out);
    child.encode(out);
}

pub(crate) fn encode_branch(children: &[NodeRef; 16], value: &[u8], out: &mut Vec<u8>) {
    let children_len: usize = children.iter().map(NodeRef::encoded_len).sum();
    encode_list_header(children_len + value.length(), out);
    for child in children {
        child.encode(out);
    }
    value.encode(out);
}

fn encode_list_header(payload_length: usize, out: &mut Vec<u8>) {
    Header { list: true, payload_length }.encode(out);
}

/// The "hex prefix" encoding of a path (Yellow Paper, appendix C): a flag nibble that says
/// leaf or extension and odd or even, a zero nibble when even, then the path.
struct CompactPath {
    len: usize,
    bytes: [u8; 33],
}

impl CompactPath {
    fn new(key: &Nibbles, is_leaf: bool) -> Self {
        let leaf_flag = if is_leaf { 0x20 } else { 0 };
        let (first, rest) = match key.first() {
            Some(nibble) if key.len() % 2 == 1 => (leaf_flag | 0x10 | nibble, key.slice(1..)),
            _ => (leaf_flag, *key),
        };
        let mut bytes = [0; 33];
        let [flag, path @ ..] = &mut bytes;
        *flag = first;
        rest.pack_to(path);
        Self { len: 1 + rest.len() / 2, bytes }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

//! Read a node that somebody else encoded: the parser of hostile input.

use crate::node::{EmbeddedNode, HASHED_LEN, Node, NodeRef};
use alloc::vec::Vec;
use alloy_primitives::B256;
use alloy_rlp::Header;
use alloy_trie::Nibbles;

/// The greatest length of a key, in nibbles, and so the greatest depth of a trie.
pub const MAX_KEY_NIBBLES: usize = 64;

/// Why bytes are not the canonical encoding of a trie node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// The bytes are not RLP.
    #[error("invalid RLP: {0}")]
    Rlp(alloy_rlp::Error),
    /// Bytes follow the node.
    #[error("{0} bytes follow the node")]
    TrailingBytes(usize),
    /// The list is neither a leaf or extension nor a branch.
    #[error("a node is a list of 2 or 17 items, found {0}")]
    ItemCount(usize),
    /// The first nibble of a path is not one of the four flags.
    #[error("a path starts with a flag nibble of 0 to 3, found {0}")]
    PathFlag(u8),
    /// The second nibble of an even path is not zero.
    #[error("a path of even length is padded with a zero nibble, found {0}")]
    PathPadding(u8),
    /// A path is the empty string.
    #[error("a path is at least one byte, found none")]
    PathMissing,
    /// The node lies deeper than any key can reach.
    #[error("the node reaches below {MAX_KEY_NIBBLES} nibbles")]
    TooDeep,
    /// An extension extends by nothing.
    #[error("an extension has a path of at least one nibble")]
    EmptyExtension,
    /// The node below an extension is a leaf, another extension, or missing.
    #[error("the child of an extension is a branch")]
    ExtensionChild,
    /// A leaf without a value.
    #[error("the value of a leaf is not empty")]
    EmptyLeaf,
    /// A branch that should have been collapsed.
    #[error("a branch has at least two children or one and a value, found {0}")]
    SparseBranch(usize),
    /// A reference that is neither empty nor a hash nor an embedded node.
    #[error("a reference to a child is a string of 0 or 32 bytes or a list, found {0} bytes")]
    ChildLength(usize),
    /// An embedded node that should have been referred to by hash.
    #[error("an embedded node is shorter than 32 bytes, found {0}")]
    EmbeddedLength(usize),
    /// A node referred to by hash that should have been embedded.
    #[error("a node other than the root has at least 32 bytes when hashed, found {0}")]
    HashedLength(usize),
}

impl From<alloy_rlp::Error> for NodeError {
    fn from(error: alloy_rlp::Error) -> Self {
        Self::Rlp(error)
    }
}

/// Where a node that is about to be decoded hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Root,
    UnderBranch,
    UnderExtension,
}

/// Decodes the node that is encoded as `rlp`, and checks every node embedded in it.
///
/// Accepts exactly the canonical encodings: encoding the result gives `rlp` again.
///
/// # Errors
///
/// A [`NodeError`] says which rule is broken. Work and memory are linear in `rlp.len()`.
pub fn decode_node(rlp: &[u8]) -> Result<Node<'_>, NodeError> {
    decode_node_at(rlp, 0, Place::Root)
}

/// [`decode_node`] for a node that is referred to by hash and lies `depth` nibbles below the
/// root.
pub(crate) fn decode_node_at(
    rlp: &[u8],
    depth: usize,
    place: Place,
) -> Result<Node<'_>, NodeError> {
    if place != Place::Root && rlp.len() < HASHED_LEN {
        return Err(NodeError::HashedLength(rlp.len()));
    }
    let node = decode_shallow(rlp, depth, place)?;
    // A node can embed a chain of nodes, each two bytes shorter than the one around it.
    let mut embedded = Vec::new();
    push_embedded(&node, depth, &mut embedded);
    while let Some((child, depth, place)) = embedded.pop() {
        let node = decode_shallow(child.as_rlp(), depth, place)?;
        push_embedded(&node, depth, &mut embedded);
    }
    Ok(node)
}

fn push_embedded(node: &Node<'_>, depth: usize, embedded: &mut Vec<(EmbeddedNode, usize, Place)>) {
    match node {
        Node::Leaf { .. } => {}
        Node::Extension { key, child } => {
            if let NodeRef::Embedded(child) = child {
                embedded.push((*child, depth + key.len(), Place::UnderExtension));
            }
        }
        Node::Branch { children, .. } => {
            for child in children {
                if let NodeRef::Embedded(child) = child {
                    embedded.push((*child, depth + 1, Place::UnderBranch));
                }
            }
        }
    }
}

/// Decodes one node without looking into the nodes embedded in it.
pub(crate) fn decode_shallow(
    rlp: &[u8],
    depth: usize,
    place: Place,
) -> Result<Node<'_>, NodeError> {
    let mut rest = rlp;
    let mut payload = Header::decode_bytes(&mut rest, true)?;
    if !rest.is_empty() {
        return Err(NodeError::TrailingBytes(rest.len()));
    }
    let mut items = [Item::default(); 17];
    let mut count = 0;
    while !payload.is_empty() {
        let item = items.get_mut(count).ok_or(NodeError::ItemCount(count + 1))?;
        *item = Item::take(&mut payload)?;
        count += 1;
    }
    match (items.as_slice(), count) {
        ([children @ .., value], 17) => decode_branch(children, value, depth),
        (_, 2 | 17) if place == Place::UnderExtension => Err(NodeError::ExtensionChild),
        ([path, end, ..], 2) => decode_short(path, end, depth),
        _ => Err(NodeError::ItemCount(count)),
    }
}

/// Decodes a leaf or an extension.
fn decode_short<'a>(path: &Item<'a>, end: &Item<'a>, depth: usize) -> Result<Node<'a>, NodeError> {
    let (key, is_leaf) = decode_path(path.string()?)?;
    if depth + key.len() > MAX_KEY_NIBBLES {
        return Err(NodeError::TooDeep);
    }
    if is_leaf {
        let value = end.string()?;
        if value.is_empty() {
            return Err(NodeError::EmptyLeaf);
        }
        return Ok(Node::Leaf { key, value });
    }
    if key.is_empty() {
        return Err(NodeError::EmptyExtension);
    }
    match end.reference()? {
        NodeRef::Empty => Err(NodeError::ExtensionChild),
        child => Ok(Node::Extension { key, child }),
    }
}

fn decode_branch<'a>(
    items: &[Item<'a>],
    value: &Item<'a>,
    depth: usize,
) -> Result<Node<'a>, NodeError> {
    if depth >= MAX_KEY_NIBBLES {
        return Err(NodeError::TooDeep);
    }
    let value = value.string()?;
    let mut children = [NodeRef::Empty; 16];
    let mut present = usize::from(!value.is_empty());
    for (child, item) in children.iter_mut().zip(items) {
        *child = item.reference()?;
        present += usize::from(*child != NodeRef::Empty);
    }
    if present < 2 {
        return Err(NodeError::SparseBranch(present));
    }
    Ok(Node::Branch { children, value })
}

/// Decodes a "hex prefix" path, and whether it is that of a leaf.
fn decode_path(path: &[u8]) -> Result<(Nibbles, bool), NodeError> {
    let (first, rest) = path.split_first().ok_or(NodeError::PathMissing)?;
    let (flag, nibble) = (first >> 4, first & 0x0f);
    if flag > 3 {
        return Err(NodeError::PathFlag(flag));
    }
    let is_odd = flag & 1 == 1;
    if !is_odd && nibble != 0 {
        return Err(NodeError::PathPadding(nibble));
    }
    if rest.len() * 2 + usize::from(is_odd) > MAX_KEY_NIBBLES {
        return Err(NodeError::TooDeep);
    }
    let mut key = Nibbles::new();
    if is_odd {
        key.push(nibble);
    }
    key.extend_from_slice(rest);
    Ok((key, flag & 2 == 2))
}

/// One item of a node's list, not interpreted.
#[derive(Clone, Copy, Default)]
struct Item<'a> {
    is_list: bool,
    payload: &'a [u8],
    /// Header and payload.
    rlp: &'a [u8],
}

impl<'a> Item<'a> {
    fn take(list: &mut &'a [u8]) -> Result<Self, NodeError> {
        let start = *list;
        let header = Header::decode(list)?;
        let (payload, rest) =
            list.split_at_checked(header.payload_length).ok_or(alloy_rlp::Error::InputTooShort)?;
        *list = rest;
        let rlp = start.get(..start.len() - rest.len()).unwrap_or_default();
        Ok(Self { is_list: header.list, payload, rlp })
    }

    const fn string(&self) -> Result<&'a [u8], NodeError> {
        if self.is_list {
            return Err(NodeError::Rlp(alloy_rlp::Error::UnexpectedList));
        }
        Ok(self.payload)
    }

    fn reference(&self) -> Result<NodeRef, NodeError> {
        if self.is_list {
            let embedded =
                EmbeddedNode::new(self.rlp).ok_or(NodeError::EmbeddedLength(self.rlp.len()))?;
            return Ok(NodeRef::Embedded(embedded));
        }
        match self.payload.len() {
            0 => Ok(NodeRef::Empty),
            32 => Ok(NodeRef::Hash(B256::from_slice(self.payload))),
            len => Err(NodeError::ChildLength(len)),
        }
    }
}

//! What a run needed.

use crate::Entry;
use alloy_primitives::Bytes;
use std::collections::BTreeMap;

/// What a run was about, by the numbers of its local keys (OP spec: fault proof § bootstrapping).
pub type Locals = BTreeMap<u64, Bytes>;

/// What a run needed: enough to repeat it without nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Witness {
    /// What the run was about. No hash commits to it: it is as trustworthy as whoever gave it.
    pub locals: Locals,
    /// What hashes stand for. Each has the hash that is its key.
    pub entries: Vec<Entry>,
}

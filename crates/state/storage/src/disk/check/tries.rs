//! Every node of the newest state's tries is there and right, and there is no other.

use super::Check;
use crate::{Snapshot, StorageError, db::Table, disk::view::NodesOf};
use alloy_primitives::B256;
use lockstep_chain::Chain;
use lockstep_trie::{
    EMPTY_ROOT_HASH, Nibbles, Node, NodePath, NodeRef, NodeSource, TrieAccount, decode_node,
};

/// The nodes of both tables that were reached.
#[derive(Default)]
struct Reached {
    account_nodes: u64,
    storage_nodes: u64,
}

impl<C: Chain> Check<'_, C> {
    pub(super) fn tries(&mut self) -> Result<(), StorageError> {
        let tip = self.snapshot.tip().number;
        let Some(row) = self.note(self.snapshot.row(tip))?.flatten() else { return Ok(()) };
        let tx = self.snapshot.moment.first();
        let account_nodes = tx.stat(Table::AccountNodes)?.entries() as u64;
        let storage_nodes = tx.stat(Table::StorageNodes)?.entries() as u64;
        let total = account_nodes + storage_nodes;
        let mut reached = Reached::default();
        // Not deeper than both tries together, times the children of a branch.
        let mut stack = vec![(NodePath::default(), row.state_root)];
        while let Some((at, hash)) = stack.pop() {
            if hash == EMPTY_ROOT_HASH {
                continue;
            }
            let Some(rlp) = self.note(NodesOf(self.snapshot.moment.first()).node(&at, hash))?
            else {
                continue;
            };
            let Some(rlp) = rlp else {
                self.problem(format!("node {at}"), format!("node {hash} is missing"));
                continue;
            };
            match at.owner {
                None => reached.account_nodes += 1,
                Some(_) => reached.storage_nodes += 1,
            }
            self.report.nodes += 1;
            self.report_progress("trie nodes", self.report.nodes, total);
            match decode_node(&rlp) {
                Ok(node) => self.push_children(&at, &node, &mut stack),
                Err(error) => self.problem(format!("node {at}"), error.to_string()),
            }
        }
        self.expect_count("account_nodes", account_nodes, reached.account_nodes);
        self.expect_count("storage_nodes", storage_nodes, reached.storage_nodes);
        Ok(())
    }

    fn push_children(&mut self, at: &NodePath, node: &Node<'_>, stack: &mut Vec<(NodePath, B256)>) {
        let below = |path: Nibbles| NodePath { owner: at.owner, path };
        match node {
            Node::Branch { children, .. } => {
                for (nibble, child) in (0u8..).zip(children) {
                    if let NodeRef::Hash(hash) = child {
                        let mut path = at.path;
                        path.push(nibble);
                        stack.push((below(path), *hash));
                    }
                }
            }
            Node::Extension { key, child: NodeRef::Hash(hash) } => {
                stack.push((below(at.path.join(key)), *hash));
            }
            Node::Leaf { key, value } if at.owner.is_none() => {
                let hashed = at.path.join(key).to_vec();
                let owner: Vec<u8> =
                    hashed.chunks(2).map(|pair| pair.iter().fold(0, |b, n| b << 4 | n)).collect();
                let account = alloy_rlp::decode_exact::<TrieAccount>(value);
                match (account, B256::try_from(owner.as_slice())) {
                    (Ok(account), Ok(owner)) => {
                        let root = NodePath { owner: Some(owner), path: Nibbles::new() };
                        stack.push((root, account.storage_root));
                    }
                    _ => self.problem(format!("node {at}"), "its account is malformed"),
                }
            }
            _ => {}
        }
    }
}

//! Where the shared fixtures are, and what several tests do with them.

#![allow(dead_code, reason = "each test uses its part")]

use alloy_primitives::keccak256;
use lockstep_execution::MemoryState;
use lockstep_testkit::source::{Limits, visit};
use lockstep_trie::StateTrie;
use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The folder with the shared fixtures; `None`, visibly, if the environment does not name it.
///
/// A relative path counts from the workspace's root, where cargo is called.
pub(crate) fn fixtures() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the fixtures by the environment")]
    let Ok(path) = std::env::var("LOCKSTEP_FIXTURES") else {
        eprintln!("skipped: set LOCKSTEP_FIXTURES to the folder with the fixtures");
        return None;
    };
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path))
}

/// The files of an archive by their paths.
pub(crate) fn archive(path: &Path) -> HashMap<String, Vec<u8>> {
    let mut files = HashMap::new();
    let prefix = format!("{}/", path.display());
    let _ = visit(path, &Limits::default(), &|_| true, &mut |file| {
        let file = file.expect("the archive is whole");
        let name = file.name.strip_prefix(&prefix).unwrap_or(&file.name);
        let name = name.trim_start_matches("./").to_owned();
        files.insert(name, file.bytes);
        ControlFlow::Continue(())
    });
    files
}

/// Writes a whole state into an empty trie.
pub(crate) fn fill(trie: &mut StateTrie, state: &MemoryState) {
    for (address, account) in state.accounts() {
        let hashed = keccak256(address);
        trie.set_account(hashed, account.info.nonce, account.info.balance, account.info.code_hash);
        for (slot, value) in &account.storage {
            trie.set_slot(hashed, keccak256(slot.to_be_bytes::<32>()), *value);
        }
    }
}

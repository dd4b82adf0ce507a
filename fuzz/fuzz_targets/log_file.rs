//! A file of storage's log from bytes: nothing panics, and records before damage come back.
//!
//! Input: zero and the file as it is; or any other byte, records (kind, length, content), and what follows them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_storage::fuzzing::read_log;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("there is a place for temporary files"));

fuzz_target!(|input: &[u8]| read_log(FOLDER.path(), input));

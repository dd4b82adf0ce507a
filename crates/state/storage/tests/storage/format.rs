//! The format on disk, byte for byte. `UPDATE_GOLDEN=1` writes the golden file anew.

use crate::{
    forge::{Forge, options},
    log,
};
use alloy_primitives::hex;
use lockstep_storage::{FORMAT_VERSION, LogEntry, Storage};
use std::{borrow::Cow, fmt::Write, fs, path::Path, sync::Arc};

/// Rows of each table in the golden file.
const ROWS: usize = 3;

#[test]
fn the_format_is_the_one_of_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(6);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, 5), forge.fork_choice(5)).unwrap();
    disk.log(&LogEntry::ForkChoice(forge.fork_choice(5))).unwrap();
    let block = Arc::clone(&forge.executed(6, 6)[0].block);
    disk.log(&LogEntry::Block(block)).unwrap();
    drop(disk);

    let mut dump = String::new();
    dump_tables(folder.path(), &mut dump);
    let mut files: Vec<_> = fs::read_dir(folder.path().join("static"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain(log::files(folder.path()))
        .collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy();
        let bytes = fs::read(&path).unwrap();
        writeln!(dump, "file {name} {}", hex::encode(bytes)).unwrap();
    }

    let golden = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(format!("tests/golden/format-{FORMAT_VERSION}.txt"));
    #[expect(clippy::disallowed_methods, reason = "golden files are written on demand")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        fs::create_dir_all(golden.parent().unwrap()).unwrap();
        fs::write(&golden, &dump).unwrap();
    }
    let expected = fs::read_to_string(&golden).unwrap_or_default();
    for (line, (found, expected)) in (1..).zip(dump.lines().zip(expected.lines())) {
        assert_eq!(
            found,
            expected,
            "line {line} of {}: a change of the format needs a new FORMAT_VERSION, a new golden \
             file (UPDATE_GOLDEN=1) and a new section in docs/storage.md",
            golden.display(),
        );
    }
    assert_eq!(dump.lines().count(), expected.lines().count());
}

fn dump_tables(folder: &Path, dump: &mut String) {
    let mdbx = signet_libmdbx::Environment::builder()
        .set_max_dbs(16)
        .open(&folder.join("db"))
        .expect("the database opens");
    let tx = mdbx.begin_ro_unsync().expect("it can be read");
    for name in [
        "meta",
        "accounts",
        "storage",
        "hashed_accounts",
        "hashed_storage",
        "account_nodes",
        "storage_nodes",
        "codes",
        "blocks",
        "block_numbers",
        "transactions",
        "account_history",
        "storage_history",
    ] {
        let table = tx.open_db(Some(name)).expect("the table is there");
        let mut cursor = tx.cursor(table).expect("it can be read");
        let mut row = cursor.first::<Cow<'_, [u8]>, Cow<'_, [u8]>>().expect("it can be read");
        for _ in 0..ROWS {
            let Some((key, value)) = row else { break };
            writeln!(dump, "table {name} {} {}", hex::encode(&key), hex::encode(&value)).unwrap();
            row = cursor.next().expect("it can be read");
        }
    }
}

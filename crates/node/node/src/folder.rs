//! The folder of a chain: its storage, and the genesis file that tells which chain it is.

use alloy_genesis::Genesis;
use lockstep_chain::{Chain, genesis};
use lockstep_storage::{DiskStorage, GenesisBlock, Options, StorageError};
use std::{
    fs,
    io::{self, Write},
    path::Path,
};

/// The genesis file in the folder of a chain.
const GENESIS_FILE: &str = "genesis.json";

/// The journal of the pool in the folder of a chain.
pub(crate) const JOURNAL_FILE: &str = "transactions.journal";

/// Opens the chain in `folder`, or begins it there. The genesis file is kept beside it, so that
/// the folder tells on its own which chain it holds. It is there before the chain is: a folder whose
/// beginning was cut off is begun again with the same genesis.
///
/// # Errors
/// As [`DiskStorage::open`]; when the genesis file cannot be written.
pub fn open_folder<C: Chain>(
    folder: &Path,
    chain: &C,
    genesis: &Genesis,
    first: &GenesisBlock<C>,
    options: Options,
) -> Result<DiskStorage<C>, StorageError> {
    let path = folder.join(GENESIS_FILE);
    let refused = |source| StorageError::Io { operation: "write", path: path.clone(), source };
    let json = serde_json::to_vec(genesis).map_err(|error| refused(error.into()))?;
    let write = || {
        fs::create_dir_all(folder)?;
        write_whole(&path, &json)
    };
    if !path.exists() {
        write().map_err(refused)?;
    }
    // Refuses a folder with another chain before its genesis file could be replaced.
    let storage = DiskStorage::open(folder, chain, first, options)?;
    // The forks that lie ahead may have changed since.
    if fs::read(&path).ok().is_none_or(|stored| stored != json) {
        write().map_err(refused)?;
    }
    Ok(storage)
}

/// Writes a file so that it is complete or as before, whenever the process ends or the power fails.
///
/// # Errors
/// When the operating system refuses.
pub fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = fs::File::create(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

/// The genesis of the chain in `folder`; `None` if the folder holds no chain.
///
/// # Errors
/// When the file cannot be read, or is no genesis file.
pub fn stored_genesis(folder: &Path) -> Result<Option<Genesis>, StorageError> {
    let path = folder.join(GENESIS_FILE);
    match fs::read(&path) {
        Ok(json) => match genesis::parse(&json) {
            Ok(genesis) => Ok(Some(genesis)),
            Err(error) => Err(StorageError::Corrupt { path, reason: error.to_string() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StorageError::Io { operation: "read", path, source }),
    }
}

//! Opening a folder, and mending what the end of a process left behind.

use super::{Cache, DiskStorage, FORMAT_VERSION, FolderLock, Log, Measure, Shared, genesis};
use crate::{
    GenesisBlock, Options, StorageError,
    db::{Environment, Identity, Position, Table},
    files::{StaticFiles, has_blocks_after_first},
};
use alloy_consensus::BlockHeader;
use alloy_eips::BlockNumHash;
use lockstep_chain::Chain;
use parking_lot::Mutex;
use std::{
    fs,
    marker::PhantomData,
    path::Path,
    sync::{Arc, atomic::AtomicU64},
};

impl<C: Chain> DiskStorage<C> {
    /// Opens the folder, or creates it with the genesis block as its chain.
    ///
    /// What a process that was killed had written but not committed is removed.
    ///
    /// # Errors
    /// [`StorageError::Unusable`] if another process uses the folder, or it holds another chain or
    /// format; [`StorageError::Corrupt`] if it is damaged; otherwise when the disk refuses.
    pub fn open(
        folder: &Path,
        chain: &C,
        genesis: &GenesisBlock<C>,
        options: Options,
    ) -> Result<Self, StorageError> {
        let block = genesis.block();
        let wanted = Identity {
            format: FORMAT_VERSION,
            segment_blocks: options.segment_blocks.max(1),
            chain_id: chain.chain_id(),
            genesis: BlockNumHash::new(block.header.number(), block.seal()),
        };
        Self::open_with(folder, options, Some((wanted, genesis)))
    }

    /// Opens a folder that exists, whatever its genesis block.
    ///
    /// # Errors
    /// As [`Self::open`]; [`StorageError::NoChain`] if there is no chain, or only the beginning of
    /// one whose creation was cut off.
    pub fn open_existing(folder: &Path, options: Options) -> Result<Self, StorageError> {
        // Static files without a database are refused with another reason.
        if !["db/mdbx.dat", "static"].iter().any(|part| folder.join(part).exists()) {
            return Err(StorageError::NoChain { path: folder.into() });
        }
        Self::open_with(folder, options, None)
    }

    fn open_with(
        folder: &Path,
        options: Options,
        wanted: Option<(Identity, &GenesisBlock<C>)>,
    ) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(|source| StorageError::Io {
            operation: "create",
            path: folder.into(),
            source,
        })?;
        let lock = FolderLock::take(folder)?;
        let environment = Environment::open(&folder.join("db"), &options)?;
        let found = environment.read()?.get(Table::Meta, Identity::KEY, Identity::decode)?;
        let static_folder = folder.join("static");
        if found.is_none() && has_blocks_after_first(&static_folder)? {
            let reason = "there are static files with blocks, and no database to them";
            return Err(unusable(folder, reason));
        }
        let identity = match (found, &wanted) {
            (Some(found), wanted) => {
                check_identity(folder, &found, wanted.as_ref().map(|(identity, _)| identity))?;
                found
            }
            (None, Some((wanted, _))) => *wanted,
            (None, None) => return Err(StorageError::NoChain { path: folder.into() }),
        };
        let files = StaticFiles::new(
            static_folder,
            identity.genesis,
            identity.segment_blocks,
            options.clone(),
        )?;
        if let (None, Some((wanted, genesis))) = (found, &wanted) {
            genesis::write(&environment, &files, wanted, genesis)?;
            tracing::info!(folder = %folder.display(), "a chain was created");
        }
        let position = Position::read(&environment.read()?)?;
        files.truncate(position.tip.number, position.lengths)?;
        let log = Log::open(&folder.join("log"), &identity, &position, &options)?;
        let shared = Arc::new(Shared {
            folder: folder.into(),
            environment,
            files,
            identity,
            unwinds: AtomicU64::new(0),
            changes: Cache::new(options.cache_bytes),
            codes: Cache::new(options.cache_bytes),
            measure: Measure::new(identity.chain_id),
            options,
            _lock: lock,
        });
        Ok(Self { shared, writer: Mutex::new(()), log, chain: PhantomData })
    }
}

fn unusable(folder: &Path, reason: impl Into<String>) -> StorageError {
    StorageError::Unusable { path: folder.into(), reason: reason.into() }
}

fn check_identity(
    folder: &Path,
    found: &Identity,
    wanted: Option<&Identity>,
) -> Result<(), StorageError> {
    if found.format != FORMAT_VERSION {
        let found = found.format;
        let reason = format!("its format has version {found}, this program's is {FORMAT_VERSION}");
        return Err(unusable(folder, reason));
    }
    let Some(wanted) = wanted else { return Ok(()) };
    if (found.chain_id, found.genesis) == (wanted.chain_id, wanted.genesis) {
        return Ok(());
    }
    let describe = |identity: &Identity| {
        let Identity { chain_id, genesis, .. } = identity;
        format!("chain {chain_id} with genesis block {} {}", genesis.number, genesis.hash)
    };
    let reason = format!("it holds {}, expected {}", describe(found), describe(wanted));
    Err(unusable(folder, reason))
}

//! What a development network is made of.

use crate::{MNEMONIC, dev_server};
use alloy_genesis::Genesis;
use lockstep_batcher::DataAvailability;
use lockstep_chain::EthereumHardfork;
use lockstep_node::{stored_genesis, write_whole};
use lockstep_protocol::{ConfigError, RollupConfig};
use lockstep_rpc::{Limits, ServerSettings};
use lockstep_storage::StorageError;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// The folder of the L1 in that of the network.
pub(crate) const L1_FOLDER: &str = "l1";

/// What a development network is made of.
#[derive(Clone, Debug)]
pub struct DevnetConfig {
    /// Where everything is kept; `None` keeps it in memory.
    pub data_dir: Option<PathBuf>,
    /// Where the L1 comes from.
    pub l1: L1Source,
    /// The mnemonic of the funded accounts.
    pub mnemonic: String,
    /// How many accounts are funded.
    pub accounts: u32,
    /// How many rollups there are. Several are a union, whose L1 is the embedded one at Osaka.
    pub rollups: usize,
    /// Seconds from one block of a rollup to the next, at least one.
    pub rollup_block_time_s: u64,
    /// Where the first rollup's sequencer serves JSON-RPC; the next one's port is higher by two.
    pub rollup_server: ServerSettings,
    /// Where the first rollup's follower serves JSON-RPC; the next one's port is higher by two.
    pub follower_server: ServerSettings,
    /// How the blocks of a rollup that is in no union are posted.
    pub data_availability: DataAvailability,
    /// How often users of a union are shown what was executed; zero: whenever something was.
    pub update_interval: Duration,
    /// Limits of JSON-RPC.
    pub limits: Limits,
    /// Threads that each node executes a block with. All nodes are on one machine: those that derive the rollups import
    /// the same batch's blocks at the same time.
    pub execution_threads: usize,
}

/// Where the L1 comes from.
#[derive(Clone, Debug)]
pub enum L1Source {
    /// In this process: our node under the dev beacon.
    Embedded(EmbeddedL1),
    /// Somewhere else.
    Foreign {
        /// The URL of its JSON-RPC.
        url: String,
        /// The URL of its Beacon API.
        beacon: String,
    },
}

/// The settings of the L1 in this process.
#[derive(Clone, Debug)]
pub struct EmbeddedL1 {
    /// The fork it begins with and stays at: Prague or Osaka.
    pub fork: EthereumHardfork,
    /// Seconds per slot, at least one.
    pub slot_time_s: u64,
    /// Where it serves JSON-RPC; it must, since the rollup's nodes read it that way.
    pub server: ServerSettings,
    /// Where the Beacon API is served.
    pub beacon_address: SocketAddr,
}

impl Default for DevnetConfig {
    fn default() -> Self {
        Self {
            data_dir: None,
            l1: L1Source::Embedded(EmbeddedL1::default()),
            mnemonic: MNEMONIC.to_owned(),
            accounts: crate::ACCOUNTS,
            rollups: 1,
            rollup_block_time_s: 1,
            rollup_server: ServerSettings::default(),
            follower_server: ServerSettings::default(),
            data_availability: DataAvailability::Blobs,
            update_interval: Duration::from_millis(100),
            limits: Limits::default(),
            execution_threads: 1,
        }
    }
}

impl Default for EmbeddedL1 {
    fn default() -> Self {
        Self {
            fork: EthereumHardfork::Osaka,
            slot_time_s: 2,
            server: dev_server(0, None),
            beacon_address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }
}

/// What must stay the same when a network goes on in the same folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Identity {
    /// When the chains begin, in seconds.
    pub(crate) genesis_time: u64,
    /// The fork of the embedded L1, or nothing.
    pub(crate) fork: Option<String>,
    /// The slot time of the embedded L1, or nothing.
    pub(crate) slot_time_s: Option<u64>,
    /// The chain id of a foreign L1, or nothing.
    pub(crate) foreign_chain_id: Option<u64>,
    /// The L1 block from which the first rollup block takes its origin.
    pub(crate) first_origin: u64,
    /// The nonce of the first account with which it began to create the rollup's contracts on a
    /// foreign L1.
    pub(crate) first_nonce: u64,
    pub(crate) rollup_block_time_s: u64,
    #[serde(default = "one")]
    pub(crate) rollups: usize,
    pub(crate) mnemonic: String,
    pub(crate) accounts: u32,
}

/// Networks of which it is not said have one rollup.
const fn one() -> usize {
    1
}

/// The names of rollups, in order.
const NAMES: [&str; 8] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"];

/// The name of rollup number `index` of a development network, from 0.
pub fn rollup_name(index: usize) -> String {
    NAMES.get(index).map_or_else(|| format!("rollup-{}", index + 1), |name| (*name).to_owned())
}

/// The settings of the server of rollup number `index`, given those of the first.
pub(crate) fn nth_server(first: &ServerSettings, index: usize) -> ServerSettings {
    let mut settings = first.clone();
    if let Some(address) = &mut settings.address
        && address.port() != 0
    {
        let offset = u16::try_from(index.saturating_mul(2)).unwrap_or(u16::MAX);
        address.set_port(address.port().saturating_add(offset));
    }
    settings
}

/// Why the folder of a network cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system refused.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// The file does not describe a network.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The network in the folder began with other settings.
    #[error(
        "{path} was begun with {field} {stored}, not {wanted}: use the same, or another folder",
        path = path.display()
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// The setting.
        field: String,
        /// What it was.
        stored: String,
        /// What was asked for.
        wanted: String,
    },
}

impl Identity {
    const FILE: &str = "devnet.json";

    /// The identity in `folder` if it agrees with `wanted`, which is written there if there is
    /// none. Times and L1 positions of the beginning are taken from the folder.
    pub(crate) fn load_or_store(folder: &Path, wanted: Self) -> Result<Self, FolderError> {
        let path = folder.join(Self::FILE);
        if let Some(stored) = Self::load(folder)? {
            stored.expect(&wanted, &path)?;
            return Ok(stored);
        }
        let refused = |source| FolderError::Io { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(refused)?;
        let json = serde_json::to_vec_pretty(&wanted).map_err(|error| refused(error.into()))?;
        write_whole(&path, &json).map_err(refused)?;
        Ok(wanted)
    }

    /// The identity in `folder`, if there is one.
    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, FolderError> {
        let path = folder.join(Self::FILE);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(identity) => Ok(Some(identity)),
                Err(error) => Err(FolderError::Malformed { path, reason: error.to_string() }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(FolderError::Io { path, source }),
        }
    }

    fn expect(&self, wanted: &Self, path: &Path) -> Result<(), FolderError> {
        let same_beginning = Self {
            genesis_time: self.genesis_time,
            first_origin: self.first_origin,
            first_nonce: self.first_nonce,
            ..wanted.clone()
        };
        if *self == same_beginning {
            return Ok(());
        }
        let text = |identity: &Self| serde_json::to_value(identity).unwrap_or_default();
        let (stored, wanted) = (text(self), text(&same_beginning));
        let fields = stored.as_object().into_iter().flatten();
        let mut differing = fields.filter_map(|(field, stored)| {
            let wanted = wanted.get(field)?;
            (stored != wanted).then(|| (field.clone(), stored.to_string(), wanted.to_string()))
        });
        let (field, stored, wanted) = differing.next().unwrap_or_default();
        Err(FolderError::Differs { path: path.into(), field, stored, wanted })
    }
}

/// The file in the folder of a rollup that tells how to derive it.
const ROLLUP_FILE: &str = "rollup.json";

/// Where the configuration of the rollup in `folder` is kept.
pub(crate) fn rollup_file(folder: &Path) -> PathBuf {
    folder.join(ROLLUP_FILE)
}

/// Keeps the configuration of the rollup in `folder`, which stays the same for as long as the rollup
/// lives.
pub(crate) fn store_rollup_config(folder: &Path, config: &RollupConfig) -> Result<(), FolderError> {
    let path = rollup_file(folder);
    let refused = |source| FolderError::Io { path: path.clone(), source };
    match fs::read(&path) {
        Ok(stored) => {
            let malformed = |error: ConfigError| FolderError::Malformed {
                path: path.clone(),
                reason: error.to_string(),
            };
            let stored = RollupConfig::from_json(&stored).map_err(malformed)?;
            if stored == *config {
                return Ok(());
            }
            let text = |config: &RollupConfig| config.hash().to_string();
            let (stored, wanted) = (text(&stored), text(config));
            Err(FolderError::Differs {
                path,
                field: "the configuration".to_owned(),
                stored,
                wanted,
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let json = serde_json::to_vec_pretty(config).map_err(|error| refused(error.into()))?;
            fs::create_dir_all(folder).map_err(refused)?;
            write_whole(&path, &json).map_err(refused)
        }
        Err(source) => Err(refused(source)),
    }
}

/// The genesis of the L1 of the network in `folder`; `None` if there is no network, or its L1 is
/// elsewhere.
///
/// # Errors
/// When the folder cannot be read, or holds something else.
pub fn stored_l1_genesis(folder: &Path) -> Result<Option<Genesis>, StorageError> {
    stored_genesis(&folder.join(L1_FOLDER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            genesis_time: 1_700_000_000,
            fork: Some("Osaka".to_owned()),
            slot_time_s: Some(2),
            foreign_chain_id: None,
            first_origin: 0,
            first_nonce: 0,
            rollup_block_time_s: 1,
            rollups: 1,
            mnemonic: MNEMONIC.to_owned(),
            accounts: 10,
        }
    }

    #[test]
    fn a_folder_keeps_when_its_network_began() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = Identity::load_or_store(folder.path(), identity()).expect("it is written");
        let later = Identity { genesis_time: 1_800_000_000, first_origin: 7, ..identity() };
        let again = Identity::load_or_store(folder.path(), later).expect("it is read");
        assert_eq!(first, again);
    }

    #[test]
    fn other_settings_than_the_folders_are_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Identity::load_or_store(folder.path(), identity()).expect("it is written");
        let other = Identity { slot_time_s: Some(12), ..identity() };
        let error = Identity::load_or_store(folder.path(), other).expect_err("it differs");
        assert!(error.to_string().contains("slotTimeS 2, not 12"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join(Identity::FILE), b"{").expect("it is written");
        let error = Identity::load_or_store(folder.path(), identity()).expect_err("it is damaged");
        assert!(error.to_string().contains("devnet.json"), "{error}");
    }
}

//! Real rollup blocks with everything that their execution reads: payload attributes, the parent's
//! header, and the pre-images of the parent's state.
//!
//! A block is two files beside each other: `NAME.fixture.json`, with the fields of [`WitnessBlock`] and the
//! rollup's configuration, and `NAME.preimages.hex` (also compressed, `.zst`), with a line
//! `<keccak-256 hash> <bytes>` in hexadecimal for each pre-image. The format is that of kona's executor
//! tests, with its database unpacked.

use crate::{
    Error, json,
    source::{self, Limits},
};
use alloy_consensus::{Header, Sealable};
use alloy_primitives::{B256, Sealed, hex};
use lockstep_chain::{OpHardfork, Rollup};
use lockstep_preimage::PreimageSet;
use lockstep_protocol::RollupConfig;
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const FIXTURE: &str = ".fixture.json";
const PREIMAGES: [&str; 2] = [".preimages.hex.zst", ".preimages.hex"];

/// A block that is known by its hash alone, and what its execution reads.
#[derive(Clone, Debug)]
pub struct WitnessBlock {
    /// The definition of its chain.
    pub chain: Rollup,
    /// The header of the block before.
    pub parent: Sealed<Header>,
    /// What the block is made from.
    pub attributes: OpPayloadAttributes,
    /// Its hash.
    pub hash: B256,
    /// Trie nodes of the parent's state, codes, and headers of ancestors if any are read.
    pub preimages: PreimageSet,
}

#[derive(Deserialize)]
struct Fixture {
    rollup_config: RollupConfig,
    parent_header: Header,
    executing_payload: OpPayloadAttributes,
    expected_block_hash: B256,
}

/// The blocks at `path`: the one that it names by either of its files, or all in the folder, by name.
///
/// # Errors
/// [`Error::Io`] if the path cannot be read, [`Error::Format`] if it is something else, and
/// [`Error::Missing`] if the folder holds no block.
pub fn find(path: &Path) -> Result<BTreeSet<PathBuf>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        let stem = stem(path).ok_or_else(|| Error::Format {
            file: path.display().to_string(),
            reason: format!("the name ends neither in `{FIXTURE}` nor in `{}`", PREIMAGES[0]),
        })?;
        return Ok([with_suffix(&stem, FIXTURE)].into());
    }
    let mut found = BTreeSet::new();
    for child in fs::read_dir(path).map_err(failed)? {
        let child = child.map_err(failed)?.path();
        if child.to_string_lossy().ends_with(FIXTURE) {
            found.insert(child);
        }
    }
    if found.is_empty() {
        let what = format!("a block `*{FIXTURE}`");
        return Err(Error::Missing { place: path.display().to_string(), what });
    }
    Ok(found)
}

/// The path of a block's file without what comes after its name.
fn stem(path: &Path) -> Option<PathBuf> {
    let name = path.to_str()?;
    let suffixes = [FIXTURE].into_iter().chain(PREIMAGES);
    suffixes.filter_map(|suffix| name.strip_suffix(suffix)).map(PathBuf::from).next()
}

fn with_suffix(stem: &Path, suffix: &str) -> PathBuf {
    let mut path = stem.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

impl WitnessBlock {
    /// Reads the block whose `*.fixture.json` is at `path`.
    ///
    /// # Errors
    /// What is wrong with one of its two files: the message names it.
    pub fn load(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let name = path.display().to_string();
        let Fixture { rollup_config, parent_header, executing_payload, expected_block_hash } =
            json::parse(&name, "", &read(path, limits)?)?;
        let stem = stem(path).unwrap_or_else(|| path.into());
        let mut beside = PREIMAGES.map(|suffix| with_suffix(&stem, suffix)).into_iter();
        let Some(preimages) = beside.find(|path| path.exists()) else {
            let what = format!("`{}` beside it", with_suffix(&stem, PREIMAGES[0]).display());
            return Err(Error::Missing { place: name, what });
        };
        let chain = rollup_config.chain();
        let mut attributes = executing_payload;
        let common = &mut attributes.payload_attributes;
        let number = parent_header.number.saturating_add(1);
        if chain.forks().fork(number, common.timestamp) >= OpHardfork::Canyon {
            // Kona, who recorded these, leaves out what is always the same.
            common.withdrawals.get_or_insert_default();
        }
        Ok(Self {
            chain,
            parent: parent_header.seal_slow(),
            attributes,
            hash: expected_block_hash,
            preimages: parse_preimages(&preimages, &read(&preimages, limits)?)?,
        })
    }

    /// The number of the block.
    pub fn number(&self) -> u64 {
        self.parent.number.saturating_add(1)
    }
}

fn read(path: &Path, limits: &Limits) -> Result<String, Error> {
    let bytes = source::read_within(source::open(path, limits)?, path, limits.file_bytes)?;
    String::from_utf8(bytes).map_err(|error| Error::Format {
        file: path.display().to_string(),
        reason: error.to_string(),
    })
}

fn parse_preimages(path: &Path, text: &str) -> Result<PreimageSet, Error> {
    let mut preimages = PreimageSet::new();
    for (index, line) in text.lines().enumerate() {
        let fault = |reason: &str| Error::Field {
            file: path.display().to_string(),
            field: format!("line {}", index + 1),
            reason: reason.into(),
        };
        if line.trim().is_empty() {
            continue;
        }
        let (hash, bytes) = line.split_once(' ').ok_or_else(|| fault("no hash and bytes"))?;
        let hash: [u8; 32] =
            hex::decode_to_array(hash).map_err(|_| fault("it does not begin with a hash"))?;
        let bytes = hex::decode(bytes.trim()).map_err(|_| fault("no bytes after the hash"))?;
        let got = preimages.insert_keccak256(bytes.into());
        if got != hash {
            return Err(fault(&format!("the hash of the bytes is {got}")));
        }
    }
    Ok(preimages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::keccak256;
    use lockstep_preimage::PreimageKey;

    fn parse(text: &str) -> Result<PreimageSet, String> {
        parse_preimages(Path::new("x"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn preimages_are_lines_of_a_hash_and_bytes() {
        let (one, empty) = (keccak256([1]), keccak256([]));
        let text = format!("{one:x} 01\r\n\n{empty:x} \n");
        let set = parse(&text).expect("two pre-images");
        assert_eq!(set.len(), 2);
        assert_eq!(
            set.find(&PreimageKey::keccak256(one)).map(|bytes| bytes.to_vec()),
            Some(vec![1])
        );
        for (text, line) in [("zz 01", 1), ("\n01 01", 2), (&format!("{one:x} 02"), 1)] {
            let error = parse(text).expect_err("malformed");
            assert!(error.contains(&format!("line {line}")), "{error}");
        }
        assert!(parse(&format!("{one:x} 0g")).is_err());
    }

    #[test]
    fn a_block_is_found_by_either_file_and_other_files_are_refused() {
        for name in ["b.fixture.json", "b.preimages.hex.zst", "b.preimages.hex"] {
            assert_eq!(stem(Path::new(name)), Some("b".into()), "{name}");
        }
        assert_eq!(stem(Path::new("block-1.tar.gz")), None);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let error = find(&folder).expect_err("there is none").to_string();
        assert!(error.contains("*.fixture.json"), "{error}");
        let error = find(&folder.join("lib.rs")).expect_err("no block").to_string();
        assert!(error.contains("lib.rs"), "{error}");
    }
}

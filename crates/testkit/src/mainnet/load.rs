//! Find the blocks below a path, and the files that belong to them.

use super::{Codes, Fixture, OracleResults};
use crate::{
    Error, json,
    source::{self, File, is_archive},
};
use alloy_primitives::B256;
use core::ops::ControlFlow;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// How much a replay may read. The defaults hold years of blocks.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Limits of every single file.
    pub source: source::Limits,
    /// Blocks of which only one of the two files has been seen.
    pub incomplete_blocks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { source: source::Limits::default(), incomplete_blocks: 256 }
    }
}

/// What takes blocks as they are read, each with the place it was read from. An error is about one
/// file; the walk continues unless the visitor breaks it.
pub type Visitor<'a> = dyn FnMut(Result<Fixture, Error>) -> ControlFlow<()> + 'a;

/// Visits every block below `path`; see [`super`] for the layout.
pub fn visit(path: &Path, limits: &Limits, visitor: &mut Visitor<'_>) -> ControlFlow<()> {
    match sets_below(path) {
        Ok(sets) if sets.is_empty() => visitor(Err(Error::Missing {
            place: path.display().to_string(),
            what: "a folder <number>/block.json, or an archive of such folders".into(),
        })),
        Ok(sets) => {
            let mut read_bytes = 0;
            sets.iter().try_for_each(|set| set.visit(limits, &mut read_bytes, visitor))
        }
        Err(error) => visitor(Err(error)),
    }
}

/// The bytes of blocks that a walk over `path` reads from the disk.
pub fn size_on_disk(path: &Path, limits: &Limits) -> u64 {
    let sets = sets_below(path).unwrap_or_default();
    let blocks = sets.iter().flat_map(|set| &set.blocks);
    blocks.map(|path| source::size_on_disk(path, &limits.source)).sum()
}

/// Blocks that share codes, block hashes and oracle results.
#[derive(Debug)]
struct BlockSet {
    /// Archives, or directories of `block.json` and `pre_state.json`.
    blocks: Vec<PathBuf>,
    codes: Option<PathBuf>,
    block_hashes: Option<PathBuf>,
    oracle: Option<PathBuf>,
}

fn sets_below(path: &Path) -> Result<Vec<BlockSet>, Error> {
    let failed = |source| Error::Io { path: path.into(), source };
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![BlockSet::of_archive(path)]);
    }
    if is_block_directory(path) {
        let parent = path.parent().unwrap_or(path);
        return Ok(vec![BlockSet::of_directories(parent, vec![path.into()])]);
    }
    let mut children = Vec::new();
    for child in fs::read_dir(path).map_err(failed)? {
        children.push(child.map_err(failed)?.path());
    }
    let directories = children.iter().filter(|child| is_block_directory(child));
    let mut directories: Vec<PathBuf> = directories.cloned().collect();
    directories.sort_by_key(|directory| {
        let name = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (name.parse::<u64>().unwrap_or(u64::MAX), name)
    });
    let mut sets = Vec::new();
    if !directories.is_empty() {
        sets.push(BlockSet::of_directories(path, directories));
    }
    children.sort();
    let is_of_blocks = |child: &&PathBuf| is_archive(child) && !is_oracle(child);
    sets.extend(children.iter().filter(is_of_blocks).map(|archive| BlockSet::of_archive(archive)));
    Ok(sets)
}

fn is_block_directory(path: &Path) -> bool {
    path.join("block.json").is_file()
}

fn is_oracle(path: &Path) -> bool {
    path.to_string_lossy().contains("oracle-results")
}

/// The first of these files that exists.
fn first(candidates: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    candidates.into_iter().find(|candidate| candidate.exists())
}

/// A `what` that belongs to the set `name`, in `place`.
fn companion(place: &Path, name: &str, what: &str) -> [PathBuf; 2] {
    [place.join(format!("{name}.{what}")), place.join(format!("{name}.{what}.zst"))]
}

impl BlockSet {
    fn of_archive(path: &Path) -> Self {
        let place = path.parent().unwrap_or(Path::new("."));
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.trim_end_matches(".zst").trim_end_matches(".tar");
        Self {
            blocks: vec![path.into()],
            codes: first(companion(place, name, "bytecodes.jsonl")),
            block_hashes: first(companion(place, name, "block_hashes.json")),
            oracle: first(companion(place, name, "oracle-results.tar")),
        }
    }

    fn of_directories(place: &Path, blocks: Vec<PathBuf>) -> Self {
        let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let beside = place.parent().unwrap_or(place);
        let find = |what: &str| {
            let inside = [place.join(what), place.join(format!("{what}.zst"))];
            let in_place = companion(place, &name, what);
            first(inside.into_iter().chain(in_place).chain(companion(beside, &name, what)))
        };
        Self {
            blocks,
            codes: find("bytecodes.jsonl"),
            block_hashes: find("block_hashes.json"),
            oracle: find("oracle-results").or_else(|| find("oracle-results.tar")),
        }
    }

    /// Visits the blocks of the set, to which `read_bytes` were read before.
    fn visit(
        &self,
        limits: &Limits,
        read_bytes: &mut u64,
        visitor: &mut Visitor<'_>,
    ) -> ControlFlow<()> {
        let shared = match Shared::read(self, &limits.source) {
            Ok(shared) => shared,
            Err(error) => return visitor(Err(error)),
        };
        self.blocks.iter().try_for_each(|path| {
            let mut pairing = Pairing { shared: &shared, limits, waiting: BTreeMap::new() };
            let wanted =
                |name: &str| name.ends_with("/block.json") || name.ends_with("/pre_state.json");
            source::visit(path, &limits.source, &wanted, &mut |file| match file
                .and_then(|file| pairing.add(file))
            {
                Ok(None) => ControlFlow::Continue(()),
                Ok(Some(mut fixture)) => {
                    fixture.read_bytes += *read_bytes;
                    visitor(Ok(fixture))
                }
                Err(error) => visitor(Err(error)),
            })?;
            *read_bytes += source::size_on_disk(path, &limits.source);
            pairing.finish(visitor)
        })
    }
}

/// What all blocks of a set use.
#[derive(Debug, Default)]
struct Shared {
    codes: Codes,
    has_codes: bool,
    block_hashes: BTreeMap<u64, B256>,
    oracle: BTreeMap<String, OracleResults>,
}

impl Shared {
    fn read(set: &BlockSet, limits: &source::Limits) -> Result<Self, Error> {
        let mut shared = Self::default();
        if let Some(path) = &set.codes {
            shared.codes = Codes::read(path, limits)?;
            shared.has_codes = true;
        }
        if let Some(path) = &set.block_hashes {
            let bytes = source::read_within(source::open(path, limits)?, path, limits.file_bytes)?;
            let file = path.display().to_string();
            shared.block_hashes = json::parse(&file, "", json::utf8(&file, &bytes)?)?;
        }
        let Some(path) = &set.oracle else { return Ok(shared) };
        let mut broken = None;
        let is_result = |name: &str| name.ends_with(".json");
        let _ = source::visit(path, limits, &is_result, &mut |file| {
            let parsed = file.and_then(|file| {
                let results = OracleResults::parse(&file)?;
                let name = file.name.rsplit('/').next().unwrap_or_default();
                let number = name.trim_end_matches(".json").to_owned();
                shared.oracle.insert(number, results);
                Ok(())
            });
            match parsed {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    broken = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        broken.map_or(Ok(shared), Err)
    }
}

/// Brings the two files of a block together, in whichever order they come.
struct Pairing<'a> {
    shared: &'a Shared,
    limits: &'a Limits,
    waiting: BTreeMap<String, File>,
}

impl Pairing<'_> {
    fn add(&mut self, file: File) -> Result<Option<Fixture>, Error> {
        let (folder, name) = file.name.rsplit_once('/').unwrap_or(("", &file.name));
        let is_block = name == "block.json";
        let Some(other) = self.waiting.remove(folder) else {
            if self.waiting.len() >= self.limits.incomplete_blocks {
                let limit = self.limits.incomplete_blocks as u64;
                return Err(Error::Limit { file: file.name, what: "blocks not complete", limit });
            }
            let folder = folder.to_owned();
            self.waiting.insert(folder, file);
            return Ok(None);
        };
        let number = folder.rsplit('/').next().unwrap_or_default();
        let oracle = self.shared.oracle.get(number).cloned();
        let (block, pre_state) = if is_block { (&file, &other) } else { (&other, &file) };
        let (codes, block_hashes) = (&self.shared.codes, &self.shared.block_hashes);
        let fixture = Fixture::parse(block, pre_state, codes, block_hashes, oracle)?;
        // Some codes may be unknown, but somebody must have looked for them.
        if !fixture.is_complete() && !self.shared.has_codes {
            let what = "a bytecodes.jsonl, to which `code_hash` refers,".into();
            return Err(Error::Missing { place: pre_state.name.clone(), what });
        }
        Ok(Some(fixture))
    }

    /// Reports the blocks of which a file is missing.
    fn finish(self, visitor: &mut Visitor<'_>) -> ControlFlow<()> {
        self.waiting.into_iter().try_for_each(|(place, file)| {
            let is_block = file.name.ends_with("/block.json");
            let what = if is_block { "pre_state.json" } else { "block.json" }.to_owned();
            visitor(Err(Error::Missing { place, what }))
        })
    }
}

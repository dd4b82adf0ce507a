//! Again from stored witnesses.

use super::{
    online,
    range::{Parts, RangeArgs},
    transcript,
};
use crate::{chain::read_file, timing::stopwatch};
use eyre::{OptionExt, Result, WrapErr, bail, ensure};
use lockstep_host::{BlockRange, Host, Outcome, read_witness};
use lockstep_protocol::RollupConfig;
use lockstep_stf::{BootInfo, StfError};
use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
};

/// Repeats part after part with what was stored, up to the first that fails.
pub(super) fn verify(args: &RangeArgs, range: BlockRange, parts: &mut Parts<'_>) -> Result<()> {
    let folder = args.witness_dir.as_ref().ok_or_eyre("--witness-dir is needed")?;
    let expected = Expected {
        rollup_config: args.rollup_config.first().map(online::read_config).transpose()?,
        l1_genesis: args.l1_genesis.as_deref().map(read_file).transpose()?,
    };
    for (part, path) in stored_parts(folder, range)? {
        parts.begin(path.display().to_string());
        let host = parts.with_progress(Host::of_witness(read_witness(&path)?)?);
        let (outcome, time) = stopwatch(|| host.repeat());
        let outcome = outcome.wrap_err_with(|| path.display().to_string())?;
        expected.check(part, &outcome).wrap_err_with(|| path.display().to_string())?;
        let transcripts =
            transcript::read(&host, &outcome).wrap_err_with(|| path.display().to_string())?;
        if !parts.add(&host, outcome, transcripts, time, Some(path))? {
            break;
        }
    }
    Ok(())
}

/// What the user knows, which a witness must be about.
struct Expected {
    rollup_config: Option<RollupConfig>,
    l1_genesis: Option<Vec<u8>>,
}

impl Expected {
    fn check(&self, part: BlockRange, outcome: &Outcome) -> Result<()> {
        let Outcome { boot, agreed, .. } = outcome;
        let about = (agreed.number, boot.claimed_l2_block);
        let (first, last) = (about.0.saturating_add(1), about.1);
        ensure!(about == (part.agreed, part.claimed), "it is about blocks {first} to {last}");
        ensure!(
            self.rollup_config.as_ref().is_none_or(|config| *config == boot.rollup_config),
            "it was made with another rollup configuration"
        );
        if let Some(genesis) = &self.l1_genesis {
            let chain_id = boot.rollup_config.l1_chain_id;
            let chain = BootInfo::parse_l1_chain(genesis, chain_id);
            let chain = chain.map_err(|error: StfError<Infallible>| eyre::eyre!("{error}"))?;
            ensure!(chain == boot.l1_chain, "it was made with another configuration of L1");
        }
        Ok(())
    }
}

pub(super) fn file_name(part: BlockRange) -> String {
    format!("{}-{}.witness", part.agreed, part.claimed)
}

/// The files that together hold the range: of all ways to put it together, the one whose first part is the
/// longest, then its second, and so on.
fn stored_parts(folder: &Path, range: BlockRange) -> Result<Vec<(BlockRange, PathBuf)>> {
    let mut stored = BTreeSet::new();
    let entries = fs::read_dir(folder).wrap_err_with(|| folder.display().to_string())?;
    for entry in entries {
        let name = entry.wrap_err_with(|| folder.display().to_string())?.file_name();
        let part = name.to_str().and_then(|name| name.strip_suffix(".witness"));
        let bounds = part.and_then(|part| part.split_once('-'));
        if let Some((Ok(agreed), Ok(claimed))) =
            bounds.map(|(agreed, claimed)| (agreed.parse::<u64>(), claimed.parse::<u64>()))
            && agreed < claimed
        {
            stored.insert((agreed, claimed));
        }
    }
    // From the end: where each part that leads there goes on.
    let mut next = BTreeMap::new();
    for (agreed, claimed) in stored.iter().rev().copied() {
        let leads_to_the_end = claimed == range.claimed || next.contains_key(&claimed);
        if leads_to_the_end && claimed <= range.claimed {
            next.entry(agreed).or_insert(claimed);
        }
    }
    let mut parts = Vec::new();
    let mut agreed = range.agreed;
    while agreed < range.claimed {
        let Some(claimed) = next.get(&agreed).copied() else {
            bail!(
                "{} has no witnesses that together hold blocks {} to {}",
                folder.display(),
                range.agreed.saturating_add(1),
                range.claimed
            );
        };
        let part = BlockRange { agreed, claimed };
        parts.push((part, folder.join(file_name(part))));
        agreed = claimed;
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path, agreed: u64, claimed: u64) -> Option<Vec<String>> {
        let parts = stored_parts(folder, BlockRange { agreed, claimed }).ok()?;
        Some(parts.into_iter().map(|(part, _)| file_name(part)).collect())
    }

    #[test]
    fn stored_parts_cover_the_range_without_gaps() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in [
            "0-10.witness",
            "10-20.witness",
            "0-5.witness",
            "x.witness",
            "20-20.witness",
            "9-7.witness",
            // A longer first part than 0-5, which leads nowhere.
            "0-12.witness",
            "5-30.witness",
        ] {
            fs::write(folder.path().join(name), b"").expect("it is written");
        }
        let found = |agreed, claimed| names(folder.path(), agreed, claimed);
        let files = |names: &[&str]| {
            Some(names.iter().map(|name| format!("{name}.witness")).collect::<Vec<_>>())
        };
        assert_eq!(found(0, 20), files(&["0-10", "10-20"]));
        assert_eq!(found(0, 5), files(&["0-5"]));
        assert_eq!(found(0, 30), files(&["0-5", "5-30"]));
        assert_eq!(found(0, 12), files(&["0-12"]));
        assert_eq!(found(0, 21), None);
        assert_eq!(found(1, 10), None);
        assert_eq!(names(&folder.path().join("absent"), 0, 1), None);
    }
}

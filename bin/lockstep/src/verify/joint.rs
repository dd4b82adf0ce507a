//! Several rollups of a union: each by itself, and what they say of each other.

use super::{
    range::{self, RangeArgs},
    report::{self, Verified},
    transcript::Transcript,
};
use crate::output::{print_json, say};
use eyre::{OptionExt, Result, WrapErr, ensure};
use serde::Serialize;
use std::{collections::BTreeSet, fs, path::Path};

/// The most rollups of a union.
const MAX_ROLLUPS: usize = lockstep_protocol::MAX_UNION_ROLLUPS;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    rollups: Vec<report::Report>,
    /// Where two rollups tell of different calls between them.
    disagreements: Vec<Disagreement>,
    /// Rollups of the union that were not verified.
    not_verified: Vec<u64>,
    verified: bool,
}

/// Two rollups with different transcripts of each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Disagreement {
    first: u64,
    second: u64,
    /// What the first has of the second.
    of_first: Option<Transcript>,
    /// What the second has of the first.
    of_second: Option<Transcript>,
}

/// The arguments for each rollup, if they are about several.
pub(super) fn members(args: &RangeArgs) -> Result<Option<Vec<RangeArgs>>> {
    let folders = match &args.witness_dir {
        Some(folder) if args.offline => folders(folder)?,
        _ => Vec::new(),
    };
    let count = args.l2.len().max(folders.len());
    if count < 2 {
        return Ok(None);
    }
    ensure!(
        count <= MAX_ROLLUPS,
        "{count} rollups are more than a union has, which is {MAX_ROLLUPS}"
    );
    for (option, given) in
        [("--agreed", args.agreed.len()), ("--rollup-config", args.rollup_config.len())]
    {
        ensure!(
            given == 0 || given == count,
            "{option}: give one for each of the {count} rollups, in their order, or none"
        );
    }
    let member = |index: usize| RangeArgs {
        l2: args.l2.get(index).cloned().into_iter().collect(),
        agreed: args.agreed.get(index).copied().into_iter().collect(),
        rollup_config: args.rollup_config.get(index).cloned().into_iter().collect(),
        witness_dir: match (folders.get(index), &args.witness_dir) {
            (Some(chain), Some(folder)) => Some(folder.join(chain.to_string())),
            (_, folder) => folder.clone(),
        },
        by_chain: true,
        ..args.clone()
    };
    Ok(Some((0..count).map(member).collect()))
}

/// The chain ids after which the folders in a folder of witnesses are named, in order.
fn folders(folder: &Path) -> Result<Vec<u64>> {
    let mut chains = BTreeSet::new();
    for entry in fs::read_dir(folder).wrap_err_with(|| folder.display().to_string())? {
        let entry = entry.wrap_err_with(|| folder.display().to_string())?;
        let chain = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
        chains.extend(chain.filter(|_| entry.path().is_dir()));
    }
    Ok(chains.into_iter().collect())
}

/// Verifies each rollup, and holds them against each other; whether all of it holds.
pub(super) fn run(members: &[RangeArgs], json: bool) -> Result<bool> {
    let mut verified = Vec::new();
    for member in members {
        let one = range::verify(member, json)?;
        if !json {
            one.report.print();
        }
        verified.push(one);
    }
    check_together(&verified)?;
    let disagreements = disagreements(&verified);
    let given: BTreeSet<u64> = verified.iter().map(Verified::chain_id).collect();
    let union = verified.iter().filter_map(|one| one.config.union.as_ref());
    let not_verified: BTreeSet<u64> =
        union.flat_map(|union| union.chains.difference(&given).copied()).collect();
    let report = Report {
        verified: disagreements.is_empty() && verified.iter().all(|one| one.report.verified),
        rollups: verified.into_iter().map(|one| one.report).collect(),
        disagreements,
        not_verified: not_verified.into_iter().collect(),
    };
    if json {
        print_json(&report)?;
    } else {
        report.print();
    }
    Ok(report.verified)
}

/// Rollups are held against each other only at one time, on one L1, in one union.
fn check_together(verified: &[Verified]) -> Result<()> {
    let (first, others) = verified.split_first().ok_or_eyre("nothing was verified")?;
    let mut chains = BTreeSet::from([first.chain_id()]);
    for one in others {
        let chain = one.chain_id();
        ensure!(chains.insert(chain), "chain {chain} is given twice");
        ensure!(
            one.config.union.is_some() && one.config.union == first.config.union,
            "chains {} and {chain} are not of one union",
            first.chain_id()
        );
        ensure!(
            one.time() == first.time(),
            "block {} of chain {} and block {} of chain {chain} are not of the same time",
            first.report.to,
            first.chain_id(),
            one.report.to
        );
        ensure!(
            one.config.l1_chain_id == first.config.l1_chain_id
                && one.l1.is_one_chain_with(&first.l1),
            "chains {} and {chain} were derived from L1 blocks that are not of one chain: L1 was reorganised meanwhile",
            first.chain_id()
        );
    }
    Ok(())
}

/// The pairs in which one rollup tells of other calls than the other. Of a rollup that is not verified nothing is known.
fn disagreements(verified: &[Verified]) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let known: Vec<&Verified> = verified.iter().filter(|one| one.report.verified).collect();
    for (index, one) in known.iter().enumerate() {
        for other in known.iter().skip(index + 1) {
            let (first, second) = (one.chain_id(), other.chain_id());
            let of_first = one.report.transcripts.get(&second).copied();
            let of_second = other.report.transcripts.get(&first).copied();
            if of_first.is_none() || of_first != of_second.map(Transcript::mirrored) {
                found.push(Disagreement { first, second, of_first, of_second });
            }
        }
    }
    found
}

impl Report {
    fn print(&self) {
        let rollups = self.rollups.len();
        if self.verified {
            say!("{rollups} rollups verified, which agree on every call between them");
        } else {
            say!("{rollups} rollups NOT VERIFIED together");
        }
        for Disagreement { first, second, of_first, of_second } in &self.disagreements {
            say!("  chains {first} and {second} tell of different calls between them");
            for (chain, transcript) in [(first, of_first), (second, of_second)] {
                match transcript {
                    Some(Transcript { hash, sent, received }) => {
                        say!(
                            "    {chain}: transcript {hash}, sent {sent} wei, received {received} wei"
                        );
                    }
                    None => say!("    {chain}: no transcript"),
                }
            }
        }
        for chain in &self.not_verified {
            say!("  chain {chain} of the union was not verified");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, U256};

    fn args(l2: &[&str]) -> RangeArgs {
        RangeArgs { l2: l2.iter().map(|it| (*it).to_owned()).collect(), ..RangeArgs::default() }
    }

    #[test]
    fn what_is_given_for_each_rollup_stays_with_it() {
        assert!(members(&args(&["a"])).expect("it is one").is_none());
        let root = |byte| B256::repeat_byte(byte);
        let both = RangeArgs { agreed: vec![root(1), root(2)], ..args(&["a", "b"]) };
        let members_of = members(&both).expect("they are two").expect("they are two");
        let given: Vec<_> =
            members_of.iter().map(|it| (it.l2.clone(), it.agreed.clone())).collect();
        assert_eq!(
            given,
            [(vec!["a".to_owned()], vec![root(1)]), (vec!["b".to_owned()], vec![root(2)])]
        );
        let short = RangeArgs { agreed: vec![root(1)], ..args(&["a", "b"]) };
        assert!(members(&short).expect_err("one is missing").to_string().contains("--agreed"));
    }

    #[test]
    fn folders_of_witnesses_name_their_chains() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["902", "901", "other"] {
            fs::create_dir(folder.path().join(name)).expect("it is made");
        }
        let offline = RangeArgs {
            offline: true,
            witness_dir: Some(folder.path().to_owned()),
            ..RangeArgs::default()
        };
        let members = members(&offline).expect("it is read").expect("they are two");
        let found: Vec<_> = members.into_iter().filter_map(|it| it.witness_dir).collect();
        assert_eq!(found, [folder.path().join("901"), folder.path().join("902")]);
    }

    #[test]
    fn a_transcript_must_be_the_peers_mirrored() {
        let of = |sent: u64, received: u64| Transcript {
            hash: B256::repeat_byte(1),
            sent: U256::from(sent),
            received: U256::from(received),
        };
        let verified = |first, second| {
            let one = Verified::of_union(901, [(902, first)].into());
            let other = Verified::of_union(902, [(901, second)].into());
            disagreements(&[one, other])
        };
        assert_eq!(verified(of(5, 2), of(2, 5)), []);
        assert_eq!(verified(of(5, 2), of(5, 2)).len(), 1);
        let other = Transcript { hash: B256::ZERO, ..of(2, 5) };
        assert_eq!(verified(of(5, 2), other).len(), 1);
        let silent = [Verified::of_union(901, [].into()), Verified::of_union(902, [].into())];
        assert_eq!(disagreements(&silent).len(), 1, "what is not known is no agreement");
    }

    #[test]
    fn rollups_are_compared_at_one_time_in_one_union() {
        let one = Verified::of_union(901, [].into());
        let mut other = Verified::of_union(902, [].into());
        assert!(check_together(&[one.clone(), one.clone()]).is_err(), "twice the same");
        other.report.to += 1;
        let error = check_together(&[one.clone(), other.clone()]).expect_err("another time");
        assert!(error.to_string().contains("not of the same time"), "{error}");
        other.report.to -= 1;
        other.config.union = None;
        let error = check_together(&[one, other]).expect_err("no union").to_string();
        assert!(error.contains("not of one union"), "{error}");
    }
}

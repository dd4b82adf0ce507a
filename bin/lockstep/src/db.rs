//! `lockstep db`: look after the chains on disk while no node uses them.

use crate::{chain, output::say, progress};
use alloy_genesis::Genesis;
use clap::{Args as ClapArgs, Subcommand};
use eyre::{Context, Result, ensure};
use lockstep_chain::Rollup;
use lockstep_execution::Execute;
use lockstep_node::stored_genesis;
use lockstep_storage::{
    CheckOptions, CheckReport, DiskStorage, LogEntry, Options, Problem, Storage, StorageError,
    StorageStats,
};
use serde::Serialize;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Hold everything that is stored against everything else.
    Check {
        #[command(flatten)]
        target: Target,
        /// Recover the sender of every transaction, too.
        #[arg(long)]
        senders: bool,
    },
    /// Tell how much there is of everything.
    Stats {
        #[command(flatten)]
        target: Target,
    },
    /// Take back every block above one, the newest first. If it is interrupted, the chain is whole
    /// and only shorter; the same command goes on.
    Unwind {
        #[command(flatten)]
        target: Target,
        /// The block that becomes the newest.
        #[arg(long, value_name = "NUMBER")]
        to: u64,
    },
}

#[derive(Debug, ClapArgs)]
struct Target {
    /// The folder of a chain, or a folder of such folders.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of one chain.
#[derive(Debug, Serialize)]
struct Answer<T> {
    folder: PathBuf,
    #[serde(flatten)]
    outcome: T,
}

#[derive(Debug, Serialize)]
struct Unwound {
    from: u64,
    to: u64,
}

/// Runs the command; whether every chain is sound.
pub(crate) fn run(args: &Args) -> Result<bool> {
    match &args.command {
        Command::Check { target, senders } => {
            let check = Check { recover_senders: *senders, bar: !target.json };
            let answers = on_each(target, &check)?;
            if !target.json {
                answers.iter().for_each(print_check);
            }
            Ok(answers.iter().all(|answer| answer.outcome.is_sound()))
        }
        Command::Stats { target } => {
            let answers = on_each(target, &Stats)?;
            if !target.json {
                answers.iter().for_each(print_stats);
            }
            Ok(true)
        }
        Command::Unwind { target, to } => {
            let folders = chain_folders(&target.folder)?;
            let names: Vec<_> = folders.iter().map(|it| it.display().to_string()).collect();
            ensure!(folders.len() == 1, "name the folder of one chain: {}", names.join(", "));
            for answer in on_each(target, &Unwind { to: *to })? {
                if !target.json {
                    let Unwound { from, to } = answer.outcome;
                    say!("{}: from block {from} to block {to}", answer.folder.display());
                }
            }
            Ok(true)
        }
    }
}

/// Something to do with a chain of any kind.
trait Task {
    type Outcome: Serialize;

    fn run<C: Execute>(
        &self,
        chain: &C,
        storage: &DiskStorage<C>,
    ) -> Result<Self::Outcome, StorageError>;

    /// What it means that a chain is too damaged to be opened; `None` if it is an error.
    fn damaged(&self, _: Problem) -> Option<Self::Outcome> {
        None
    }
}

struct Check {
    recover_senders: bool,
    bar: bool,
}

impl Task for Check {
    type Outcome = CheckReport;

    fn run<C: Execute>(
        &self,
        chain: &C,
        storage: &DiskStorage<C>,
    ) -> Result<CheckReport, StorageError> {
        let bar = progress::bar(self.bar, 0);
        let options = CheckOptions { recover_senders: self.recover_senders };
        let report = storage.check(chain, options, &mut |progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
            bar.set_message(progress.stage);
        });
        bar.finish_and_clear();
        report
    }

    fn damaged(&self, problem: Problem) -> Option<CheckReport> {
        Some(CheckReport { problems: vec![problem], problem_count: 1, ..Default::default() })
    }
}

struct Stats;

impl Task for Stats {
    type Outcome = StorageStats;

    fn run<C: Execute>(
        &self,
        _: &C,
        storage: &DiskStorage<C>,
    ) -> Result<StorageStats, StorageError> {
        storage.stats()
    }
}

struct Unwind {
    to: u64,
}

impl Task for Unwind {
    type Outcome = Unwound;

    fn run<C: Execute>(&self, _: &C, storage: &DiskStorage<C>) -> Result<Unwound, StorageError> {
        let from = storage.snapshot()?.tip().number;
        storage.unwind(self.to)?;
        // Blocks above are still in the log; the last choice there decides at the next start.
        storage.log(&LogEntry::ForkChoice(storage.snapshot()?.fork_choice()))?;
        Ok(Unwound { from, to: self.to })
    }
}

/// Runs a task on every chain in a folder.
fn on_each<T: Task>(target: &Target, task: &T) -> Result<Vec<Answer<T::Outcome>>> {
    let mut answers = Vec::new();
    for folder in chain_folders(&target.folder)? {
        let genesis = stored_genesis(&folder)?;
        let genesis = genesis.expect("only folders with a genesis file are listed");
        let outcome = if genesis.config.extra_fields.contains_key("optimism") {
            open_and_run(task, &Rollup::from_genesis(&genesis)?, &folder)
        } else {
            open_and_run(task, &l1_chain(&genesis)?, &folder)
        }
        .wrap_err_with(|| folder.display().to_string())?;
        let Some(outcome) = outcome else {
            eprintln!("{}: it holds no chain yet", folder.display());
            continue;
        };
        let answer = Answer { folder, outcome };
        if target.json {
            say!("{}", serde_json::to_string(&answer)?);
        }
        answers.push(answer);
    }
    ensure!(!answers.is_empty(), "{}: it holds no chain", target.folder.display());
    Ok(answers)
}

/// `None` if the chain in the folder was not created before a node there ended.
fn open_and_run<C: Execute, T: Task>(
    task: &T,
    chain: &C,
    folder: &Path,
) -> Result<Option<T::Outcome>> {
    let storage = match DiskStorage::open_existing(folder, Options::default()) {
        Err(StorageError::NoChain { .. }) => return Ok(None),
        Err(StorageError::Corrupt { path, reason }) => {
            let problem = Problem { place: path.display().to_string(), reason: reason.clone() };
            let outcome = task.damaged(problem);
            let outcome = outcome.ok_or(StorageError::Corrupt { path, reason })?;
            return Ok(Some(outcome));
        }
        opened => opened?,
    };
    Ok(Some(task.run(chain, &storage)?))
}

fn l1_chain(genesis: &Genesis) -> Result<lockstep_chain::Ethereum> {
    match chain::known_network(genesis.config.chain_id) {
        Some(chain) => Ok(chain),
        None => Ok(lockstep_chain::Ethereum::from_genesis(genesis)?),
    }
}

/// The folder itself if it holds a chain, or those in it that do.
fn chain_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let holds_chain = |folder: &Path| folder.join("genesis.json").is_file();
    if holds_chain(folder) {
        return Ok(vec![folder.to_owned()]);
    }
    let entries = fs::read_dir(folder).wrap_err_with(|| folder.display().to_string())?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| holds_chain(path))
        .collect();
    found.sort();
    ensure!(!found.is_empty(), "{}: neither a chain nor a folder of chains", folder.display());
    Ok(found)
}

fn print_check(answer: &Answer<CheckReport>) {
    let Answer { folder, outcome } = answer;
    for problem in &outcome.problems {
        say!("PROBLEM {problem}");
    }
    let CheckReport { blocks, transactions, accounts, slots, nodes, codes, .. } = outcome;
    say!(
        "{}: {blocks} blocks, {transactions} transactions, {accounts} accounts, {slots} slots, \
         {nodes} trie nodes, {codes} codes, {} problems",
        folder.display(),
        outcome.problem_count,
    );
}

fn print_stats(answer: &Answer<StorageStats>) {
    let Answer { folder, outcome } = answer;
    say!("{}: newest block {}", folder.display(), outcome.tip);
    say!("{:<24} {:>12} {:>14} {:>6}", "table", "rows", "bytes", "depth");
    for table in &outcome.tables {
        say!("{:<24} {:>12} {:>14} {:>6}", table.name, table.entries, table.bytes, table.depth);
    }
    say!("{:<24} {:>12} {:>14}", "database in use", "", outcome.database_bytes);
    say!("{:<24} {:>12} {:>14}", "static files", "segments", "bytes");
    for file in &outcome.files {
        say!("{:<24} {:>12} {:>14}", file.kind, file.segments, file.bytes);
    }
    say!("{:<24} {:>12} {:>14}", "log", outcome.log.segments, outcome.log.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{L1, find_l1};
    use lockstep_execution::MemoryState;
    use lockstep_node::open_folder;
    use lockstep_storage::GenesisBlock;

    fn begin(folder: &Path) {
        let L1 { chain, genesis } = find_l1("hoodi").expect("the network is embedded");
        let state = MemoryState::from_genesis(&genesis);
        let first = GenesisBlock::new(chain.genesis_header(&genesis), state).expect("it is right");
        open_folder(folder, &chain, &genesis, &first, Options::default()).expect("it opens");
    }

    fn check(folder: &Path) -> Result<bool> {
        let target = Target { folder: folder.into(), json: true };
        run(&Args { command: Command::Check { target, senders: false } })
    }

    #[test]
    fn a_chain_whose_creation_was_cut_off_does_not_hide_the_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let begun = folder.path().join("begun");
        begin(&begun);
        for part in ["db", "static", "log"] {
            fs::remove_dir_all(begun.join(part)).expect("it is there");
        }
        let error = check(folder.path()).expect_err("there is no chain").to_string();
        assert!(error.ends_with("it holds no chain"), "{error}");
        begin(&folder.path().join("whole"));
        assert!(check(folder.path()).expect("one chain is there"));
    }
}

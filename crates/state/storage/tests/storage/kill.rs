//! A process that is killed while it appends, logs and unwinds.

use crate::{
    compare::{assert_block, assert_holds, assert_sound},
    forge::{Forge, options},
};
use alloy_primitives::B256;
use lockstep_chain::Ethereum;
use lockstep_storage::{
    LogEntry, LoggedEntry, Options, Storage, SyncPolicy, WriteGate, WriteOperation,
};
use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

const BLOCKS: u64 = 60;

/// Kills in one run; the environment asks for more.
fn kills() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a long run is asked for by the environment")]
    let wanted = std::env::var("LOCKSTEP_STORAGE_KILLS").ok();
    wanted.and_then(|wanted| wanted.parse().ok()).unwrap_or(50)
}

/// What the victim says, each line after the act (but `Unwinding`, before it).
#[derive(Debug)]
enum Said {
    Logged(u64),
    Chose(u64),
    Appended(u64),
    Unwinding(u64),
}

fn parse(line: &str) -> Option<Said> {
    let (what, number) = line.strip_prefix("victim ")?.split_once(' ')?;
    let number = number.parse().ok()?;
    Some(match what {
        "logged" => Said::Logged(number),
        "chose" => Said::Chose(number),
        "appended" => Said::Appended(number),
        "unwinding" => Said::Unwinding(number),
        _ => return None,
    })
}

/// What was acknowledged and must not be lost.
#[derive(Default)]
struct Acknowledged {
    logged: BTreeMap<u64, B256>,
    chosen: Option<u64>,
    tip: u64,
}

impl Acknowledged {
    fn hear(&mut self, forge: &Forge, said: &Said) {
        match said {
            Said::Logged(number) => {
                self.logged.insert(*number, forge.header(*number).seal());
            }
            Said::Chose(number) => self.chosen = Some(*number),
            Said::Appended(number) => self.tip = *number,
            Said::Unwinding(number) => {
                self.logged.retain(|logged, _| logged <= number);
                self.chosen = None;
                self.tip = *number;
            }
        }
    }

    fn check(&self, forge: &Forge, folder: &Path, kill: u64) {
        let disk = forge.disk(folder, victim_options(kill));
        assert_sound(&disk, forge);
        let snapshot = disk.snapshot().unwrap();
        let tip = snapshot.tip().number;
        assert!(tip >= self.tip, "kill {kill}: the tip {} was lost, {tip} is left", self.tip);
        for number in [0, tip / 2, tip] {
            assert_block(&*snapshot, forge, number);
        }
        let entries = disk.logged().unwrap();
        for (number, hash) in &self.logged {
            let in_log = |entry: &LoggedEntry<Ethereum>| match entry {
                LoggedEntry::Block(block) => block.seal() == *hash,
                LoggedEntry::ForkChoice(_) => false,
            };
            let is_persisted = snapshot.number(hash).unwrap() == Some(*number);
            assert!(is_persisted || entries.iter().any(in_log), "kill {kill}: block {number}");
        }
        let logged_choice = entries.iter().rev().find_map(|entry| match entry {
            LoggedEntry::ForkChoice(choice) => Some(*choice),
            LoggedEntry::Block(_) => None,
        });
        let choice = logged_choice.unwrap_or_else(|| snapshot.fork_choice());
        if let Some(chosen) = self.chosen {
            // The next one may have been written down and not yet been said.
            let known = [chosen, (chosen + 1).min(BLOCKS)].map(|number| forge.fork_choice(number));
            assert!(known.contains(&choice), "kill {kill}: the fork choice {chosen} was lost");
        }
    }
}

fn victim_options(kill: u64) -> Options {
    let sync = if kill.is_multiple_of(4) { SyncPolicy::EveryAppend } else { SyncPolicy::Never };
    Options { sync, unwind_blocks: 1 + kill % 9, ..options() }
}

/// Another process that runs one test, told the folder and the number of its run.
fn start(victim: &str, folder: &Path, run: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", victim, "--ignored", "--nocapture", "--quiet"])
        .env("LOCKSTEP_STORAGE_VICTIM", folder)
        .env("LOCKSTEP_STORAGE_VICTIM_RUN", run.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[expect(clippy::disallowed_methods, reason = "it is a process of its own")]
fn told() -> Option<(PathBuf, u64)> {
    let folder = std::env::var("LOCKSTEP_STORAGE_VICTIM").ok()?;
    let run = std::env::var("LOCKSTEP_STORAGE_VICTIM_RUN").ok()?;
    Some((folder.into(), run.parse().unwrap()))
}

#[test]
fn a_storage_that_is_killed_anywhere_opens_soundly_and_has_lost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(BLOCKS);
    let mut acknowledged = Acknowledged::default();
    let (mut heard, mut unwound) = (0u64, 0u64);
    for kill in 0..kills() {
        let mut victim = start("kill::victim", folder.path(), kill);
        let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        // The victim runs on while this counts: it is killed in the middle of something.
        let patience = 3 + kill.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 90;
        let mut killed = false;
        for (index, line) in (0..).zip(lines) {
            let Ok(line) = line else { break };
            if let Some(said) = parse(&line) {
                heard += 1;
                unwound += u64::from(matches!(said, Said::Unwinding(_)));
                acknowledged.hear(&forge, &said);
            }
            if index >= patience && !killed {
                victim.kill().unwrap();
                killed = true;
            }
        }
        assert!(killed, "the victim ended by itself");
        victim.wait().unwrap();
        acknowledged.check(&forge, folder.path(), kill);
    }
    assert!(heard > 10 * kills() && unwound > 0, "the victims did something");
}

/// Logs, chooses, appends and unwinds until it is killed.
#[test]
#[ignore = "a part of a_storage_that_is_killed_anywhere_opens_soundly_and_has_lost_nothing"]
fn victim() {
    let Some((folder, run)) = told() else { return };
    let forge = Forge::with_blocks(BLOCKS);
    let disk = forge.disk(&folder, victim_options(run));
    let mut out = std::io::stdout();
    let mut say = |what: &str, number: u64| {
        writeln!(out, "victim {what} {number}").unwrap();
        out.flush().unwrap();
    };
    let mut tip = disk.snapshot().unwrap().tip().number;
    loop {
        if tip == BLOCKS {
            tip = (run * 7 + 11) % BLOCKS;
            say("unwinding", tip);
            disk.unwind(tip).unwrap();
        }
        let last = (tip + 1 + run % 4).min(BLOCKS);
        for number in tip + 1..=last {
            let block = Arc::clone(&forge.executed(number, number)[0].block);
            disk.log(&LogEntry::Block(block)).unwrap();
            say("logged", number);
            disk.log(&LogEntry::ForkChoice(forge.fork_choice(number))).unwrap();
            say("chose", number);
        }
        disk.append(&forge.executed(tip + 1, last), forge.fork_choice(last)).unwrap();
        say("appended", last);
        tip = last;
    }
}

/// What a step of [`unwinding_victim`] takes back.
const STEP: u64 = 7;

#[test]
fn an_unwind_killed_between_two_steps_leaves_a_shorter_chain_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let forge = Forge::with_blocks(BLOCKS);
    let disk = forge.disk(folder.path(), options());
    disk.append(&forge.executed(1, BLOCKS), forge.fork_choice(BLOCKS)).unwrap();
    drop(disk);
    let mut left = BLOCKS;
    // Each victim finds what the one before it left.
    for steps in 1..=3 {
        let ended = start("kill::unwinding_victim", folder.path(), steps).wait().unwrap();
        assert!(!ended.success(), "the victim came to its end");
        left -= steps * STEP;
        let disk = forge.disk(folder.path(), options());
        let kept = forge.prefix(left);
        assert_holds(&disk, &kept);
        assert_sound(&disk, &kept);
    }
    let disk = forge.disk(folder.path(), options());
    disk.unwind(2).unwrap();
    assert_sound(&disk, &forge.prefix(2));
    disk.append(&forge.executed(3, BLOCKS), forge.fork_choice(BLOCKS)).unwrap();
    assert_holds(&disk, &forge);
}

/// Ends the process before a commit.
struct EndsAtCommit {
    left: AtomicU64,
}

impl WriteGate for EndsAtCommit {
    fn admit(&self, operation: WriteOperation, _: &Path) -> Result<(), (usize, io::Error)> {
        if operation == WriteOperation::Commit && self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            std::process::abort();
        }
        Ok(())
    }
}

/// Unwinds the whole chain, but ends after some steps.
#[test]
#[ignore = "a part of an_unwind_killed_between_two_steps_leaves_a_shorter_chain_and_goes_on"]
fn unwinding_victim() {
    let Some((folder, steps)) = told() else { return };
    let gate = Arc::new(EndsAtCommit { left: AtomicU64::new(steps) });
    let options = Options { gate, unwind_blocks: STEP, ..options() };
    Forge::new().disk(&folder, options).unwind(2).unwrap();
}

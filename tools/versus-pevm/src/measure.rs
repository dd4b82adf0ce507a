//! Time, in turns.

use crate::{ours, peer};
use core::{num::NonZeroU32, time::Duration};
use eyre::Result;
use rustix::time::{ClockId, clock_gettime};
use std::{fs, thread, time::Instant};

/// Threads that do less than this between two looks have nothing to do.
const IDLE: Duration = Duration::from_micros(5);
const BETWEEN_LOOKS: Duration = Duration::from_micros(100);
/// After this many looks a run begins whatever other threads do.
const MAX_LOOKS: usize = 2_000;

/// A run is disturbed if tasks waited for a processor for more than this share of it, and this long.
const MAX_WAIT_SHARE: f64 = 0.05;
const MAX_WAIT: Duration = Duration::from_micros(30);
/// Runs are repeated for this long at the most, and this often, to make up for disturbed ones.
const MAX_REPEATING: Duration = Duration::from_secs(1);
const MAX_REPEATED: usize = 1_000;
/// The least number of undisturbed runs that are enough.
const ENOUGH: usize = 3;

/// An executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Contender {
    #[value(name = "pevm-sequential")]
    PeerSequential,
    #[value(name = "pevm-parallel")]
    PeerParallel,
    OurSerial,
    OurParallel,
}

/// What an executor left behind, kept until the clock has stopped.
#[derive(Debug)]
#[expect(dead_code, reason = "it is dropped, and that takes time")]
pub(crate) enum Measured {
    Ours(ours::Output),
    Peer(peer::Output),
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// From the call to its return.
    pub(crate) wall: Duration,
    /// Of all threads, until nothing was left to do; without the drop of the results.
    pub(crate) cpu: Duration,
    /// The caller's drop of the results.
    pub(crate) drop: Duration,
    /// Whether other programs were in the way, as far as the system tells.
    is_disturbed: bool,
}

/// The runs of one executor over one block.
#[derive(Clone, Debug)]
pub(crate) struct Samples {
    pub(crate) contender: Contender,
    pub(crate) samples: Vec<Sample>,
}

impl Samples {
    fn undisturbed(&self) -> usize {
        self.samples.iter().filter(|sample| !sample.is_disturbed).count()
    }

    /// Leaves disturbed runs out if there are enough others.
    fn settle(&mut self) {
        if self.undisturbed() >= ENOUGH {
            self.samples.retain(|sample| !sample.is_disturbed);
        }
    }

    /// Whether only disturbed runs are left.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.undisturbed() < ENOUGH.min(self.samples.len())
    }
}

impl Contender {
    pub(crate) const ALL: [Self; 4] =
        [Self::PeerSequential, Self::PeerParallel, Self::OurSerial, Self::OurParallel];
}

/// Lets the contenders run one after the other, each round in another order, after a round that only warms up.
/// Runs that other programs disturbed are made up for.
///
/// # Errors
/// The first of a run.
pub(crate) fn in_turns(
    contenders: &[Contender],
    rounds: NonZeroU32,
    mut run: impl FnMut(Contender) -> Result<Measured>,
) -> Result<Vec<Samples>> {
    let none = |contender: &Contender| Samples { contender: *contender, samples: Vec::new() };
    let mut all: Vec<Samples> = contenders.iter().map(none).collect();
    for contender in contenders {
        drop(run(*contender)?);
    }
    let rounds = rounds.get() as usize;
    let mut repeating = Duration::ZERO;
    for round in 0..rounds.saturating_add(MAX_REPEATED) {
        let is_enough = all.iter().all(|samples| samples.undisturbed() >= rounds);
        if is_enough || repeating > MAX_REPEATING {
            break;
        }
        let places = all.len();
        for step in 0..places {
            let Some(samples) = all.get_mut((round + step) % places) else { continue };
            let (sample, took) = timed(|| measure(|| run(samples.contender)));
            samples.samples.push(sample?);
            if round >= rounds {
                repeating += took;
            }
        }
    }
    all.iter_mut().for_each(Samples::settle);
    Ok(all)
}

fn measure(run: impl FnOnce() -> Result<Measured>) -> Result<Sample> {
    settle();
    let cpu_before = cpu(ClockId::ProcessCPUTime);
    let waited_before = waited();
    let (measured, wall) = timed(run);
    let waited = waited().saturating_sub(waited_before);
    let measured = measured?;
    let looked = settle();
    let cpu = cpu(ClockId::ProcessCPUTime).saturating_sub(cpu_before).saturating_sub(looked);
    let ((), drop) = timed(|| drop(measured));
    let is_disturbed = waited > MAX_WAIT && waited > wall.mul_f64(MAX_WAIT_SHARE);
    Ok(Sample { wall, cpu, drop, is_disturbed })
}

/// Waits until all other threads rest: both sides leave work to them. What this thread spent on it.
#[expect(
    clippy::disallowed_methods,
    reason = "whether another thread rests can only be seen over time"
)]
fn settle() -> Duration {
    let begin = cpu(ClockId::ThreadCPUTime);
    for _ in 0..MAX_LOOKS {
        let before = others();
        thread::sleep(BETWEEN_LOOKS);
        if others().saturating_sub(before) < IDLE {
            break;
        }
    }
    cpu(ClockId::ThreadCPUTime).saturating_sub(begin)
}

/// How long, since the system started, any task had to wait for a processor (Linux' pressure stall
/// information); zero where that is not told.
fn waited() -> Duration {
    let text = fs::read_to_string("/proc/pressure/cpu").unwrap_or_default();
    let total = text.lines().next().and_then(|line| line.rsplit_once("total="));
    let us = total.and_then(|(_, us)| us.trim().parse().ok());
    us.map(Duration::from_micros).unwrap_or_default()
}

/// What all other threads have spent.
fn others() -> Duration {
    cpu(ClockId::ProcessCPUTime).saturating_sub(cpu(ClockId::ThreadCPUTime))
}

fn cpu(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn timed<T>(run: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

//! The results for people.

use super::{BlockResult, Summary};
use crate::{executors::Choice, output::say, timing::Timing};
use lockstep_testkit::Error;

/// Mismatches of one block printed in full; the rest are in the JSON output.
const SHOWN_MISMATCHES: usize = 10;

pub(super) fn print_head(executor: Choice) {
    let both = if executor == Choice::Both { "     parallel  speed-up" } else { "" };
    say!(
        "{:>9}  {:<16} {:>5} {:>11} {:>12} {:>12} {:>8}{both}",
        "block",
        "fork",
        "txs",
        "gas",
        "time",
        "shortest",
        "Mgas/s"
    );
}

pub(super) fn print(result: &Result<BlockResult, Error>) {
    let block = match result {
        Ok(block) => block,
        Err(error) => return say!("UNREADABLE {error}"),
    };
    let milliseconds = |us: f64| format!("{:.3} ms", us / 1e3);
    let column = |value: fn(Timing) -> f64| block.time.map(value);
    let dash = || "-".to_owned();
    let both = block.parallel.zip(block.time).map(|(parallel, serial)| {
        let speedup = parallel.speedup_over(serial);
        format!(" {:>12} {speedup:>8.2}×", milliseconds(parallel.median_us))
    });
    say!(
        "{:>9}  {:<16} {:>5} {:>11} {:>12} {:>12} {:>8}{}",
        block.number,
        block.fork,
        block.transactions,
        block.gas,
        column(|time| time.median_us).map_or_else(dash, milliseconds),
        column(|time| time.min_us).map_or_else(dash, milliseconds),
        column(|time| time.mgas_per_s).map_or_else(dash, |speed| format!("{speed:.1}")),
        both.unwrap_or_default(),
    );
    for note in &block.notes {
        say!("           note: {note}");
    }
    for mismatch in block.mismatches.iter().take(SHOWN_MISMATCHES) {
        say!("           MISMATCH {mismatch}");
    }
    if block.mismatches.len() > SHOWN_MISMATCHES {
        say!("           … and {} more", block.mismatches.len() - SHOWN_MISMATCHES);
    }
}

pub(super) fn print_summary(summary: &Summary) {
    say!(
        "{} blocks, {} executed: {} transactions, {} gas in {:.3} s, {:.1} Mgas/s; {} mismatches",
        summary.blocks,
        summary.executed,
        summary.transactions,
        summary.gas,
        summary.time_us / 1e6,
        summary.mgas_per_s,
        summary.mismatches,
    );
    if let (Some(time_us), Some(speedup)) = (summary.parallel_time_us, summary.speedup) {
        say!("in parallel in {:.3} s, {speedup:.2} times as fast", time_us / 1e6);
    }
    if let Some(fates) = summary.transactions_in_parallel {
        say!("transactions in parallel: {fates}");
    }
    if summary.decoded_only > 0 {
        say!("{} blocks were decoded and not executed", summary.decoded_only);
    }
}

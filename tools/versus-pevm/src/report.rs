//! Numbers for people and for programs.

use crate::{
    load::Load,
    measure::{Contender, Sample, Samples},
};
use core::time::Duration;
use serde::Serialize;

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) threads: usize,
    pub(crate) rounds: u32,
    pub(crate) allocator: &'static str,
    pub(crate) keccak_cache: bool,
    pub(crate) sets: Vec<SetReport>,
}

/// Blocks, added up.
#[derive(Debug, Serialize)]
pub(crate) struct SetReport {
    name: String,
    transactions: usize,
    gas: u64,
    /// Sums over the blocks.
    total: Times,
    ratios: Ratios,
    pub(crate) blocks: Vec<BlockReport>,
}

/// One block.
#[derive(Debug, Serialize)]
pub(crate) struct BlockReport {
    number: u64,
    transactions: usize,
    gas: u64,
    differences: Vec<String>,
    /// Other programs disturbed so many runs that the times are too long.
    is_disturbed: bool,
    times: Times,
}

/// What each executor took.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Times {
    pevm_sequential: Time,
    pevm_parallel: Time,
    our_serial: Time,
    our_parallel: Time,
}

/// Of all rounds, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Time {
    median_us: f64,
    best_us: f64,
    /// Median CPU time of all threads, with what was left to do after the return.
    cpu_us: f64,
    /// Median time of dropping the results, which is in none of the others.
    drop_us: f64,
}

/// Quotients of medians, and of best times.
#[derive(Clone, Copy, Debug, Serialize)]
struct Ratio {
    median: f64,
    best: f64,
}

#[derive(Debug, Serialize)]
struct Ratios {
    /// Our parallel executor's time for each unit of pevm's.
    parallel_to_pevm: Ratio,
    /// Our serial executor's time for each unit of pevm's sequential one's.
    serial_to_pevm: Ratio,
    our_speedup: Ratio,
    pevm_speedup: Ratio,
}

impl BlockReport {
    pub(crate) fn of(load: &Load, differences: Vec<String>, measured: &[Samples]) -> Self {
        let mut times = Times::default();
        for samples in measured {
            *times.of_mut(samples.contender) = Time::of(&samples.samples);
        }
        let (transactions, gas) = (load.block.body.transactions.len(), load.block.header.gas_used);
        let is_disturbed = measured.iter().any(Samples::is_disturbed);
        Self { number: load.number, transactions, gas, differences, is_disturbed, times }
    }

    pub(crate) const fn agrees(&self) -> bool {
        self.differences.is_empty()
    }
}

impl SetReport {
    pub(crate) fn of(name: String, blocks: Vec<BlockReport>) -> Self {
        let mut total = Times::default();
        for block in &blocks {
            for contender in Contender::ALL {
                total.of_mut(contender).add(block.times.of(contender));
            }
        }
        Self {
            name,
            transactions: blocks.iter().map(|block| block.transactions).sum(),
            gas: blocks.iter().map(|block| block.gas).sum(),
            ratios: total.ratios(),
            total,
            blocks,
        }
    }

    pub(crate) fn print(&self, with_blocks: bool) {
        let Self { name, transactions, gas, total, ratios, blocks } = self;
        let mgas = *gas as f64 / 1e6;
        println!("{name}: {} blocks, {transactions} transactions, {mgas:.0} Mgas", blocks.len());
        let disturbed = blocks.iter().filter(|block| block.is_disturbed).count();
        if disturbed > 0 {
            println!(
                "  other programs disturbed {disturbed} blocks so often that they count in full"
            );
        }
        println!(
            "  {:<16} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9}",
            "", "median ms", "best ms", "CPU ms", "drop ms", "us/tx", "Mgas/s"
        );
        for contender in Contender::ALL {
            let time = total.of(contender);
            println!(
                "  {:<16} {:>10.2} {:>10.2} {:>10.2} {:>10.2} {:>9.3} {:>9.0}",
                contender.name(),
                time.median_us / 1e3,
                time.best_us / 1e3,
                time.cpu_us / 1e3,
                time.drop_us / 1e3,
                time.median_us / *transactions as f64,
                *gas as f64 / time.median_us,
            );
        }
        println!("  ratio of total times (median, best):");
        for (label, ratio) in [
            ("our parallel / pevm's", ratios.parallel_to_pevm),
            ("our serial / pevm's", ratios.serial_to_pevm),
            ("our serial / parallel", ratios.our_speedup),
            ("pevm's sequential / parallel", ratios.pevm_speedup),
        ] {
            println!("    {label:<30} {:>6.3} {:>6.3}", ratio.median, ratio.best);
        }
        self.print_extremes();
        if with_blocks {
            self.print_blocks();
        }
        println!();
    }

    /// Where we are slowest against pevm, and both against themselves.
    fn print_extremes(&self) {
        if self.blocks.len() < 2 {
            return;
        }
        let worst = |label: &str, of: fn(&Ratios) -> f64, is_high_bad: bool| {
            let mut values: Vec<(f64, u64)> = self
                .blocks
                .iter()
                .map(|block| (of(&block.times.ratios()), block.number))
                .filter(|(value, _)| value.is_finite())
                .collect();
            values.sort_by(|a, b| a.0.total_cmp(&b.0));
            if is_high_bad {
                values.reverse();
            }
            let median = values.get(values.len() / 2).map_or(f64::NAN, |(value, _)| *value);
            let worst: Vec<String> = values
                .iter()
                .take(3)
                .map(|(value, number)| format!("{value:.2} ({number})"))
                .collect();
            println!("    {label:<30} median {median:.2}, worst {}", worst.join(", "));
        };
        println!("  ratio per block:");
        worst("our parallel / pevm's", |ratios| ratios.parallel_to_pevm.median, true);
        worst("our serial / parallel", |ratios| ratios.our_speedup.median, false);
        worst("pevm's sequential / parallel", |ratios| ratios.pevm_speedup.median, false);
    }

    fn print_blocks(&self) {
        println!(
            "  {:>9} {:>6} {:>9} {:>10} {:>10} {:>10} {:>10} {:>6} {:>6}",
            "block", "txs", "gas", "pevm seq", "pevm par", "serial", "parallel", "/pevm", "speed"
        );
        for block in &self.blocks {
            let BlockReport { number, transactions, gas, times, .. } = block;
            let ratios = times.ratios();
            println!(
                "  {number:>9} {transactions:>6} {gas:>9} {:>10.1} {:>10.1} {:>10.1} {:>10.1} {:>6.2} {:>6.2}{}",
                times.pevm_sequential.median_us,
                times.pevm_parallel.median_us,
                times.our_serial.median_us,
                times.our_parallel.median_us,
                ratios.parallel_to_pevm.median,
                ratios.our_speedup.median,
                match (block.agrees(), block.is_disturbed) {
                    (false, _) => "  DIFFERS",
                    (true, true) => "  disturbed",
                    (true, false) => "",
                },
            );
        }
    }
}

impl Report {
    pub(crate) fn print_head(&self) {
        let Self { threads, rounds, allocator, keccak_cache, .. } = self;
        let cache = if *keccak_cache { "a cache" } else { "no cache" };
        println!("{threads} threads, {rounds} rounds, allocator: {allocator}, {cache} of hashes\n");
    }
}

impl Contender {
    const fn name(self) -> &'static str {
        match self {
            Self::PeerSequential => "pevm sequential",
            Self::PeerParallel => "pevm parallel",
            Self::OurSerial => "our serial",
            Self::OurParallel => "our parallel",
        }
    }
}

impl Times {
    const fn of(&self, contender: Contender) -> &Time {
        match contender {
            Contender::PeerSequential => &self.pevm_sequential,
            Contender::PeerParallel => &self.pevm_parallel,
            Contender::OurSerial => &self.our_serial,
            Contender::OurParallel => &self.our_parallel,
        }
    }

    const fn of_mut(&mut self, contender: Contender) -> &mut Time {
        match contender {
            Contender::PeerSequential => &mut self.pevm_sequential,
            Contender::PeerParallel => &mut self.pevm_parallel,
            Contender::OurSerial => &mut self.our_serial,
            Contender::OurParallel => &mut self.our_parallel,
        }
    }

    fn ratios(&self) -> Ratios {
        let Self { pevm_sequential, pevm_parallel, our_serial, our_parallel } = self;
        Ratios {
            parallel_to_pevm: our_parallel.over(pevm_parallel),
            serial_to_pevm: our_serial.over(pevm_sequential),
            our_speedup: our_serial.over(our_parallel),
            pevm_speedup: pevm_sequential.over(pevm_parallel),
        }
    }
}

impl Time {
    fn of(samples: &[Sample]) -> Self {
        let sorted = |of: fn(&Sample) -> Duration| {
            let mut values: Vec<f64> =
                samples.iter().map(|sample| of(sample).as_secs_f64() * 1e6).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let median = |values: &[f64]| values.get(values.len() / 2).copied().unwrap_or_default();
        let walls = sorted(|sample| sample.wall);
        Self {
            median_us: median(&walls),
            best_us: walls.first().copied().unwrap_or_default(),
            cpu_us: median(&sorted(|sample| sample.cpu)),
            drop_us: median(&sorted(|sample| sample.drop)),
        }
    }

    fn add(&mut self, other: &Self) {
        self.median_us += other.median_us;
        self.best_us += other.best_us;
        self.cpu_us += other.cpu_us;
        self.drop_us += other.drop_us;
    }

    fn over(&self, other: &Self) -> Ratio {
        Ratio { median: self.median_us / other.median_us, best: self.best_us / other.best_us }
    }
}

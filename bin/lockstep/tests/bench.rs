//! Commands that measure executors, as a user runs them.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test")]

use serde_json::Value;
use std::{
    path::Path,
    process::{Command, Output},
};

fn lockstep(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockstep")).args(args).output().unwrap()
}

fn json(args: &[&str]) -> Value {
    let output = lockstep(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A command that is wrong: its exit status, and what it says.
fn refused(args: &[&str]) -> String {
    let output = lockstep(args);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn both_executors_make_the_same_of_every_workload() {
    let size = ["--gas", "3000000", "--blocks", "2", "--rounds", "2"];
    let report = json(&[&["bench", "gigagas", "--threads", "2", "--json"], &size[..]].concat());
    assert_eq!((&report["threads"], &report["rounds"]), (&2.into(), &2.into()));
    let workloads = report["workloads"].as_array().unwrap();
    let names: Vec<&str> = workloads.iter().filter_map(|it| it["workload"].as_str()).collect();
    assert_eq!(names, ["transfers", "erc20", "uniswap", "mixed", "conflict", "relay"]);
    for workload in workloads {
        assert_eq!(workload["blocks"], 2);
        assert!(workload["gas"].as_u64().unwrap() >= 6_000_000);
        assert_eq!(workload["mismatches"].as_array().unwrap().len(), 0, "{workload}");
        for number in ["speedup", "serial_us_per_transaction", "parallel_us_per_transaction"] {
            assert!(workload[number].as_f64().unwrap() > 0.0, "{workload}");
        }
        for executor in ["serial", "parallel"] {
            assert!(workload[executor]["mgas_per_s"].as_f64().unwrap() > 0.0, "{workload}");
        }
    }
}

#[test]
fn the_table_has_a_line_for_each_workload() {
    let output =
        lockstep(&["bench", "gigagas", "--gas", "1000000", "--workload", "conflict,transfers"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[2].starts_with("conflict") && lines[3].starts_with("transfers"), "{text}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    for gas in ["0", "999999", "10000000001", "18446744073709551615"] {
        let error = refused(&["bench", "gigagas", "--gas", gas]);
        assert!(error.contains("--gas") && error.contains(gas), "{error}");
    }
    for threads in ["0", "1025", "many"] {
        let error = refused(&["bench", "gigagas", "--threads", threads]);
        assert!(error.contains("--threads") && error.contains(threads), "{error}");
    }
    let error = refused(&["bench", "gigagas", "--workload", "nothing"]);
    assert!(error.contains("nothing") && error.contains("uniswap"), "{error}");
}

#[test]
fn blocks_are_replayed_by_either_executor_and_by_both() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/testkit/samples/blocks");
    let samples = samples.to_str().unwrap();
    for (executor, runs_both) in [("serial", false), ("parallel", false), ("both", true)] {
        let args = ["replay", samples, "--json", "--repeat", "3", "--threads", "2", "--executor"];
        let report = json(&[&args[..], &[executor]].concat());
        let block = &report["blocks"][0];
        assert_eq!(block["mismatches"].as_array().unwrap().len(), 0, "{block}");
        assert!(block["time"]["median_us"].as_f64().unwrap() > 0.0, "{block}");
        assert_eq!(block["parallel"].is_object(), runs_both, "{block}");
        assert_eq!(report["summary"]["speedup"].is_number(), runs_both, "{report}");
    }
}

#[test]
fn with_hints_no_transaction_is_executed_again() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/testkit/samples/blocks");
    let samples = samples.to_str().unwrap();
    for hints in ["access-list", "dependencies"] {
        let hints = ["--hints", hints, "--threads", "2", "--json"];
        let replay = ["replay", samples, "--executor", "both"];
        let report = json(&[&replay[..], &hints].concat());
        let fates = &report["summary"]["transactions_in_parallel"];
        assert_eq!((&fates["again"], &report["summary"]["mismatches"]), (&0.into(), &0.into()));
        let bench = ["bench", "gigagas", "--gas", "3000000", "--workload", "conflict,relay"];
        let report = json(&[&bench[..], &hints].concat());
        for workload in report["workloads"].as_array().unwrap() {
            assert_eq!(workload["transactions_in_parallel"]["again"], 0, "{workload}");
        }
    }
    let error = refused(&["replay", samples, "--hints", "access-list"]);
    assert!(error.contains("--hints"), "{error}");
}

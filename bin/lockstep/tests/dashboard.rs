//! The Grafana dashboard shows metrics that exist.

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test")]

use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn panels() -> Vec<Value> {
    let json = fs::read(workspace().join("docs/grafana/lockstep.json")).unwrap();
    let dashboard: Value = serde_json::from_slice(&json).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// All sources below a folder.
fn sources(folder: &Path, found: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_metric_of_the_dashboard_is_recorded_somewhere() {
    let mut code = String::new();
    sources(&workspace().join("crates"), &mut code);
    let name = regex_lite::Regex::new("lockstep_[a-z0-9_]+").unwrap();
    let mut names = BTreeSet::new();
    for panel in panels() {
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            let found: Vec<&str> = name.find_iter(expr).map(|found| found.as_str()).collect();
            assert!(!found.is_empty(), "{} shows nothing of ours: {expr}", panel["title"]);
            names.extend(found.into_iter().map(str::to_owned));
        }
    }
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| {
            // What Prometheus makes of a histogram.
            let histogram = ["_bucket", "_sum", "_count"];
            let base = histogram.iter().find_map(|suffix| name.strip_suffix(suffix));
            !code.contains(&format!("\"{}\"", base.unwrap_or(name.as_str())))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for room in ["engine", "pool", "rpc", "follower", "batcher", "gateway", "devnet"] {
        let prefix = format!("lockstep_{room}_");
        assert!(names.iter().any(|name| name.starts_with(&prefix)), "{room} is not shown");
    }
}

#[test]
fn panels_do_not_overlap() {
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in panels() {
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{} has the id of another",
            panel["title"]
        );
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap());
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} covers another panel", panel["title"]);
        }
    }
}

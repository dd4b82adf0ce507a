//! What ARCHITECTURE.md says about the workspace is true.

#![expect(clippy::panic, reason = "a test")]

use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A row of the code map in ARCHITECTURE.md.
#[derive(Debug)]
struct Row {
    folder: String,
    name: String,
    no_std: bool,
}

/// What cargo knows of the workspace.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    features: BTreeMap<String, Vec<String>>,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `dev`, `build`, or nothing.
    kind: Option<String>,
}

/// The root of the repository. Cargo runs tests in the folder of their crate; the path that it knew
/// when it compiled this may be that of another checkout which shares the target directory.
fn root() -> &'static Path {
    Path::new("../..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows `| folder | crate | sentence | no_std |` whose first two cells are code.
fn code_map() -> Vec<Row> {
    let code = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').collect();
        let [folder, name, _, no_std] = cells.as_slice() else { return None };
        Some(Row { folder: code(folder)?, name: code(name)?, no_std: no_std.trim() == "yes" })
    };
    read("ARCHITECTURE.md").lines().filter_map(row).collect()
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs, as it runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Metadata>(&output.stdout).expect("cargo prints its metadata").packages
}

fn folder(package: &Package) -> PathBuf {
    package.manifest_path.canonicalize().expect("cargo found it").with_file_name("")
}

#[test]
fn the_code_map_lists_every_crate_where_it_is() {
    let listed: BTreeSet<(String, PathBuf)> = code_map()
        .into_iter()
        .map(|row| {
            let manifest = root().join(&row.folder).join("Cargo.toml");
            (row.name, manifest.canonicalize().unwrap_or(manifest).with_file_name(""))
        })
        .collect();
    let present =
        packages().iter().map(|package| (package.name.clone(), folder(package))).collect();
    assert_eq!(listed, present);
}

#[test]
fn crates_depend_only_on_crates_above_them() {
    let order: Vec<String> = code_map().into_iter().map(|row| row.name).collect();
    let rank = |name: &str| order.iter().position(|listed| listed == name);
    for package in packages() {
        for dependency in &package.dependencies {
            let Some(dependency_rank) = rank(&dependency.name) else { continue };
            let is_testkit = dependency.name == "lockstep-testkit";
            let is_allowed = if is_testkit {
                dependency.kind.as_deref() == Some("dev") || package.name == "lockstep"
            } else {
                Some(dependency_rank) < rank(&package.name)
            };
            assert!(is_allowed, "{} must not depend on {}", package.name, dependency.name);
        }
    }
}

#[test]
fn no_std_crates_say_so() {
    for row in code_map() {
        let lib = root().join(&row.folder).join("src/lib.rs");
        let says_so = fs::read_to_string(lib)
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "#![no_std]"));
        assert_eq!(says_so, row.no_std, "{}", row.name);
    }
}

#[test]
fn no_crate_has_a_cargo_feature() {
    for package in packages() {
        let features: Vec<&String> = package.features.keys().collect();
        assert!(features.is_empty(), "{} has features {features:?}", package.name);
    }
}

#[test]
fn every_crate_takes_lints_and_versions_from_the_workspace() {
    for package in packages() {
        let name = &package.name;
        let manifest = read(&package.manifest_path);
        let mut section = "";
        let mut has_lints = false;
        for line in manifest.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            } else if section == "[lints]" {
                has_lints |= line == "workspace = true";
            } else if section.contains("dependencies") && line.contains('=') {
                let is_shared = line.contains("workspace = true");
                assert!(is_shared, "{name}: `{line}` does not come from the one table of versions");
            }
        }
        assert!(has_lints, "{name}: the lints are not the workspace's");
    }
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let mut files: Vec<PathBuf> = ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG"]
        .iter()
        .map(|name| Path::new(name).with_extension("md"))
        .collect();
    for folder in ["docs", "docs/src"] {
        let entries = fs::read_dir(root().join(folder)).expect("the folder of the book");
        let names = entries.map(|entry| entry.expect("an entry of a folder").file_name());
        let paths = names.map(|name| Path::new(folder).join(name));
        files.extend(paths.filter(|path| path.extension().is_some_and(|ext| ext == "md")));
    }
    for file in files {
        let text = read(&file);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for (target, _) in targets {
            let path = target.split('#').next().unwrap_or(target);
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let linked = root().join(file.parent().expect("a file")).join(path);
            assert!(linked.exists(), "{}: the link to {target} is dead", file.display());
        }
    }
}

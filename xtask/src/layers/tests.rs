use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::workspace::{Member, parse};
use super::{Table, faults};

/// A workspace on disk with three tiers and one technology, in order until a test plants a fault.
struct Workspace {
    folder: TempDir,
    packages: Vec<Value>,
    table: String,
}

impl Workspace {
    fn in_order() -> Self {
        let mut workspace = Self {
            folder: tempfile::tempdir().unwrap(),
            packages: Vec::new(),
            table: "[tiers]\nbase = 0\nport = 1\nadapter = 2\nfusion-testkit = 2\n\
                    [technologies]\nsql = [\"adapter\"]\n"
                .to_owned(),
        };
        workspace.package("base", &[]);
        workspace.package("port", &[uses("base"), uses("serde")]);
        workspace.package("adapter", &[uses("port"), uses("sql")]);
        workspace.package("fusion-testkit", &[uses("port")]);
        workspace
    }

    /// Adds a crate, or puts another one in its place.
    fn package(&mut self, name: &str, dependencies: &[Value]) {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = folder.join("Cargo.toml");
        fs::write(&manifest, "[lints]\nworkspace = true\n").unwrap();
        fs::write(folder.join("src/lib.rs"), "//! A crate.\n").unwrap();
        self.packages.retain(|package| package["name"] != name);
        self.packages.push(json!({
            "name": name,
            "manifest_path": manifest,
            "dependencies": dependencies,
        }));
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn faults(&self) -> Vec<String> {
        self.write("layers.toml", &self.table);
        let table = Table::read(&self.folder.path().join("layers.toml")).unwrap();
        let metadata = json!({ "packages": self.packages });
        let members: Vec<Member> = parse(metadata.to_string().as_bytes()).unwrap();
        let root = format!("{}/", self.folder.path().display());
        faults(&table, &members)
            .unwrap()
            .into_iter()
            .map(|fault| fault.replace(&root, ""))
            .collect()
    }
}

/// A dependency line as `cargo metadata` prints it.
fn uses(name: &str) -> Value {
    json!({ "name": name, "kind": null, "features": [] })
}

fn uses_in(kind: &str, name: &str, features: &[&str]) -> Value {
    json!({ "name": name, "kind": kind, "features": features })
}

#[test]
fn a_workspace_in_order_has_no_faults() {
    assert_eq!(Workspace::in_order().faults(), [""; 0]);
}

#[test]
fn a_crate_may_not_depend_on_its_own_tier_or_a_higher_one() {
    let mut workspace = Workspace::in_order();
    workspace.package("port", &[uses("adapter")]);
    workspace.package("adapter", &[uses_in("build", "fusion-testkit", &[])]);
    assert_eq!(
        workspace.faults(),
        [
            "port (tier 1) must not depend on adapter (tier 2)",
            "adapter (tier 2) must not depend on fusion-testkit (tier 2) in its build script",
        ]
    );
}

#[test]
fn tests_may_use_the_testkit_and_the_conformance_rules_of_their_own_tier() {
    let mut workspace = Workspace::in_order();
    workspace.package(
        "adapter",
        &[
            uses_in("dev", "fusion-testkit", &[]),
            uses_in("dev", "adapter", &["conformance"]),
        ],
    );
    assert_eq!(workspace.faults(), [""; 0]);
}

#[test]
fn tests_may_use_nothing_else_of_their_own_tier_and_nothing_above() {
    let mut workspace = Workspace::in_order();
    workspace.package("fusion-testkit", &[uses_in("dev", "adapter", &["sqlite"])]);
    workspace.package(
        "port",
        &[
            uses_in("dev", "fusion-testkit", &[]),
            uses_in("dev", "adapter", &["conformance"]),
        ],
    );
    assert_eq!(
        workspace.faults(),
        [
            "fusion-testkit (tier 2) must not depend on adapter (tier 2) in its tests",
            "port (tier 1) must not depend on fusion-testkit (tier 2) in its tests",
            "port (tier 1) must not depend on adapter (tier 2) in its tests",
        ]
    );
}

#[test]
fn the_testkit_is_for_tests_and_xtask_only() {
    let mut workspace = Workspace::in_order();
    workspace.table = workspace
        .table
        .replace("adapter = 2", "adapter = 2\nserver = 3\nxtask = 6");
    workspace.package("xtask", &[uses("fusion-testkit")]);
    workspace.package("server", &[uses_in("dev", "fusion-testkit", &[])]);
    assert_eq!(workspace.faults(), [""; 0]);
    workspace.package("server", &[uses("fusion-testkit")]);
    assert_eq!(
        workspace.faults(),
        ["server (tier 3) must not depend on fusion-testkit (tier 2) outside of its tests"]
    );
}

#[test]
fn a_crate_without_a_tier_is_a_fault() {
    let mut workspace = Workspace::in_order();
    workspace.package("stray", &[uses("adapter")]);
    assert_eq!(
        workspace.faults(),
        ["stray has no tier: add it to layers.toml"]
    );
}

#[test]
fn a_technology_outside_its_crate_is_a_fault_in_tests_too() {
    let mut workspace = Workspace::in_order();
    workspace.package("port", &[uses("sql")]);
    workspace.package("fusion-testkit", &[uses_in("dev", "sql", &[])]);
    assert_eq!(
        workspace.faults(),
        [
            "port must not know sql: it belongs to adapter",
            "fusion-testkit must not know sql: it belongs to adapter",
        ]
    );
}

#[test]
fn a_name_in_the_table_that_no_crate_has_is_a_fault() {
    let mut workspace = Workspace::in_order();
    workspace.table = workspace.table.replace("base = 0", "base = 0\ngone = 1");
    workspace.table.push_str("http = [\"old-adapter\"]\n");
    assert_eq!(
        workspace.faults(),
        [
            "layers.toml names gone, which is no crate of the workspace",
            "layers.toml names old-adapter, which is no crate of the workspace",
        ]
    );
}

#[test]
fn a_crate_that_does_not_take_the_workspaces_lints_is_a_fault() {
    for manifest in [
        "",
        "[lints]\nworkspace = false\n",
        "[lints.clippy]\nall = \"warn\"\n",
    ] {
        let workspace = Workspace::in_order();
        workspace.write("port/Cargo.toml", manifest);
        assert_eq!(
            workspace.faults(),
            ["port does not take the workspace's lints: write `workspace = true` under [lints]"]
        );
    }
}

#[test]
fn a_source_file_over_500_lines_is_a_fault_wherever_it_is() {
    let workspace = Workspace::in_order();
    workspace.write("port/src/full.rs", &"//\n".repeat(500));
    workspace.write("port/tests/it/long.rs", &"//\n".repeat(501));
    workspace.write("port/target/debug/made.rs", &"//\n".repeat(501));
    workspace.write("port/src/table.txt", &"-\n".repeat(501));
    assert_eq!(
        workspace.faults(),
        ["port/tests/it/long.rs has 501 lines: 500 are the most, split it by what it is about"]
    );
}

#[test]
fn this_workspace_is_read_as_cargo_prints_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let members = super::members(root).unwrap();
    let own = members
        .iter()
        .find(|member| member.name == "xtask")
        .unwrap();
    assert_eq!(own.folder, Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(
        own.dependencies
            .iter()
            .any(|dependency| dependency.name == "serde_json")
    );
}

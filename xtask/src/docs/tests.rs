//! Each check finds its fault, and nothing in a repository that is in order.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::faults;

/// A small repository in order, with these files put over it.
fn repository(files: &[(&str, &str)]) -> TempDir {
    let root = TempDir::new().unwrap();
    let in_order = [
        (
            "README.md",
            "See [this](docs/commands.md#run) and [that](https://example.org), `examples/a.yaml`,\n\
             `one/src/lib.rs::a_rule_that_always_holds`.\n\n```sh\n[no](link)\n```\n",
        ),
        (
            "docs/commands.md",
            "[back](../README.md) `KEY`\n\n<!-- embedded: examples/a.yaml -->\n```yaml\na: 1\n```\n",
        ),
        (".env.example", "KEY=\n"),
        ("examples/a.yaml", "a: 1\n"),
        (
            "crates/one/src/lib.rs",
            "    fn a_rule_that_always_holds() {}\n",
        ),
        (
            "crates/fusion-kit/src/config.rs",
            "let key = get(\"KEY\");\n",
        ),
        ("target/doc/old.md", "[dead](nowhere.md)\n"),
    ];
    for (path, text) in in_order.iter().chain(files) {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    root
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    assert_eq!(faults(repository(files).path()).unwrap(), expected);
}

#[test]
fn documents_in_order_have_no_fault() {
    check(&[], &[]);
}

#[test]
fn a_link_that_leads_nowhere_is_told() {
    check(
        &[("docs/more.md", "a\n\n[x](README.md) [y](../README.md)\n")],
        &["docs/more.md: the link to README.md leads nowhere"],
    );
}

#[test]
fn a_file_or_a_test_that_is_gone_is_told() {
    check(
        &[(
            "docs/more.md",
            "`one/src/gone.rs::a_rule_that_always_holds`, `a_rule_that_is_gone`, `not_a_test`\n",
        )],
        &[
            "docs/more.md: there is no file one/src/gone.rs",
            "docs/more.md: there is no test a_rule_that_is_gone",
        ],
    );
}

#[test]
fn a_copy_that_is_old_is_told() {
    check(
        &[("examples/a.yaml", "a: 2\n")],
        &["docs/commands.md: the copy of examples/a.yaml differs from the file"],
    );
}

#[test]
fn an_example_that_no_document_names_is_told() {
    check(
        &[("examples/b.yaml", "b: 1\n")],
        &["examples/b.yaml is named in no document"],
    );
}

#[test]
fn a_setting_must_stand_in_the_documents_and_the_example() {
    check(
        &[(
            "crates/fusion-kit/src/config.rs",
            "get(\"KEY\") get(\"NEW\")\n",
        )],
        &[
            "docs/commands.md: NEW is missing",
            ".env.example: NEW is missing",
        ],
    );
}

#[test]
fn the_documents_of_this_repository_are_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert_eq!(faults(root).unwrap(), Vec::<String>::new());
}

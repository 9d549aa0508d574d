//! `init` on real folders.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Fake, fusion_kit};

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join("examples").join(name)).unwrap()
}

#[tokio::test]
async fn a_template_becomes_files_that_are_the_examples() {
    let root = tempfile::tempdir().unwrap();
    for (template, files) in [
        ("hello", ["hello.script.yaml", "hello.yaml"]),
        (
            "plan-implement-review",
            [
                "plan-implement-review.script.yaml",
                "plan-implement-review.yaml",
            ],
        ),
    ] {
        let dir = root.path().join("new").join(template);
        let line = format!("init {} --template {template}", dir.display());
        let said = fusion_kit(&line, &Fake::default()).await;
        assert_eq!((said.code, said.err.as_str()), (0, ""));
        assert_eq!(names(&dir), files);
        for file in files {
            assert_eq!(fs::read_to_string(dir.join(file)).unwrap(), example(file));
        }
        let [script, workflow] = files.map(|file| dir.join(file).display().to_string());
        assert_eq!(
            said.out,
            format!("✓ made {workflow}\n✓ made {script}\nnext: fusion-kit run {workflow}\n")
        );
    }
}

#[tokio::test]
async fn the_empty_template_is_one_commented_file() {
    let dir = tempfile::tempdir().unwrap();
    let line = format!("init {} --template empty --json", dir.path().display());
    let said = fusion_kit(&line, &Fake::default()).await;
    let file: PathBuf = dir.path().join("workflow.yaml");
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        told,
        serde_json::json!({
            "files": [file.display().to_string()],
            "next": format!("fusion-kit workflow validate {}", file.display()),
        })
    );
    assert!(
        fs::read_to_string(file)
            .unwrap()
            .starts_with("# A workflow")
    );
}

#[tokio::test]
async fn an_existing_file_is_never_overwritten_and_nothing_else_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("hello.script.yaml");
    fs::write(&taken, "mine").unwrap();
    let line = format!("init {}", dir.path().display());
    let said = fusion_kit(&line, &Fake::default()).await;
    assert_eq!((said.code, said.out.as_str()), (5, ""));
    assert_eq!(
        said.err,
        format!(
            "error: {} exists already; nothing was written\n\
             help: name another folder: fusion-kit init DIR\n",
            taken.display()
        )
    );
    assert_eq!(names(dir.path()), ["hello.script.yaml"]);
    assert_eq!(fs::read_to_string(taken).unwrap(), "mine");
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_taken_too() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("hello.yaml")).unwrap();
    let line = format!("init {}", dir.path().display());
    assert_eq!(fusion_kit(&line, &Fake::default()).await.code, 5);
    assert_eq!(names(dir.path()), ["hello.yaml"]);
}

#[tokio::test]
async fn a_folder_that_can_not_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let inner = file.join("inner");
    let said = fusion_kit(&format!("init {}", inner.display()), &Fake::default()).await;
    assert_eq!(said.code, 10);
    let expected = format!("error: could not make the folder {}: ", inner.display());
    assert!(said.err.starts_with(&expected), "{}", said.err);
}

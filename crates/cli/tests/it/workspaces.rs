//! What `workspace` asks for and says.

use serde_json::{Value, json};

use crate::support::{Fake, fusion_kit};

fn telling(report: Value) -> Fake {
    Fake {
        report,
        ..Fake::default()
    }
}

#[tokio::test]
async fn files_are_listed_with_their_sizes_and_it_is_said_that_there_are_more() {
    let backend = telling(
        json!({ "agent": "a1", "path": ".", "truncated": true, "entries": [
            { "path": "projects", "kind": "directory", "size": 0 },
            { "path": "projects/a.md", "kind": "file", "size": 12345 },
            { "path": "projects/out", "kind": "link", "size": 0 },
        ]}),
    );
    let said = fusion_kit("workspace files writer", &backend).await;
    assert_eq!(
        said.out,
        "  SIZE  PATH\n     -  projects/\n12,345  projects/a.md\n  link  projects/out\n"
    );
    assert_eq!(
        said.err,
        "there is more: give a folder, or a higher --limit\n"
    );
    fusion_kit("workspace files writer projects --limit 5", &backend).await;
    let asked = ["tree writer . 1000", "tree writer projects 5"];
    assert_eq!(*backend.asked.lock().unwrap(), asked);
}

#[tokio::test]
async fn a_file_is_printed_as_it_is_and_its_rest_is_told_of() {
    let file =
        json!({ "agent": "a1", "path": "a.md", "text": "# One\n\u{1b}[31m", "truncated_bytes": 7 });
    let said = fusion_kit("workspace read writer a.md", &telling(file.clone())).await;
    assert_eq!(said.out, "# One\n\u{1b}[31m");
    assert_eq!(said.err, "7 more bytes: give a higher --limit\n");
    let said = fusion_kit("workspace read writer a.md --json", &telling(file.clone())).await;
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), file);
}

#[tokio::test]
async fn a_diff_is_shown_whole_or_by_its_files() {
    let diff = json!({ "agent": "a1", "base": "0a", "branch": "fusion/coder-x", "truncated": false,
        "files": [{ "path": "a.txt", "added": 2, "removed": 0 }, { "path": "b.png", "added": null, "removed": null }],
        "diff": "--- a/a.txt\n+++ b/a.txt\n@@ -0,0 +1,2 @@\n+one\n+two\n" });
    let whole = fusion_kit("workspace diff coder", &telling(diff.clone())).await;
    assert_eq!(whole.out, diff["diff"].as_str().unwrap());
    let names = fusion_kit("workspace diff coder --name-only", &telling(diff.clone())).await;
    let paths = diff["files"].as_array().unwrap().iter();
    let paths: String = paths
        .map(|file| format!("{}\n", file["path"].as_str().unwrap()))
        .collect();
    assert_eq!((names.code, names.out), (0, paths));
    let both = fusion_kit(
        "workspace diff coder --name-only --stat",
        &telling(diff.clone()),
    )
    .await;
    assert_eq!(both.code, 2, "{}", both.err);
    let files = fusion_kit("workspace diff coder --stat", &telling(diff)).await;
    assert_eq!(
        files.out,
        "ADDED  REMOVED  PATH\n    2        0  a.txt\n    -        -  b.png\n"
    );
    let none = json!({ "agent": "a1", "base": "0a", "branch": null, "truncated": false, "files": [], "diff": "" });
    let none = fusion_kit("workspace diff coder", &telling(none)).await;
    assert_eq!((none.out.as_str(), none.code), ("", 0));
}

#[tokio::test]
async fn an_export_says_what_it_wrote() {
    let backend = telling(json!({ "agent": "a1", "file": "report.tar", "bytes": 10240 }));
    let said = fusion_kit("workspace export writer projects --to report.tar", &backend).await;
    assert_eq!(said.out, "wrote report.tar (10,240 bytes)\n");
    assert_eq!(
        *backend.asked.lock().unwrap(),
        ["export writer projects report.tar"]
    );
}

#[tokio::test]
async fn workspaces_are_listed_with_their_state_and_their_place() {
    let line = |state: &str, size: Option<u64>, archive: Option<&str>| {
        json!({
            "id": "a1", "name": "writer", "kind": "directory", "state": state, "path": "/data/w",
            "size_bytes": size, "archive": archive, "created_at": "2026-11-23T12:00:00Z",
        })
    };
    let rows = json!([
        line("ready", Some(2_048), None),
        line("archived", None, Some("/data/w.tar"))
    ]);
    let backend = telling(rows.clone());
    let said = fusion_kit("workspace list --limit 7", &backend).await;
    assert_eq!(
        said.out,
        "AGENT  NAME    KIND       STATE         SIZE  PATH\n\
         a1     writer  directory  ready     2.00 KiB  /data/w\n\
         a1     writer  directory  archived         -  /data/w.tar\n"
    );
    assert_eq!(*backend.asked.lock().unwrap(), ["workspaces 7"]);
    let json = fusion_kit("workspace list --json", &telling(rows.clone())).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json, json!({ "workspaces": rows }));
}

#[tokio::test]
async fn a_merge_is_asked_for_as_it_is_typed_and_told_with_its_files() {
    let merge = |strategy: &str, branches: u64, commit: &str| {
        json!({
            "agent": "a1", "repository": "/home/ada/site", "branch": "fusion/coder-x", "into": "main",
            "branches": branches, "strategy": strategy, "before": "0a0a0a0a0a0a0a0a", "commit": commit,
            "files": [{ "path": ".gitattributes", "added": 2, "removed": 0 }],
        })
    };
    let table = "ADDED  REMOVED  PATH\n    2        0  .gitattributes\n";
    let look = "look at .gitattributes: it steers what git does with other files\n";
    let backend = telling(merge("merge", 2, "0b0b0b0b0b0b0b0b"));
    let said = fusion_kit("workspace merge coder", &backend).await;
    let at = "merged fusion/coder-x into main: 0b0b0b0b0b0b in /home/ada/site\n";
    assert_eq!(said.out, format!("{at}{table}"));
    let newest = "fusion/coder-x is the newest of 2 branches: name another with --branch\n";
    assert_eq!(said.err, format!("{newest}{look}"));
    let line = "workspace merge coder --branch b --into next --strategy squash -m M --json";
    let json = fusion_kit(line, &backend).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json, merge("merge", 2, "0b0b0b0b0b0b0b0b"));
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "MergeRequest { agent: \"coder\", branch: None, into: None, strategy: Merge, message: None }",
            "MergeRequest { agent: \"coder\", branch: Some(\"b\"), into: Some(\"next\"), \
             strategy: Squash, message: Some(\"M\") }",
        ]
    );
    let moved = telling(merge("ff", 1, "0b0b0b0b0b0b0b0b"));
    let said = fusion_kit("workspace merge coder --strategy ff", &moved).await;
    let at = "main moved on to fusion/coder-x: 0b0b0b0b0b0b in /home/ada/site\n";
    assert_eq!(
        (said.out, said.err),
        (format!("{at}{table}"), look.to_owned())
    );
    let refused = fusion_kit("workspace merge coder --strategy ff -m M", &moved).await;
    assert_eq!(refused.code, 2);
    let nothing = telling(merge("merge", 1, "0a0a0a0a0a0a0a0a"));
    let said = fusion_kit("workspace merge coder", &nothing).await;
    assert_eq!(said.out, "main has all of fusion/coder-x already\n");
}

#[tokio::test]
async fn what_was_taken_in_is_told_by_its_branch() {
    let commit = |branch: Option<&str>, before: Option<&str>, commit: Option<&str>| {
        telling(json!({ "agent": "a1", "branch": branch, "before": before, "commit": commit }))
    };
    let (x, old, new) = (
        Some("fusion/coder-x"),
        Some("0a0a"),
        Some("0b0b0b0b0b0b0b0b"),
    );
    for (backend, told) in [
        (commit(x, old, new), "fusion/coder-x is at 0b0b0b0b0b0b\n"),
        (commit(x, None, new), "fusion/coder-x is at 0b0b0b0b0b0b\n"),
        (
            commit(x, new, new),
            "fusion/coder-x has everything already\n",
        ),
        (commit(None, None, None), "nothing was made yet\n"),
    ] {
        let said = fusion_kit("workspace commit coder -m Mended", &backend).await;
        assert_eq!((said.out.as_str(), said.code), (told, 0));
        assert_eq!(*backend.asked.lock().unwrap(), ["commit coder: Mended"]);
    }
    let none = fusion_kit("workspace commit coder", &commit(None, None, None)).await;
    assert_eq!(none.code, 2);
}

#[tokio::test]
async fn what_went_is_told_with_its_size_and_what_stayed_with_its_reason() {
    let gone = |files: u64, branch: Option<&str>| json!({ "agent": "a1", "name": "coder", "path": "/data/w", "files": files, "bytes": 2048, "branch": branch });
    let backend = telling(gone(12, Some("fusion/coder-x")));
    let said = fusion_kit("workspace discard coder", &backend).await;
    let rest = "/data/w (12 files, 2.00 KiB); its work stays in fusion/coder-x\n";
    assert_eq!(said.out, format!("coder: removed {rest}"));
    let said = fusion_kit("workspace discard coder --yes --dry-run", &backend).await;
    assert_eq!(said.out, format!("coder: would remove {rest}"));
    assert_eq!(
        *backend.asked.lock().unwrap(),
        [
            "discard coder DiscardRequest { only_copies: false, dry_run: false }",
            "discard coder DiscardRequest { only_copies: true, dry_run: true }",
        ]
    );
    let done = json!({ "dry_run": false, "removed": [gone(0, None), gone(3, None)], "kept": [
        { "agent": "a2", "name": "writer", "path": "/data/v", "why": "it has poems" },
    ]});
    let backend = telling(done);
    let said = fusion_kit("workspace gc --older-than 30d", &backend).await;
    assert_eq!(
        said.out,
        "coder: /data/w is gone already\n\
         coder: removed /data/w (3 files, 2.00 KiB)\n\
         writer: kept /data/v: it has poems\n"
    );
    assert_eq!(
        *backend.asked.lock().unwrap(),
        ["gc 2592000s DiscardRequest { only_copies: false, dry_run: false }"]
    );
}

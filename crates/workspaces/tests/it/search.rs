//! The search for text sees what the file tools see, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;

use fusion_workspaces::{FileMatches, MatchedLine, Matches, TextQuery, WorkspaceDir};

use crate::place::Place;

fn query(pattern: &str) -> TextQuery {
    TextQuery {
        pattern: pattern.to_owned(),
        literal: false,
        ignore_case: false,
        path: ".".to_owned(),
        glob: None,
        context: 0,
        limit: 100,
    }
}

fn line(number: u64, text: &str, is_match: bool) -> MatchedLine {
    MatchedLine {
        number,
        text: text.to_owned(),
        is_match,
    }
}

fn file(path: &str, lines: &[MatchedLine]) -> FileMatches {
    FileMatches {
        path: path.to_owned(),
        lines: lines.to_vec(),
    }
}

fn found(files: &[FileMatches]) -> Matches {
    Matches {
        files: files.to_vec(),
        ..Matches::default()
    }
}

fn write(agent: &WorkspaceDir, path: &str, content: &[u8]) {
    agent.write_file(path, content).unwrap();
}

#[test]
fn matching_lines_are_found_with_the_lines_around_them_by_file() {
    let place = Place::new();
    let agent = place.agent(1);
    write(&agent, "projects/b.txt", b"one\r\ntwo\r\nthree\r\nfour");
    write(&agent, "projects/a/c.txt", b"TWO of them");
    let around = TextQuery {
        ignore_case: true,
        context: 1,
        ..query("^two")
    };
    assert_eq!(
        agent.search_text(&around).unwrap(),
        found(&[
            file("projects/a/c.txt", &[line(1, "TWO of them", true)]),
            file(
                "projects/b.txt",
                &[
                    line(1, "one", false),
                    line(2, "two", true),
                    line(3, "three", false)
                ]
            ),
        ])
    );
}

#[test]
fn a_glob_a_folder_or_a_file_narrows_the_search() {
    let place = Place::new();
    let agent = place.agent(1);
    for path in ["projects/a.txt", "projects/a.md", "projects/deep/a.md"] {
        write(&agent, path, b"a+b");
    }
    let hit = |path: &str| file(path, &[line(1, "a+b", true)]);
    let literal = TextQuery {
        literal: true,
        ..query("a+b")
    };
    let search = |path: &str, glob: Option<&str>| {
        let glob = glob.map(str::to_owned);
        let path = path.to_owned();
        agent
            .search_text(&TextQuery {
                path,
                glob,
                ..literal.clone()
            })
            .unwrap()
    };
    assert_eq!(
        search(".", Some("projects/*.md")),
        found(&[hit("projects/a.md")])
    );
    assert_eq!(
        search("projects/deep", None),
        found(&[hit("projects/deep/a.md")])
    );
    assert_eq!(
        search("projects/a.txt", None),
        found(&[hit("projects/a.txt")])
    );
    assert_eq!(agent.search_text(&query("a+b")).unwrap(), found(&[]));
}

#[test]
fn what_lies_outside_is_not_found_by_any_link() {
    let place = Place::new();
    let agent = place.agent(1);
    let secret = place.secret();
    let words = fs::read_to_string(&secret).unwrap();
    symlink(&secret, agent.projects_path().join("link")).unwrap();
    symlink(
        secret.parent().unwrap(),
        agent.projects_path().join("folder"),
    )
    .unwrap();
    fs::hard_link(&secret, agent.projects_path().join("hard")).unwrap();
    let secret_in = |path: &str| {
        let literal = TextQuery {
            literal: true,
            path: path.to_owned(),
            ..query(&words)
        };
        agent.search_text(&literal)
    };
    let nothing = Matches {
        skipped: 1,
        ..Matches::default()
    };
    assert_eq!(secret_in(".").unwrap(), nothing);
    for path in [
        "projects/link",
        "projects/folder",
        "projects/hard",
        "/etc",
        "../",
    ] {
        assert!(secret_in(path).is_err(), "{path}");
    }
}

#[test]
fn private_folders_and_binary_files_are_not_searched() {
    let place = Place::new();
    let agent = place.agent(1);
    fs::create_dir(agent.projects_path().join(".git")).unwrap();
    fs::write(agent.projects_path().join(".git/config"), "bees").unwrap();
    write(&agent, "projects/image", b"bees\0bees");
    let searched = agent.search_text(&query("bees")).unwrap();
    let nothing = Matches {
        skipped: 1,
        ..Matches::default()
    };
    assert_eq!(searched, nothing);
}

#[test]
fn a_search_ends_at_its_limit_and_says_so_and_long_lines_are_cut() {
    let place = Place::new();
    let agent = place.agent(1);
    write(&agent, "projects/a.txt", "bee\n".repeat(10).as_bytes());
    write(&agent, "projects/b.txt", b"bee");
    let searched = agent
        .search_text(&TextQuery {
            limit: 2,
            ..query("bee")
        })
        .unwrap();
    let lines = [line(1, "bee", true), line(2, "bee", true)];
    let cut = Matches {
        files: vec![file("projects/a.txt", &lines)],
        cut: true,
        skipped: 0,
    };
    assert_eq!(searched, cut);

    let long = format!("bee{}", "é".repeat(1_000));
    write(&agent, "projects/c.txt", long.as_bytes());
    let only = TextQuery {
        path: "projects/c.txt".to_owned(),
        ..query("bee")
    };
    let told = format!("bee{} [...]", "é".repeat(198));
    assert_eq!(
        agent.search_text(&only).unwrap(),
        found(&[file("projects/c.txt", &[line(1, &told, true)])])
    );
}

#[test]
fn an_expression_that_would_take_too_much_is_refused() {
    let place = Place::new();
    let agent = place.agent(1);
    for pattern in ["(", "a{1000}{1000}{1000}", "a\nb"] {
        let refused = agent.search_text(&query(pattern)).unwrap_err().to_string();
        let begins = format!("'{pattern}' is not a regular expression: ");
        assert!(refused.starts_with(&begins), "{refused}");
    }
}

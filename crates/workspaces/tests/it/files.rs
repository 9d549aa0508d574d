use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use fusion_workspaces::{
    EntryKind, FileEntry, FileText, LIST_LIMIT, READ_LIMIT, WRITE_LIMIT, WorkspaceDir,
};
use rustix::fs::{
    CWD, FileType, Mode, OFlags, RenameFlags, mkfifoat, mknodat, openat, renameat_with,
};

use crate::place::{Place, is_root, uid, workspaces};

fn refusal<T: std::fmt::Debug>(result: fusion_workspaces::Result<T>) -> String {
    result.unwrap_err().to_string()
}

fn read(dir: &WorkspaceDir, path: &str) -> String {
    match dir.read_file(path, READ_LIMIT) {
        Ok(file) => file.text,
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_written_file_is_read_back_and_belongs_to_the_agent() {
    let place = Place::new();
    let agent = place.agent(1);
    agent.write_file("projects/a/b/c.md", b"# One").unwrap();
    agent.write_file("./projects//a/b/c.md", b"# Two").unwrap();
    assert_eq!(read(&agent, "projects/a/b/c.md"), "# Two");
    let owner = uid(1).unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let found = ["a", "a/b", "a/b/c.md"].map(|path| {
        let metadata = fs::metadata(agent.projects_path().join(path)).unwrap();
        (
            metadata.mode() & 0o777,
            metadata.uid(),
            metadata.gid() == owner || uid(1).is_none(),
        )
    });
    let expected = [0o700, 0o700, 0o600].map(|mode| (mode, owner, true));
    assert_eq!(found, expected);
    let names = fs::read_dir(agent.projects_path().join("a/b")).unwrap();
    assert_eq!(names.count(), 1, "no temporary file is left");
}

#[test]
fn a_write_replaces_the_file_and_keeps_its_rights() {
    let place = Place::new();
    let agent = place.agent(1);
    let secret = place.secret();
    let script = agent.projects_path().join("run.sh");
    fs::hard_link(&secret, &script).unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o750)).unwrap();
    agent.write_file("projects/run.sh", b"new").unwrap();
    assert_eq!(fs::read_to_string(&script).unwrap(), "new");
    assert_eq!(fs::metadata(&script).unwrap().mode() & 0o7777, 0o750);
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
}

#[test]
fn a_read_gives_the_beginning_cut_at_a_character() {
    let place = Place::new();
    let agent = place.agent(1);
    agent.write_file("projects/t", "abü".as_bytes()).unwrap();
    let cut = |limit, text: &str, truncated_bytes| {
        let expected = FileText {
            text: text.to_owned(),
            truncated_bytes,
        };
        assert_eq!(agent.read_file("projects/t", limit).unwrap(), expected);
    };
    cut(0, "", 4);
    cut(2, "ab", 2);
    cut(3, "ab", 2);
    cut(4, "abü", 0);
    cut(READ_LIMIT, "abü", 0);
    agent.write_file("projects/half", b"ab\xc3").unwrap();
    agent
        .write_file("projects/binary", b"\xff\xfe\x00")
        .unwrap();
    assert_eq!(
        read(&agent, "projects/half"),
        "'projects/half' is refused: it is not UTF-8 text (3 bytes)"
    );
    assert_eq!(
        read(&agent, "projects/binary"),
        "'projects/binary' is refused: it is not UTF-8 text (3 bytes)"
    );
}

#[test]
fn a_path_that_is_not_below_the_workspace_is_refused_by_every_tool() {
    let place = Place::new();
    let agent = place.agent(1);
    let absolute = agent.path().join("projects/x");
    let long = "a/".repeat(2_050);
    let cases = [
        (
            "",
            "the path is empty; give one such as projects/report.md, or . for the workspace",
        ),
        ("a\0b", "a path can't hold a NUL character"),
        (
            "..",
            "'..' is not taken; give the path from the workspace's root",
        ),
        (
            "projects/../../x",
            "'..' is not taken; give the path from the workspace's root",
        ),
        (
            absolute.to_str().unwrap(),
            "give the path from the workspace's root, such as projects/report.md",
        ),
        (&long, "the path is longer than 4096 bytes"),
    ];
    for (path, why) in cases {
        for message in [
            refusal(agent.read_file(path, 10)),
            refusal(agent.write_file(path, b"x")),
            refusal(agent.list_files(path, 10)),
        ] {
            assert!(
                message.ends_with(&format!("' is refused: {why}")),
                "{message}"
            );
            assert!(message.len() < 500 && !message.contains('\0'), "{message}");
        }
    }
}

#[test]
fn a_symlink_out_of_the_workspace_is_refused() {
    let place = Place::new();
    let agent = place.agent(1);
    let secret = place.secret();
    let inside = |name: &str| agent.projects_path().join(name);
    symlink(&secret, inside("absolute")).unwrap();
    symlink("../../../secret", inside("relative")).unwrap();
    symlink("relative", inside("chain")).unwrap();
    symlink(place.folder.path(), inside("folder")).unwrap();
    symlink("/proc/self/root", inside("root")).unwrap();
    let out = "a symbolic link in it leads out of the workspace";
    for name in [
        "absolute",
        "relative",
        "chain",
        "folder/secret",
        "root/etc/passwd",
    ] {
        let path = format!("projects/{name}");
        assert_eq!(read(&agent, &path), format!("'{path}' is refused: {out}"));
    }
    assert_eq!(
        refusal(agent.list_files("projects/folder", 10)),
        format!("'projects/folder' is refused: {out}")
    );
    assert_eq!(
        refusal(agent.write_file("projects/absolute", b"x")),
        "'projects/absolute' is refused: it is a symbolic link, not a regular file"
    );
    assert_eq!(
        refusal(agent.write_file("projects/folder/secret", b"x")),
        "'projects/folder/secret' is refused: 'folder' is a symbolic link, not a folder"
    );
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
}

#[test]
fn a_symlink_inside_the_workspace_is_read_through() {
    let place = Place::new();
    let agent = place.agent(1);
    agent.write_file("projects/v1/notes", b"one").unwrap();
    symlink("v1", agent.projects_path().join("latest")).unwrap();
    assert_eq!(read(&agent, "projects/latest/notes"), "one");
}

#[test]
fn a_folder_swapped_for_a_symlink_never_leads_out() {
    let place = Place::new();
    let agent = place.agent(1);
    let outside = place.folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("f"), "secret").unwrap();
    agent.write_file("projects/d/f", b"inside").unwrap();
    symlink(&outside, agent.projects_path().join("e")).unwrap();

    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let folder = openat(CWD, agent.projects_path(), flags, Mode::empty()).unwrap();
    let stop = AtomicBool::new(false);
    let mut refused = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                renameat_with(&folder, "d", &folder, "e", RenameFlags::EXCHANGE).unwrap();
            }
        });
        for _ in 0..2_000 {
            match agent.read_file("projects/d/f", 100) {
                Ok(file) => assert_eq!(file.text, "inside"),
                Err(_) => refused += 1,
            }
        }
        for _ in 0..200 {
            refused += usize::from(agent.write_file("projects/d/f", b"inside").is_err());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(refused > 0, "the swap never met a call");
    assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "secret");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn what_is_not_a_regular_file_is_refused_at_once() {
    let place = Place::new();
    let agent = place.agent(1);
    let folder = openat(CWD, agent.projects_path(), OFlags::PATH, Mode::empty()).unwrap();
    mkfifoat(folder.as_fd(), "fifo", Mode::RWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(agent.projects_path().join("socket"));
    fs::hard_link(place.secret(), agent.projects_path().join("hard")).unwrap();
    let mut names = vec!["fifo", "socket"];
    if is_root() {
        let null = rustix::fs::makedev(1, 3);
        mknodat(
            &folder,
            "device",
            FileType::CharacterDevice,
            Mode::RWXU,
            null,
        )
        .unwrap();
        names.push("device");
    }
    for name in names {
        let path = format!("projects/{name}");
        let expected =
            format!("'{path}' is refused: it is a pipe, socket or device, not a regular file");
        assert_eq!(read(&agent, &path), expected);
        assert_eq!(refusal(agent.write_file(&path, b"x")), expected);
    }
    let folder = "'projects' is refused: it is a folder, not a regular file";
    assert_eq!(read(&agent, "projects"), folder);
    assert_eq!(refusal(agent.write_file("projects", b"x")), folder);
    assert_eq!(refusal(agent.write_file("projects/", b"x")), folder);
    assert_eq!(
        read(&agent, "projects/hard"),
        "'projects/hard' is refused: the file has more than one name (hard links); copy it first"
    );
    assert_eq!(read(&agent, "projects/none"), "can't read projects/none");
    assert_eq!(
        refusal(agent.list_files("projects/hard", 10)),
        "can't list projects/hard"
    );
}

#[test]
fn the_file_tools_do_not_write_what_the_workspace_or_git_runs_on() {
    let place = Place::new();
    let agent = place.agent(1);
    let why = "'.agent', '.env', 'logs' and '.git' are not written by tools; use projects/ instead";
    for path in [
        ".agent/agent.json",
        ".Agent/x",
        "./.env",
        ".ENV",
        "logs/x",
        "LOGS//x",
        ".git/config",
        "projects/repo/.git/hooks/pre-commit",
        "projects/repo/.GIT",
    ] {
        let message = refusal(agent.write_file(path, b"x"));
        assert!(
            message.ends_with(&format!("' is refused: {why}")),
            "{message}"
        );
    }
    for path in [
        "projects/.env",
        "projects/logs/x",
        "projects/.gitignore",
        "notes",
    ] {
        agent.write_file(path, b"x").unwrap();
    }
}

#[test]
fn what_a_crash_left_half_written_is_no_result_and_is_gone_at_the_next_opening() {
    let place = Place::new();
    let agent = place.agent(1);
    agent.write_file("projects/done.txt", b"done").unwrap();
    let half = agent.path().join(".agent/drafts/.fusion-draft-0");
    fs::write(&half, "half").unwrap();
    let all = ["**".to_owned()];
    let results = ["projects/done.txt".to_owned()];
    let found = agent.matching(&all).unwrap();
    assert!(
        !found.iter().any(|path| path.contains("draft")),
        "{found:?}"
    );
    let name = agent
        .path()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let agent = workspaces(place.root()).open(&name, uid(1)).unwrap();
    assert!(!half.exists());
    assert_eq!(
        agent.matching(&["projects/**".to_owned()]).unwrap(),
        results
    );
}

#[test]
fn a_write_beyond_the_limit_is_refused() {
    let place = Place::new();
    let agent = place.agent(1);
    let bytes = vec![b'x'; WRITE_LIMIT + 1];
    assert_eq!(
        refusal(agent.write_file("projects/big", &bytes)),
        "'projects/big' is refused: 10485761 bytes are more than the 10485760 that one write takes"
    );
    agent.write_file("projects/big", &bytes[1..]).unwrap();
}

#[test]
fn a_list_shows_everything_but_private_folders_sorted_and_bounded() {
    let place = Place::new();
    let agent = place.agent(1);
    for path in ["projects/a/x", "projects/a-b", "projects/b"] {
        agent.write_file(path, b"1234").unwrap();
    }
    fs::create_dir(agent.projects_path().join(".git")).unwrap();
    fs::write(agent.projects_path().join(".git/config"), "").unwrap();
    symlink("/etc", agent.projects_path().join("link")).unwrap();
    let entry = |path: &str, kind, size| FileEntry {
        path: path.to_owned(),
        kind,
        size,
    };
    let all = agent.list_files(".", LIST_LIMIT).unwrap();
    let expected = [
        entry(".agent", EntryKind::Directory, 0),
        entry(".env", EntryKind::File, 20),
        entry("logs", EntryKind::Directory, 0),
        entry("projects", EntryKind::Directory, 0),
        entry("projects/.git", EntryKind::Directory, 0),
        entry("projects/a", EntryKind::Directory, 0),
        entry("projects/a-b", EntryKind::File, 4),
        entry("projects/a/x", EntryKind::File, 4),
        entry("projects/b", EntryKind::File, 4),
        entry("projects/link", EntryKind::Link, 0),
    ];
    assert_eq!(all, expected);
    assert_eq!(agent.list_files("projects/a/", 5).unwrap(), expected[7..8]);
    assert_eq!(agent.list_files(".", 2).unwrap(), expected[..2]);
    assert_eq!(agent.list_files(".", 0).unwrap(), []);
}

#[test]
fn a_name_that_is_not_text_is_shown_and_not_found_by_patterns() {
    let place = Place::new();
    let agent = place.agent(1);
    let name = OsStr::from_bytes(b"a\xff.md");
    fs::write(agent.projects_path().join(name), "x").unwrap();
    let expected = FileEntry {
        path: "projects/a\u{fffd}.md".to_owned(),
        kind: EntryKind::Other,
        size: 0,
    };
    assert_eq!(agent.list_files("projects", 10).unwrap(), [expected]);
    assert_eq!(agent.matching(&["**".to_owned()]).unwrap(), [".env"]);
}

#[test]
fn patterns_find_regular_files_below_folders_that_are_not_private() {
    let place = Place::new();
    let agent = place.agent(1);
    for path in [
        "projects/b.md",
        "projects/a/deep/c.md",
        "projects/a.txt",
        "top.md",
    ] {
        agent.write_file(path, b"x").unwrap();
    }
    fs::write(agent.path().join(".agent/home/d.md"), "").unwrap();
    symlink("/etc/passwd", agent.projects_path().join("e.md")).unwrap();
    let found = |globs: &[&str]| {
        let globs: Vec<String> = globs.iter().map(|glob| (*glob).to_owned()).collect();
        agent.matching(&globs).unwrap().join(" ")
    };
    assert_eq!(found(&["projects/*.md"]), "projects/b.md");
    assert_eq!(
        found(&["**/*.md", "projects/*.{txt,md}"]),
        "projects/a.txt projects/a/deep/c.md projects/b.md top.md"
    );
    assert_eq!(found(&[]), "");
    assert_eq!(
        refusal(agent.matching(&["a[".to_owned()])),
        "'a[' is not a file pattern: write one such as projects/**/*.md"
    );
}

#[test]
fn more_files_than_a_list_takes_bound_the_list_and_fail_the_search() {
    let place = Place::new();
    let agent = place.agent(1);
    for number in 0..=LIST_LIMIT {
        fs::write(agent.projects_path().join(number.to_string()), "").unwrap();
    }
    let listed = agent.list_files("projects", usize::MAX).unwrap();
    assert_eq!(listed.len(), LIST_LIMIT);
    assert_eq!(
        refusal(agent.matching(&["projects/*".to_owned()])),
        "there are more than 10000 files: choose narrower patterns, or remove what is not needed"
    );
}

#[test]
fn a_write_takes_no_folder_of_somebody_else() {
    let place = Place::new();
    let agent = place.agent(1);
    let folder = agent.projects_path().join("foreign");
    fs::create_dir(&folder).unwrap();
    let owner = || fs::metadata(&folder).unwrap().uid();
    let before = owner();
    agent
        .write_file("projects/foreign/made/file", b"text")
        .unwrap();
    assert_eq!(owner(), before);
    let made = fs::metadata(folder.join("made")).unwrap().uid();
    assert_eq!(made, uid(1).unwrap_or(before));
}

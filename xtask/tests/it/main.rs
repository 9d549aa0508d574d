//! `cargo xtask postgres` and `cargo xtask test` as a developer starts them.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "starts xtask itself, which takes nothing from an agent"
)]

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A started xtask whose output is read line by line.
struct Xtask {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Xtask {
    fn start(arguments: &[&str], cargo: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .env("CARGO", cargo)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn code(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }
}

/// `127.0.0.1:PORT` of a server's URL.
fn address(url: &str) -> &str {
    let (_, place) = url.split_once('@').unwrap();
    place.split('/').next().unwrap()
}

/// A program in cargo's place, which has nextest and does this when it runs tests.
fn cargo_that(folder: &Path, does: &str) -> PathBuf {
    let path = folder.join("cargo");
    let script = format!("#!/bin/sh\n[ \"$2\" = --version ] && exit 0\n{does}\n");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn the_server_of_a_developer_is_there_until_the_command_is_ended() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut xtask = Xtask::start(&["postgres"], Path::new("cargo"));
        let line = xtask.line();
        let url = line
            .strip_prefix("export FUSION_TEST_POSTGRES_URL='")
            .unwrap();
        TcpStream::connect(address(url)).unwrap();
        let line = xtask.line();
        let folder = line
            .strip_prefix("export FUSION_TEST_POSTGRES_BIN='")
            .unwrap();
        assert!(Path::new(folder.trim_end_matches('\'')).is_dir(), "{line}");
        xtask.send(signal);
        assert_eq!(xtask.code(), Some(0));
        TcpStream::connect(address(url)).unwrap_err();
    }
}

#[test]
fn tests_get_the_arguments_and_a_server_that_goes_when_they_have_failed() {
    let folder = tempfile::tempdir().unwrap();
    let does = "echo \"$*\"; echo \"$FUSION_TEST_POSTGRES_URL\"\n\
                \"$FUSION_TEST_POSTGRES_BIN/psql\" \"$FUSION_TEST_POSTGRES_URL\" -Atc 'select 7'\n\
                exit 100";
    let cargo = cargo_that(folder.path(), does);
    let mut xtask = Xtask::start(&["test", "--", "-E", "package(x)"], &cargo);
    assert_eq!(
        xtask.line(),
        "nextest run --workspace --features fusion-kit/failpoints -E package(x)"
    );
    let url = xtask.line();
    assert_eq!(xtask.line(), "7");
    assert_eq!(xtask.code(), Some(1));
    TcpStream::connect(address(&url)).unwrap_err();
}

#[test]
fn ended_tests_have_their_server_until_they_are_through() {
    let folder = tempfile::tempdir().unwrap();
    let does = "trap 'kill $!; \
                \"$FUSION_TEST_POSTGRES_BIN/psql\" \"$FUSION_TEST_POSTGRES_URL\" -Atc \"select 8\"; \
                exit 1' TERM\n\
                sleep 60 >/dev/null & echo \"$FUSION_TEST_POSTGRES_URL\"; wait";
    let cargo = cargo_that(folder.path(), does);
    let mut xtask = Xtask::start(&["test", "--", "all"], &cargo);
    let url = xtask.line();
    xtask.send(Signal::TERM);
    assert_eq!(xtask.line(), "8");
    assert_eq!(xtask.code(), Some(1));
    TcpStream::connect(address(&url)).unwrap_err();
}

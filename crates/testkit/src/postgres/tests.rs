#![expect(
    clippy::disallowed_methods,
    reason = "asks the server through its own programs, and kills a process that owns one"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::postgres_binaries;
use crate::server::Dying;

/// Names the test below that is an owner to be killed.
const OWNER: &str = "postgres::tests::owns_a_server_until_its_input_ends";

fn server() -> Postgres {
    Postgres::start(&postgres_binaries().unwrap()).unwrap()
}

/// What a query gives, or what is told of its failure.
fn ask(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new(postgres_binaries().unwrap().join("psql"))
        .args(["--no-psqlrc", "--tuples-only", "--no-align"])
        .args(["--dbname", url, "--command", sql])
        .env("PGCONNECT_TIMEOUT", "2")
        .output()
        .unwrap();
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// Whether nothing runs in it any more; whoever inherited it may still have to notice.
fn has_ended(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid()));
    stat.map_or(true, |line| line.contains(") Z ") || line.contains(") X "))
}

#[test]
fn a_server_lets_in_only_who_knows_its_password() {
    let server = server();
    assert_eq!(
        ask(&server.url(), "select current_user"),
        Ok("postgres".to_owned())
    );
    let wrong = server.url().replace(&server.password, "guessed");
    let refused = ask(&wrong, "select 1").unwrap_err();
    assert!(
        refused.contains("password authentication failed"),
        "{refused}"
    );
}

#[test]
fn a_stopped_server_is_down_and_comes_back_with_its_data_at_its_url() {
    let mut server = server();
    let url = server.url();
    ask(&url, "create table kept as select 7 as value").unwrap();
    server.stop_immediate().unwrap();
    let down = ask(&url, "select 1").unwrap_err();
    assert!(down.contains("Connection refused"), "{down}");
    server.stop_immediate().unwrap();
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(ask(&url, "select value from kept"), Ok("7".to_owned()));
    let twice = server.start_again().unwrap_err();
    assert_eq!(
        format!("{twice:#}"),
        "PostgreSQL did not start: it runs already"
    );
}

#[test]
fn a_killed_server_has_no_process_left_and_comes_back_with_its_data() {
    let mut server = server();
    let url = server.url();
    ask(&url, "create table kept as select 7 as value").unwrap();
    let processes = server.processes().unwrap();
    assert!(processes.len() > 1, "{processes:?}");
    server.kill().unwrap();
    assert!(processes.into_iter().all(has_ended));
    let down = ask(&url, "select 1").unwrap_err();
    assert!(down.contains("Connection refused"), "{down}");
    server.start_again().unwrap();
    assert_eq!(ask(&url, "select value from kept"), Ok("7".to_owned()));
}

#[test]
fn a_paused_server_answers_nobody_until_it_goes_on() {
    let mut server = server();
    server.pause().unwrap();
    let silent = ask(&server.url(), "select 1").unwrap_err();
    assert!(silent.contains("timeout expired"), "{silent}");
    server.resume().unwrap();
    assert_eq!(ask(&server.url(), "select 1"), Ok("1".to_owned()));
    server.pause().unwrap();
    server.stop_immediate().unwrap();
    server.start_again().unwrap();
    assert_eq!(ask(&server.url(), "select 1"), Ok("1".to_owned()));
}

#[test]
fn a_server_that_does_not_start_says_why_and_can_be_tried_again() {
    let mut server = server();
    server.stop_immediate().unwrap();
    let taken = TcpListener::bind(("127.0.0.1", server.port)).unwrap();
    let refused = format!("{:#}", server.start_again().unwrap_err());
    assert!(refused.contains("Address already in use"), "{refused}");
    drop(taken);
    server.start_again().unwrap();
    assert_eq!(ask(&server.url(), "select 1"), Ok("1".to_owned()));
}

#[test]
fn a_cluster_that_can_not_be_created_says_why_and_leaves_nothing() {
    let error = Postgres::start(Path::new("/nowhere")).unwrap_err();
    let told = format!("{error:#}");
    assert!(
        told.starts_with("PostgreSQL could not create its files: "),
        "{told}"
    );
    assert!(told.contains("/nowhere/initdb: not found"), "{told}");
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder_even_when_paused() {
    let mut server = server();
    let folder = server.keeper.folder.clone();
    let mut processes = server.processes().unwrap();
    processes.push(server.keeper.id());
    assert!(folder.exists());
    server.pause().unwrap();
    drop(server);
    assert!(processes.into_iter().all(has_ended));
    assert!(!folder.exists());
}

#[test]
fn a_server_goes_with_an_owner_that_is_killed() {
    let mut owner = Owner::start();
    let keeper = Dying::of(&[owner.keeper]);
    assert!(!has_ended(owner.postmaster) && owner.folder.exists());
    owner.process.kill().unwrap();
    keeper.end().unwrap();
    assert!(has_ended(owner.postmaster));
    assert!(!owner.folder.exists());
    owner.process.wait().unwrap();
}

/// Another process that has started a server.
struct Owner {
    process: Child,
    keeper: Pid,
    postmaster: Pid,
    folder: PathBuf,
}

impl Owner {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", OWNER, "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let line = output
            .lines()
            .map(Result::unwrap)
            .find_map(|line| line.strip_prefix("owns ").map(str::to_owned))
            .unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        let pid = |word: &str| Pid::from_raw(word.parse().unwrap()).unwrap();
        Self {
            process,
            keeper: pid(words[0]),
            postmaster: pid(words[1]),
            folder: PathBuf::from(words[2]),
        }
    }
}

#[test]
#[ignore = "started by the test above, in a process of its own"]
fn owns_a_server_until_its_input_ends() {
    let server = server();
    let keeper = server.keeper.id().as_raw_pid();
    let postmaster = server.postmaster.unwrap().as_raw_pid();
    let folder = server.keeper.folder.display();
    println!("\nowns {keeper} {postmaster} {folder}");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

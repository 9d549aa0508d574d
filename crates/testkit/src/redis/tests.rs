#![expect(
    clippy::disallowed_methods,
    reason = "starts a process that owns a server, and kills it"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::redis_binaries;
use crate::server::Dying;

/// Names the test below that is an owner to be killed.
const OWNER: &str = "redis::tests::owns_a_server_until_its_input_ends";

fn server() -> Redis {
    Redis::start(&redis_binaries().unwrap()).unwrap()
}

/// Whether nothing runs in it any more; whoever inherited it may still have to notice.
fn has_ended(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid()));
    stat.map_or(true, |line| line.contains(") Z ") || line.contains(") X "))
}

#[test]
fn a_server_lets_in_only_who_knows_its_password() {
    let mut server = server();
    assert_eq!(server.ask("PING").unwrap(), "+PONG");
    server.password = "guessed".to_owned();
    let refused = server.ask("PING").unwrap_err().to_string();
    assert!(refused.contains("WRONGPASS"), "{refused}");
}

#[test]
fn a_killed_server_is_down_and_comes_back_empty_at_its_url() {
    let mut server = server();
    let url = server.url();
    assert_eq!(server.ask("SET kept 7").unwrap(), "+OK");
    server.kill().unwrap();
    server.kill().unwrap();
    let down = format!("{:#}", server.ask("PING").unwrap_err());
    assert!(down.contains("Connection refused"), "{down}");
    server.start_again().unwrap();
    assert_eq!(server.url(), url);
    assert_eq!(server.ask("KEYS *").unwrap(), "*0");
    let twice = server.start_again().unwrap_err();
    assert_eq!(format!("{twice:#}"), "Redis did not start: it runs already");
}

#[test]
fn a_paused_server_goes_on_with_what_it_holds() {
    let mut server = server();
    server.ask("SET kept 7").unwrap();
    server.pause().unwrap();
    assert!(is_paused(server.process.unwrap()));
    server.resume().unwrap();
    assert_eq!(server.ask("GET kept").unwrap(), "$1\r\n7");
}

#[test]
fn a_server_that_does_not_start_says_why() {
    let refused = Redis::start_with(&redis_binaries().unwrap(), &["no-such-setting 1"]);
    let told = format!("{:#}", refused.unwrap_err());
    assert!(told.contains("Bad directive"), "{told}");
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_folder_even_when_paused() {
    let mut server = server();
    let folder = server.keeper.folder.clone();
    let processes = [server.process.unwrap(), server.keeper.id()];
    assert!(folder.exists());
    server.pause().unwrap();
    drop(server);
    assert!(processes.into_iter().all(has_ended));
    assert!(!folder.exists());
}

#[test]
fn a_server_goes_with_an_owner_that_is_killed() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", OWNER, "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = BufReader::new(owner.stdout.take().unwrap())
        .lines()
        .map(std::result::Result::unwrap)
        .find_map(|line| line.strip_prefix("owns ").map(str::to_owned))
        .unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let pid = |word: &str| Pid::from_raw(word.parse().unwrap()).unwrap();
    let (keeper, server, folder) = (pid(words[0]), pid(words[1]), Path::new(words[2]));
    assert!(!has_ended(server) && folder.exists());
    let keeper = Dying::of(&[keeper]);
    owner.kill().unwrap();
    keeper.end().unwrap();
    assert!(has_ended(server));
    assert!(!folder.exists());
    owner.wait().unwrap();
}

#[test]
#[ignore = "started by the test above, in a process of its own"]
fn owns_a_server_until_its_input_ends() {
    let server = server();
    let keeper = server.keeper.id().as_raw_pid();
    let process = server.process.unwrap().as_raw_pid();
    println!(
        "\nowns {keeper} {process} {}",
        server.keeper.folder.display()
    );
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

//! What commands may do beyond their workspace when it was granted, and only then; at both levels.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use fusion_core::{LimitsSpec, NetworkAccess, SandboxSpec};
use fusion_workspaces::{Error, Exit, Launcher, LayerName, Resource, WorkspaceDir};
use tokio_util::sync::CancellationToken;

use crate::place::{Mounted, Place, base, is_root, launcher, shell};

fn levels() -> [Launcher; 2] {
    [launcher(), base()]
}

async fn run(launcher: &Launcher, agent: &WorkspaceDir, script: &str) -> (Exit, String) {
    let cancel = CancellationToken::new();
    let finished = launcher.run(agent, &shell(script), &cancel).await.unwrap();
    (finished.exit, finished.output)
}

/// A folder beside the workspaces that every user may read and write, with a file in it.
fn folder(place: &Place, name: &str) -> String {
    let folder = place.folder.path().canonicalize().unwrap().join(name);
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
    fs::write(folder.join("file"), name).unwrap();
    folder.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn granted_folders_are_read_or_written_and_others_are_not() {
    let place = Place::new();
    let agent = place.agent(1);
    let [read, write, other] = ["read", "write", "other"].map(|name| folder(&place, name));
    let granted = SandboxSpec {
        read: vec![read.clone()],
        write: vec![write.clone()],
        ..SandboxSpec::default()
    };
    let script = format!(
        "cat {read}/file {write}/file; echo; echo x > {write}/new && cat {write}/new
        (echo x > {read}/new) 2> /dev/null || echo kept; cat {other}/file 2> /dev/null || echo closed"
    );
    for launcher in levels() {
        let ended = run(&launcher.granting(&granted).unwrap(), &agent, &script).await;
        let expected = "readwrite\nx\nkept\nclosed\n".to_owned();
        assert_eq!(ended, (Exit::Code(0), expected));
        fs::remove_file(Path::new(&write).join("new")).unwrap();
        let (_, without) = run(&launcher, &agent, &format!("cat {read}/file {write}/file")).await;
        assert!(!without.contains("readwrite"), "{without}");
    }
    assert!(!Path::new(&read).join("new").exists());
}

#[tokio::test]
async fn a_granted_folder_that_became_a_link_is_not_followed() {
    let place = Place::new();
    let agent = place.agent(1);
    let (granted, other) = (folder(&place, "granted"), folder(&place, "other"));
    let spec = SandboxSpec {
        write: vec![granted.clone()],
        ..SandboxSpec::default()
    };
    fs::remove_dir_all(&granted).unwrap();
    symlink(&other, &granted).unwrap();
    for launcher in levels() {
        let launcher = launcher.granting(&spec).unwrap();
        let refused = launcher
            .run(&agent, &shell("true"), &CancellationToken::new())
            .await;
        match refused {
            Err(Error::NotStarted { source, .. }) => {
                let said = source.to_string();
                assert!(said.contains(&granted), "{said}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_network_is_there_when_it_is_granted() {
    let place = Place::new();
    let agent = place.agent(1);
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    server.set_nonblocking(true).unwrap();
    let port = server.local_addr().unwrap().port();
    let connect = format!(
        "perl -MSocket -e 'socket(S, AF_INET, SOCK_STREAM, 0) and connect(S, sockaddr_in({port}, inet_aton(\"127.0.0.1\"))) and print \"connected\"'"
    );
    let full = SandboxSpec {
        network: NetworkAccess::Full,
        ..SandboxSpec::default()
    };
    for launcher in levels() {
        let (_, without) = run(&launcher, &agent, &connect).await;
        assert!(without.is_empty() && server.accept().is_err(), "{without}");
        let launcher = launcher.granting(&full).unwrap();
        launcher.look(&agent).await.unwrap().check().unwrap();
        let ended = run(&launcher, &agent, &connect).await;
        assert_eq!(ended, (Exit::Code(0), "connected".to_owned()));
        server.accept().unwrap();
    }
}

#[tokio::test]
async fn a_granted_variable_is_in_the_environment_and_one_that_is_not_set_is_refused() {
    let place = Place::new();
    let agent = place.agent(1);
    let launcher = launcher().with_variables(|name| match name {
        "TOKEN" => Some("a b".to_owned()),
        "OTHER" => Some("hidden".to_owned()),
        _ => None,
    });
    let granted = |name: &str| SandboxSpec {
        env: vec![name.to_owned()],
        ..SandboxSpec::default()
    };
    let with = launcher.granting(&granted("TOKEN")).unwrap();
    let ended = run(&with, &agent, "echo \"$TOKEN.$OTHER.\"").await;
    assert_eq!(ended, (Exit::Code(0), "a b..\n".to_owned()));
    let refused = launcher.granting(&granted("MISSING")).unwrap_err();
    let said = "the variable MISSING can't be given to commands: it is not set";
    assert_eq!(refused.to_string(), said);
}

#[tokio::test]
async fn limits_of_an_agent_take_the_place_of_the_usual_ones() {
    let place = Place::new();
    let agent = place.agent(1);
    let granted = SandboxSpec {
        limits: LimitsSpec {
            memory: Some(64 << 20),
            processes: Some(2000),
            cpu_seconds: Some(1),
            file_size: Some(4096),
            ..LimitsSpec::default()
        },
        ..SandboxSpec::default()
    };
    for launcher in levels() {
        let launcher = launcher.granting(&granted).unwrap();
        let (_, limits) = run(&launcher, &agent, "ulimit -d; ulimit -f; ulimit -t").await;
        // KiB, blocks of 512 bytes, seconds.
        assert_eq!(limits, "65536\n8\n1\n");
        let (exit, _) = run(&launcher, &agent, "while :; do :; done").await;
        assert_eq!(exit, Exit::OverLimit(Resource::Cpu));
    }
}

#[test]
fn folders_of_the_records_are_not_admitted() {
    let place = Place::new();
    let (data, home) = (folder(&place, "data"), folder(&place, "home"));
    let inside = Path::new(&home).join("project");
    fs::create_dir(&inside).unwrap();
    let launcher = launcher()
        .hiding([PathBuf::from(&data)])
        .withholding([PathBuf::from(&home)]);
    for refused in [place.folder.path(), Path::new(&data), Path::new(&home)] {
        let said = launcher.admit(refused);
        assert!(matches!(said, Err(Error::NotGranted { .. })), "{said:?}");
    }
    assert_eq!(launcher.admit(&inside).unwrap(), inside);
}

/// Needs root: nobody else can mount something there.
#[tokio::test]
async fn what_is_mounted_in_a_granted_folder_is_granted_as_that_is() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let agent = place.agent(1);
    let (read, write) = (folder(&place, "read"), folder(&place, "write"));
    let mounts = [&read, &write].map(|folder| {
        let inner = Path::new(folder).join("in ner");
        fs::create_dir(&inner).unwrap();
        Mounted::tmpfs(&inner, "mode=0777")
    });
    let launcher = launcher();
    let report = launcher.look(&agent).await.unwrap();
    if report.has(LayerName::Namespaces) {
        let granted = SandboxSpec {
            read: vec![read],
            write: vec![write],
            ..SandboxSpec::default()
        };
        let script = "awk '/in.040ner/ { print $6 }' /proc/self/mountinfo";
        let (_, flags) = run(&launcher.granting(&granted).unwrap(), &agent, script).await;
        let flags: Vec<&str> = flags.lines().collect();
        let expected = ["ro,nosuid,nodev,relatime", "rw,nosuid,nodev,relatime"];
        assert_eq!(flags, expected);
    }
    drop(mounts);
}

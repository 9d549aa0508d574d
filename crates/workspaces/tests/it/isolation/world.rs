//! Something to steal, to break and to talk to, outside of an agent's workspace.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use fusion_workspaces::{LayerName, WorkspaceDir, Workspaces};
use rustix::io::{FdFlags, fcntl_setfd};
use tokio::sync::OnceCell;

use crate::place::{Place, launcher, uid};

/// Set to `1` where namespaces must be tested: a machine without them then fails.
pub(super) const REQUIRED: &str = "FUSION_REQUIRE_NAMESPACES";

/// Whether this machine lets commands have namespaces; a level that is not there is not tested.
pub(super) async fn has_namespaces() -> bool {
    static FOUND: OnceCell<bool> = OnceCell::const_new();
    *FOUND
        .get_or_init(|| async {
            let place = Place::new();
            let looked = launcher().look(&place.agent(1)).await;
            let has = looked.unwrap().has(LayerName::Namespaces);
            if !has {
                assert!(!is_required(), "this machine allows no namespaces");
                eprintln!("skipped: this machine allows no namespaces");
            }
            has
        })
        .await
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever starts these tests says what must not be skipped"
)]
fn is_required() -> bool {
    std::env::var_os(REQUIRED).is_some_and(|value| value == "1")
}

pub(super) struct World {
    place: Place,
    agent: WorkspaceDir,
    /// A process of the same user that runs no command of an agent.
    victim: Child,
    /// The id of its System V segment.
    segment: String,
    /// The victim's priority at the start: these tests lower their own, too.
    nice: Option<i32>,
    sockets: Sockets,
    /// A file and a folder that every process these tests start inherits.
    leaked: [OwnedFd; 2],
    token: String,
}

/// Who waits to be talked to.
struct Sockets {
    tcp: [Option<TcpListener>; 2],
    udp: UdpSocket,
    unix: UnixListener,
    datagrams: UnixDatagram,
    hidden: UnixListener,
}

impl World {
    pub(super) fn new() -> Self {
        let place = Place::new();
        let agent = place.agent(1);
        let token = format!("token-{}", token_number());
        let out = place.folder.path().join("out");
        for file in [
            "out/secret",
            "out/folder/secret",
            "out/precious",
            "out/mine",
            "out/leaked",
            "out/main/.git/hooks/sample",
            "data/fusion-kit.db",
            "data/master.key",
            "home/.ssh/id_ed25519",
            "home/.bashrc",
            "home/bin/tool",
        ] {
            open_file(place.folder.path(), file, &token);
        }
        if let Some(uid) = uid(1) {
            chown(out.join("mine"), Some(uid), Some(uid)).unwrap();
        }
        let other = place.agent(2);
        other
            .write_file("projects/secret", token.as_bytes())
            .unwrap();
        for path in [
            other.path(),
            &other.projects_path(),
            &other.projects_path().join("secret"),
        ] {
            fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        }
        for (folder, mode) in [
            (place.root().as_path(), 0o777),
            (place.folder.path(), 0o755),
        ] {
            fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
        }
        set_user_id(&agent);
        let (victim, segment) = victim(&out, &token);
        let shared = shared_secret(&victim);
        fs::write(&shared, &token).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o666)).unwrap();
        let sockets = Sockets::new(&out, &token);
        Self {
            place,
            agent,
            nice: nice_of(victim.id()),
            victim,
            segment,
            sockets,
            leaked: leaked(&out),
            token,
        }
    }

    pub(super) const fn workspaces(&self) -> &Workspaces {
        &self.place.workspaces
    }

    /// A place beside the workspaces.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        self.place.folder.path().join(path)
    }

    /// Whether a file beside the workspaces is still as it was.
    pub(super) fn is_kept(&self, path: &str) -> bool {
        fs::read_to_string(self.beside(path)).is_ok_and(|text| text == self.token)
    }

    pub(super) const fn agent(&self) -> &WorkspaceDir {
        &self.agent
    }

    pub(super) fn out(&self) -> PathBuf {
        self.beside("out")
    }

    /// The other agent's projects.
    pub(super) fn other(&self) -> PathBuf {
        self.place
            .root()
            .join(crate::place::name(2))
            .join("projects")
    }

    pub(super) fn filled(&self, script: &str) -> String {
        let port = |listener: Option<&TcpListener>| {
            listener
                .map_or(0, |listener| listener.local_addr().unwrap().port())
                .to_string()
        };
        if script.contains("@KEY@") {
            add_key(&self.token);
        }
        let [tcp, tcp6] = &self.sockets.tcp;
        let udp = self.sockets.udp.local_addr().unwrap().port().to_string();
        let from_root: PathBuf = self.out().components().skip(1).collect();
        script
            .replace("@OUT@", self.out().to_str().unwrap())
            .replace("@OUTREL@", from_root.to_str().unwrap())
            .replace("@DATA@", self.beside("data").to_str().unwrap())
            .replace("@HOME@", self.beside("home").to_str().unwrap())
            .replace("@NAME@", &crate::place::name(1))
            .replace("@LEAK@", &self.leaked[0].as_raw_fd().to_string())
            .replace("@LEAKED_FOLDER@", &self.leaked[1].as_raw_fd().to_string())
            .replace("@OTHER@", self.other().to_str().unwrap())
            .replace("@TOKEN@", &self.token)
            .replace("@KEY@", &self.token)
            .replace("@VICTIM@", &self.victim.id().to_string())
            .replace("@TCP@", &port(tcp.as_ref()))
            .replace("@TCP6@", &port(tcp6.as_ref()))
            .replace("@UDP@", &udp)
    }

    /// Whether the output holds what was to be kept.
    pub(super) fn stolen(&self, output: &str) -> bool {
        output.contains(&self.token)
    }

    /// Whether a file outside is still as it was.
    pub(super) fn is_whole(&self, name: &str) -> bool {
        self.is_kept(&format!("out/{name}"))
    }

    pub(super) fn was_connected(&self) -> bool {
        let Sockets {
            tcp, unix, hidden, ..
        } = &self.sockets;
        let tcp = tcp
            .iter()
            .flatten()
            .any(|listener| listener.accept().is_ok());
        tcp || unix.accept().is_ok() || hidden.accept().is_ok()
    }

    pub(super) fn was_sent_a_datagram(&self) -> bool {
        let Sockets { udp, datagrams, .. } = &self.sockets;
        let mut byte = [0; 16];
        udp.recv(&mut byte).is_ok() || datagrams.recv(&mut byte).is_ok()
    }

    /// What the kernel says of the victim, by the name of a file of its folder in `/proc`.
    pub(super) fn victim(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.victim.id())).unwrap_or_default()
    }

    pub(super) fn victim_is_slowed(&self) -> bool {
        nice_of(self.victim.id()) != self.nice
    }

    pub(super) fn victim_lives(&self) -> bool {
        self.victim("stat")
            .rsplit_once(") ")
            .is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }
}

impl Sockets {
    fn new(out: &Path, token: &str) -> Self {
        let open_to_all =
            |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
        let unix = UnixListener::bind(out.join("socket")).unwrap();
        let datagrams = UnixDatagram::bind(out.join("datagrams")).unwrap();
        open_to_all(&out.join("socket"));
        open_to_all(&out.join("datagrams"));
        let address = SocketAddr::from_abstract_name(token).unwrap();
        let hidden = UnixListener::bind_addr(&address).unwrap();
        for listener in [&unix, &hidden] {
            listener.set_nonblocking(true).unwrap();
        }
        datagrams.set_nonblocking(true).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        udp.set_nonblocking(true).unwrap();
        let tcp = [
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok(),
            TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).ok(),
        ];
        for listener in tcp.iter().flatten() {
            listener.set_nonblocking(true).unwrap();
        }
        Self {
            tcp,
            udp,
            unix,
            datagrams,
            hidden,
        }
    }
}

impl Drop for World {
    /// Its segment outlives a process that was killed.
    #[expect(
        clippy::disallowed_methods,
        reason = "stands for a process of the operator"
    )]
    fn drop(&mut self) {
        self.victim.kill().ok();
        self.victim.wait().ok();
        fs::remove_file(shared_secret(&self.victim)).ok();
        let remove = format!("shmctl({}, 0, 0)", self.segment);
        std::process::Command::new("perl")
            .args(["-e", &remove])
            .status()
            .ok();
    }
}

/// A process of the agent's user with the token in its environment, its arguments, a System V
/// segment and an open file; its group is its own.
#[expect(
    clippy::disallowed_methods,
    reason = "stands for a process of the operator"
)]
fn victim(out: &Path, token: &str) -> (Child, String) {
    let script = "exec 9< secret; exec perl -e '
        $| = 1; $k = $$; $id = shmget($k, 64, 0666 | 01000); shmwrite($id, $ARGV[0], 0, 64);
        print \"$id\\n\"; sleep 1 while 1' \"$0\"";
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args(["-c", script, token])
        .env("TOKEN", token)
        .current_dir(out)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    if let Some(uid) = uid(1) {
        command.uid(uid).gid(uid);
    }
    let mut child = command.spawn().unwrap();
    let mut segment = String::new();
    let up = child.stdout.take().unwrap();
    BufReader::new(up).read_line(&mut segment).unwrap();
    (child, segment.trim().to_owned())
}

/// Gives the agent's user a key of the kernel, named and filled with the token, for five minutes.
/// x86-64 only: by `add_key` and `keyctl`.
#[expect(
    clippy::disallowed_methods,
    reason = "stands for a process of the operator"
)]
fn add_key(token: &str) {
    let add = "($t, $d) = (\"user\", $ARGV[0]);
        syscall(250, 15, syscall(248, $t, $d, $d, length $d, -4), 300)";
    let mut command = std::process::Command::new("perl");
    command.args(["-e", add, token]);
    if let Some(uid) = uid(1) {
        command.uid(uid).gid(uid);
    }
    assert!(command.status().unwrap().success());
}

/// A file that everyone may read and write, in a folder that everyone may write.
fn open_file(top: &Path, path: &str, content: &str) {
    let file = top.join(path);
    let folder = file.parent().unwrap();
    fs::create_dir_all(folder).unwrap();
    fs::write(&file, content).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    for folder in folder.ancestors().take_while(|folder| *folder != top) {
        fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    }
}

/// In memory that everyone shares; its name does not tell the token.
fn shared_secret(victim: &Child) -> PathBuf {
    Path::new("/dev/shm").join(format!("secret-{}", victim.id()))
}

/// As whoever starts a program carelessly hands them on.
fn leaked(out: &Path) -> [OwnedFd; 2] {
    let mut options = File::options();
    let file = options.read(true).append(true).open(out.join("leaked"));
    let leaked = [file, File::open(out)].map(|file| OwnedFd::from(file.unwrap()));
    for descriptor in &leaked {
        fcntl_setfd(descriptor, FdFlags::empty()).unwrap();
    }
    leaked
}

/// A program that makes root of its caller; only root can leave one.
fn set_user_id(agent: &WorkspaceDir) {
    if uid(1).is_some() {
        let program = agent.projects_path().join("set-user-id");
        fs::copy("/usr/bin/id", &program).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap();
    }
}

fn token_number() -> String {
    let name = tempfile::Builder::new()
        .prefix("")
        .rand_bytes(16)
        .tempfile()
        .unwrap();
    name.path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

/// The nice value of a process.
fn nice_of(pid: u32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(16)?.parse().ok()
}

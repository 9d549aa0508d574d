//! Landlock: which files, ports, signals and abstract sockets the kernel leaves to a command.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::folders::GrantedFolders;
use super::system;

/// The newest interface that this code knows; an older kernel keeps what it can.
const NEWEST: ABI = ABI::V10;
/// Older ones let a command truncate files that it may not write.
const OLDEST: ABI = ABI::V3;

/// Which paths there are: the machine's, or those of a view made for this command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Everything of the machine is there.
    Machine,
    /// Only what the command may read is there ([`super::view`]).
    Own,
}

/// What the kernel was asked to allow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowed<'a> {
    pub(crate) workspace: BorrowedFd<'a>,
    pub(crate) network: bool,
    pub(crate) granted: &'a GrantedFolders,
    /// What is not to be read, though it may be below a folder of programs.
    pub(crate) hidden: &'a [PathBuf],
    pub(crate) tree: Tree,
}

/// What Landlock covers on this kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Covered {
    abi: ABI,
}

impl Covered {
    /// Whether signals to processes outside are held back.
    pub(crate) fn signals(self) -> bool {
        self.abi >= ABI::V6
    }

    /// Whether abstract sockets of processes outside are out of reach.
    pub(crate) fn abstract_sockets(self) -> bool {
        self.abi >= ABI::V6
    }

    /// Whether unix sockets of processes outside can't be reached by their paths.
    pub(crate) fn socket_paths(self) -> bool {
        self.abi >= ABI::V9
    }

    /// How far it goes, in words.
    pub(crate) fn described(self) -> String {
        let since = |abi, what| (self.abi >= abi).then_some(what);
        let parts = [
            Some("files"),
            since(ABI::V4, "TCP ports"),
            since(ABI::V5, "device requests"),
            since(ABI::V6, "signals and abstract sockets"),
            since(ABI::V9, "unix sockets by path"),
            since(ABI::V10, "UDP"),
        ];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        format!("interface {}: {}", self.abi as i32, parts.join(", "))
    }
}

/// Puts the rules on this process and all that it starts. They can't be taken off.
pub(crate) fn put_on(allowed: &Allowed<'_>) -> Result<Covered, String> {
    let status = restrict(allowed).map_err(|error| error.to_string())?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi,
        LandlockStatus::NotEnabled => {
            return Err("the kernel has Landlock and was started without it".to_owned());
        }
        LandlockStatus::NotImplemented => return Err("the kernel has no Landlock".to_owned()),
    };
    match status.ruleset {
        RulesetStatus::NotEnforced => Err("the kernel did not take the rules".to_owned()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced if abi < OLDEST => {
            Err(format!(
                "the kernel's interface {} is older than {}",
                abi as i32, OLDEST as i32
            ))
        }
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(Covered { abi }),
    }
}

fn restrict(allowed: &Allowed<'_>) -> Result<landlock::RestrictionStatus, RulesetError> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?;
    if !allowed.network {
        ruleset = ruleset.handle_access(AccessNet::from_all(NEWEST))?;
    }
    let ruleset = ruleset.create()?;
    let ruleset = match allowed.tree {
        Tree::Machine => machine(ruleset, allowed.hidden)?,
        Tree::Own => own(ruleset)?,
    };
    let devices = system::DEVICES.map(|name| Path::new("/dev").join(name));
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    ruleset
        .add_rules(path_beneath_rules(devices, device))?
        .add_rules(granted(&allowed.granted.read, reading()))?
        .add_rules(granted(&allowed.granted.write, everything()))?
        .add_rule(PathBeneath::new(allowed.workspace.as_fd(), everything()))?
        .restrict_self()
}

fn granted(
    folders: &[OwnedFd],
    access: BitFlags<AccessFs>,
) -> impl Iterator<Item = Result<PathBeneath<BorrowedFd<'_>>, RulesetError>> {
    let folders = folders.iter().map(AsFd::as_fd);
    folders.map(move |folder| Ok(PathBeneath::new(folder, access)))
}

fn machine(ruleset: RulesetCreated, hidden: &[PathBuf]) -> Result<RulesetCreated, RulesetError> {
    ruleset
        .add_rules(path_beneath_rules(system::programs_but(hidden), reading()))?
        .add_rules(path_beneath_rules(system::settings(), reading()))?
        .add_rules(path_beneath_rules(["/proc"], reading()))
}

fn own(ruleset: RulesetCreated) -> Result<RulesetCreated, RulesetError> {
    // Each is there in a view only.
    ruleset
        .add_rules(path_beneath_rules(["/"], reading()))?
        .add_rules(path_beneath_rules(["/tmp", "/dev/shm"], everything()))?
        // Processes write their own names and scores there; the rest belongs to root.
        .add_rules(path_beneath_rules(["/proc"], AccessFs::WriteFile))
}

fn reading() -> BitFlags<AccessFs> {
    AccessFs::from_read(NEWEST)
}

fn everything() -> BitFlags<AccessFs> {
    // No rule lets a command make devices: that takes root anyway.
    AccessFs::from_all(NEWEST) & !(AccessFs::MakeBlock | AccessFs::MakeChar)
}

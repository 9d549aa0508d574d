//! Which parts of the machine every command may read and run: programs and what they need, and
//! nothing of a person.

use std::fs;
use std::path::{Path, PathBuf};

/// Programs, libraries and their data.
pub(crate) const PROGRAMS: [&str; 10] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/gnu/store",
];

/// Devices that hold nothing and lead nowhere.
pub(crate) const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Settings that programs look for and that hold no secret.
const SETTINGS: [&str; 44] = [
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "default",
    "fonts",
    "gai.conf",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "magic",
    "magic.mime",
    "maven",
    "mime.types",
    "networks",
    "nodejs",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "perl",
    "pki",
    "profile",
    "profile.d",
    "protocols",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    "ssl",
    "terminfo",
    "timezone",
    "xattr.conf",
    "zsh",
];

/// Beginnings of names with a version in them.
const VERSIONED: [&str; 4] = ["java", "python", "php", "ImageMagick"];

/// The folders of programs that this machine has.
fn programs() -> impl Iterator<Item = &'static Path> {
    PROGRAMS.iter().map(Path::new).filter(|path| path.exists())
}

/// The same without what is hidden: a folder with something hidden below it is taken apart. Links
/// in such a folder are left out, since they may lead anywhere.
pub(crate) fn programs_but(hidden: &[PathBuf]) -> Vec<PathBuf> {
    let (mut whole, mut apart): (Vec<PathBuf>, Vec<PathBuf>) = programs()
        .map(Path::to_owned)
        .partition(|path| !is_above(path, hidden));
    while let Some(folder) = apart.pop() {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if hidden.contains(&path) || path.is_symlink() {
                continue;
            }
            if is_above(&path, hidden) {
                apart.push(path);
            } else {
                whole.push(path);
            }
        }
    }
    whole
}

fn is_above(path: &Path, hidden: &[PathBuf]) -> bool {
    hidden.iter().any(|hidden| hidden.starts_with(path))
}

/// The settings that this machine has, by their place in `/etc`.
pub(crate) fn settings() -> Vec<PathBuf> {
    let names = fs::read_dir("/etc").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = names
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            SETTINGS.contains(&name.as_ref())
                || VERSIONED.iter().any(|start| name.starts_with(start))
        })
        .map(|entry| entry.path())
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found
}

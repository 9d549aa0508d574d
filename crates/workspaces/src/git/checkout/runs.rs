//! What a person's git would run or read of what a branch brings.

use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{Checkout, NotMerged};
use crate::Result;
use crate::git::ChangedFile;

/// Settings that name programs, hooks and further settings.
const NAMING: &str = r"^(filter\..*\.(clean|smudge|process)|merge\..*\.driver|diff\..*\.(command|textconv)|diff\.external|(diff|merge)tool\..*\.(cmd|path)|interactive\.difffilter|trailer\..*\.(cmd|command)|alias\..*|pager\..*|gpg(\..*)?\.program|core\.(hookspath|fsmonitor|sshcommand|editor|pager|askpass|gitproxy)|sequence\.editor|credential\.(.*\.)?helper|include\.path|includeif\..*\.path)$";

impl Checkout {
    /// Refuses files that the person's settings name: git would run or read them, now or at the person's
    /// next command.
    pub(super) async fn refuse_what_runs(&self, files: &[ChangedFile]) -> Result<(), NotMerged> {
        let asked = ["config", "--null", "--get-regexp", NAMING];
        if files.is_empty() {
            return Ok(());
        }
        let settings = if self.holds(&asked).await? {
            self.git(&asked).await?
        } else {
            String::new()
        };
        let top = self.git(&["rev-parse", "--show-cdup"]).await;
        let top = normal(&self.path.join(top.unwrap_or_default()));
        let common = self.git(&["rev-parse", "--git-common-dir"]).await?;
        let bases = [top.clone(), normal(&self.path.join(common))];
        let places = Places {
            tops: [seen(&top), top],
            bases,
            home: self.home().await,
        };
        match places.named(files, &settings, &self.origins().await?) {
            Some((file, setting)) => Err(NotMerged::Runs { file, setting }),
            None => Ok(()),
        }
    }

    /// What git takes `~` for.
    async fn home(&self) -> Option<PathBuf> {
        let words = ["config", "--type=path", "--default", "~/", "fusion.home"];
        self.git(&words).await.ok().map(PathBuf::from)
    }

    /// The files that settings are read from.
    async fn origins(&self) -> Result<Vec<String>> {
        let words = ["config", "--list", "--show-origin", "--name-only", "--null"];
        let said = self.git(&words).await?;
        let files = said.split('\0').filter_map(|it| it.strip_prefix("file:"));
        Ok(files.map(str::to_owned).collect())
    }
}

/// Where words of settings lead to.
struct Places {
    /// The folder of the checkout, as it is named and as it is.
    tops: [PathBuf; 2],
    /// What relative paths begin at.
    bases: [PathBuf; 2],
    home: Option<PathBuf>,
}

impl Places {
    /// The first of some files that settings, or the files that they are read from, lead to, and the setting.
    fn named(
        &self,
        files: &[ChangedFile],
        settings: &str,
        origins: &[String],
    ) -> Option<(String, String)> {
        for setting in settings.split('\0') {
            let (name, value) = setting.split_once('\n').unwrap_or((setting, ""));
            // Another alias is a command of git, no program.
            if name.starts_with("alias.") && !value.starts_with('!') {
                continue;
            }
            let found = words(value).find_map(|word| self.changed(files, word));
            if let Some(file) = found {
                return Some((file, name.to_owned()));
            }
        }
        let found = origins.iter().find_map(|word| self.changed(files, word));
        found.map(|file| (file, "a file of its settings".to_owned()))
    }

    /// The first of some files that a word of a setting leads to, or that lies on the way there. Links are
    /// seen through, as far as there is something.
    fn changed(&self, files: &[ChangedFile], word: &str) -> Option<String> {
        let word = match (word.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            (Some(_) | None, _) => PathBuf::from(word),
        };
        let places = self.bases.iter().map(|base| normal(&base.join(&word)));
        let places: Vec<PathBuf> = places.flat_map(|place| [seen(&place), place]).collect();
        let within = places.iter().flat_map(|place| {
            let within = self
                .tops
                .iter()
                .filter_map(|top| place.strip_prefix(top).ok());
            within.filter(|place| place.components().next().is_some())
        });
        for place in within {
            let leads_to = |file: &&ChangedFile| {
                let path = Path::new(&file.path);
                path.starts_with(place) || place.starts_with(path)
            };
            if let Some(file) = files.iter().find(leads_to) {
                return Some(file.path.clone());
            }
        }
        None
    }
}

/// A path with its links seen through, as far as there is something.
fn seen(path: &Path) -> PathBuf {
    let real = path.ancestors().find_map(|above| {
        let real = fs::canonicalize(above).ok()?;
        let rest = path.strip_prefix(above).ok()?;
        Some(real.join(rest))
    });
    real.unwrap_or_else(|| path.to_owned())
}

/// What may be a path in a line for the shell.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "'\"`;&|()<>$!=".contains(c);
    line.split(ends).filter(|word| !word.is_empty())
}

/// A path without `.` and `..`, by its text alone.
fn normal(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_command_are_found_however_they_are_quoted() {
        let found: Vec<&str> = words("sh -c './a/x.sh \"$1\"' && python3 tools/y.py %f").collect();
        assert_eq!(
            found,
            ["sh", "-c", "./a/x.sh", "1", "python3", "tools/y.py", "%f"]
        );
        assert_eq!(normal(Path::new("/a/./b/../c")), Path::new("/a/c"));
    }
}

//! What a person's git would run or read of what a branch brings.

use std::path::{Component, Path, PathBuf};

use super::{Checkout, NotMerged};
use crate::Result;
use crate::git::ChangedFile;

/// Settings that name programs, hooks and further settings.
const NAMING: &str = r"^(filter\..*\.(clean|smudge|process)|merge\..*\.driver|diff\..*\.(command|textconv)|diff\.external|gpg(\..*)?\.program|core\.(hookspath|fsmonitor|sshcommand|editor|pager|askpass|gitproxy)|sequence\.editor|credential\.(.*\.)?helper|include\.path|includeif\..*\.path)$";

impl Checkout {
    /// Refuses files that the person's settings name: git would run or read them, now or at the person's
    /// next command.
    pub(super) async fn refuse_what_runs(&self, files: &[ChangedFile]) -> Result<(), NotMerged> {
        let asked = ["config", "--null", "--get-regexp", NAMING];
        if files.is_empty() || !self.holds(&asked).await? {
            return Ok(());
        }
        let settings = self.git(&asked).await?;
        let top = self.git(&["rev-parse", "--show-cdup"]).await;
        let top = normal(&self.path.join(top.unwrap_or_default()));
        let common = self.git(&["rev-parse", "--git-common-dir"]).await?;
        let bases = [top.clone(), normal(&self.path.join(common))];
        for setting in settings.split('\0') {
            let (name, value) = setting.split_once('\n').unwrap_or((setting, ""));
            let named = words(value).flat_map(|word| bases.iter().map(move |base| base.join(word)));
            for place in named.map(|place| normal(&place)) {
                let Ok(place) = place.strip_prefix(&top) else {
                    continue;
                };
                let is_of_it = |file: &&ChangedFile| {
                    place.components().next().is_some() && Path::new(&file.path).starts_with(place)
                };
                if let Some(file) = files.iter().find(is_of_it) {
                    return Err(NotMerged::Runs {
                        file: file.path.clone(),
                        setting: name.to_owned(),
                    });
                }
            }
        }
        Ok(())
    }
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

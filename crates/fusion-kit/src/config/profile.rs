//! Named sets of global settings, in the user's own file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use fusion_api_types::{Problem, ProblemKind, SettingView};
use fusion_core::nearest;
use secrecy::SecretString;
use serde::Deserialize;

use super::toml_file::{Within, changed, rewrite};
use super::{Config, MASK};

/// What the command line says beside the profile.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flags<'a> {
    /// `--profile`.
    pub(crate) profile: Option<&'a str>,
    /// `--server`.
    pub(crate) server: Option<&'a str>,
    /// `--data-dir`.
    pub(crate) data_dir: Option<&'a Path>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    profiles: BTreeMap<String, Profile>,
    /// As `FUSION_PROJECT`; `project use` writes it.
    project: Option<String>,
}

/// One set. Relative paths begin at the folder of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    /// As `FUSION_SERVER`.
    server: Option<String>,
    /// A file with the token for that server, which nobody else can read.
    token_file: Option<PathBuf>,
    /// The variable that holds it.
    token_env: Option<String>,
    /// As `FUSION_KIT_DATA_DIR`.
    data_dir: Option<PathBuf>,
    /// As `FUSION_PROJECT`.
    project: Option<String>,
}

impl Config {
    /// The same with what the user's own file says: a profile (the one of the flag, else of
    /// `FUSION_PROFILE`, else none) where neither a flag nor the environment does, the rest where nothing
    /// else does.
    ///
    /// # Errors
    /// There is no such profile, or the file or the token can't be used.
    pub(crate) fn with_settings_of_user(mut self, flags: Flags<'_>) -> Result<Self, Problem> {
        let name = flags
            .profile
            .map(str::to_owned)
            .or_else(|| self.of_user.profile.clone());
        let Some(file) = self.of_user.settings_file.clone() else {
            if name.is_none() {
                return Ok(self);
            }
            return Err(no_folder());
        };
        let mut found = match read(&file) {
            // Whoever lent us a home keeps it closed, and nothing of it was asked for.
            Err(Unread::Closed(_)) if name.is_none() => return Ok(self),
            found => found?,
        };
        if let Some(name) = name {
            let profile = found.profile(&file, &name)?;
            self = self.with_profile(flags, (&name, &profile), &file)?;
            self.of_user.profile = Some(name);
        }
        if let Some(project) = found.project.filter(|_| self.of_user.project.is_none()) {
            self.tell("FUSION_PROJECT", &project, "user file");
            self.of_user.project = Some(project);
        }
        Ok(self)
    }

    /// Its server counts only where no place is named otherwise, and its token goes to its server only.
    fn with_profile(
        mut self,
        flags: Flags<'_>,
        (name, profile): (&str, &Profile),
        file: &Path,
    ) -> Result<Self, Problem> {
        let origin = format!("profile {name}");
        let folder = file.parent().unwrap_or_else(|| Path::new("/"));
        if flags.profile.is_some() {
            self.tell("FUSION_PROFILE", name, "flag");
        }
        let is_elsewhere = flags.data_dir.is_some() || flags.server.is_some();
        if let Some(server) = &profile.server
            && !is_elsewhere
            && !self.is_of_environment("FUSION_SERVER")
        {
            self.tell("FUSION_SERVER", server, &origin);
            self.server_url = Some(server.clone());
            if !self.is_of_environment("FUSION_TOKEN")
                && let Some(token) = self.token_of(profile, folder, name)?
            {
                self.tell("FUSION_TOKEN", MASK, &origin);
                self.server_token = Some(token);
            }
        }
        if let Some(dir) = &profile.data_dir
            && !self.is_of_environment("FUSION_KIT_DATA_DIR")
        {
            let dir = folder.join(dir);
            self.tell("FUSION_KIT_DATA_DIR", &dir.display().to_string(), &origin);
            self.data_dir = Some(dir);
        }
        if let Some(project) = &profile.project
            && !self.is_of_environment("FUSION_PROJECT")
        {
            self.tell("FUSION_PROJECT", project, &origin);
            self.of_user.project = Some(project.clone());
        }
        Ok(self)
    }

    fn is_of_environment(&self, name: &str) -> bool {
        let mut settings = self.settings.iter();
        settings.any(|setting| setting.name == name && setting.origin == "environment")
    }

    /// Notes where a setting comes from.
    fn tell(&mut self, name: &str, value: &str, origin: &str) {
        let mut settings = self.settings.iter_mut();
        if let Some(setting) = settings.find(|setting| setting.name == name) {
            setting.value = Some(value.to_owned());
            origin.clone_into(&mut setting.origin);
        }
    }

    fn token_of(
        &self,
        profile: &Profile,
        folder: &Path,
        name: &str,
    ) -> Result<Option<SecretString>, Problem> {
        match (&profile.token_file, &profile.token_env) {
            (None, None) => Ok(None),
            (Some(file), None) => token(&folder.join(file)).map(Some),
            (None, Some(variable)) => {
                let text = format!("the variable {variable} of the profile '{name}' is not set");
                let found = self.variable(variable);
                found
                    .map(Some)
                    .ok_or_else(|| Problem::new(ProblemKind::Denied, text))
            }
            (Some(_), Some(_)) => Err(two_tokens(name)),
        }
    }
}

/// Why the user's file can't be used.
enum Unread {
    /// This process may not look, or it is below something that is no folder.
    Closed(Problem),
    Wrong(Problem),
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Closed(problem) | Unread::Wrong(problem) => problem,
        }
    }
}

fn read(file: &Path) -> Result<File, Unread> {
    let shown = file.display();
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        Err(error) => {
            let text = format!("{shown} can't be read: {error}");
            let problem = Problem::new(ProblemKind::InvalidInput, text);
            let closed = [ErrorKind::PermissionDenied, ErrorKind::NotADirectory];
            return Err(if closed.contains(&error.kind()) {
                Unread::Closed(problem)
            } else {
                Unread::Wrong(problem)
            });
        }
    };
    parsed(file, &text).map_err(Unread::Wrong)
}

fn parsed(file: &Path, text: &str) -> Result<File, Problem> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            let before = text.get(..span.start).unwrap_or_default();
            before.matches('\n').count() + 1
        });
        let text = format!("{}, line {line}: {}", file.display(), error.message());
        Problem::new(ProblemKind::InvalidInput, text)
    })
}

/// Whether a text can be the user's file.
///
/// # Errors
/// It can't, and where not.
pub(super) fn check(file: &Path, text: &str) -> Result<(), Problem> {
    let mut profiles = parsed(file, text)?.profiles.into_iter();
    profiles.try_for_each(|(name, profile)| match profile {
        Profile {
            token_file: Some(_),
            token_env: Some(_),
            ..
        } => Err(two_tokens(&name)),
        _ => Ok(()),
    })
}

fn two_tokens(profile: &str) -> Problem {
    let text = format!("the profile '{profile}' has both token_file and token_env");
    Problem::new(ProblemKind::InvalidInput, text).with_help("leave one out")
}

impl File {
    fn profile(&mut self, file: &Path, name: &str) -> Result<Profile, Problem> {
        if let Some(profile) = self.profiles.remove(name) {
            return Ok(profile);
        }
        let shown = file.display();
        let known = || self.profiles.keys().map(String::as_str);
        let help = match nearest(name, known()) {
            Some(near) => format!("did you mean '{near}'?"),
            None if self.profiles.is_empty() => {
                format!("write one: [profiles.{name}] in {shown}")
            }
            None => format!("there are: {}", known().collect::<Vec<_>>().join(", ")),
        };
        let text = format!("there is no profile '{name}' in {shown}");
        Err(Problem::new(ProblemKind::InvalidInput, text).with_help(help))
    }
}

pub(super) fn no_folder() -> Problem {
    let text = "this user has no folder for settings";
    Problem::new(ProblemKind::InvalidInput, text).with_help("set HOME")
}

impl Config {
    /// Keeps which project is that of what is made without one, `None` for none: in the profile that is
    /// in force, else for all that have none. What else stands in the file stays as it is.
    ///
    /// # Errors
    /// The file can't be read or written.
    pub(crate) fn keep_project(&self, project: Option<&str>) -> Result<SettingView, Problem> {
        let file = self
            .of_user
            .settings_file
            .as_deref()
            .ok_or_else(no_folder)?;
        let failed = |error: &io::Error| super::toml_file::unwritable(file, error);
        let _alone = super::toml_file::alone(file).map_err(|error| failed(&error))?;
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(&error)),
        };
        let (within, origin) = match &self.of_user.profile {
            Some(name) => (Within::Profile(name), format!("profile {name}")),
            None => (Within::Top, "user file".to_owned()),
        };
        let (after, _) = changed((file, &text), within, "project", project)?;
        rewrite(file, after.as_bytes()).map_err(|error| failed(&error))?;
        Ok(SettingView {
            name: "FUSION_PROJECT".to_owned(),
            origin: if project.is_some() {
                origin
            } else {
                "default".to_owned()
            },
            value: project.map(str::to_owned),
        })
    }
}

/// The token in a file.
fn token(file: &Path) -> Result<SecretString, Problem> {
    let shown = file.display();
    let denied = |why: &str| {
        let text = format!("the token file {shown} can't be used: {why}");
        Problem::new(ProblemKind::Denied, text)
    };
    let found = fs::metadata(file).map_err(|error| denied(&error.to_string()))?;
    if found.mode() & 0o077 != 0 {
        return Err(denied("others can read it").with_help(format!("chmod 600 {shown}")));
    }
    let text = fs::read_to_string(file).map_err(|error| denied(&error.to_string()))?;
    match text.trim() {
        "" => Err(denied("it is empty")),
        text => Ok(SecretString::from(text)),
    }
}

//! The work of `config set`, `unset` and `edit`: a file of settings is changed whole or not at all, and
//! only to what its reader takes.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf, absolute};

use fusion_api_client::Client;
use fusion_api_types::{Problem, ProblemKind, SettingChange, SettingView};
use fusion_cli::{EditEnd, SettingRequest, SettingsFile};
use fusion_core::nearest;
use secrecy::SecretString;

use super::dotenv::Variables;
use super::toml_file::{Within, rewrite};
use super::{Config, MASK, SECRETS, dotenv, profile, toml_file};
use crate::{serve, wiring};

/// What the user's file calls settings; without a second name those that only profiles have.
const KEYS: [(&str, Option<&str>); 5] = [
    (PROJECT, Some("FUSION_PROJECT")),
    ("server", Some("FUSION_SERVER")),
    ("data_dir", Some("FUSION_KIT_DATA_DIR")),
    ("token_file", None),
    ("token_env", None),
];

/// The only one that also stands at the top of the file.
const PROJECT: &str = "project";

/// A setting that is meant.
#[derive(Debug, Clone, Copy)]
struct Meant<'a> {
    /// Its variable, else its key.
    name: &'a str,
    /// What the user's file calls it, where it may stand there.
    key: Option<&'static str>,
    /// Whether there is a variable.
    is_variable: bool,
}

impl Config {
    /// Sets a setting in a file or takes it away; `in_force` are the settings as they are.
    ///
    /// # Errors
    /// There is no such setting, it does not stand in that file, its value is not right, or the file can't
    /// be read or written; nothing was changed.
    pub(crate) fn change(
        &self,
        request: &SettingRequest,
        in_force: &[SettingView],
    ) -> Result<SettingChange, Problem> {
        let meant = self.meant(&request.name)?;
        if let Some(value) = &request.value {
            check_value(meant, value)?;
        }
        let file = self.settings_file(&request.file)?;
        let alone = (!request.dry_run).then(|| toml_file::alone(&file));
        let _alone = alone
            .transpose()
            .map_err(|error| unwritable(&file, &error))?;
        let before = text_of(&request.file, &file)?;
        expect_writable(&file)?;
        let value = request.value.as_deref();
        let (after, was) = match &request.file {
            SettingsFile::Folder => in_dotenv(meant, value, &before)?,
            SettingsFile::User => {
                let place = (file.as_path(), before.as_str());
                in_users(meant, value, place, Within::Top)?
            }
            SettingsFile::Profile(name) => {
                let place = (file.as_path(), before.as_str());
                in_users(meant, value, place, Within::NewProfile(name))?
            }
        };
        if !request.dry_run && after != before {
            write(&file, &after)?;
        }
        let origin = origin_of(&request.file);
        let mut others = in_force.iter();
        let before_it = others
            .find(|setting| setting.name == meant.name && rank(&setting.origin) < rank(&origin));
        Ok(SettingChange {
            name: meant.name.to_owned(),
            file: file.display().to_string(),
            was,
            value: request.value.clone(),
            overridden_by: before_it.map(|setting| setting.origin.clone()),
            origin,
            dry_run: request.dry_run,
        })
    }

    /// Where a file of settings is.
    ///
    /// # Errors
    /// The user has no folder for it.
    pub(crate) fn settings_file(&self, file: &SettingsFile) -> Result<PathBuf, Problem> {
        match file {
            SettingsFile::Folder => absolute(dotenv::FILE).map_err(|error| {
                let text = format!("the current folder can't be told: {error}");
                Problem::new(ProblemKind::Unavailable, text)
            }),
            SettingsFile::User | SettingsFile::Profile(_) => {
                let file = self.of_user.settings_file.clone();
                file.ok_or_else(profile::no_folder)
            }
        }
    }

    /// Has a person edit a file of settings, and puts what they wrote in force when its reader takes it.
    ///
    /// # Errors
    /// There is no editor, the file can't be used, or what was written is not right: it is kept, and
    /// the message says where.
    pub(crate) async fn edit(&self, which: &SettingsFile) -> Result<EditEnd, Problem> {
        let file = self.settings_file(which)?;
        let before = text_of(which, &file)?;
        expect_writable(&file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let edited = self
            .edited(&before, &name)
            .await?
            .ok_or_else(|| no_editor().with_help(format!("the file is {}", file.display())))?;
        if edited.is_same() {
            let same = EditEnd::Same;
            return Ok(if edited.ended_well {
                same
            } else {
                EditEnd::Failed
            });
        }
        let put = || {
            if !edited.ended_well {
                return Err(ended_badly());
            }
            check(which, &file, &edited.text)?;
            let _alone = toml_file::alone(&file).map_err(|error| unwritable(&file, &error))?;
            if text_of(which, &file)? != before {
                let text = format!("{} was changed meanwhile", file.display());
                return Err(Problem::new(ProblemKind::Conflict, text));
            }
            write(&file, &edited.text)
        };
        match put() {
            Ok(()) => Ok(EditEnd::Changed),
            Err(problem) => Err(edited.kept(nothing_changed(problem))),
        }
    }

    /// The setting that a name means.
    fn meant<'a>(&'a self, name: &'a str) -> Result<Meant<'a>, Problem> {
        let key = KEYS
            .iter()
            .find(|(key, variable)| *key == name || *variable == Some(name));
        if let Some((key, variable)) = key {
            return Ok(Meant {
                name: variable.unwrap_or(key),
                key: Some(key),
                is_variable: variable.is_some(),
            });
        }
        let names = || self.settings.iter().map(|setting| setting.name.as_str());
        if names().any(|known| known == name) {
            return Ok(Meant {
                name,
                key: None,
                is_variable: true,
            });
        }
        let shown: String = name.chars().take(100).collect();
        let text = format!("there is no setting '{shown}'");
        let known = names().chain(KEYS.iter().map(|(key, _)| *key));
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "see them with: fusion-kit config show --all".to_owned(),
        };
        Err(wrong(text).with_help(help))
    }
}

/// What every value must be, whatever it is for.
fn check_value(meant: Meant<'_>, value: &str) -> Result<(), Problem> {
    let name = meant.name;
    if SECRETS.contains(&name) {
        return Err(wrong(format!(
            "{name} is a secret, and others can read a command line"
        ))
        .with_help(
            "set it in the environment, or write it into the file with: fusion-kit config edit",
        ));
    }
    if value.is_empty() {
        return Err(wrong(format!("an empty {name} counts as not set"))
            .with_help(format!("take it away with: fusion-kit config unset {name}")));
    }
    if value.chars().any(char::is_control) {
        return Err(wrong(format!("{name} has a control character in it")));
    }
    Ok(())
}

/// The file of the current folder with a setting changed, and what it was.
fn in_dotenv(
    meant: Meant<'_>,
    value: Option<&str>,
    before: &str,
) -> Result<(String, Option<String>), Problem> {
    let name = meant.name;
    if !meant.is_variable {
        let text = format!("{name} is a setting of profiles only");
        return Err(wrong(text).with_help("name one with: --profile NAME"));
    }
    if let Some(value) = value {
        check_variable(name, value)?;
    }
    let (variables, _) = dotenv::parse(before);
    let was = variables.get(name).map(|was| {
        let is_secret = SECRETS.contains(&name);
        if is_secret { MASK } else { was }.to_owned()
    });
    let after = dotenv::changed(before, name, value).ok_or_else(|| {
        let text = format!("{name} can't be changed in .env without changing more than that");
        let problem = match dotenv::wrong_line(before) {
            Some(line) => wrong(format!("{text}: line {line} is not NAME=value")),
            None => wrong(text),
        };
        problem.with_help("change it by hand with: fusion-kit config edit")
    })?;
    Ok((after, was))
}

/// Whether a variable means something in `.env`, and its value is right.
fn check_variable(name: &str, value: &str) -> Result<(), Problem> {
    let variables = Variables::from([(name.to_owned(), value.to_owned())]);
    let trial = Config::of(|_| None, (variables, None));
    let mut settings = trial.settings.iter();
    if !settings.any(|setting| setting.name == name && setting.origin == "file") {
        let text =
            format!("{name} is not read from .env: that may come with somebody else's files");
        let key = KEYS.iter().any(|(_, variable)| *variable == Some(name));
        return Err(wrong(text).with_help(if key {
            "name a profile of yours with --profile NAME, or set it in the environment"
        } else {
            "set it in the environment"
        }));
    }
    wiring::check(&trial)?;
    serve::check(&trial)
}

/// The user's file with a setting changed, and what it was.
fn in_users(
    meant: Meant<'_>,
    value: Option<&str>,
    (file, before): (&Path, &str),
    within: Within<'_>,
) -> Result<(String, Option<String>), Problem> {
    let name = meant.name;
    let Some(key) = meant.key else {
        let text = format!("{name} is not a setting of {}", file.display());
        return Err(wrong(text)
            .with_help("leave --user and --profile out: it stands in .env of the current folder"));
    };
    if matches!(within, Within::Top) && key != PROJECT {
        let text = format!("{name} is a setting of profiles only");
        return Err(wrong(text).with_help("name one with: --profile NAME"));
    }
    if let Some(url) = value.filter(|_| key == "server") {
        // Whether it is one that can be asked: nobody is.
        Client::new(url, SecretString::from("none"))?;
    }
    profile::check(file, before)?;
    let changed = toml_file::changed((file, before), within, key, value)?;
    profile::check(file, &changed.0)?;
    Ok(changed)
}

/// Whether the reader of a file takes all of a text.
fn check(which: &SettingsFile, file: &Path, text: &str) -> Result<(), Problem> {
    if *which != SettingsFile::Folder {
        return profile::check(file, text);
    }
    let shown = file.display();
    let (variables, fault) = dotenv::parse(text);
    if let Some(fault) = fault {
        let line = dotenv::wrong_line(text).unwrap_or(1);
        return Err(wrong(format!("{shown}, line {line}: {fault}")));
    }
    for (name, value) in variables {
        let trial = Variables::from([(name.clone(), value)]);
        let trial = Config::of(|_| None, (trial, None));
        let checked = wiring::check(&trial).and_then(|()| serve::check(&trial));
        checked.map_err(|problem| {
            let line = dotenv::line_of(text, &name).unwrap_or(1);
            let message = format!("{shown}, line {line}: {}", problem.message);
            Problem { message, ..problem }
        })?;
    }
    Ok(())
}

/// What stands in a file; nothing where it is not there. The file of the current folder must be one itself:
/// what a link leads to was not meant by whoever changes settings here.
fn text_of(which: &SettingsFile, file: &Path) -> Result<String, Problem> {
    if *which == SettingsFile::Folder && file.is_symlink() {
        let text = format!("{} is a link", file.display());
        return Err(wrong(text).with_help("change the file that it leads to"));
    }
    match fs::read_to_string(file) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(wrong(format!("{} can't be read: {error}", file.display()))),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Problem> {
    rewrite(file, text.as_bytes()).map_err(|error| unwritable(file, &error))
}

/// Refuses a file that its owner keeps from being changed, whoever asks.
fn expect_writable(file: &Path) -> Result<(), Problem> {
    toml_file::writable(file).map_err(|error| unwritable(file, &error))
}

/// A problem after which the file is as it was.
fn nothing_changed(problem: Problem) -> Problem {
    match problem.help {
        None => problem.with_help("nothing was changed"),
        Some(_) => problem,
    }
}

/// There is nothing to edit with.
pub(crate) fn no_editor() -> Problem {
    Problem::new(ProblemKind::Conflict, "neither VISUAL nor EDITOR is set")
}

/// What was written may not be what was meant.
pub(crate) fn ended_badly() -> Problem {
    Problem::new(ProblemKind::Conflict, "the editor did not end well")
}

fn origin_of(file: &SettingsFile) -> String {
    match file {
        SettingsFile::Folder => "file".to_owned(),
        SettingsFile::User => "user file".to_owned(),
        SettingsFile::Profile(name) => format!("profile {name}"),
    }
}

/// What counts before what, the first first.
fn rank(origin: &str) -> u8 {
    match origin {
        "flag" => 0,
        "environment" => 1,
        "file" => 3,
        "user file" => 4,
        "default" => 5,
        // A profile.
        _ => 2,
    }
}

fn unwritable(file: &Path, error: &io::Error) -> Problem {
    toml_file::unwritable(file, error)
}

fn wrong(text: String) -> Problem {
    Problem::new(ProblemKind::InvalidInput, text)
}

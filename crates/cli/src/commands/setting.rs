//! `config set`, `config unset` and `config edit`.

use fusion_api_types::{Problem, ProblemKind, SettingChange};

use super::db::answer;
use crate::args::{ConfigFileArgs, ConfigSetArgs, ConfigUnsetArgs, Tried};
use crate::backend::{Backend, EditEnd, SettingRequest, SettingsFile};
use crate::exit::Exit;
use crate::session::Session;
use crate::text::clean_line;

/// `config set`.
pub(super) fn set(
    set: &Tried<ConfigSetArgs>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = SettingRequest {
        name: set.what.name.clone(),
        value: Some(set.what.value.clone()),
        file: file_of(&set.what.file, session)?,
        dry_run: set.dry_run,
    };
    change(&request, backend, session)
}

/// `config unset`.
pub(super) fn unset(
    unset: &Tried<ConfigUnsetArgs>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = SettingRequest {
        name: unset.what.name.clone(),
        value: None,
        file: file_of(&unset.what.file, session)?,
        dry_run: unset.dry_run,
    };
    change(&request, backend, session)
}

fn change(
    request: &SettingRequest,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let changed = backend.change_setting(request)?;
    if let Some(origin) = &changed.overridden_by {
        let name = clean_line(&changed.name);
        let origin = clean_line(origin);
        session.tell(&format!("it does not count: {name} is set by {origin}\n"));
    }
    answer(&changed, told, session)
}

fn told(changed: &SettingChange, _: &Session<'_>) -> String {
    let name = clean_line(&changed.name);
    let file = clean_line(&changed.file);
    let was = changed.was.as_deref().map(clean_line);
    let is = if changed.dry_run {
        "would be"
    } else {
        "is now"
    };
    match (changed.value.as_deref().map(clean_line), was) {
        (Some(value), Some(was)) if value == was => {
            format!("{name} is {value} already in {file}\n")
        }
        (Some(value), Some(was)) => format!("{name} {is} {value} in {file}, it was {was}\n"),
        (Some(value), None) => format!("{name} {is} {value} in {file}\n"),
        (None, Some(was)) => format!("{name} {is} not set in {file}, it was {was}\n"),
        (None, None) => format!("{name} is not set in {file}\n"),
    }
}

/// `config edit`.
pub(super) async fn edit(
    which: &ConfigFileArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let file = file_of(which, session)?;
    let path = backend.settings_file(&file)?;
    let shown = clean_line(&path.display().to_string());
    if !session.can_edit() {
        let text = "an editor needs a terminal";
        return Err(
            Problem::new(ProblemKind::Conflict, text).with_help(format!("the file is {shown}"))
        );
    }
    let (told, exit) = match backend.edit_settings(&file).await? {
        EditEnd::Changed => (format!("{shown} is changed\n"), Exit::Done),
        EditEnd::Same => (format!("{shown} is as it was\n"), Exit::Done),
        EditEnd::Failed => ("the editor did not end well\n".to_owned(), Exit::Failed),
    };
    session.tell(&told);
    Ok(exit)
}

fn file_of(which: &ConfigFileArgs, session: &Session<'_>) -> Result<SettingsFile, Problem> {
    match (which.user, &session.global.profile) {
        (true, Some(_)) => {
            let text = "--user means what is for all profiles, and --profile one of them";
            Err(Problem::new(ProblemKind::InvalidInput, text).with_help("leave one out"))
        }
        (false, Some(name)) => Ok(SettingsFile::Profile(name.clone())),
        (true, None) => Ok(SettingsFile::User),
        (false, None) => Ok(SettingsFile::Folder),
    }
}

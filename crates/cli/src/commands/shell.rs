//! `config`, `health`, `completions`, `schema` and `man`.

use std::path::Path;
use std::time::Duration;

use clap_complete::Shell as Completed;
use fusion_api_types::api::Health;
use fusion_api_types::{Problem, ProblemKind, SettingList, SettingView};
use serde_json::Map;
use tokio::time::{Instant, sleep};

use super::db::answer;
use super::setting;
use crate::args::{ConfigArgs, ConfigCommand, ConfigShowArgs, HealthArgs, Shell};
use crate::backend::Backend;
use crate::exit::Exit;
use crate::report::{about, record as report};
use crate::schema::{Printed, printed};
use crate::session::Session;
use crate::text::clean_line;
use crate::tree::{command, command_lines};

/// The name of the program.
const NAME: &str = "fusion-kit";

/// How long `health --wait` waits between two questions.
const AGAIN: Duration = Duration::from_millis(200);

/// Every command below `config`.
pub(crate) async fn config(
    config: &ConfigArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match &config.command {
        ConfigCommand::Set(set) => setting::set(set, backend, session),
        ConfigCommand::Unset(unset) => setting::unset(unset, backend, session),
        ConfigCommand::Edit(which) => setting::edit(which, backend, session).await,
        ConfigCommand::Show(show) => self::show(show, backend, session),
        ConfigCommand::Get(which) => one(&which.name, backend, session),
    }
}

fn one(name: &str, backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let settings = backend.settings();
    let setting = settings.into_iter().find(|setting| setting.name == name);
    let not_found = |text: String, see: &str| {
        let help = format!("see them with: {}", session.command(see));
        Err(Problem::new(ProblemKind::NotFound, text).with_help(help))
    };
    let Some(setting) = setting else {
        let shown: String = name.chars().take(100).collect();
        return not_found(
            format!("there is no setting '{shown}'"),
            "config show --all",
        );
    };
    if setting.value.is_none() {
        return not_found(format!("{name} is not set"), "config show");
    }
    let value = |setting: &SettingView, _: &Session<'_>| {
        format!(
            "{}\n",
            clean_line(setting.value.as_deref().unwrap_or_default())
        )
    };
    answer(&setting, value, session)
}

fn show(
    show: &ConfigShowArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut settings = backend.settings();
    settings.retain(|setting| show.all || setting.value.is_some());
    if session.is_machine() {
        let list = SettingList { settings };
        session.print_rows(&list, &list.settings)?;
    } else {
        session.print(&report::settings(&settings, show.origin))?;
    }
    Ok(Exit::Done)
}

/// `version`.
pub(crate) async fn version(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    answer(&backend.version().await?, about::version, session)
}

/// `info`.
pub(crate) async fn info(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    answer(&backend.info().await?, about::info, session)
}

/// `health`.
pub(crate) async fn health(
    args: &HealthArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let give_up = args.wait.map(|wait| Instant::now() + wait);
    let health = loop {
        let health = backend.health().await;
        let is_well = health.as_ref().is_ok_and(is_well);
        if is_well || give_up.is_none_or(|at| Instant::now() >= at) {
            break health?;
        }
        sleep(AGAIN).await;
    };
    answer(&health, report::health, session)?;
    Ok(if is_well(&health) {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn is_well(health: &Health) -> bool {
    health.status == "healthy"
}

/// `schema`: of one command, or of all.
pub(crate) fn schema(words: &[String], session: &Session<'_>) -> Result<Exit, Problem> {
    if words.is_empty() {
        let mut all = Map::new();
        for words in command_lines() {
            if let Some(Printed::Json(schema)) = printed(&words) {
                all.insert(words, *schema);
            }
        }
        session.print_json(&all)?;
        return Ok(Exit::Done);
    }
    let words = words.join(" ");
    match printed(&words) {
        Some(Printed::Json(schema)) => session.print_json(&schema)?,
        Some(Printed::Other(what)) => {
            let text = format!("`{words}` prints {what}");
            return Err(Problem::new(ProblemKind::InvalidInput, text));
        }
        None => {
            let text = format!("there is no command `{words}`");
            return Err(Problem::new(ProblemKind::InvalidInput, text)
                .with_help("see them all with: fusion-kit help"));
        }
    }
    Ok(Exit::Done)
}

/// `completions`.
pub(crate) fn completions(shell: Shell, session: &Session<'_>) -> Result<Exit, Problem> {
    let shell = match shell {
        Shell::Bash => Completed::Bash,
        Shell::Zsh => Completed::Zsh,
        Shell::Fish => Completed::Fish,
        Shell::PowerShell => Completed::PowerShell,
        Shell::Elvish => Completed::Elvish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), NAME, &mut script);
    session.print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

/// `man`.
pub(crate) fn man(dir: &Path, session: &Session<'_>) -> Result<Exit, Problem> {
    let written =
        std::fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(command(), dir));
    written.map_err(|error| {
        let text = format!("the manual can't be written to {}: {error}", dir.display());
        Problem::new(ProblemKind::Unavailable, text)
    })?;
    session.tell(&format!("wrote the manual to {}\n", dir.display()));
    Ok(Exit::Done)
}

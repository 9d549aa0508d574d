//! Finds the run or the message that a command means.

use std::fmt::Display;

use fusion_api_types::{Problem, ProblemKind};
use fusion_core::{Coded, ErrorCode, Message, MessageId, Run, RunId};
use fusion_persistence::{Page, Reader, Repository, RunFilter};
use uuid::Uuid;

use crate::data_dir::DataDir;
use crate::problems;

/// Runs that a prefix is compared with: the newest ones.
const PREFIX_SEARCH: u32 = 10_000;

/// Ids that a refusal lists.
const LISTED: u32 = 5;

/// A run by its id or a unique prefix of it; without one the newest.
pub(crate) async fn find(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: Option<&str>,
) -> Result<Run, Problem> {
    let read = |error: fusion_persistence::Error| problems::of_store(&error);
    let Some(text) = text else {
        // One that is a step of another run is not what a person began.
        let begun = RunFilter {
            parent: Some(None),
            ..RunFilter::default()
        };
        let newest = store.list(&begun, Page::first(1)).await;
        let newest = newest.map_err(read)?.into_iter().next();
        return newest.ok_or_else(no_runs);
    };
    if let Ok(id) = text.parse::<RunId>() {
        return store.get(id).await.map_err(|error| {
            if error.code() == ErrorCode::NotFound {
                no_such_run(data_dir, text)
            } else {
                read(error)
            }
        });
    }
    let all = store
        .list(&RunFilter::default(), Page::first(PREFIX_SEARCH))
        .await
        .map_err(read)?;
    let matching = all.iter().map(|run| run.id);
    let matching = matching.filter(|id| id.to_string().starts_with(&text.to_lowercase()));
    let only = only_one(&matching.collect::<Vec<_>>(), "runs", text)?;
    let found = all.into_iter().find(|run| Some(run.id) == only);
    found.ok_or_else(|| no_such_run(data_dir, text))
}

/// A message by its id or a unique prefix of it.
pub(crate) async fn find_message(
    store: &dyn Reader,
    data_dir: &DataDir,
    text: &str,
) -> Result<Message, Problem> {
    let read = |error: fusion_persistence::Error| problems::of_store(&error);
    let id = match beginning(text) {
        Some((first, last)) => {
            let ids = store.message_ids(first, last, LISTED + 1).await;
            only_one(&ids.map_err(read)?, "messages", text)?
        }
        None => None,
    };
    let found = match id {
        Some(id) => store.find(id).await.map_err(read)?,
        None => None,
    };
    found.ok_or_else(|| {
        let place = data_dir.path().display();
        let message = format!("there is no message '{text}' in {place}");
        let list = data_dir.command("message list");
        Problem::new(ProblemKind::NotFound, message)
            .with_help(format!("see the newest messages with: {list}"))
    })
}

/// The first and the last id that begin so; `None` for what no id begins with.
fn beginning(text: &str) -> Option<(MessageId, MessageId)> {
    let digits = text.replace('-', "");
    if digits.is_empty() || digits.len() > 32 {
        return None;
    }
    let filled = |with: &str| {
        let rest = with.repeat(32_usize.saturating_sub(digits.len()));
        Uuid::parse_str(&format!("{digits}{rest}")).ok()
    };
    Some((filled("0")?.into(), filled("f")?.into()))
}

/// The only one of the ids that begin as was asked; `None` when none does.
pub(crate) fn only_one<T: Copy + Display>(
    ids: &[T],
    what: &str,
    text: &str,
) -> Result<Option<T>, Problem> {
    match ids {
        [] => Ok(None),
        [only] => Ok(Some(*only)),
        several => Err(ambiguous(
            format!("several {what} begin with '{text}'"),
            several,
        )),
    }
}

/// The only one of those with ids and names that has this name, or else whose id begins so; `None` when
/// none does.
pub(crate) fn meant<'a, T: Copy + Display>(
    what: &str,
    rows: impl Iterator<Item = (T, &'a str)>,
    text: &str,
) -> Result<Option<T>, Problem> {
    let (mut named, mut begun) = (Vec::new(), Vec::new());
    let beginning = text.to_lowercase();
    for (id, name) in rows {
        if name == text {
            named.push(id);
        }
        if id.to_string().starts_with(&beginning) {
            begun.push(id);
        }
    }
    match named.as_slice() {
        [] => only_one(&begun, what, text),
        [only] => Ok(Some(*only)),
        several => Err(ambiguous(
            format!("several {what} are named '{text}'"),
            several,
        )),
    }
}

fn ambiguous<T: Display>(message: String, ids: &[T]) -> Problem {
    let listed = ids.iter().take(LISTED as usize).map(T::to_string);
    let listed: Vec<String> = listed.collect();
    Problem::new(ProblemKind::InvalidInput, message).with_help(format!(
        "write more of the id, such as: {}",
        listed.join(", ")
    ))
}

fn no_such_run(data_dir: &DataDir, text: &str) -> Problem {
    let message = format!("there is no run '{text}' in {}", data_dir.path().display());
    let list = data_dir.command("run list");
    Problem::new(ProblemKind::NotFound, message).with_help(format!("see all runs with: {list}"))
}

/// There is nothing to show.
pub(crate) fn no_runs() -> Problem {
    Problem::new(ProblemKind::NotFound, "there are no runs yet")
        .with_help("start one with: fusion-kit run FILE")
}

/// There is nothing to go on with.
pub(crate) fn nothing_to_resume(data_dir: &DataDir) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("there is no run to resume in {}", data_dir.path().display()),
    )
    .with_help(format!(
        "see all runs with: {}",
        data_dir.command("run list")
    ))
}

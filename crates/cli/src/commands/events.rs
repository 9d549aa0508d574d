//! `events` and `export events`.

use std::ops::ControlFlow;

use fusion_api_types::{Problem, api};

use super::db::answer;
use crate::args::{
    EventFilterArgs, EventsArgs, EventsCommand, EventsListArgs, EventsReplayArgs, EventsTailArgs,
    ExportArgs, ExportCommand, ExportEventsArgs, ExportFormat, OutputForm,
};
use crate::backend::{Backend, EventQuery, EventSink, Replay};
use crate::exit::Exit;
use crate::form;
use crate::report::event as report;
use crate::session::Session;
use crate::text::{clean_line, shell_word};

/// Every command below `events`.
pub(crate) async fn events(
    events: &EventsArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match &events.command {
        EventsCommand::Tail(tail) => self::tail(tail, backend, session).await,
        EventsCommand::List(list) => self::list(list, backend, session).await,
        EventsCommand::Get(which) => {
            let event = backend.show_event(&which.event).await?;
            answer(&event, report::one, session)
        }
        EventsCommand::Export(export) => export_events(export, backend, session).await,
        EventsCommand::Replay(replay) => self::replay(replay, backend, session).await,
    }
}

/// Every command below `export`.
pub(crate) async fn export(
    export: &ExportArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match &export.command {
        ExportCommand::Events(events) => export_events(events, backend, session).await,
    }
}

async fn tail(
    tail: &EventsTailArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut lines = Lines { session };
    backend
        .tail_events(&query(&tail.filter), tail.limit, tail.follow, &mut lines)
        .await?;
    Ok(Exit::Done)
}

async fn list(
    list: &EventsListArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let page = backend
        .list_events(&query(&list.filter), list.limit, list.cursor.as_deref())
        .await?;
    if session.is_machine() {
        session.print_rows(&page, &page.events)?;
    } else if page.events.is_empty() {
        session.tell("no such events\n");
    } else {
        session.print(&report::list(&page.events, session))?;
    }
    if let Some(cursor) = page
        .next_cursor
        .filter(|_| session.form() != OutputForm::Json)
    {
        session.tell(&format!(
            "there is more: --cursor {}\n",
            clean_line(&cursor)
        ));
    }
    Ok(Exit::Done)
}

async fn replay(
    replay: &EventsReplayArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let how = Replay {
        to: replay.to.clone(),
        batch: replay.batch,
        token_env: replay.token_env.clone(),
        allows_plain_http: replay.allow_plain_http,
        dry_run: replay.dry_run,
    };
    let done = backend.replay_events(&query(&replay.filter), &how).await?;
    answer(&done, report::replayed, session)?;
    let to = shell_word(&done.to);
    let go_on = format!("events replay --to {to} --after {}", done.next_after);
    let help = format!(
        "with the same filters, and with times in place of ages, go on with: {}",
        session.command(&go_on)
    );
    if done.interrupted {
        session.tell(&format!("{help}\n"));
        return Ok(Exit::Interrupted);
    }
    match done.stopped {
        Some(problem) => Err(problem.with_help(help)),
        None => Ok(Exit::Done),
    }
}

async fn export_events(
    export: &ExportEventsArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut rows = Rows {
        session,
        format: export.format,
    };
    if export.format == ExportFormat::Csv {
        session.print(api::Event::CSV_HEAD)?;
    }
    backend
        .all_events(&query(&export.filter), &mut rows)
        .await?;
    Ok(Exit::Done)
}

fn query(filter: &EventFilterArgs) -> EventQuery {
    EventQuery {
        types: filter.types.clone(),
        severities: filter.severity.clone(),
        agent: filter.agent.clone(),
        run: filter.run.clone(),
        since: filter.since,
        until: filter.until,
        text: filter.text.clone(),
        after: filter.after,
    }
}

/// Prints each event as it comes.
struct Lines<'a> {
    session: &'a Session<'a>,
}

impl EventSink for Lines<'_> {
    fn event(&mut self, event: &api::Event) -> Result<ControlFlow<()>, Problem> {
        if self.session.is_machine() {
            self.session.stream_json(event)
        } else {
            self.session.stream(&report::line(event, self.session))
        }
    }
}

/// Writes each event for another program.
struct Rows<'a> {
    session: &'a Session<'a>,
    format: ExportFormat,
}

impl EventSink for Rows<'_> {
    fn event(&mut self, event: &api::Event) -> Result<ControlFlow<()>, Problem> {
        match self.format {
            ExportFormat::Jsonl => self.session.stream(&form::json(event)?),
            ExportFormat::Csv => self.session.stream(&event.csv()),
        }
    }
}

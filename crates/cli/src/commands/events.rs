//! `events` and `export events`.

use std::ops::ControlFlow;

use fusion_api_types::{Problem, api};

use crate::args::{
    EventFilterArgs, EventsArgs, EventsCommand, EventsTailArgs, ExportArgs, ExportCommand,
    ExportEventsArgs, ExportFormat,
};
use crate::backend::{Backend, EventQuery, EventSink};
use crate::exit::Exit;
use crate::form;
use crate::report::event as report;
use crate::session::Session;

/// Every command below `events`.
pub(crate) async fn events(
    events: &EventsArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match &events.command {
        EventsCommand::Tail(tail) => self::tail(tail, backend, session).await,
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

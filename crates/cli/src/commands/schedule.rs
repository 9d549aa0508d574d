//! `schedule`: workflows that are started by the clock.

use fusion_api_types::Problem;
use serde_json::json;

use super::db::answer;
use super::dry_run::tell;
use crate::args::{RecordName, ScheduleCommand, Tried};
use crate::backend::{Backend, NewSchedule, Operation};
use crate::exit::Exit;
use crate::report::{record, schedule as report};
use crate::session::Session;

/// Every command below `schedule`.
pub(crate) async fn schedule(
    command: &ScheduleCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        ScheduleCommand::Create(create) => {
            let new = NewSchedule {
                name: create.name.clone(),
                workflow: create.workflow.clone(),
                cron: create.cron.clone(),
                timezone: create.timezone.clone(),
                overlap: create.overlap.as_str().to_owned(),
                inputs: crate::args::by_name(&create.inputs),
            };
            let made = backend.create_schedule(&new).await?;
            answer(&made, report::one, session)
        }
        ScheduleCommand::List(list) => {
            let rows = backend.list_schedules(list.limit).await?;
            if session.is_machine() {
                session.print_rows(&json!({ "schedules": rows }), &rows)?;
            } else if rows.is_empty() {
                let make = "schedule create NAME --workflow WORKFLOW --cron CRON";
                let make = session.command(make);
                session.tell(&format!("no schedules yet; make one with: {make}\n"));
            } else {
                session.print(&report::list(&rows, session))?;
            }
            Ok(Exit::Done)
        }
        ScheduleCommand::Get(which) => {
            let shown = backend.show_schedule(&which.name).await?;
            answer(&shown, report::one, session)
        }
        ScheduleCommand::Pause(which) => {
            let paused = backend.pause_schedule(&which.name, true).await?;
            answer(&paused, report::one, session)
        }
        ScheduleCommand::Resume(which) => {
            let resumed = backend.pause_schedule(&which.name, false).await?;
            answer(&resumed, report::one, session)
        }
        ScheduleCommand::Delete(which) => delete(which, backend, session).await,
    }
}

async fn delete(
    which: &Tried<RecordName>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let name = &which.what.name;
    if which.dry_run {
        return tell(Operation::DeleteSchedule(name.clone()), backend, session).await;
    }
    let gone = backend.delete_schedule(name).await?;
    answer(
        &gone,
        |gone, _| record::gone("schedule", &gone.name),
        session,
    )
}

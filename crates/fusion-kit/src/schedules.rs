//! The work of `schedule`: rows that a server acts on.

use std::path::Path;

use async_trait::async_trait;
use fusion_api::{name_fault, schedule_view};
use fusion_api_types::{Problem, ProblemKind, api};
use fusion_cli::{NewSchedule, Schedules, Workflows as _};
use fusion_coordination::{MAX_SCHEDULES, expect_own, held};
use fusion_core::{Change, Clock, IdSource, Overlap, Schedule, ScheduleId, WorkflowDefinition};
use fusion_persistence::{Deletable, Page, Repository, ScheduleFilter};
use serde_json::{Map, Value};

use crate::backend::LocalBackend;
use crate::files::{in_their_types, read_text};
use crate::problems;
use crate::records::{named, none, read};
use crate::system::{SystemClock, SystemIds};

const PATH: &str = "/schedules";

/// What the command calls such a row.
const KIND: &str = "schedule";

#[async_trait]
impl Schedules for LocalBackend {
    async fn create_schedule(&self, new: &NewSchedule) -> Result<api::Schedule, Problem> {
        let stored = self.show_workflow(&new.workflow, None).await?;
        expect_own(&stored.name).map_err(|error| problems::of_engine(&error))?;
        let source = stored.source.unwrap_or_default();
        let definition = read_text(Path::new(&stored.name), source)?;
        let inputs = checked_inputs(&definition, new)?;
        let row = row_of(new, stored.name, inputs)?;
        if let Some(remote) = self.remote()? {
            let body = api::NewSchedule {
                name: row.name,
                workflow: row.workflow,
                inputs: row.inputs,
                cron: row.cron,
                timezone: Some(row.timezone),
                overlap: Some(row.overlap.to_string()),
            };
            return remote.client().post(PATH, &body).await;
        }
        let there = self.list_schedules(MAX_SCHEDULES).await?.len();
        if there >= MAX_SCHEDULES as usize {
            let text = format!("there are {MAX_SCHEDULES} schedules already, and no more may be");
            return Err(Problem::new(ProblemKind::InvalidInput, text)
                .with_help("delete one with: schedule delete NAME"));
        }
        self.store_record(Change::create(row.clone())).await?;
        Ok(schedule_view(row))
    }

    async fn list_schedules(&self, limit: u32) -> Result<Vec<api::Schedule>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.rows(PATH, "schedules", &[], limit as usize).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let filter = ScheduleFilter::default();
        let rows = reading.store().list(&filter, Page::first(limit)).await;
        Ok(rows.map_err(read)?.into_iter().map(schedule_view).collect())
    }

    async fn show_schedule(&self, name: &str) -> Result<api::Schedule, Problem> {
        let all = self.list_schedules(MAX_SCHEDULES).await?;
        named(all, KIND, name, |row| (&row.id, &row.name))
    }

    async fn pause_schedule(&self, name: &str, pause: bool) -> Result<api::Schedule, Problem> {
        let found = self.show_schedule(name).await?;
        if let Some(remote) = self.remote()? {
            let body = api::ScheduleChanges { paused: pause };
            let path = format!("{PATH}/{}", found.id);
            return remote.client().patch(&path, &body).await;
        }
        let row = held(
            self.stored_schedule(&found).await?,
            pause,
            SystemClock.now(),
        );
        self.store_record(Change::update(row.clone())).await?;
        Ok(schedule_view(row))
    }

    async fn delete_schedule(&self, name: &str) -> Result<api::Schedule, Problem> {
        let found = self.show_schedule(name).await?;
        if let Some(remote) = self.remote()? {
            let path = format!("{PATH}/{}", found.id);
            remote.client().delete(&path, &[]).await?;
            return Ok(found);
        }
        let row = self.stored_schedule(&found).await?;
        let gone = Change::Delete {
            kind: Schedule::KIND,
            id: row.id.uuid(),
            version: row.version,
        };
        self.store_record(gone).await?;
        Ok(found)
    }
}

impl LocalBackend {
    async fn stored_schedule(&self, found: &api::Schedule) -> Result<Schedule, Problem> {
        let reading = self.reading().await?;
        let reading = reading.ok_or_else(|| none(KIND, &found.name))?;
        let id: ScheduleId = crate::agents::find::parsed(&found.id)?;
        reading.store().get(id).await.map_err(read)
    }
}

/// What each run is given, as the workflow takes it.
fn checked_inputs(
    definition: &WorkflowDefinition,
    new: &NewSchedule,
) -> Result<Map<String, Value>, Problem> {
    let given = in_their_types(&definition.inputs, &new.inputs);
    match definition.resolve_inputs(&given) {
        Ok(_) => Ok(given),
        Err(faults) => Err(problems::of_inputs(&faults)),
    }
}

fn row_of(
    new: &NewSchedule,
    workflow: String,
    inputs: Map<String, Value>,
) -> Result<Schedule, Problem> {
    let invalid = |text: String| Problem::new(ProblemKind::InvalidInput, text);
    if let Some(fault) = name_fault(&new.name) {
        return Err(invalid(format!("the name {fault}")));
    }
    let wanted = fusion_coordination::NewSchedule {
        name: new.name.clone(),
        workflow,
        inputs,
        cron: new.cron.clone(),
        timezone: new.timezone.clone(),
        overlap: Overlap::from_text(&new.overlap).unwrap_or(Overlap::Skip),
    };
    let id = ScheduleId::from_uuid(SystemIds::new().uuid());
    wanted.row(id, SystemClock.now()).map_err(|faults| {
        let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
        invalid(told.join("; "))
            .with_help("write five fields such as '0 3 * * *', and a zone such as Europe/Berlin")
    })
}

//! What a Prometheus reads: few figures, each cheap to find.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fusion_core::{AgentState, TaskState, WorkflowState};
use fusion_persistence::{AgentFilter, Repository, RunFilter, TaskFilter};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::problem::{Refusal, Result};
use crate::query::Query;
use crate::routed::{Routes, routes};
use crate::state::App;

/// The form of the answer.
const CONTENT: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Labels of a figure: names and values.
type Labels = Vec<(&'static str, String)>;

/// Answers by the first digit of their status.
#[derive(Debug, Default)]
pub(crate) struct Answers([AtomicU64; 5]);

impl Answers {
    pub(crate) fn count(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counted) = self.0.get(class) {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// At the root, as all that is read by a Prometheus.
pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(metrics))
}

/// The state of the server for Prometheus, as `OpenMetrics` text.
#[utoipa::path(get, path = "/metrics", tag = "health", responses(
    (status = 200, description = "Figures of agents, tasks, runs, events, streams and answers.",
     body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
))]
async fn metrics(State(app): State<App>, query: Query) -> Result<Response> {
    query.none()?;
    let mut registry = Registry::with_prefix("fusion");
    states(&app, &mut registry).await?;
    log(&app, &mut registry).await?;
    answers(&app, &mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| Refusal::internal(&error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT)], text).into_response())
}

/// How many there are in each state that is not the end: those only grow, and the event log counts them.
async fn states(app: &App, registry: &mut Registry) -> Result<()> {
    let (agents, tasks, runs) = (gauges(), gauges(), gauges());
    for state in AgentState::ALL {
        if *state == AgentState::Terminated {
            continue;
        }
        let filter = AgentFilter {
            states: vec![*state],
            ..AgentFilter::default()
        };
        set(&agents, state.as_str(), app.reader().count(&filter).await?);
    }
    for state in TaskState::ALL {
        if state.is_final() {
            continue;
        }
        let filter = TaskFilter {
            states: vec![*state],
            ..TaskFilter::default()
        };
        set(&tasks, state.as_str(), app.reader().count(&filter).await?);
    }
    for state in [WorkflowState::Ready, WorkflowState::Running] {
        let filter = RunFilter {
            states: vec![state],
            ..RunFilter::default()
        };
        set(&runs, state.as_str(), app.reader().count(&filter).await?);
    }
    registry.register("agents", "Agents that have not ended", agents);
    registry.register("tasks", "Tasks that have not ended", tasks);
    registry.register("runs", "Runs that have not ended", runs);
    Ok(())
}

async fn log(app: &App, registry: &mut Registry) -> Result<()> {
    let bounds = app.reader().event_bounds().await?;
    for (name, help, value) in [
        ("events_last", "Place of the newest event", bounds.last),
        ("events_oldest", "Place of the oldest event", bounds.oldest),
        (
            "stream_readers",
            "Readers of the live stream of events",
            app.hub.readers() as u64,
        ),
    ] {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register(name, help, gauge);
    }
    Ok(())
}

fn answers(app: &App, registry: &mut Registry) {
    let answers: Family<Labels, Counter> = Family::default();
    for (class, counted) in app.answers.0.iter().enumerate() {
        let labels = vec![("status", format!("{}xx", class + 1))];
        answers
            .get_or_create(&labels)
            .inc_by(counted.load(Ordering::Relaxed));
    }
    registry.register(
        "http_answers",
        "Answers by the class of their status",
        answers,
    );
    let build: Family<Labels, Gauge> = Family::default();
    build
        .get_or_create(&vec![("version", app.options.version.clone())])
        .set(1);
    registry.register("build", "The program", build);
}

fn gauges() -> Family<Labels, Gauge> {
    Family::default()
}

fn set(gauges: &Family<Labels, Gauge>, state: &str, count: u64) {
    gauges
        .get_or_create(&vec![("state", state.to_owned())])
        .set(i64::try_from(count).unwrap_or(i64::MAX));
}

//! The work of `bench`: what the framework costs on this machine, on the ways that it always goes.

mod idle;
mod local;
mod meter;
mod place;
mod queue;
mod remote;
mod starts;
mod units;
mod workflows;

use async_trait::async_trait;
use fusion_api_types::{BenchReport, Problem, ProblemKind};
use fusion_cli::{BenchModel, BenchRequest, BenchRow, BenchStore, Benchmarks};

use crate::backend::LocalBackend;

use meter::{Cost, Figures};
use place::Place;

/// Units that are done first and not counted.
const WARM_UP: u64 = 20;

/// A row with its numbers.
#[derive(Debug, Clone, Copy)]
struct Plan {
    row: BenchRow,
    number: u64,
    at_once: u32,
    store: BenchStore,
    llm: BenchModel,
}

/// What the units of a row came to.
#[derive(Debug, Default)]
struct Done {
    cost: Cost,
    llm_calls: u64,
    steps: u64,
    bytes_per_agent: Option<u64>,
}

#[async_trait]
impl Benchmarks for LocalBackend {
    async fn bench(&self, request: &BenchRequest) -> Result<BenchReport, Problem> {
        let plan = Plan::of(request);
        check(request)?;
        let place = Place::new(self, plan).await?;
        let done = match plan.row {
            BenchRow::W5 => idle::measure(&place, plan).await,
            BenchRow::W6 => starts::measure(&place, plan).await,
            BenchRow::W9 => queue::measure(&place, plan).await,
            BenchRow::W1
            | BenchRow::W1d
            | BenchRow::W2
            | BenchRow::W3
            | BenchRow::W4
            | BenchRow::W7 => {
                if request.via_api {
                    remote::measure(&place, plan).await
                } else {
                    local::measure(&place, plan).await
                }
            }
        };
        place.remove().await?;
        Ok(plan.report(done?))
    }
}

/// What can't be done, or would not be what it is called.
fn check(request: &BenchRequest) -> Result<(), Problem> {
    let refuse = |text: &str, help: &str| {
        Err(Problem::new(ProblemKind::InvalidInput, text.to_owned()).with_help(help))
    };
    let is_of_runs = !matches!(request.row, BenchRow::W5 | BenchRow::W6 | BenchRow::W9);
    if request.via_api && !is_of_runs {
        return refuse(
            "only rows whose units are runs go through a server",
            "leave --via out, or take one of W1 to W4 and W7",
        );
    }
    let is_lasting = matches!(request.store, BenchStore::SqliteFull | BenchStore::Postgres);
    if (request.via_api || request.row == BenchRow::W6) && !is_lasting {
        return refuse(
            "a program of its own keeps its data in a file or on a server, and not half",
            "take --store sqlite-full or --store postgres",
        );
    }
    Ok(())
}

impl Plan {
    fn of(request: &BenchRequest) -> Self {
        let (number, at_once) = match request.row {
            BenchRow::W1 | BenchRow::W1d => (500, 1),
            BenchRow::W2 => (100, 1),
            BenchRow::W3 => (640, 32),
            BenchRow::W4 | BenchRow::W6 => (20, 1),
            BenchRow::W5 => (1_000, 1),
            BenchRow::W7 => (200, 200),
            BenchRow::W9 => (5_000, 8),
        };
        Self {
            row: request.row,
            number: request.number.unwrap_or(number),
            at_once: request.at_once.unwrap_or(at_once),
            store: request.store,
            llm: request.llm,
        }
    }

    fn report(self, done: Done) -> BenchReport {
        let Figures {
            wall,
            cpu,
            srv_cpu,
            write_bytes,
            rss_mb,
            maxrss_mb,
        } = done.cost.figures();
        BenchReport {
            peer: "fusion-kit".to_owned(),
            w: self.row.name().to_owned(),
            n: self.number,
            conc: self.at_once,
            store: self.store.name().to_owned(),
            llm: self.llm.name().to_owned(),
            units: self.number,
            llm_calls: done.llm_calls,
            steps: done.steps,
            wall,
            cpu,
            cpu_total: cpu + srv_cpu.values().sum::<f64>(),
            srv_cpu,
            rss_mb,
            maxrss_mb,
            write_bytes,
            bytes_per_agent: done.bytes_per_agent,
        }
    }
}

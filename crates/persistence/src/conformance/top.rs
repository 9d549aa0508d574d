//! Rules of who used most.

use fusion_core::{Agent, Cost, MetricsId, ResourceMetrics, Timestamp, TopBy, TopPer, Usage};
use uuid::Uuid;

use super::costs::{DAY, Spent, sum};
use super::sample::at;
use crate::{
    CostSum, MetricsFilter, Page, Repository, Sampled, SampledTotal, Store, Top, TopQuery, TopRow,
    WriteRepository as _,
};

/// A sample of an agent; figures that a binary fraction has exactly.
async fn sample(
    store: &dyn Store,
    (agent, time): (&Agent, i64),
    [cpu, memory, read, written]: [f64; 4],
) {
    let id = agent.id.uuid().as_u128() + u128::try_from(time).unwrap();
    let sample = ResourceMetrics {
        id: MetricsId::from_uuid(Uuid::from_u128(id)),
        agent_id: agent.id,
        timestamp: at(time),
        cpu_percent: cpu,
        memory_mb: memory,
        disk_io_read_mb: read,
        disk_io_write_mb: written,
        // What calls used is told by what was booked, not by this.
        api_calls_count: 1000,
        api_provider: None,
        api_tokens_used: 1000,
        api_cost_usd: Cost::from_picos(1000),
    };
    store.create(sample).await.unwrap();
}

/// Calls, and samples from the tenth second on.
async fn used(store: &dyn Store) -> Spent {
    let spent = Spent::store(store).await;
    let [a, b] = &spent.agents;
    sample(store, (a, 10), [50.0, 4.0, 1.0, 0.5]).await;
    sample(store, (a, 20), [100.0, 2.0, 0.0, 0.25]).await;
    sample(store, (b, 20), [60.5, 8.0, 0.0, 0.0]).await;
    sample(store, (b, DAY), [0.0, 6.0, 0.0, 1.0]).await;
    spent
}

const SAMPLED_A: Sampled = Sampled {
    samples: 2,
    cpu_percent: 75.0,
    cpu_percent_most: 100.0,
    memory_mb: 3.0,
    memory_mb_most: 4.0,
    disk_io_read_mb: 1.0,
    disk_io_write_mb: 0.75,
};

const SAMPLED_B: Sampled = Sampled {
    samples: 2,
    cpu_percent: 30.25,
    cpu_percent_most: 60.5,
    memory_mb: 7.0,
    memory_mb_most: 8.0,
    disk_io_read_mb: 0.0,
    disk_io_write_mb: 1.0,
};

async fn top(store: &dyn Store, asked: (TopBy, TopPer), time: [Option<Timestamp>; 2]) -> Top {
    let ((by, per), [since, until]) = (asked, time);
    let query = TopQuery {
        by,
        per,
        since,
        until,
        limit: 100,
    };
    store.top(&query).await.unwrap()
}

fn row(agent: &Agent, sampled: Option<Sampled>, sum: CostSum) -> TopRow {
    TopRow {
        id: Some(agent.id.uuid()),
        name: Some(agent.name.clone()),
        sampled,
        sum,
    }
}

/// What the calls of `a` and of `b` used.
const CALLS: [CostSum; 2] = [sum(2, (20, 22), 7, 1), sum(4, (53, 58), 48, 0)];

/// Each order has the same rows, and they add up to what was booked and to what was sampled.
pub async fn who_used_most_comes_first_and_sums_are_what_was_booked_and_sampled(store: &dyn Store) {
    let asked = (TopBy::Cpu, TopPer::Agent);
    assert_eq!(top(store, asked, [None, None]).await, Top::default());
    let spent = used(store).await;
    let [a, b] = &spent.agents;
    let first = row(a, Some(SAMPLED_A), CALLS[0]);
    let second = row(b, Some(SAMPLED_B), CALLS[1]);
    let samples = Page::first(100);
    let samples = store.list(&MetricsFilter::default(), samples).await;
    let samples: Vec<ResourceMetrics> = samples.unwrap();
    let mut booked = Usage::default();
    for task in &spent.tasks {
        booked += store.get(task.id).await.unwrap().usage;
    }
    for by in TopBy::ALL {
        let rows = match by {
            TopBy::Cpu | TopBy::Disk => vec![first.clone(), second.clone()],
            TopBy::Memory | TopBy::Tokens | TopBy::Cost => vec![second.clone(), first.clone()],
        };
        let wanted = Top {
            rows,
            groups: 2,
            total: CostSum {
                usage: booked,
                calls_without_price: 1,
            },
            sampled: SampledTotal {
                samples: u64::try_from(samples.len()).unwrap(),
                disk_io_read_mb: samples.iter().map(|it| it.disk_io_read_mb).sum(),
                disk_io_write_mb: samples.iter().map(|it| it.disk_io_write_mb).sum(),
            },
            undated: Usage::default(),
        };
        let found = top(store, (*by, TopPer::Agent), [None, None]).await;
        assert_eq!(found, wanted, "{by}");
    }
}

/// Of models and projects only what calls used is known: it is what costs tell of them, and no samples are
/// mixed in.
pub async fn models_and_projects_use_what_their_costs_tell(store: &dyn Store) {
    used(store).await;
    let (m, n, none) = (Some("m"), Some("n"), None);
    for (by, per, names) in [
        (TopBy::Cost, TopPer::Model, [m, none, n]),
        (TopBy::Tokens, TopPer::Model, [m, n, none]),
        (
            TopBy::Cost,
            TopPer::Project,
            [Some("from above"), none, Some("of the agent")],
        ),
    ] {
        let query = TopQuery {
            by,
            per,
            since: None,
            until: None,
            limit: 100,
        };
        let costs = store.costs(&query.costs()).await.unwrap();
        let rows = names.map(|name| {
            let mut rows = costs.rows.iter();
            let found = rows.find(|row| row.name.as_deref() == name).unwrap();
            TopRow {
                id: found.id,
                name: found.name.clone(),
                sampled: None,
                sum: found.sum,
            }
        });
        let wanted = Top {
            rows: rows.into(),
            groups: costs.groups,
            total: costs.total,
            sampled: SampledTotal::default(),
            undated: costs.undated,
        };
        assert_eq!(store.top(&query).await.unwrap(), wanted, "{by} per {per}");
    }
}

/// Samples count for the moment at which they were taken and calls for that at which they ended, from the
/// first moment on and without the last. Who has no sample in that time comes last by what samples tell.
pub async fn who_used_most_in_a_time_is_told_by_samples_and_calls_of_it(store: &dyn Store) {
    let spent = used(store).await;
    let [a, b] = &spent.agents;
    let one = |cpu: f64, [memory, read, written]: [f64; 3]| Sampled {
        samples: 1,
        cpu_percent: cpu,
        cpu_percent_most: cpu,
        memory_mb: memory,
        memory_mb_most: memory,
        disk_io_read_mb: read,
        disk_io_write_mb: written,
    };
    let early = one(50.0, [4.0, 1.0, 0.5]);
    let [first, second] = [one(100.0, [2.0, 0.0, 0.25]), one(60.5, [8.0, 0.0, 0.0])];
    let late = one(0.0, [6.0, 0.0, 1.0]);
    let at_midnight = [sum(1, (10, 11), 0, 1), sum(1, (20, 21), 5, 0)];
    let nothing = CostSum::default();
    for (time, rows) in [
        ([None, Some(at(10))], vec![]),
        (
            [Some(at(10)), Some(at(20))],
            vec![row(a, Some(early), nothing)],
        ),
        (
            [Some(at(20)), Some(at(21))],
            vec![row(a, Some(first), nothing), row(b, Some(second), nothing)],
        ),
        (
            [Some(at(DAY)), Some(at(DAY + 1))],
            vec![
                row(b, Some(late), at_midnight[1]),
                row(a, None, at_midnight[0]),
            ],
        ),
    ] {
        let found = top(store, (TopBy::Cpu, TopPer::Agent), time).await;
        assert_eq!(found.rows, rows, "{time:?}");
        let query = TopQuery {
            by: TopBy::Cpu,
            per: TopPer::Agent,
            since: time[0],
            until: time[1],
            limit: 1,
        };
        let costs = store.costs(&query.costs()).await.unwrap();
        assert_eq!((found.total, found.undated), (costs.total, costs.undated));
        let least = store.top(&query).await.unwrap();
        let rows = found.rows.iter().take(1).cloned().collect();
        // What is left out is still in the total and counted.
        assert_eq!(least, Top { rows, ..found });
    }
}

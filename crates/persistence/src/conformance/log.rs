//! Rules of the event log: what a filter selects, pages back in time, and what age takes away.

use fusion_core::{
    AgentId, Decision, Event, EventId, EventType, NewEvent, RunId, Severity, Timestamp,
};
use serde_json::json;
use uuid::Uuid;

use super::sample::at;
use super::world::{ODD, early, late, odd_json};
use crate::{Batch, Error, EventFilter, Prune, Store};

/// No places.
pub(super) const NONE: [u64; 0] = [];

/// An event of a log that holds nothing else: its number is its id.
pub(super) fn event(number: u128, seconds: i64, message: &str) -> NewEvent {
    NewEvent {
        id: EventId::from_uuid(Uuid::from_u128(number)),
        timestamp: at(seconds),
        event_type: EventType::SystemStarted,
        severity: Severity::Info,
        source_agent_id: None,
        source_component: "test".to_owned(),
        run_id: None,
        data: json!({}),
        message: message.to_owned(),
        message_queue_topic: None,
    }
}

/// Appends events in one batch; gives the place of the last one.
pub(super) async fn append(store: &dyn Store, events: Vec<NewEvent>) -> u64 {
    let decision = Decision {
        events,
        ..Decision::default()
    };
    store.commit(Batch::free(decision)).await.unwrap().last_seq
}

pub(super) fn places(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

async fn after(store: &dyn Store, filter: &EventFilter, place: u64) -> Vec<u64> {
    places(&store.events_after(filter, place, 1_000).await.unwrap())
}

/// The same forwards and backwards. `wanted` are places, from the oldest.
async fn selects(store: &dyn Store, filter: EventFilter, wanted: &[u64]) {
    assert_eq!(after(store, &filter, 0).await, wanted, "{filter:?}");
    let mut newest_first = places(&store.events_before(&filter, None, 1_000).await.unwrap());
    newest_first.reverse();
    assert_eq!(newest_first, wanted, "backwards: {filter:?}");
}

fn agent(number: u128) -> AgentId {
    AgentId::from_uuid(Uuid::from_u128(number))
}

fn run(number: u128) -> RunId {
    RunId::from_uuid(Uuid::from_u128(number))
}

/// Every field of an event survives the store, and it is found by its id.
pub async fn an_event_is_read_back_as_written(store: &dyn Store) {
    let full = NewEvent {
        timestamp: late(),
        event_type: EventType::ProviderCircuitOpened,
        severity: Severity::Critical,
        source_agent_id: Some(agent(1)),
        source_component: ODD.to_owned(),
        run_id: Some(run(2)),
        data: odd_json(),
        message: ODD.to_owned(),
        message_queue_topic: Some(ODD.to_owned()),
        ..event(1, 0, "")
    };
    let bare = NewEvent {
        timestamp: early(),
        ..event(2, 0, "")
    };
    assert_eq!(append(store, vec![full.clone(), bare.clone()]).await, 2);
    let wanted = [(1, full), (2, bare)].map(|(seq, event)| Event { seq, event });
    let all = EventFilter::default();
    assert_eq!(store.events_after(&all, 0, 10).await.unwrap(), wanted);
    for event in wanted {
        let found = store.event(event.event.id).await.unwrap();
        assert_eq!(found, Some(event));
    }
    let unknown = EventId::from_uuid(Uuid::from_u128(3));
    assert_eq!(store.event(unknown).await.unwrap(), None);
}

/// Twelve events: types, severities, agents and runs in turn, one a second.
async fn twelve(store: &dyn Store) {
    let types = [
        EventType::TaskQueued,
        EventType::TaskCompleted,
        EventType::WorkflowCompleted,
        EventType::AgentError,
    ];
    let severities = [Severity::Info, Severity::Error, Severity::Debug];
    let turn = |number: u128| NewEvent {
        event_type: types[usize::try_from(number % 4).unwrap()],
        severity: severities[usize::try_from(number % 3).unwrap()],
        source_agent_id: number.is_multiple_of(2).then(|| agent(number % 4)),
        run_id: (number < 6).then(|| run(number % 2)),
        ..event(number, i64::try_from(number).unwrap(), "")
    };
    append(store, (0..12).map(turn).collect()).await;
}

fn typed(patterns: &[&str]) -> EventFilter {
    only!(EventFilter, types: patterns.iter().map(|text| (*text).to_owned()).collect())
}

/// Types are selected by patterns: of several, one must match.
pub async fn events_are_selected_by_patterns_of_types(store: &dyn Store) {
    twelve(store).await;
    let (queued, completed) = ([1, 5, 9], [2, 6, 10]);
    selects(store, typed(&[]), &(1..=12).collect::<Vec<_>>()).await;
    selects(store, typed(&["task.queued"]), &queued).await;
    selects(store, typed(&["task.completed"]), &completed).await;
    selects(store, typed(&["task.*"]), &[1, 2, 5, 6, 9, 10]).await;
    selects(store, typed(&["*.completed"]), &[2, 3, 6, 7, 10, 11]).await;
    selects(store, typed(&["[aw]*"]), &[3, 4, 7, 8, 11, 12]).await;
    selects(
        store,
        typed(&["task.q*", "agent.?rror"]),
        &[1, 4, 5, 8, 9, 12],
    )
    .await;
    selects(store, typed(&["*"]), &(1..=12).collect::<Vec<_>>()).await;
    selects(store, typed(&["task"]), &[]).await;
    selects(store, typed(&["message.*", "nothing"]), &[]).await;
    for wrong in ["", "[a-\u{e4}]"] {
        let filter = typed(&["task.*", wrong]);
        for refused in [
            store.events_after(&filter, 0, 10).await.unwrap_err(),
            store.events_before(&filter, None, 10).await.unwrap_err(),
        ] {
            assert!(matches!(refused, Error::Invalid { .. }), "{refused:?}");
            assert!(refused.to_string().contains(wrong), "{refused}");
        }
    }
}

fn agents(numbers: &[u128]) -> Vec<AgentId> {
    numbers.iter().map(|number| agent(*number)).collect()
}

/// Agents, severities, runs and times; the end of a time is not in it.
pub async fn events_are_selected_by_each_condition(store: &dyn Store) {
    twelve(store).await;
    selects(store, only!(EventFilter, agents: agents(&[0])), &[1, 5, 9]).await;
    let several = only!(EventFilter, agents: agents(&[2, 0, 7]));
    selects(store, several, &[1, 3, 5, 7, 9, 11]).await;
    selects(store, only!(EventFilter, agents: agents(&[7])), &[]).await;
    let severities = vec![Severity::Error, Severity::Critical];
    selects(store, only!(EventFilter, severities), &[2, 5, 8, 11]).await;
    let severities = vec![Severity::Info, Severity::Error];
    selects(
        store,
        only!(EventFilter, severities),
        &[1, 2, 4, 5, 7, 8, 10, 11],
    )
    .await;
    selects(store, EventFilter::of_run(run(1)), &[2, 4, 6]).await;
    let (since, until) = (Some(at(4)), Some(at(8)));
    selects(
        store,
        only!(EventFilter, since),
        &[5, 6, 7, 8, 9, 10, 11, 12],
    )
    .await;
    selects(store, only!(EventFilter, until: since), &[1, 2, 3, 4]).await;
    selects(store, only!(EventFilter, since, until), &[5, 6, 7, 8]).await;
    selects(store, only!(EventFilter, since: until, until: since), &[]).await;
}

/// Of several conditions all must hold.
pub async fn events_are_selected_by_all_conditions_together(store: &dyn Store) {
    twelve(store).await;
    let severities = || vec![Severity::Error, Severity::Critical];
    let (since, until) = (Some(at(4)), Some(at(8)));
    let (run_0, run_1) = (Some(run(0)), Some(run(1)));
    let types = || vec!["task.*".to_owned()];
    let some = [
        (
            only!(EventFilter, severities: severities(), since, until),
            vec![5, 8],
        ),
        (
            only!(EventFilter, severities: severities(), agents: agents(&[0, 2])),
            vec![5, 11],
        ),
        (
            only!(EventFilter, severities: severities(), run: run_1),
            vec![2],
        ),
        (
            only!(EventFilter, severities: severities(), types: types()),
            vec![2, 5],
        ),
        (
            only!(EventFilter, types: types(), agents: agents(&[0]), until),
            vec![1, 5],
        ),
        (
            only!(EventFilter, types: types(), run: run_0, since),
            vec![5],
        ),
        (
            only!(EventFilter, types: types(), run: run_0, since: until),
            vec![],
        ),
    ];
    for (filter, wanted) in some {
        selects(store, filter, &wanted).await;
    }
}

/// Pages back in the order of the log, with many events of one time and some that were told late: each
/// event once, whatever the size of the pages; what is appended meanwhile does not disturb.
pub async fn the_log_is_paged_back_in_its_order(store: &dyn Store) {
    let told = |number: u128| {
        let kind = [
            EventType::TaskQueued,
            EventType::TaskFailed,
            EventType::ToolCalled,
        ];
        NewEvent {
            event_type: kind[usize::try_from(number % 3).unwrap()],
            source_agent_id: Some(agent(number % 2)),
            // Ten of each time; the later times come first.
            ..event(number, 100 - i64::try_from(number / 10).unwrap(), "")
        }
    };
    append(store, (0..60).map(told).collect()).await;
    let filters = [
        EventFilter::default(),
        typed(&["task.*"]),
        only!(EventFilter, agents: vec![agent(0), agent(1)]),
        EventFilter {
            agents: vec![agent(1)],
            ..typed(&["task.*", "tool.*"])
        },
    ];
    for (round, filter) in filters.iter().enumerate() {
        let whole = store.events_before(filter, None, 1_000).await.unwrap();
        assert!(whole.is_sorted_by(|newer, older| newer.seq > older.seq));
        let mut walked: Vec<Event> = vec![];
        loop {
            let before = walked.last().map(|event| event.seq);
            let page = store.events_before(filter, before, 7).await.unwrap();
            if page.is_empty() {
                break;
            }
            walked.extend(page);
            let number = 1_000 * (round as u128 + 1) + walked.len() as u128;
            append(store, vec![event(number, 200, "later")]).await;
        }
        assert_eq!(walked, whole, "{filter:?}");
    }
    let nothing = store.events_before(&filters[0], None, 0).await.unwrap();
    assert_eq!(nothing, []);
}

fn older_than(time: Timestamp, limit: u32) -> Prune {
    Prune {
        events_before: Some(time),
        limit,
        ..Prune::default()
    }
}

/// Where the log begins and ends.
async fn bounds(store: &dyn Store) -> (u64, u64) {
    let bounds = store.event_bounds().await.unwrap();
    (bounds.oldest, bounds.last)
}

async fn gone(store: &dyn Store, after: u64, wanted: u64) {
    assert_eq!(bounds(store).await.0, wanted);
    match store.events_after(&EventFilter::default(), after, 10).await {
        Err(Error::Gone { oldest }) => assert_eq!(oldest, wanted),
        other => panic!("{other:?}"),
    }
}

/// Age takes events from the front only and a few at a time, so that the rest has no gaps; who read
/// up to the edge goes on, who is further behind is told.
pub async fn old_events_go_from_the_front(store: &dyn Store) {
    assert_eq!(bounds(store).await, (1, 0));
    let seconds = [1, 2, 3, 1, 9, 1, 9];
    let events = seconds.iter().enumerate();
    let events = events.map(|(number, time)| event(number as u128, *time, "word"));
    append(store, events.collect()).await;
    assert_eq!(bounds(store).await, (1, 7));
    assert_eq!(store.prune(older_than(at(1), 10)).await.unwrap(), 0);
    assert_eq!(store.prune(older_than(at(5), 0)).await.unwrap(), 0);
    assert_eq!(after(store, &EventFilter::default(), 0).await.len(), 7);
    for wanted in [3, 1, 0] {
        assert_eq!(store.prune(older_than(at(5), 3)).await.unwrap(), wanted);
    }
    let all = EventFilter::default();
    assert_eq!(
        after(store, &all, 4).await,
        [5, 6, 7],
        "6 is old, but not at the front"
    );
    assert_eq!(after(store, &all, 5).await, [6, 7]);
    for behind in [0, 3] {
        gone(store, behind, 5).await;
    }
    let first = EventId::from_uuid(Uuid::from_u128(0));
    assert_eq!(store.event(first).await.unwrap(), None);
    let text = Some("word".to_owned());
    let found = store
        .events_before(&EventFilter { text, ..all }, None, 10)
        .await;
    assert_eq!(places(&found.unwrap()), [7, 6, 5]);
}

/// When age took all events, who is behind is told as well, and numbers go on after the last.
pub async fn a_log_that_age_emptied_goes_on_with_its_numbers(store: &dyn Store) {
    let all = EventFilter::default();
    assert_eq!(after(store, &all, 0).await, NONE, "nothing happened yet");
    append(store, (0..5).map(|number| event(number, 1, "")).collect()).await;
    assert_eq!(store.prune(older_than(at(2), 10)).await.unwrap(), 5);
    for behind in [0, 4] {
        gone(store, behind, 6).await;
    }
    assert_eq!(after(store, &all, 5).await, NONE);
    assert_eq!(
        places(&store.events_before(&all, None, 10).await.unwrap()),
        NONE
    );
    assert_eq!(append(store, vec![event(9, 3, "")]).await, 6);
    assert_eq!(after(store, &all, 5).await, [6]);
    gone(store, 4, 6).await;
}

/// A reader that goes on after the last event it saw misses none and sees none twice, while age
/// takes what it has read and others append.
pub async fn a_reader_in_step_is_not_disturbed_by_age(store: &dyn Store) {
    let all = EventFilter::default();
    let mut seen = vec![];
    for round in 0..20_u32 {
        let events = (0..5).map(|part| event(u128::from(round * 5 + part), i64::from(round), ""));
        let read = store.events_after(&all, u64::from(round) * 5, 1_000);
        let told = append(store, events.collect());
        let old = store.prune(older_than(at(i64::from(round) - 1), 5));
        let (early, _, old) = futures::join!(read, told, old);
        old.unwrap();
        assert!(early.unwrap().len() <= 5);
        let last = seen.last().copied().unwrap_or(0);
        seen.extend(after(store, &all, last).await);
    }
    assert_eq!(seen, (1..=100).collect::<Vec<_>>());
}

/// Samples of metrics go by their age, the oldest first, in small batches.
pub async fn old_metrics_go(store: &dyn Store) {
    use crate::{MetricsFilter, Page, Repository, WriteRepository};

    let world = super::world::World::store(store).await;
    for seconds in [5, 3, 1, 4, 2] {
        let mut sample = world.metrics();
        sample.timestamp = at(seconds);
        store.create(sample).await.unwrap();
    }
    let old = Prune {
        metrics_before: Some(at(4)),
        limit: 2,
        ..Prune::default()
    };
    let mut left = vec![];
    for wanted in [2, 1, 0] {
        assert_eq!(store.prune(old).await.unwrap(), wanted);
        let rows = store
            .list(&MetricsFilter::default(), Page::first(10))
            .await
            .unwrap();
        let mut times: Vec<_> = rows.iter().map(|row| row.timestamp.timestamp()).collect();
        times.sort_unstable();
        left.push(times);
    }
    assert_eq!(left, [vec![3, 4, 5], vec![4, 5], vec![4, 5]]);
    let events = store
        .events_after(&EventFilter::default(), 0, 1)
        .await
        .unwrap();
    assert_eq!(events.len(), 1, "nothing else goes");
}

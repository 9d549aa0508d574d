//! Sends the events of one webhook, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use fusion_core::{
    Agent, AgentId, Change, Decision, Event, ProjectId, Run, RunId, Timestamp, WEBHOOK_LEASE,
    Webhook, WebhookAttempt, WebhookAttemptId, WebhookId, WebhookLease, WebhookOutcome,
    WebhookState, Workflow, error_chain,
};
use fusion_persistence::{Batch, Error as StoreError, EventFilter};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::postman::{Postman, Tried};
use super::{AFTER_A_FAILURE, is_race};
use crate::{Coordinator, Error, Result};

/// Events that are read at once.
const AT_ONCE: u32 = 100;

/// After a commit, this long for those that come with it.
const GATHER: Duration = Duration::from_millis(20);

/// How long an attempt that is under way may take when the process is told to stop.
const LAST_WORD: Duration = Duration::from_secs(2);

/// So many events that are not selected may be passed over before that is written down.
const PASSED: u64 = 1_000;

/// How often the wait after a failure of the store is doubled: up to four minutes.
const MOST_DOUBLED: u32 = 8;

/// Runs and agents whose project is kept in mind.
const KNOWN: usize = 1_000;

/// What stands in the place of a type for events that are gone.
const GAP: &str = "gap";

/// Sends the events of a webhook.
pub(super) struct Courier {
    coordinator: Coordinator,
    id: WebhookId,
    postman: Postman,
    /// Rises with each event that this process tells.
    told: watch::Receiver<u64>,
    /// Rises with each look that is asked for.
    calls: watch::Receiver<u64>,
    /// Up to here nothing is selected, whatever the row says.
    place: u64,
    projects: Projects,
    /// How often in a row the store failed.
    failures: u32,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Look again at once.
    Again,
    /// Wait for events.
    Idle,
    /// Look after that time, whatever happens meanwhile.
    Later(Duration),
    /// No events are wanted any more.
    End,
}

impl Coordinator {
    pub(super) fn courier(
        &self,
        id: WebhookId,
        calls: watch::Receiver<u64>,
        postman: Postman,
    ) -> Courier {
        Courier {
            coordinator: self.clone(),
            id,
            postman,
            told: self.told.subscribe(),
            calls,
            place: 0,
            projects: Projects::default(),
            failures: 0,
        }
    }
}

impl Courier {
    /// Works until no events are wanted any more, or `cancel` is called.
    pub(super) async fn work(mut self, cancel: &CancellationToken) {
        let mut is_called = true;
        loop {
            self.told.mark_unchanged();
            self.calls.mark_unchanged();
            let looked = Box::pin(self.look(is_called, cancel)).await;
            let next = looked.unwrap_or_else(|error| self.after_a_failure(&error));
            if !matches!(next, Next::Later(_)) {
                self.failures = 0;
            }
            is_called = match next {
                Next::End => return,
                Next::Again => false,
                Next::Idle => self.idle(cancel).await,
                Next::Later(time) => {
                    tokio::select! {
                        () = cancel.cancelled() => false,
                        _ = self.calls.changed() => true,
                        () = sleep(time) => false,
                    }
                }
            };
            if cancel.is_cancelled() {
                return;
            }
        }
    }

    /// When to look again. A store that takes no word of what was sent would have it sent again each time,
    /// so the waits grow.
    fn after_a_failure(&mut self, error: &Error) -> Next {
        if is_race(error) {
            return Next::Again;
        }
        let told = error_chain(error);
        tracing::error!(webhook.id = %self.id, error = told, "a webhook could not be served");
        let wait = wait_after(self.failures);
        self.failures = self.failures.saturating_add(1);
        Next::Later(wait)
    }

    /// Until there may be new events; whether somebody asked for a look.
    async fn idle(&mut self, cancel: &CancellationToken) -> bool {
        tokio::select! {
            () = cancel.cancelled() => false,
            _ = self.calls.changed() => true,
            _ = self.told.changed() => {
                sleep(GATHER).await;
                false
            }
        }
    }

    /// Sends what there is to send.
    async fn look(&mut self, is_called: bool, cancel: &CancellationToken) -> Result<Next> {
        let store = &self.coordinator.parts.store;
        let found: Option<Webhook> = store.find(self.id).await?;
        let Some(webhook) = found.filter(|row| row.state == WebhookState::Enabled) else {
            return Ok(Next::End);
        };
        if let Some(wait) = self.wait(&webhook) {
            return Ok(Next::Later(wait));
        }
        // Before the events are read: what comes meanwhile is not passed over.
        let end = store.event_bounds().await?.last;
        let filter = EventFilter {
            types: webhook.events.clone(),
            severities: webhook.severities.clone(),
            ..EventFilter::default()
        };
        let from = webhook.cursor.max(self.place);
        let events = match store.events_after(&filter, from, AT_ONCE).await {
            Err(StoreError::Gone { oldest }) => return self.tell_gap(webhook, from, oldest).await,
            events => events?,
        };
        let is_whole = events.len() < AT_ONCE as usize;
        let read_to = match events.last() {
            Some(last) if !is_whole => last.seq,
            Some(last) => last.seq.max(end),
            None => from.max(end),
        };
        let events = self.of_project(&webhook, events).await?;
        if events.is_empty() {
            self.place = read_to;
            let passed = read_to.saturating_sub(webhook.cursor);
            if passed >= PASSED || (is_called && passed > 0) {
                self.pass_over(webhook, read_to).await?;
            }
            return Ok(if is_whole { Next::Idle } else { Next::Again });
        }
        self.deliver(webhook, events, cancel).await
    }

    /// How long there is nothing to do: the next attempt is later, or another node delivers.
    fn wait(&self, webhook: &Webhook) -> Option<Duration> {
        let now = self.coordinator.parts.clock.now();
        let left = |then: Timestamp| (then - now).to_std().ok();
        let rest = webhook.rests_until(now).and_then(left);
        // A process that owns its store is the only one.
        let is_shared = self.coordinator.options.node.is_some();
        let other = webhook
            .lease
            .filter(|lease| is_shared && lease.owner != self.coordinator.node);
        rest.max(other.and_then(|lease| left(lease.holds_until(now)?)))
    }

    async fn of_project(&mut self, webhook: &Webhook, events: Vec<Event>) -> Result<Vec<Event>> {
        let Some(project) = webhook.project else {
            return Ok(events);
        };
        let mut selected = Vec::new();
        for event in events {
            if self.projects.of(&self.coordinator, &event).await? == Some(project) {
                selected.push(event);
            }
        }
        Ok(selected)
    }

    /// Notes that nothing up to this place is selected. Who was quicker has noted more.
    async fn pass_over(&self, webhook: Webhook, cursor: u64) -> Result<()> {
        let passed = Webhook { cursor, ..webhook };
        let decision = Decision::default().with(Change::update(passed));
        match self.coordinator.commit(Batch::free(decision)).await {
            Err(error) if is_race(&error) => Ok(()),
            written => written,
        }
    }

    /// Notes that events were deleted by their age before anybody looked whether they are to be sent, and goes
    /// on after them.
    async fn tell_gap(&self, webhook: Webhook, from: u64, oldest: u64) -> Result<Next> {
        let last = oldest.saturating_sub(1);
        let first = from.saturating_add(1);
        let why = format!(
            "the events {first} to {last} were deleted by their age before they were looked at"
        );
        tracing::warn!(webhook.id = %webhook.id, name = webhook.name, "{why}");
        let gap = WebhookAttempt {
            error: Some(why),
            ..self.attempt(&webhook, last, GAP)
        };
        let moved = Webhook {
            cursor: last,
            ..webhook
        };
        let decision = Decision::default()
            .with(Change::update(moved))
            .with(Change::create(gap));
        self.coordinator.commit(Batch::free(decision)).await?;
        Ok(Next::Again)
    }

    fn attempt(&self, webhook: &Webhook, seq: u64, event_type: &str) -> WebhookAttempt {
        let moment = self.coordinator.moment();
        WebhookAttempt {
            id: WebhookAttemptId::from_uuid(moment.ids.uuid()),
            webhook_id: webhook.id,
            seq,
            event_type: event_type.to_owned(),
            attempt: webhook.trouble.attempts.saturating_add(1),
            status: None,
            error: None,
            duration_ms: 0,
            at: moment.now,
        }
    }

    /// Sends these events until one is not taken.
    async fn deliver(
        &mut self,
        webhook: Webhook,
        events: Vec<Event>,
        cancel: &CancellationToken,
    ) -> Result<Next> {
        let mut webhook = self.claim(webhook).await?;
        let count = events.len();
        for (place, event) in events.into_iter().enumerate() {
            let (seq, now) = (event.seq, self.coordinator.parts.clock.now());
            let mut attempt = self.attempt(&webhook, seq, event.event.event_type.as_str());
            if webhook.trouble.attempts > 0 {
                // A person may have had it sent meanwhile, which is an attempt too.
                let last = self.coordinator.last_attempt(webhook.id, seq).await?;
                attempt.attempt = attempt.attempt.max(last.saturating_add(1));
            }
            let sending = Box::pin(self.postman.send(&webhook, event, now));
            let tried = tokio::select! {
                tried = sending => tried,
                () = cut_off(cancel) => return self.give_up(webhook).await,
            };
            let is_last = place + 1 == count || cancel.is_cancelled();
            let lease = if is_last { None } else { self.lease() };
            let is_taken = tried.outcome == WebhookOutcome::Taken;
            webhook = self
                .note(Webhook { lease, ..webhook }, attempt, tried)
                .await?;
            if !is_taken || is_last {
                break;
            }
        }
        self.place = self.place.max(webhook.cursor);
        Ok(Next::Again)
    }

    /// Takes the right to deliver, where another node may do so, too.
    async fn claim(&self, webhook: Webhook) -> Result<Webhook> {
        let Some(lease) = self.lease() else {
            return Ok(webhook);
        };
        self.write(Webhook {
            lease: Some(lease),
            ..webhook
        })
        .await
    }

    /// The right to deliver for a while; `None` where nobody else can.
    fn lease(&self) -> Option<WebhookLease> {
        let coordinator = &self.coordinator;
        coordinator.options.node.as_ref().map(|_| WebhookLease {
            owner: coordinator.node,
            until: coordinator.parts.clock.now() + WEBHOOK_LEASE,
        })
    }

    /// An attempt was cut off by the end of the process: it is made again, by whoever comes next.
    async fn give_up(&self, webhook: Webhook) -> Result<Next> {
        if webhook.lease.is_some() {
            self.write(Webhook {
                lease: None,
                ..webhook
            })
            .await?;
        }
        Ok(Next::End)
    }

    async fn write(&self, webhook: Webhook) -> Result<Webhook> {
        let decision = Decision::default().with(Change::update(webhook.clone()));
        self.coordinator.commit(Batch::free(decision)).await?;
        Ok(Webhook {
            version: webhook.version + 1,
            ..webhook
        })
    }

    /// Writes down what came of an attempt, and goes on in the same commit.
    async fn note(
        &self,
        webhook: Webhook,
        attempt: WebhookAttempt,
        tried: Tried,
    ) -> Result<Webhook> {
        let attempt = WebhookAttempt {
            status: tried.status,
            error: tried.error().map(str::to_owned),
            duration_ms: tried.duration_ms,
            ..attempt
        };
        let (webhook, event) = webhook.after(attempt.seq, tried.outcome, self.coordinator.moment());
        let mut decision = Decision::default()
            .with(Change::update(webhook.clone()))
            .with(Change::create(attempt));
        decision.events.extend(event);
        self.coordinator.commit(Batch::free(decision)).await?;
        Ok(Webhook {
            version: webhook.version + 1,
            ..webhook
        })
    }
}

/// How long to wait when the store has failed so often before.
fn wait_after(failures: u32) -> Duration {
    AFTER_A_FAILURE.saturating_mul(1 << failures.min(MOST_DOUBLED))
}

/// Comes a little after the word to stop.
async fn cut_off(cancel: &CancellationToken) {
    cancel.cancelled().await;
    sleep(LAST_WORD).await;
}

/// Tells the projects of events.
#[derive(Default)]
struct Projects {
    runs: BTreeMap<RunId, Option<ProjectId>>,
    agents: BTreeMap<AgentId, Option<ProjectId>>,
}

impl Projects {
    /// The project of the run that an event belongs to or of one above it, else of its agent.
    async fn of(&mut self, coordinator: &Coordinator, event: &Event) -> Result<Option<ProjectId>> {
        if self.runs.len() + self.agents.len() > KNOWN {
            *self = Self::default();
        }
        if let Some(run) = event.event.run_id {
            let project = self.of_run(coordinator, run).await?;
            if project.is_some() {
                return Ok(project);
            }
        }
        let Some(agent) = event.event.source_agent_id else {
            return Ok(None);
        };
        if let Some(known) = self.agents.get(&agent) {
            return Ok(*known);
        }
        let found: Option<Agent> = coordinator.parts.store.find(agent).await?;
        let project = found.and_then(|agent| agent.project_id);
        self.agents.insert(agent, project);
        Ok(project)
    }

    async fn of_run(&mut self, coordinator: &Coordinator, run: RunId) -> Result<Option<ProjectId>> {
        if let Some(known) = self.runs.get(&run) {
            return Ok(*known);
        }
        let (mut project, mut above) = (None, Some(run));
        while let (None, Some(id)) = (project, above) {
            let found: Option<Run> = coordinator.parts.store.find(id).await?;
            above = found
                .as_ref()
                .and_then(|run| run.parent.as_ref())
                .map(|parent| parent.run_id);
            project = match &found {
                Some(run) => of_one(coordinator, run).await?,
                None => None,
            };
        }
        self.runs.insert(run, project);
        Ok(project)
    }
}

/// The project of a run alone: of the pool that its only task waits in, or of its workflow, or of the
/// standing agent that does it.
async fn of_one(coordinator: &Coordinator, run: &Run) -> Result<Option<ProjectId>> {
    let store = &coordinator.parts.store;
    if run.is_standalone {
        let tasks = store.tasks_of_run(run.id).await?;
        return Ok(tasks.into_iter().find_map(|task| task.pool?.project));
    }
    let workflow: Option<Workflow> = store.find(run.workflow_id).await?;
    if let Some(project) = workflow.and_then(|workflow| workflow.project_id) {
        return Ok(Some(project));
    }
    let agents = store.agents_of_run(run.id).await?;
    Ok(agents.into_iter().find_map(|(agent, _)| agent.project_id))
}

#[cfg(test)]
mod tests {
    use super::wait_after;

    #[test]
    fn a_store_that_goes_on_failing_is_tried_less_and_less() {
        let waits = (0..11).map(|failures| wait_after(failures).as_secs());
        let expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256];
        assert_eq!(waits.collect::<Vec<_>>(), expected);
    }
}

//! A provider for the tests of the layers: answers as planned and remembers when it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fusion_core::Usage;
use tokio::time::Instant;

use crate::{
    Ability, Catalog, CostSource, Delta, DeltaSink, Error, FinishReason, ModelInfo, ModelRequest,
    Notice, Observer, Provider, QuotaInfo, Result, Turn, TurnPlace, TurnRequest,
};

/// What one call gets, and how long it takes.
#[derive(Debug)]
pub(crate) struct Answer {
    result: Result<Usage>,
    takes: Duration,
    shows: Option<&'static str>,
}

impl Answer {
    pub(crate) fn yes() -> Self {
        Self::using(Usage::default())
    }

    pub(crate) const fn using(usage: Usage) -> Self {
        Self {
            result: Ok(usage),
            takes: Duration::ZERO,
            shows: None,
        }
    }

    pub(crate) const fn no(error: Error) -> Self {
        Self {
            result: Err(error),
            takes: Duration::ZERO,
            shows: None,
        }
    }

    pub(crate) const fn after(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    pub(crate) const fn showing(mut self, text: &'static str) -> Self {
        self.shows = Some(text);
        self
    }
}

/// One call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Since the double was made.
    pub(crate) at: Duration,
    pub(crate) agent: String,
    pub(crate) model: String,
    pub(crate) key: String,
}

type Plan = Box<dyn FnMut(Duration, &TurnRequest<'_>) -> Answer + Send>;

/// What lost answers cost, by their ids, and how long it takes to say so.
pub(crate) type Bills = Arc<Mutex<BTreeMap<String, (Duration, Usage)>>>;

/// Answers by a plan, else "yes" at once.
pub(crate) struct Double {
    plan: Mutex<Plan>,
    calls: Mutex<Vec<Call>>,
    bills: Bills,
    /// The ids that were asked for.
    asked: Mutex<Vec<String>>,
    start: Instant,
}

impl Double {
    /// Gives these answers in turn, then "yes".
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        let mut answers: VecDeque<Answer> = answers.into_iter().collect();
        Self::by(move |_, _| answers.pop_front().unwrap_or_else(Answer::yes))
    }

    /// Answers by the time since its making and the request.
    pub(crate) fn by(
        plan: impl FnMut(Duration, &TurnRequest<'_>) -> Answer + Send + 'static,
    ) -> Arc<Self> {
        Self::billing(Bills::default(), plan)
    }

    /// Answers by a plan, and tells what lost answers cost.
    pub(crate) fn billing(
        bills: Bills,
        plan: impl FnMut(Duration, &TurnRequest<'_>) -> Answer + Send + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            plan: Mutex::new(Box::new(plan)),
            calls: Mutex::default(),
            bills,
            asked: Mutex::default(),
            start: Instant::now(),
        })
    }

    /// The ids of answers whose cost was asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn times(&self) -> Vec<Duration> {
        self.calls().into_iter().map(|call| call.at).collect()
    }

    pub(crate) fn agents(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.agent).collect()
    }
}

impl std::fmt::Debug for Double {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Double").finish_non_exhaustive()
    }
}

#[async_trait]
impl Provider for Double {
    async fn spawn_agent(&self, request: &ModelRequest<'_>) -> Result<ModelInfo> {
        Ok(ModelInfo {
            model: request.model.to_owned(),
            scripted: false,
            context_length: None,
            max_output_tokens: None,
            price: None,
            tools: Ability::Unknown,
            json_schema: Ability::Unknown,
        })
    }

    async fn send_message(
        &self,
        request: &TurnRequest<'_>,
        deltas: &dyn DeltaSink,
    ) -> Result<Turn> {
        let at = self.start.elapsed();
        self.calls.lock().unwrap().push(Call {
            at,
            agent: request.place.agent.to_owned(),
            model: request.model.to_owned(),
            key: request.place.key.to_owned(),
        });
        let answer = (self.plan.lock().unwrap())(at, request);
        if let Some(text) = answer.shows {
            deltas.take(Delta::Text(text));
        }
        tokio::time::sleep(answer.takes).await;
        answer.result.map(|usage| turn(request.model, usage))
    }

    async fn get_quota_info(&self) -> Result<QuotaInfo> {
        Ok(QuotaInfo::default())
    }

    async fn get_generation(&self, id: &str) -> Result<Option<Usage>> {
        self.asked.lock().unwrap().push(id.to_owned());
        let bill = self.bills.lock().unwrap().get(id).copied();
        let Some((takes, usage)) = bill else {
            return Ok(None);
        };
        tokio::time::sleep(takes).await;
        Ok(Some(usage))
    }

    async fn list_models(&self) -> Result<Option<Catalog>> {
        Ok(None)
    }
}

pub(crate) fn turn(model: &str, usage: Usage) -> Turn {
    Turn {
        text: "yes".into(),
        tool_calls: vec![],
        reasoning: None,
        finish_reason: FinishReason::Stop,
        usage,
        tokens_are_estimated: false,
        cost_source: CostSource::Unknown,
        served_by: None,
        model: model.to_owned(),
        generation_id: None,
    }
}

pub(crate) fn request<'a>(model: &'a str, agent: &'a str) -> TurnRequest<'a> {
    TurnRequest {
        model,
        system: "",
        messages: &[],
        tools: &[],
        output_schema: None,
        max_tokens: None,
        temperature: None,
        options: None,
        may_wait: true,
        place: TurnPlace {
            run: "run",
            task: "task",
            step: "s",
            turn: 1,
            agent,
            key: "k",
        },
    }
}

pub(crate) fn look_up(model: &str) -> ModelRequest<'_> {
    ModelRequest {
        model,
        needs_tools: false,
        needs_json_schema: false,
        base_dir: Path::new("."),
        steps: &[],
    }
}

pub(crate) fn server(status: u16) -> Error {
    Error::Server {
        provider: "p".into(),
        status,
        message: "down".into(),
        retry_after: None,
        generation_id: None,
    }
}

/// A stream that broke off.
pub(crate) fn cut(id: Option<&str>) -> Error {
    Error::Truncated {
        provider: "p".into(),
        problem: "it stops in the middle".into(),
        generation_id: id.map(Into::into),
    }
}

pub(crate) fn limited(retry_after: Option<Duration>) -> Error {
    Error::Limited {
        provider: "p".into(),
        message: "slow down".into(),
        retry_after,
    }
}

pub(crate) fn bad_request() -> Error {
    Error::BadRequest {
        provider: "p".into(),
        status: 400,
        message: "no".into(),
    }
}

/// Keeps what it hears.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<Notice>>);

impl Heard {
    pub(crate) fn all(&self) -> Vec<Notice> {
        self.0.lock().unwrap().clone()
    }
}

impl Observer for Heard {
    fn notice(&self, notice: Notice) {
        self.0.lock().unwrap().push(notice);
    }
}

//! Messages: the log, and what people send.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fusion_api_types::api::{self, MessagePage, NewMessage};
use fusion_api_types::{AgentName, DeliveryView};
use fusion_coordination::Letter;
use fusion_core::{
    Agent, AgentId, AgentState, Audience, DeliveryStatus, Draft, Message, MessageId, RunId,
    TOPIC_OF_EVERYONE, inbox_subject, reserved_part,
};
use fusion_messaging::{Pattern, Subject};
use fusion_persistence::{Error as StoreError, MessageFilter, Repository};
use serde_json::Value;

use super::path::Id;
use crate::idempotency::{Asked, answer_of, replayed};
use crate::input::{Fields, Input, parsed, time};
use crate::page;
use crate::parameters::Paging;
use crate::precondition::json;
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;

/// What a message is called that its sender gives no type.
const DEFAULT_TYPE: &str = "text";

/// Names of agents, each read once.
#[derive(Debug, Default)]
struct Names(BTreeMap<AgentId, AgentName>);

impl Names {
    async fn of(&mut self, app: &App, id: AgentId) -> Result<AgentName> {
        if let Some(known) = self.0.get(&id) {
            return Ok(known.clone());
        }
        let agent: Agent = app.reader().get(id).await?;
        let name = AgentName {
            id: id.to_string(),
            name: agent.name,
        };
        self.0.insert(id, name.clone());
        Ok(name)
    }

    async fn message(&mut self, app: &App, row: Message) -> Result<api::Message> {
        let sender = match row.sender_agent_id {
            Some(id) => Some(self.of(app, id).await?),
            None => None,
        };
        let recipients = match &row.recipient_agent_ids {
            Some(ids) => {
                let mut names = Vec::with_capacity(ids.len());
                for id in ids {
                    names.push(self.of(app, *id).await?);
                }
                Some(names)
            }
            None => None,
        };
        let ids = |names: &Vec<AgentName>| names.iter().map(|name| name.id.clone()).collect();
        Ok(api::Message {
            id: row.id.to_string(),
            seq: row.seq,
            timestamp: row.timestamp,
            sender_agent_id: sender.as_ref().map(|name| name.id.clone()),
            sender,
            recipient_agent_ids: recipients.as_ref().map(ids),
            recipients,
            topic: row.topic,
            payload: row.payload,
            message_type: row.message_type,
            delivery_status: row.delivery_status.to_string(),
            delivered_at: row.delivered_at,
            expiry_at: row.expiry_at,
            run_id: row.run_id.map(|id| id.to_string()),
            reply_to: row.reply_to.map(|id| id.to_string()),
            resends: row.resends.map(|id| id.to_string()),
            hops: row.hops,
        })
    }
}

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, send))
        .routes(routes!(get))
        .routes(routes!(resend))
}

/// The messages, the newest first.
#[utoipa::path(get, path = "/messages", tag = "messages", params(
    ("sender_agent_id" = Option<String>, Query, description = "Only those of this agent."),
    ("recipient_agent_id" = Option<String>, Query, description = "Only those for this agent."),
    ("topic" = Option<String>, Query, description = "Only those on this topic."),
    ("delivery_status" = Option<Vec<String>>, Query, description = "Only those with one of these statuses."),
    ("run_id" = Option<String>, Query, description = "Only those of this run."),
    ("since" = Option<String>, Query, description = "Only those of this time (RFC 3339) or later."),
    ("until" = Option<String>, Query, description = "Only those before this time (RFC 3339)."),
    Paging,
), responses((status = 200, body = MessagePage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&[
        "sender_agent_id",
        "recipient_agent_id",
        "topic",
        "delivery_status",
        "run_id",
        "since",
        "until",
        "limit",
        "cursor",
    ]);
    let filter = MessageFilter {
        sender: query.one("sender_agent_id", parsed),
        recipient: query.one("recipient_agent_id", parsed),
        topic: query.one("topic", parsed),
        statuses: query.many("delivery_status", |text| {
            word(
                text,
                DeliveryStatus::from_text,
                DeliveryStatus::ALL,
                DeliveryStatus::as_str,
            )
        }),
        run: query.one("run_id", parsed),
        since: query.one("since", time),
        until: query.one("until", time),
    };
    let page = query.page();
    query.finish()?;
    let found = page::rows(&app, &filter, page, |row| row.id).await?;
    let mut names = Names::default();
    let mut messages = Vec::with_capacity(found.rows.len());
    for row in found.rows {
        messages.push(names.message(&app, row).await?);
    }
    json(
        StatusCode::OK,
        &MessagePage {
            messages,
            total: found.total,
            next_cursor: found.next_cursor,
        },
    )
}

/// One message, and what became of it at each of its recipients.
#[utoipa::path(get, path = "/messages/{id}", tag = "messages",
    params(("id" = String, Path, description = "UUID of the message.")),
    responses((status = 200, body = api::MessageDetail)))]
async fn get(State(app): State<App>, Id(id): Id<MessageId>, query: Query) -> Result<Response> {
    query.none()?;
    let row = app.reader().get(id).await?;
    let mut names = Names::default();
    let begun_run_id = match (row.run_id, row.recipient_agent_ids.as_deref()) {
        (None, Some([only])) => app.coordinator().run_for(*only, id).await?,
        (Some(_) | None, _) => None,
    };
    let message = names.message(&app, row).await?;
    let mut deliveries = Vec::new();
    for delivery in app.reader().deliveries(id).await? {
        deliveries.push(DeliveryView {
            agent: names.of(&app, delivery.agent_id).await?,
            status: delivery.status.to_string(),
            settled_at: delivery.settled_at,
            reason: delivery.reason,
        });
    }
    let told = api::MessageDetail {
        message,
        deliveries,
        begun_run_id: begun_run_id.map(|run| run.to_string()),
    };
    json(StatusCode::OK, &told)
}

/// A request that was read.
struct Wanted<'a> {
    run: Option<RunId>,
    recipients: Vec<AgentId>,
    topic: Option<&'a str>,
    message_type: &'a str,
    payload: Value,
    reply_to: Option<MessageId>,
    expiry_at: Option<fusion_core::Timestamp>,
}

impl<'a> Wanted<'a> {
    fn read(fields: &mut Fields<'a>) -> Self {
        let wanted = Self {
            run: fields.read("run_id", parsed),
            recipients: fields.ids("recipient_agent_ids").unwrap_or_default(),
            topic: fields.name("topic"),
            message_type: fields.name("message_type").unwrap_or(DEFAULT_TYPE),
            payload: fields.any("payload").cloned().unwrap_or_default(),
            reply_to: fields.read("reply_to", parsed),
            expiry_at: fields.read("expiry_at", time),
        };
        if wanted.topic.is_some() && !wanted.recipients.is_empty() {
            fields.add("topic", "can't be given together with recipient_agent_ids");
        }
        if wanted.recipients.is_empty() && wanted.run.is_none() {
            fields.add("run_id", "is required where no recipients are named");
        }
        wanted
    }
}

/// Sends a message as a person; it is stored when this is answered.
#[utoipa::path(post, path = "/messages", tag = "messages", request_body = NewMessage,
    responses((status = 201, body = api::Message)))]
async fn send(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    let mut fields = input.fields(&[
        "run_id",
        "recipient_agent_ids",
        "topic",
        "payload",
        "message_type",
        "reply_to",
        "expiry_at",
    ]);
    let wanted = Wanted::read(&mut fields);
    fields.finish()?;
    if let Some(sent) = asked.remembered(&app, &input.bytes).await? {
        return sent_before(&app, &sent).await;
    }
    let reply_to = match wanted.reply_to {
        Some(id) => Some(app.reader().get(id).await?),
        None => None,
    };
    if let Some(agent) = alone(&app, &wanted).await? {
        return send_to_one(&app, &asked, (agent, &input), wanted, reply_to.as_ref()).await;
    }
    let (run_id, audience, topic) = addressed(&app, &wanted).await?;
    let draft = Draft {
        sender: None,
        run_id: Some(run_id),
        audience,
        topic,
        message_type: wanted.message_type.to_owned(),
        payload: wanted.payload,
        reply_to: reply_to.as_ref(),
        expiry_at: wanted.expiry_at,
    };
    let now = app.moment().now;
    let ask = |message: &Message| asked.ask(now, &input.bytes, || message.id);
    match app.coordinator().send_message(draft, ask).await {
        Ok(message) => answer(&app, message.id)
            .await
            .and_then(|sent| json(StatusCode::CREATED, &sent)),
        Err(fusion_coordination::Error::Store(StoreError::Repeated(remembered))) => {
            sent_before(&app, &answer_of(*remembered)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// The agent that belongs to no run, where the message is for one.
async fn alone(app: &App, wanted: &Wanted<'_>) -> Result<Option<AgentId>> {
    let ([only], None) = (wanted.recipients.as_slice(), wanted.run) else {
        return Ok(None);
    };
    let found: Option<Agent> = app.reader().find(*only).await?;
    Ok(found.filter(Agent::is_standing).map(|agent| agent.id))
}

/// An agent that belongs to no run begins one for the message, or reads it when it is free.
async fn send_to_one(
    app: &App,
    asked: &Asked,
    (agent, input): (AgentId, &Input),
    wanted: Wanted<'_>,
    reply_to: Option<&Message>,
) -> Result<Response> {
    let letter = Letter {
        message_type: wanted.message_type.to_owned(),
        payload: wanted.payload,
        reply_to,
        expiry_at: wanted.expiry_at,
    };
    let now = app.moment().now;
    let ask = |message: &Message| asked.ask(now, &input.bytes, || message.id);
    match app
        .coordinator()
        .send_to_agent_asked(agent, letter, ask)
        .await
    {
        Ok(sent) => json(StatusCode::CREATED, &answer(app, sent.message).await?),
        Err(fusion_coordination::Error::Store(StoreError::Repeated(remembered))) => {
            sent_before(app, &answer_of(*remembered)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Sends a failed or expired message again, as a new one, to those that have not read it and still
/// can.
#[utoipa::path(post, path = "/messages/{id}/resend", tag = "messages",
    params(("id" = String, Path, description = "UUID of the message.")),
    responses((status = 201, body = api::Message)))]
async fn resend(
    State(app): State<App>,
    Id(id): Id<MessageId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    query.none()?;
    if let Some(sent) = asked.remembered(&app, &[]).await? {
        return sent_before(&app, &sent).await;
    }
    let now = app.moment().now;
    let ask = |message: &Message| asked.ask(now, &[], || message.id);
    match app.coordinator().resend_message(id, ask).await {
        Ok(message) => json(StatusCode::CREATED, &answer(&app, message.id).await?),
        Err(fusion_coordination::Error::Store(StoreError::Repeated(remembered))) => {
            sent_before(&app, &answer_of(*remembered)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What is remembered is the id: the place in the log is the store's to give.
async fn sent_before(app: &App, sent: &str) -> Result<Response> {
    let id = serde_json::from_str::<MessageId>(sent);
    let id = id.map_err(|_| Refusal::internal("a remembered answer is no id of a message"))?;
    let text = serde_json::to_string(&answer(app, id).await?);
    let text = text.map_err(|error| Refusal::internal(&error.to_string()))?;
    replayed(StatusCode::CREATED, &text)
}

/// The message as it was when it was sent: the same whenever it is asked for again.
async fn answer(app: &App, id: MessageId) -> Result<api::Message> {
    let row = Message {
        delivery_status: DeliveryStatus::Pending,
        delivered_at: None,
        ..app.reader().get(id).await?
    };
    Names::default().message(app, row).await
}

/// The run, who gets it, and on which topic.
async fn addressed(app: &App, wanted: &Wanted<'_>) -> Result<(RunId, Audience, String)> {
    let Some(first) = wanted.recipients.first() else {
        let run = wanted
            .run
            .ok_or_else(|| Refusal::fault("/run_id", "is required"))?;
        return listening(app, run, wanted.topic).await;
    };
    let run = match wanted.run {
        Some(run) => run,
        None => of_run(&recipient(app, *first).await?)?,
    };
    refuse_if_ended(app, run).await?;
    for id in &wanted.recipients {
        let agent = recipient(app, *id).await?;
        if of_run(&agent)? != run {
            let message = format!("the agent {id} belongs to another run than {run}");
            return Err(Refusal::fault("/recipient_agent_ids", message));
        }
    }
    let topic = match wanted.recipients.as_slice() {
        [only] => inbox_subject(*only),
        _ => TOPIC_OF_EVERYONE.to_owned(),
    };
    Ok((run, Audience::Agents(wanted.recipients.clone()), topic))
}

fn of_run(agent: &Agent) -> Result<RunId> {
    agent.run_id.ok_or_else(|| {
        Refusal::fault(
            "/recipient_agent_ids",
            format!(
                "the agent {} belongs to no run: a message for it is for it alone",
                agent.id
            ),
        )
    })
}

async fn recipient(app: &App, id: AgentId) -> Result<Agent> {
    let found: Option<Agent> = app.reader().find(id).await?;
    match found {
        Some(agent) if agent.state == AgentState::Terminated => Err(Refusal::conflict(format!(
            "the agent '{}' has ended: it reads no more",
            agent.name
        ))),
        Some(agent) => Ok(agent),
        None => Err(Refusal::fault(
            "/recipient_agent_ids",
            format!("there is no agent {id}"),
        )),
    }
}

async fn refuse_if_ended(app: &App, id: RunId) -> Result<()> {
    let run: Option<fusion_core::Run> = app.reader().find(id).await?;
    match run {
        Some(run) if run.state.is_final() => Err(Refusal::conflict(format!(
            "run {id} is {} already: nobody would read it",
            run.state
        ))),
        Some(_) => Ok(()),
        None => Err(Refusal::fault("/run_id", format!("there is no run {id}"))),
    }
}

/// The agents of a run that listen to a topic; all of them without one.
async fn listening(
    app: &App,
    run: RunId,
    topic: Option<&str>,
) -> Result<(RunId, Audience, String)> {
    refuse_if_ended(app, run).await?;
    let subject = match topic {
        Some(topic) => Some(topic_of(topic)?),
        None => None,
    };
    let hears = |agent: &Agent| {
        subject.as_ref().is_none_or(|subject| {
            let patterns = agent.message_subscriptions.iter();
            let mut patterns = patterns.filter_map(|text| text.parse::<Pattern>().ok());
            patterns.any(|pattern| pattern.matches(subject))
        })
    };
    let agents = app.reader().agents_of_run(run).await?;
    let agents = agents.into_iter().map(|(agent, _)| agent);
    let reads = |agent: &Agent| agent.state != AgentState::Terminated && !agent.is_runner();
    let hearing = agents.filter(|agent| reads(agent) && hears(agent));
    let audience = Audience::Listeners(hearing.map(|agent| agent.id).collect());
    Ok((run, audience, topic.unwrap_or(TOPIC_OF_EVERYONE).to_owned()))
}

fn topic_of(topic: &str) -> Result<Subject> {
    if let Some(first) = reserved_part(topic) {
        let message = format!("topics that begin with `{first}.` belong to the engine");
        return Err(Refusal::fault("/topic", message));
    }
    topic
        .parse::<Subject>()
        .map_err(|error| Refusal::fault("/topic", error.to_string()))
}

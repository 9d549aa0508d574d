//! Webhooks: receivers that the event log is sent to.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fusion_api_types::api::{
    self, NewWebhook as Wanted, WebhookChanges, WebhookDeliveryPage, WebhookMade, WebhookPage,
};
use fusion_api_types::{Problem, ProblemKind};
use fusion_coordination::{MAX_WEBHOOKS, NewWebhook, NoKey, WebhookFault};
use fusion_core::{Severity, Webhook, WebhookAttemptId, WebhookId, WebhookState};
use fusion_persistence::{Repository, WebhookAttemptFilter, WebhookFilter};
use secrecy::ExposeSecret;

use super::events::severities;
use super::path::Id;
use super::records;
use crate::idempotency::Asked;
use crate::input::{Fields, Input, parsed};
use crate::page;
use crate::parameters::{Paging, Trying};
use crate::precondition::{check, json, resource};
use crate::problem::{Refusal, Result};
use crate::query::{Query, word};
use crate::routed::{Routes, routes};
use crate::state::App;
use crate::webhook_views::{webhook as view, webhook_test};

pub(super) fn router<R: Routes>() -> R {
    R::none()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(test))
        .routes(routes!(rotate))
        .routes(routes!(deliveries))
        .routes(routes!(resend))
}

/// The webhooks, the newest first.
#[utoipa::path(get, path = "/webhooks", tag = "webhooks", params(
    ("name" = Option<String>, Query, description = "Only the one of this name."),
    ("state" = Option<String>, Query, description = "Only those in this state."),
    Paging,
), responses((status = 200, body = WebhookPage)))]
async fn list(State(app): State<App>, query: Query) -> Result<Response> {
    let mut query = query.of(&["name", "state", "limit", "cursor"]);
    let state = |text: &str| {
        word(
            text,
            WebhookState::from_text,
            WebhookState::ALL,
            WebhookState::as_str,
        )
    };
    let filter = WebhookFilter {
        name: query.one("name", parsed),
        states: query.one("state", state).into_iter().collect(),
    };
    let page = query.page();
    query.finish()?;
    page::answer(&app, &filter, page).await
}

/// Makes a webhook: what happens from now on is sent to it. The secret that signs is in the answer and
/// never shown again, so an `Idempotency-Key` is refused here: the answer could not be given a second time.
#[utoipa::path(post, path = "/webhooks", tag = "webhooks", request_body = Wanted,
    responses((status = 201, body = WebhookMade)))]
async fn create(
    State(app): State<App>,
    asked: Asked,
    query: Query,
    input: Input,
) -> Result<Response> {
    query.none()?;
    asked.refuse_key()?;
    let mut fields = input.fields(&[
        "name",
        "url",
        "events",
        "severities",
        "project_id",
        "allow_private",
    ]);
    let new = read(&mut fields);
    fields.finish()?;
    let count = app.reader().count(&WebhookFilter::default()).await?;
    if count >= u64::from(MAX_WEBHOOKS) {
        let message = format!("there are {MAX_WEBHOOKS} webhooks already, and no more may be");
        return Err(Refusal::fault("", message));
    }
    let end = app.reader().event_bounds().await?.last;
    let moment = app.moment();
    let id = WebhookId::from_uuid(moment.ids.uuid());
    let made = app.parts.postman.new_secret(id, &new.url);
    let (secret, sealed) = made.map_err(no_key)?;
    let row = new.row(id, sealed, end, moment.now);
    let coordinator = app.coordinator();
    coordinator
        .create_record(row.clone(), asked.plain())
        .await?;
    coordinator.hint_webhooks();
    let made = WebhookMade {
        webhook: view(row),
        secret: secret.expose_secret().to_owned(),
    };
    json(StatusCode::CREATED, &made)
}

/// Who looks after the server can make a key.
#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
fn no_key(why: NoKey) -> Refusal {
    Problem::new(ProblemKind::Unavailable, why.to_string()).into()
}

/// What is asked for; the fields say what is wrong with it.
fn read(fields: &mut Fields<'_>) -> NewWebhook {
    let mut least = Vec::new();
    for text in fields.ids::<String>("severities").unwrap_or_default() {
        match severities(&text) {
            Ok(some) => least.extend(some),
            Err(why) => fields.add("severities", why),
        }
    }
    let has_url = fields.has("url");
    let new = NewWebhook {
        name: fields.needed_name("name"),
        url: fields
            .needed("url", |text| Ok(text.to_owned()))
            .unwrap_or_default(),
        events: fields.ids("events").unwrap_or_default(),
        severities: each_once(&least),
        project: fields.read("project_id", parsed),
        allows_private: fields.flag("allow_private").unwrap_or_default(),
    };
    for fault in new.faults() {
        match fault {
            WebhookFault::Url(why) if has_url => fields.add("url", why),
            WebhookFault::Url(_) => {}
            WebhookFault::Event(why) => fields.add("events", why),
        }
    }
    new
}

fn each_once(severities: &[Severity]) -> Vec<Severity> {
    let all = Severity::ALL.iter().copied();
    all.filter(|one| severities.contains(one)).collect()
}

/// One webhook.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "UUID of the webhook.")),
    responses((status = 200, body = api::Webhook)))]
async fn get(
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    records::shown(&app, id, (&query, &headers), view).await
}

/// Has events sent, or not. Its place in the log moves on by itself: `If-Match` also tells of that.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "webhooks", request_body = WebhookChanges,
    params(("id" = String, Path, description = "UUID of the webhook.")),
    responses((status = 200, body = api::Webhook)))]
async fn change(
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    asked: Asked,
    (query, headers): (Query, HeaderMap),
    input: Input,
) -> Result<Response> {
    query.none()?;
    let row: Webhook = records::to_change(&app, id, &headers).await?;
    let mut fields = input.fields(&["enabled"]);
    let wanted = fields.flag("enabled");
    if wanted.is_none() {
        fields.add("enabled", "is required");
    }
    fields.finish()?;
    let (on, now) = (wanted.unwrap_or_default(), app.moment().now);
    if headers.contains_key(header::IF_MATCH) {
        let changed = records::changed(&app, &asked, row.switched(on, now), view).await;
        app.coordinator().hint_webhooks();
        return changed;
    }
    let switch = |row: Webhook| row.switched(on, now);
    let ask = || asked.plain();
    let row = app.coordinator().change_webhook(id, switch, ask).await?;
    resource(&HeaderMap::new(), row.version, &view(row))
}

/// Takes a webhook away, with what is kept of its deliveries.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "webhooks",
    params(("id" = String, Path, description = "UUID of the webhook."), Trying),
    responses((status = 204, description = "It is gone.")))]
async fn delete(
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let dry_run = query.dry_run()?;
    let row: Webhook = records::to_change(&app, id, &headers).await?;
    if dry_run || headers.contains_key(header::IF_MATCH) {
        return records::removed(&app, (&asked, dry_run), &row).await;
    }
    let ask = || asked.plain();
    app.coordinator().remove_webhook(id, ask).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sends one message `webhook.test`, signed as all are, and says what came of it. It is in no log, and
/// sent again where the request is.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "webhooks",
    params(("id" = String, Path, description = "UUID of the webhook.")),
    responses((status = 200, body = api::WebhookTest)))]
async fn test(
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    query.none()?;
    asked.refuse_key()?;
    let row = app.reader().get(id).await?;
    let tried = app.parts.postman.test(&row, app.moment()).await;
    json(StatusCode::OK, &webhook_test(&tried))
}

/// Makes another secret, which is in the answer and never shown again. The one before signs beside it for a
/// day.
#[utoipa::path(post, path = "/webhooks/{id}/rotate", tag = "webhooks",
    params(("id" = String, Path, description = "UUID of the webhook.")),
    responses((status = 200, body = WebhookMade)))]
async fn rotate(
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    asked: Asked,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    query.none()?;
    asked.refuse_key()?;
    let row = app.reader().get(id).await?;
    check(&headers, row.version)?;
    let made = app.parts.postman.new_secret(id, &row.url);
    let (secret, sealed) = made.map_err(no_key)?;
    let now = app.moment().now;
    let change = |row: Webhook| row.rotated(sealed.clone(), now);
    let ask = || asked.plain();
    let row = app.coordinator().change_webhook(id, change, ask).await?;
    let made = WebhookMade {
        webhook: view(row),
        secret: secret.expose_secret().to_owned(),
    };
    json(StatusCode::OK, &made)
}

/// Sends the event of a delivery once more, now and under the same `webhook-id`, and says what came of it; the
/// attempt is in the list of deliveries. Taken, it is no longer in the way of those after it. The event is
/// sent again where the request is.
#[utoipa::path(post, path = "/webhooks/deliveries/{id}/resend", tag = "webhooks",
    params(("id" = String, Path, description = "UUID of the delivery.")),
    responses((status = 200, body = api::WebhookTest)))]
async fn resend(
    State(app): State<App>,
    Id(id): Id<WebhookAttemptId>,
    asked: Asked,
    query: Query,
) -> Result<Response> {
    query.none()?;
    asked.refuse_key()?;
    let postman = &app.parts.postman;
    let resending = app
        .coordinator()
        .resend_delivery(postman, id, || asked.plain());
    let tried = Box::pin(resending).await?;
    json(StatusCode::OK, &webhook_test(&tried))
}

/// The last attempts to send events to a webhook, the newest first.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "webhooks", params(
    ("id" = String, Path, description = "UUID of the webhook."),
    Paging,
), responses((status = 200, body = WebhookDeliveryPage)))]
async fn deliveries(
    State(app): State<App>,
    Id(id): Id<WebhookId>,
    query: Query,
) -> Result<Response> {
    let mut query = query.of(&["limit", "cursor"]);
    let page = query.page();
    query.finish()?;
    app.reader().get(id).await?;
    let filter = WebhookAttemptFilter { webhook: Some(id) };
    page::answer(&app, &filter, page).await
}

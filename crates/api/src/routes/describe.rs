//! The description of the API, made of the routes themselves.

mod dry_runs;
mod links;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use fusion_api_types::DryRun;
use fusion_api_types::api::ProblemBody;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, Ref, ResponseBuilder,
};

use crate::problem::Result;
use crate::query::Query;
use crate::routed::{Routes, routes};

/// The description as text: a test compares it with what the routes say.
pub(super) const TEXT: &str = include_str!("../../../../openapi/v1.json");

/// The name of the one way to get in.
const TOKEN: &str = "token";

/// What the description is called in.
const PROBLEM: &str = "application/problem+json";

/// What every route may answer beside what it is for.
const COMMON: [(&str, &str); 5] = [
    ("400", "The input is wrong: every fault at once."),
    (
        "401",
        "No token, or one that does not hold; or such a code.",
    ),
    ("403", "The scope of the token does not suffice."),
    (
        "429",
        "Too much at once: `Retry-After` says when to come again.",
    ),
    ("503", "A needed part is down, or the server stops."),
];

/// What a route with an id may answer besides.
const NOT_FOUND: (&str, &str) = ("404", "There is no such thing.");

/// What a route that changes something may answer besides.
const OF_CHANGES: [(&str, &str); 4] = [
    (
        "409",
        "The state does not allow it, another was first, or the idempotency key was used.",
    ),
    ("412", "It has changed since it was read (`If-Match`)."),
    ("413", "The body is longer than 1 MiB."),
    ("415", "The body is not JSON."),
];

pub(super) fn router<R: Routes>() -> R {
    R::none().routes(routes!(document))
}

/// The description of this API.
#[utoipa::path(get, path = "/openapi.json", tag = "description", responses(
    (status = 200, description = "OpenAPI 3.1.", body = Object)
))]
async fn document(query: Query) -> Result<Response> {
    query.none()?;
    let content = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(([content], TEXT).into_response())
}

/// Adds what holds for all routes.
pub(super) fn complete(described: &mut OpenApi) {
    described.info = InfoBuilder::new()
        .title("fusion-kit")
        .version("1")
        .description(Some(
            "Runs workflows of AI agents. Names are snake_case, ids UUIDs, times RFC 3339 in UTC, \
             money US dollars as decimal text. Fields are only ever added: readers ignore those that \
             they do not know.",
        ))
        .build();
    described.servers = None;
    let mut schemas = Vec::new();
    ProblemBody::schemas(&mut schemas);
    DryRun::schemas(&mut schemas);
    let components = described.components.take().unwrap_or_default();
    let mut components = ComponentsBuilder::from(components)
        .schema(ProblemBody::name(), ProblemBody::schema())
        .schema(DryRun::name(), DryRun::schema())
        .security_scheme(
            TOKEN,
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    for (name, schema) in schemas {
        components = components.schema(name, schema);
    }
    described.components = Some(components.build());
    for (path, item) in &mut described.paths.paths {
        let has_id = path.contains('{');
        for (method, operation) in links::operations(item) {
            complete_operation(operation, access(path), has_id, method != "get");
        }
    }
    links::add(described);
    dry_runs::add(described);
}

/// What a path wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Nothing: it is about health.
    Open,
    /// A code that signs in.
    Code,
    /// A token.
    Token,
}

fn access(path: &str) -> Access {
    match path {
        "/livez" | "/readyz" | "/api/v1/health" => Access::Open,
        "/api/v1/sessions" => Access::Code,
        _ => Access::Token,
    }
}

fn complete_operation(operation: &mut Operation, access: Access, has_id: bool, changes: bool) {
    let mut told: Vec<(&str, &str)> = match access {
        Access::Open => COMMON.into_iter().filter(|it| it.0 == "400").collect(),
        Access::Code | Access::Token => COMMON.to_vec(),
    };
    if access == Access::Token {
        let none: [&str; 0] = [];
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, none)]);
    }
    if has_id {
        told.push(NOT_FOUND);
    }
    if changes {
        told.extend(OF_CHANGES);
    }
    for (status, description) in told {
        let content = ContentBuilder::new()
            .schema(Some(Ref::from_schema_name(ProblemBody::name())))
            .build();
        let response = ResponseBuilder::new()
            .description(description)
            .content(PROBLEM, content)
            .build();
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.to_owned())
            .or_insert_with(|| response.into());
    }
}

//! The routes, each registered once for the router and for the description of the API.

mod agents;
mod agents_bulk;
mod agents_life;
mod approvals;
mod artifacts;
mod capabilities;
mod costs;
mod describe;
mod drawn;
mod events;
mod exports;
mod health;
mod messages;
mod metrics;
mod new_agent;
mod new_workspace;
mod nodes;
mod path;
mod projects;
mod providers;
mod records;
mod reference;
mod run_again;
mod run_control;
mod runs;
mod schedules;
mod sessions;
mod sign_in;
mod task_logs;
mod tasks;
mod tasks_bulk;
mod tasks_life;
mod tokens;
mod top;
mod versions;
mod workflows;
mod workspaces;
mod workspaces_work;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth;
use crate::live;
use crate::state::App;

pub(crate) use events::filter as event_filter;
pub(crate) use metrics::Answers;

/// Everything below this is of version 1.
const BASE: &str = "/api/v1";

/// The routes of the API, and those at the root that tell about health.
pub(crate) fn router(app: App) -> Router {
    // Around the nest, not within it: in there a request has lost the beginning of its path.
    let guarded = OpenApiRouter::new()
        .nest(BASE, guarded())
        .merge(at_root())
        .route_layer(from_fn_with_state(app.clone(), auth::guard));
    let (router, _) = open().merge(guarded).split_for_parts();
    let pages = reference::router().merge(sign_in::router());
    router.merge(pages).with_state(app)
}

/// What every route takes and gives, as `OpenAPI` 3.1.
#[must_use]
pub fn openapi() -> OpenApi {
    let all = open().nest(BASE, guarded()).merge(at_root());
    let (_, mut described) = all.split_for_parts();
    describe::complete(&mut described);
    described
}

/// Routes that want no token.
fn open() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(sessions::create))
}

/// Routes that want a token and have no version.
fn at_root() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(metrics::metrics))
}

/// Routes that want a token, below [`BASE`].
fn guarded() -> OpenApiRouter<App> {
    let routers = [
        describe::router(),
        agents::router(),
        agents_life::router(),
        agents_bulk::router(),
        costs::router(),
        top::router(),
        workspaces::router(),
        tasks::router(),
        task_logs::router(),
        tasks_life::router(),
        tasks_bulk::router(),
        workflows::router(),
        versions::router(),
        runs::router(),
        run_control::router(),
        run_again::router(),
        events::router(),
        exports::router(),
        live::router(),
        messages::router(),
        providers::router(),
        projects::router(),
        capabilities::router(),
        schedules::router(),
        approvals::router(),
        tokens::router(),
        sessions::router(),
        artifacts::router(),
        nodes::router(),
    ];
    let mut all = OpenApiRouter::new();
    for router in routers {
        all = all.merge(router);
    }
    all
}

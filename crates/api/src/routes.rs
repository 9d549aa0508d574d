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
mod run_deletions;
mod run_files;
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
mod webhooks;
mod workflows;
mod workspaces;
mod workspaces_work;

use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::auth;
use crate::live;
use crate::routed::Routes;
use crate::state::App;

pub(crate) use events::filter as event_filter;
pub(crate) use metrics::Answers;
pub(crate) use run_files::IMPORT;

/// Everything below this is of version 1.
const BASE: &str = "/api/v1";

/// The routes of the API, and those at the root that tell about health.
pub(crate) fn router(app: App) -> Router {
    // Around the nest, not within it: in there a request has lost the beginning of its path.
    let guarded = guarded::<Router<App>>()
        .below(BASE)
        .and(metrics::router())
        .route_layer(from_fn_with_state(app.clone(), auth::guard));
    let pages = reference::router().merge(sign_in::router());
    let all = open::<Router<App>>().and(guarded).merge(pages);
    all.with_state(app)
}

/// What every route takes and gives, as `OpenAPI` 3.1. A server gives the text that was made of it and
/// checked in.
#[must_use]
pub fn openapi() -> OpenApi {
    let guarded = guarded::<OpenApiRouter<App>>().below(BASE);
    let all = open::<OpenApiRouter<App>>()
        .and(guarded)
        .and(metrics::router());
    let mut described = all.into_openapi();
    describe::complete(&mut described);
    described
}

/// Routes that want no token.
fn open<R: Routes>() -> R {
    health::router::<R>().and(sessions::open())
}

/// Routes that want a token, below [`BASE`].
fn guarded<R: Routes>() -> R {
    let routers: [R; _] = [
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
        run_deletions::router(),
        run_files::router(),
        events::router(),
        exports::router(),
        live::router(),
        messages::router(),
        providers::router(),
        projects::router(),
        capabilities::router(),
        schedules::router(),
        webhooks::router(),
        approvals::router(),
        tokens::router(),
        sessions::router(),
        artifacts::router(),
        nodes::router(),
    ];
    routers.into_iter().fold(R::none(), R::and)
}

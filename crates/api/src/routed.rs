//! One list of routes for two readers: the server, which answers them, and the description of the API,
//! which is made of them when the file that is checked in is written, never by a server.

use axum::Router;
use axum::routing::{MethodFilter, MethodRouter};
use utoipa::Path;
use utoipa_axum::PathItemExt as _;
use utoipa_axum::router::OpenApiRouter;

use crate::state::App;

/// The handlers of one path.
pub(crate) struct Route<D> {
    pub path: String,
    pub handlers: MethodRouter<App>,
    /// Adds them to the description.
    pub describe: D,
}

/// What routes are registered with.
pub(crate) trait Routes: Sized {
    /// No route.
    fn none() -> Self;

    /// Those and the handlers of a path.
    fn routes<D>(self, route: Route<D>) -> Self
    where
        D: FnOnce(OpenApiRouter<App>) -> OpenApiRouter<App>;

    /// Those and others.
    fn and(self, others: Self) -> Self;

    /// Those, with this before each path.
    fn below(self, base: &str) -> Self;
}

/// The server's: nothing is described, so that its start neither makes nor keeps schemas.
impl Routes for Router<App> {
    fn none() -> Self {
        Self::new()
    }

    fn routes<D>(self, route: Route<D>) -> Self {
        self.route(&route.path, route.handlers)
    }

    fn and(self, others: Self) -> Self {
        self.merge(others)
    }

    fn below(self, base: &str) -> Self {
        Self::new().nest(base, self)
    }
}

/// The description's.
impl Routes for OpenApiRouter<App> {
    fn none() -> Self {
        Self::new()
    }

    fn routes<D>(self, route: Route<D>) -> Self
    where
        D: FnOnce(Self) -> Self,
    {
        (route.describe)(self)
    }

    fn and(self, others: Self) -> Self {
        self.merge(others)
    }

    fn below(self, base: &str) -> Self {
        Self::new().nest(base, self)
    }
}

/// What a handler answers to, as its `#[utoipa::path]` says.
pub(crate) fn methods<P: Path>() -> MethodFilter {
    let methods = P::methods();
    let filters = methods.iter().map(|method| method.to_method_filter());
    filters
        .reduce(MethodFilter::or)
        .unwrap_or(MethodFilter::GET)
}

/// The [`Route`] of handlers that bear `#[utoipa::path]` and have one path; the macro of that name of
/// `utoipa_axum` would describe them each time.
macro_rules! routes {
    ($first:ident $(, $more:ident)*) => {
        pastey::paste! {
            $crate::routed::Route {
                path: <[<__path_ $first>] as utoipa::Path>::path(),
                handlers: axum::routing::MethodRouter::new()
                    .on($crate::routed::methods::<[<__path_ $first>]>(), $first)
                    $(.on($crate::routed::methods::<[<__path_ $more>]>(), $more))*,
                describe: |all: utoipa_axum::router::OpenApiRouter<$crate::state::App>| {
                    all.routes(utoipa_axum::routes!($first $(, $more)*))
                },
            }
        }
    };
}

pub(crate) use routes;

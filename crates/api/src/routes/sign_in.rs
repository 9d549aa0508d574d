//! The page on which a browser is signed in. It loads its script and its style from this server and
//! nothing from elsewhere, and talks to the server that it came from.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::state::App;

const PAGE: &str = include_str!("sign_in/page.html");
const SCRIPT: &str = include_str!("sign_in/page.js");
const STYLE: &str = include_str!("sign_in/page.css");

/// What the page may do: nothing that is written into it runs.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
     frame-ancestors 'none'; form-action 'none'; require-trusted-types-for 'script'; \
     trusted-types 'none'",
);

pub(super) fn router() -> Router<App> {
    let file = |kind: &'static str, text: &'static str| get(move || async move { of(kind, text) });
    Router::new()
        // Who types the address of the server only. Relative: a proxy may put all of it below a path.
        .route("/", get(async || Redirect::temporary("sign-in")))
        .route("/sign-in", get(page))
        .route("/sign-in/page.js", file("text/javascript", SCRIPT))
        .route("/sign-in/page.css", file("text/css", STYLE))
}

async fn page() -> Response {
    let mut page = of("text/html; charset=utf-8", PAGE);
    let headers = page.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    page
}

fn of(kind: &'static str, text: &'static str) -> Response {
    let content = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    ([content], text).into_response()
}

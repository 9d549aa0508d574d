//! The description of the API as a page to read, and to try: its script asks this server and no other, with
//! the token that the sign-in page keeps in the tab. Nothing is loaded from elsewhere.

use std::sync::OnceLock;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::problem::{Refusal, Result};
use crate::state::App;

const SCRIPT: &str = include_str!("reference/page.js");

const STYLE: &str = "\
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}\
body{max-width:60rem;margin:2rem auto;padding:0 1rem}\
h2{margin-top:3rem;border-bottom:1px solid}\
h3{font-family:ui-monospace,monospace;font-size:1rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0}\
code,pre,textarea{font-family:ui-monospace,monospace}\
form{display:grid;gap:.5rem;margin:.5rem 0}label{display:grid;grid-template-columns:12rem 1fr}\
button{font:inherit;justify-self:start}[hidden]{display:none}\
pre{overflow:auto;max-height:30rem;white-space:pre-wrap;overflow-wrap:anywhere}";

/// The page and what its browser may load.
struct Page {
    html: String,
    policy: HeaderValue,
}

pub(super) fn router() -> Router<App> {
    let script = (
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/javascript"),
    );
    Router::new().route("/reference", get(reference)).route(
        "/reference/page.js",
        get(async || ([script], SCRIPT).into_response()),
    )
}

/// The routes of the API for people.
async fn reference() -> Result<Response> {
    static PAGE: OnceLock<std::result::Result<Page, String>> = OnceLock::new();
    let page = PAGE.get_or_init(page);
    let page = page.as_ref().map_err(|error| Refusal::internal(error))?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CONTENT_SECURITY_POLICY, page.policy.clone()),
    ];
    Ok((headers, page.html.clone()).into_response())
}

fn page() -> std::result::Result<Page, String> {
    let described =
        serde_json::from_str(super::describe::TEXT).map_err(|error| error.to_string())?;
    let hash = BASE64.encode(&Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; script-src 'self'; connect-src 'self'; \
         base-uri 'none'; frame-ancestors 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    Ok(Page {
        html: html(&described),
        policy: HeaderValue::from_str(&policy).map_err(|error| error.to_string())?,
    })
}

fn html(described: &Value) -> String {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>fusion-kit API</title>\
         <style>{STYLE}</style><script src=\"reference/page.js\"></script>\
         <h1>fusion-kit API</h1><p>{}</p>\
         <p>For programs: <code>/api/v1/openapi.json</code> (with a token).</p>\
         <p id=\"told\" role=\"status\"></p>",
        text(described, "/info/description")
    );
    let mut section = String::new();
    for (tag, method, path, operation) in operations(described) {
        let (method, path) = (method.to_uppercase(), escaped(&path));
        if tag != section {
            html.push_str(&format!("<h2>{}</h2>", escaped(&tag)));
            section = tag;
        }
        html.push_str(&format!(
            "<section data-method=\"{method}\" data-path=\"{path}\"><h3>{method} {path}</h3><p>{} {}</p>",
            text(operation, "/summary"),
            text(operation, "/description")
        ));
        html.push_str(&parameters(operation));
        html.push_str(&body(described, operation));
        html.push_str(&answers(operation));
        html.push_str("</section>");
    }
    html.push_str("</html>\n");
    html
}

/// Every operation, those of a tag together.
fn operations(described: &Value) -> Vec<(String, String, String, &Value)> {
    let mut all = Vec::new();
    for (path, item) in fields(described, "/paths") {
        for (method, operation) in fields(item, "") {
            let tag = told(operation, "/tags/0");
            all.push((tag.to_owned(), method.clone(), path.clone(), operation));
        }
    }
    all.sort_by(|one, other| (&one.0, &one.2, &one.1).cmp(&(&other.0, &other.2, &other.1)));
    all
}

fn parameters(operation: &Value) -> String {
    let parameters = list(operation, "/parameters");
    let rows = parameters.map(|parameter| {
        format!(
            "<tr><td><code>{}</code><td>{}<td>{}",
            text(parameter, "/name"),
            text(parameter, "/in"),
            text(parameter, "/description")
        )
    });
    table("Parameters", &rows.collect::<String>())
}

/// The fields of the body.
fn body(described: &Value, operation: &Value) -> String {
    let Some(schema) = operation.pointer("/requestBody/content/application~1json/schema") else {
        return String::new();
    };
    table("Body", &body_rows(described, schema))
}

/// The fields of a schema, and of those that it is made of.
fn body_rows(described: &Value, schema: &Value) -> String {
    let reference = told(schema, "/$ref").trim_start_matches('#');
    if !reference.is_empty() {
        let schema = described.pointer(reference);
        return schema.map_or_else(String::new, |schema| body_rows(described, schema));
    }
    let required: Vec<&str> = list(schema, "/required")
        .filter_map(Value::as_str)
        .collect();
    let rows = fields(schema, "/properties").map(|(name, field)| {
        let needed = if required.contains(&name.as_str()) {
            "required"
        } else {
            ""
        };
        format!(
            "<tr><td><code>{}</code><td>{needed}<td>{}",
            escaped(name),
            text(field, "/description")
        )
    });
    let parts = list(schema, "/allOf").map(|part| body_rows(described, part));
    rows.chain(parts).collect()
}

fn answers(operation: &Value) -> String {
    let rows = fields(operation, "/responses").map(|(status, answer)| {
        let told = text(answer, "/description");
        format!("<tr><td><code>{}</code><td>{told}", escaped(status))
    });
    table("Answers", &rows.collect::<String>())
}

fn table(title: &str, rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let class = title.to_lowercase();
    format!("<table class=\"{class}\"><caption>{title}</caption>{rows}</table>")
}

/// The text at a place (RFC 6901); nothing where there is none.
fn told<'a>(value: &'a Value, at: &str) -> &'a str {
    let found = value.pointer(at).and_then(Value::as_str);
    found.unwrap_or_default()
}

/// The same, for the page.
fn text(value: &Value, at: &str) -> String {
    escaped(told(value, at))
}

/// What a map at a place holds.
fn fields<'a>(value: &'a Value, at: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    let found = value.pointer(at).and_then(Value::as_object);
    found.into_iter().flatten()
}

/// What a list at a place holds.
fn list<'a>(value: &'a Value, at: &str) -> impl Iterator<Item = &'a Value> {
    let found = value.pointer(at).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

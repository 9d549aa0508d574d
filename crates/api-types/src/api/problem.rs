//! The one form of every error (RFC 9457), with the members that the contract asks for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was not done; sent as `application/problem+json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// Always `about:blank`: `error` tells problems apart.
    pub r#type: String,
    /// The words of the status code.
    pub title: String,
    /// The status code.
    pub status: u16,
    /// What was tried, on what, and why it did not work.
    pub detail: String,
    /// The path that was asked for.
    pub instance: String,
    /// What a program decides by, such as `not_found`.
    pub error: String,
    /// Every fault of the input, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The same faults for a program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// The way out, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether the same request may work later.
    pub retryable: bool,
    /// What kind of thing does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    /// Which one does not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<String>,
    /// Where the events begin that are left, when a cursor is too old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_seq: Option<u64>,
    /// Names this request in the server's log.
    pub trace_id: String,
}

/// One fault of the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Fault {
    /// Where in the body, as a JSON pointer (RFC 6901), or the name of a query parameter or header.
    pub pointer: String,
    /// What is wrong there.
    pub message: String,
}

//! Why a request was not done, and how that is told. Nothing internal gets out: what only the
//! developers can make sense of goes to the log, under the id that the answer names.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fusion_api_types::api::{Fault, ProblemBody};
use fusion_api_types::{Problem, ProblemKind};
use fusion_coordination::Error as EngineError;
use fusion_core::{Coded, ErrorCode, error_chain};
use fusion_persistence::{ANOTHER_NAME, Error as StoreError, unarchive};

/// The result of a handler.
pub(crate) type Result<T> = std::result::Result<T, Refusal>;

/// A request that was not done. The outermost layer writes it down.
#[derive(Debug, Clone)]
pub(crate) struct Refusal(Box<Told>);

#[derive(Debug, Clone)]
struct Told {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: ProblemBody,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            status,
            retry_after: None,
            body: ProblemBody {
                r#type: "about:blank".to_owned(),
                title: status.canonical_reason().unwrap_or_default().to_owned(),
                status: status.as_u16(),
                detail: detail.into(),
                error: error.to_owned(),
                retryable: matches!(
                    status,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
                ),
                ..ProblemBody::default()
            },
        }))
    }

    /// The input is wrong: every fault at once.
    pub(crate) fn invalid(faults: Vec<Fault>) -> Self {
        let details: Vec<String> = faults
            .iter()
            .map(|fault| match fault.pointer.as_str() {
                "" => fault.message.clone(),
                pointer => format!("{pointer}: {}", fault.message),
            })
            .collect();
        let mut refusal = Self::new(StatusCode::BAD_REQUEST, "invalid_input", details.join("; "));
        refusal.0.body.details = details;
        refusal.0.body.errors = faults;
        refusal
    }

    /// One fault of the input.
    pub(crate) fn fault(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Fault {
            pointer: pointer.into(),
            message: message.into(),
        }])
    }

    pub(crate) fn not_found(kind: &str, id: impl Into<String>) -> Self {
        let id = id.into();
        let mut refusal = Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no {kind} {id}"),
        );
        refusal.0.body.resource_type = Some(kind.to_owned());
        refusal.0.body.resource_id = Some(id);
        refusal
    }

    pub(crate) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// The events after a cursor are gone.
    pub(crate) fn gone(oldest: u64) -> Self {
        let mut refusal = Self::new(
            StatusCode::GONE,
            "cursor_too_old",
            format!("the events before number {oldest} have been deleted by age"),
        );
        refusal.0.body.oldest_seq = Some(oldest);
        refusal
    }

    /// A fault of ours: the log is told, the client gets the id to ask about.
    pub(crate) fn internal(what: &str) -> Self {
        tracing::error!(what, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed; its log says more under the trace_id",
        )
    }

    /// Whether the request is at fault.
    pub(crate) fn is_of_client(&self) -> bool {
        self.0.status.is_client_error()
    }

    /// The places of what is wrong with the input.
    #[cfg(test)]
    pub(crate) fn pointers(self) -> Vec<String> {
        let errors = self.0.body.errors.into_iter();
        errors.map(|fault| fault.pointer).collect()
    }

    /// Why the request was not done.
    pub(crate) fn detail(self) -> String {
        self.0.body.detail
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.body.hint = Some(hint.into());
        self
    }

    pub(crate) fn retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Writes the answer: which request it was is known only outside of the handlers.
    pub(crate) fn into_response_for(self, path: &str, trace_id: &str) -> Response {
        let Told {
            status,
            retry_after,
            mut body,
        } = *self.0;
        path.clone_into(&mut body.instance);
        trace_id.clone_into(&mut body.trace_id);
        let text = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, text).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(wait) = retry_after {
            // Whoever comes a moment too early is refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"fusion-kit\""),
            );
        }
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.0.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What an error means to a client.
fn of_code(error: &(impl Coded + 'static)) -> Refusal {
    let told = |status, name: &str| Refusal::new(status, name, error_chain(error));
    let refusal = match error.code() {
        ErrorCode::InvalidInput => Refusal::fault("", error_chain(error)),
        ErrorCode::NotFound => told(StatusCode::NOT_FOUND, "not_found"),
        ErrorCode::Conflict | ErrorCode::Fenced => told(StatusCode::CONFLICT, "conflict"),
        ErrorCode::Denied => told(StatusCode::CONFLICT, "denied"),
        ErrorCode::OverBudget => told(StatusCode::CONFLICT, "over_budget"),
        ErrorCode::Limited => told(StatusCode::TOO_MANY_REQUESTS, "limited"),
        ErrorCode::Unavailable => told(StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ErrorCode::Timeout => told(StatusCode::SERVICE_UNAVAILABLE, "timeout"),
        ErrorCode::Internal => Refusal::internal(&error_chain(error)),
    };
    match error.retry_after() {
        Some(wait) => refusal.retry_after(wait),
        None => refusal,
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NotFound { entity, id } => Self::not_found(entity, id.as_str()),
            StoreError::Gone { oldest } => Self::gone(*oldest),
            // The driver's own words may name hosts and users.
            StoreError::Unavailable { action, .. } => {
                tracing::warn!(error = error_chain(&error), "the database is away");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "unavailable",
                    format!("the database can't be reached while trying to {action}"),
                )
                .retry_after(Duration::from_secs(1))
            }
            StoreError::DiskFull { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the disk of the database is full",
            )
            .retry_after(Duration::from_secs(60)),
            StoreError::Unusable { .. }
            | StoreError::Corrupt { .. }
            | StoreError::Failed { .. }
            | StoreError::OutcomeUnknown => Self::internal(&error_chain(&error)),
            StoreError::Exists { .. } => of_code(&error).with_hint(ANOTHER_NAME),
            StoreError::Archived { project } => of_code(&error).with_hint(unarchive(project)),
            StoreError::Conflict { .. }
            | StoreError::Missing { .. }
            | StoreError::InUse { .. }
            | StoreError::Needed { .. }
            | StoreError::Deleted { .. }
            | StoreError::Refused { .. }
            | StoreError::DryRun
            | StoreError::Repeated(_)
            | StoreError::KeyReused { .. }
            | StoreError::Invalid { .. }
            | StoreError::InboxFull { .. }
            | StoreError::OverBudget { .. }
            | StoreError::Heard { .. }
            | StoreError::NotDriver { .. }
            | StoreError::Fenced { .. } => of_code(&error),
        }
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        match hint_of(&error) {
            Some(hint) => of_engine(error).with_hint(hint),
            None => of_engine(error),
        }
    }
}

/// The way out, where the engine knows one.
fn hint_of(error: &EngineError) -> Option<String> {
    match error {
        EngineError::Model { source, .. } => source.help(),
        EngineError::Workspace { source, .. } | EngineError::Artifact { source } => {
            source.help().map(Into::into)
        }
        EngineError::Unserved { help, .. } => help.clone(),
        EngineError::Lives { .. }
        | EngineError::HasEnded { .. }
        | EngineError::Ending { .. }
        | EngineError::OnlyCopy { .. }
        | EngineError::OnlyCopies { .. }
        | EngineError::OpenWork(_)
        | EngineError::Wanted { .. } => error.way_out(),
        EngineError::Store(_)
        | EngineError::Choice { .. }
        | EngineError::Grant { .. }
        | EngineError::Ended { .. }
        | EngineError::Cancelling { .. }
        | EngineError::Elsewhere { .. }
        | EngineError::NodeDown { .. }
        | EngineError::Again(_)
        | EngineError::Calls { .. }
        | EngineError::Answer(_)
        | EngineError::Held { .. }
        | EngineError::Lifecycle { .. }
        | EngineError::NobodyLeft { .. }
        | EngineError::Description { .. }
        | EngineError::OfRun { .. }
        | EngineError::OfImported { .. }
        | EngineError::RunFile(_)
        | EngineError::Busy { .. }
        | EngineError::InOtherState { .. }
        | EngineError::AtWork { .. }
        | EngineError::Occupied { .. }
        | EngineError::TaskState { .. }
        | EngineError::QueueFull { .. }
        | EngineError::Standalone { .. }
        | EngineError::OfWorkflow { .. }
        | EngineError::NotEnded { .. }
        | EngineError::Message(_)
        | EngineError::DryRun(_)
        | EngineError::Illegal(_)
        | EngineError::Broken(_) => None,
    }
}

fn of_engine(error: EngineError) -> Refusal {
    if let EngineError::Store(error) = error {
        return Refusal::from(error);
    }
    // What the request names is not there: the path is.
    if matches!(error, EngineError::Model { .. }) && error.code() == ErrorCode::NotFound {
        return Refusal::fault("", error_chain(&error));
    }
    of_code(&error)
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let told = |status, name: &str| Self::new(status, name, problem.message.clone());
        let refusal = match problem.kind {
            ProblemKind::InvalidInput => Self::fault("", problem.message.clone()),
            ProblemKind::NotFound => told(StatusCode::NOT_FOUND, "not_found"),
            ProblemKind::Conflict => told(StatusCode::CONFLICT, "conflict"),
            ProblemKind::Denied => told(StatusCode::CONFLICT, "denied"),
            ProblemKind::OverBudget => told(StatusCode::CONFLICT, "over_budget"),
            ProblemKind::Limited => told(StatusCode::TOO_MANY_REQUESTS, "limited"),
            ProblemKind::Unavailable => told(StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            ProblemKind::Timeout => told(StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            ProblemKind::Held => told(StatusCode::CONFLICT, "held"),
            ProblemKind::Internal => Self::internal(&problem.message),
        };
        let refusal = match problem.help {
            Some(help) => refusal.with_hint(help),
            None => refusal,
        };
        match problem.retry_after_ms {
            Some(wait) => refusal.retry_after(Duration::from_millis(wait)),
            None => refusal,
        }
    }
}

//! Who may come in. A token is 256 random bits and shown once; the store keeps its hash.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use chrono::TimeDelta;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use fusion_core::{Actor, ApiToken, Clock, TokenScope};
use fusion_persistence::{Page, Reader, Repository, TokenFilter};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::one_time::{NotKept, OneTime};
use crate::problem::{Refusal, Result};
use crate::state::App;

/// What a token begins with, so that scanners for leaked keys know it.
const PREFIX: &str = "fk_";

/// How long a token that was found counts without another look: a token that another process takes
/// away is refused by this one at the latest after this time.
const FRESH: Duration = Duration::from_secs(1);

/// Tokens that are kept in mind at most.
const KEPT: usize = 1_000;

/// How long a ticket for a socket holds.
pub(crate) const TICKET: TimeDelta = TimeDelta::seconds(30);

/// Where tokens come from.
const FIRST_TOKEN: &str = "the server's first token is in the file `token` of its data directory";

/// Where codes that sign a browser in come from.
pub(crate) const ANOTHER_CODE: &str = "make another link with: fusion-kit dashboard";

/// Refused attempts in a [`WINDOW`] before further ones are told to wait. A right token is let in all
/// the same.
const ATTEMPTS: u32 = 60;

/// The time over which refused attempts count.
const WINDOW: Duration = Duration::from_secs(60);

/// A new token.
///
/// # Errors
/// The system gives no random bytes.
pub fn new_secret() -> std::result::Result<SecretString, getrandom::Error> {
    random().map(|text| SecretString::from(format!("{PREFIX}{text}")))
}

/// What the store keeps of a token: SHA-256 in hex. 256 random bits need no slow hash.
#[must_use]
pub fn hash_of(secret: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(secret.as_bytes()))
}

/// SHA-256.
type Digested = [u8; 32];

/// 256 random bits as text.
pub(crate) fn random() -> std::result::Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// Who was let in, and what they may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entrant {
    pub(crate) actor: Actor,
    pub(crate) scope: TokenScope,
}

/// Lets in who has a token.
pub(crate) struct Door {
    reader: Arc<dyn Reader>,
    clock: Arc<dyn Clock>,
    /// By the hashes of their secrets.
    known: Mutex<HashMap<Digested, (Arc<ApiToken>, Instant)>>,
    tickets: OneTime<Entrant>,
    refused: Mutex<(u32, Instant)>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl Door {
    pub(crate) fn new(reader: Arc<dyn Reader>, clock: Arc<dyn Clock>) -> Self {
        Self {
            reader,
            clock,
            known: Mutex::default(),
            tickets: OneTime::holding_for(TICKET),
            refused: Mutex::new((0, Instant::now())),
        }
    }

    /// Who shows the token in these headers.
    pub(crate) async fn enter(&self, headers: &HeaderMap) -> Result<Entrant> {
        let Some(secret) = bearer(headers) else {
            let text = "a token is needed: Authorization: Bearer TOKEN";
            return Err(self.refuse(text, FIRST_TOKEN));
        };
        let digested: Digested = Sha256::digest(secret.as_bytes()).into();
        let token = match self.known(&digested) {
            Some(token) => Some(token),
            None => self.look(digested).await?,
        };
        let now = self.clock.now();
        match token.filter(|token| token.holds(now)) {
            Some(token) => Ok(Entrant {
                actor: Actor {
                    token: token.id,
                    name: token.name.clone(),
                },
                scope: token.scope,
            }),
            None => {
                let text = "the token is unknown, has expired or was taken away";
                Err(self.refuse(text, FIRST_TOKEN))
            }
        }
    }

    fn known(&self, hash: &Digested) -> Option<Arc<ApiToken>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, read_at) = known.get(hash)?;
        (read_at.elapsed() < FRESH).then(|| Arc::clone(token))
    }

    async fn look(&self, digested: Digested) -> Result<Option<Arc<ApiToken>>> {
        let hash = HEXLOWER.encode(&digested);
        let filter = TokenFilter {
            hash: Some(hash.clone()),
            name: None,
        };
        let found = self.reader.list(&filter, Page::first(1)).await?;
        let same = |token: &ApiToken| bool::from(token.hash.as_bytes().ct_eq(hash.as_bytes()));
        let Some(mut token) = found.into_iter().find(same) else {
            return Ok(None);
        };
        self.end_with_issuer(&mut token).await?;
        let token = Arc::new(token);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(digested, (Arc::clone(&token), Instant::now()));
        Ok(Some(token))
    }

    /// A token that was made by signing in counts as taken away once the one that let it in is.
    async fn end_with_issuer(&self, token: &mut ApiToken) -> Result<()> {
        let Some(issuer) = token.issuer else {
            return Ok(());
        };
        let issuer: Option<ApiToken> = self.reader.find(issuer).await?;
        token.revoked_at = match issuer {
            Some(issuer) => token.revoked_at.or(issuer.revoked_at),
            None => Some(self.clock.now()),
        };
        Ok(())
    }

    /// Looks again at every token the next time it is shown.
    pub(crate) fn forget(&self) {
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// A code that signs nobody in.
    pub(crate) fn refuse_code(&self) -> Refusal {
        let text = "the code is unknown, was used or is older than ten minutes";
        self.refuse(text, ANOTHER_CODE)
    }

    /// Counts what was shown in vain.
    fn refuse(&self, detail: &str, hint: &str) -> Refusal {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = &mut *refused;
        if since.elapsed() >= WINDOW {
            (*count, *since) = (0, Instant::now());
        }
        *count += 1;
        if *count > ATTEMPTS {
            return Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "limited",
                "too many requests came without a token or a code that holds",
            )
            .retry_after(WINDOW.saturating_sub(since.elapsed()));
        }
        Refusal::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail).with_hint(hint)
    }

    /// A ticket for one socket.
    pub(crate) fn ticket(&self, entrant: Entrant) -> Result<String> {
        match self.tickets.make(entrant, self.clock.now()) {
            Ok((ticket, _)) => Ok(ticket),
            Err(NotKept::Random(error)) => Err(Refusal::internal(&error.to_string())),
            Err(NotKept::Full) => Err(Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "limited",
                "too many tickets wait for their sockets",
            )
            .retry_after(TICKET.to_std().unwrap_or_default())),
        }
    }

    /// Takes a ticket back: it counts once.
    pub(crate) fn redeem(&self, ticket: &str) -> Result<Entrant> {
        let taken = self.tickets.take(ticket, self.clock.now());
        taken.ok_or_else(|| {
            let text = "the ticket is unknown, was used or is too old";
            self.refuse(text, "get one with POST /api/v1/ws/tickets")
        })
    }
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (first, second) = (given.next()?, given.next());
    let (scheme, secret) = first.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim();
    let is_one = second.is_none() && scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty();
    is_one.then_some(secret)
}

/// What a request needs: looking and signing in or out are for all; keys, tokens, where events are sent,
/// what was done elsewhere and what is to be forgotten for administrators.
pub(crate) fn needed(method: &Method, path: &str) -> TokenScope {
    let is_below = |folder: &str| {
        let rest = path
            .strip_prefix("/api/v1/")
            .and_then(|rest| rest.strip_prefix(folder));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let is_look = matches!(*method, Method::GET | Method::HEAD);
    let changes = is_below("providers") || is_below("runs/import") || is_below("runs/gc");
    let deletes = *method == Method::DELETE && is_below("runs");
    if is_below("tokens") || is_below("webhooks") || (changes && !is_look) || deletes {
        TokenScope::Admin
    } else if is_look || is_below("ws") || is_below("sessions") {
        TokenScope::Read
    } else {
        TokenScope::Operate
    }
}

/// Lets nobody through without a token whose scope suffices.
pub(crate) async fn guard(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response> {
    let ticket = ticket_of(&request);
    let entrant = match ticket {
        Some(ticket) => app.door.redeem(&ticket)?,
        None => app.door.enter(request.headers()).await?,
    };
    let most = app.options.settings.borrow().requests_per_minute;
    app.limits.count(entrant.actor.token, most)?;
    let needed = needed(request.method(), request.uri().path());
    if entrant.scope < needed {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            format!(
                "the token may '{}', and this needs '{needed}'",
                entrant.scope
            ),
        ));
    }
    request.extensions_mut().insert(entrant);
    Ok(next.run(request).await)
}

/// The ticket of a socket, which a browser puts into the query.
fn ticket_of(request: &Request) -> Option<String> {
    let uri = request.uri();
    if uri.path() != "/api/v1/ws/events" || request.headers().contains_key(header::AUTHORIZATION) {
        return None;
    }
    let pairs = uri.query()?.split('&');
    let mut tickets = pairs.filter_map(|pair| pair.strip_prefix("ticket="));
    tickets.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method, header};
    use fusion_core::TokenScope::{Admin, Operate, Read};
    use secrecy::ExposeSecret;

    use super::{bearer, hash_of, needed, new_secret};

    #[test]
    fn a_token_has_256_random_bits_and_only_its_hash_is_kept() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        let text = one.expose_secret();
        assert!(text.starts_with("fk_") && text.len() == 3 + 43);
        assert_ne!(text, other.expose_secret());
        assert_eq!(hash_of(text).len(), 64);
        assert!(!hash_of(text).contains(text));
    }

    #[test]
    fn keys_and_tokens_need_an_administrator() {
        let needs = [
            (Method::GET, "/api/v1/agents"),
            (Method::POST, "/api/v1/messages"),
            (Method::GET, "/api/v1/providers"),
            (Method::POST, "/api/v1/providers"),
            (Method::POST, "/api/v1/providers/1/test"),
            (Method::GET, "/api/v1/tokens"),
            (Method::DELETE, "/api/v1/tokens/1"),
            (Method::GET, "/api/v1/tokensmith"),
            (Method::GET, "/api/v1/webhooks"),
            (Method::POST, "/api/v1/webhooks/1/test"),
            (Method::POST, "/api/v1/runs/import"),
            (Method::GET, "/api/v1/runs/1/export"),
            (Method::DELETE, "/api/v1/runs/1"),
            (Method::POST, "/api/v1/runs/gc"),
            (Method::POST, "/api/v1/runs/1/cancel"),
            (Method::POST, "/api/v1/ws/tickets"),
            (Method::POST, "/api/v1/sessions/codes"),
            (Method::DELETE, "/api/v1/sessions/current"),
        ]
        .map(|(method, path)| needed(&method, path));
        assert_eq!(
            needs,
            [
                Read, Operate, Read, Admin, Admin, Admin, Admin, Read, Admin, Admin, Admin, Read,
                Admin, Admin, Operate, Read, Read, Read
            ]
        );
    }

    #[test]
    fn exactly_one_bearer_token_counts() {
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            headers
        };
        let read = |values: &[&str]| bearer(&headers(values)).map(str::to_owned);
        assert_eq!(
            [
                read(&["Bearer one"]),
                read(&["bearer  one "]),
                read(&["Bearer "]),
                read(&["Basic one"]),
                read(&["Bearer one", "Bearer one"]),
                read(&[]),
            ],
            [
                Some("one".to_owned()),
                Some("one".to_owned()),
                None,
                None,
                None,
                None
            ]
        );
    }
}

//! Signing a browser in: a code that counts once is exchanged for a token of its own, which holds for a
//! working day and no longer than the token that made the code.

use std::sync::Arc;

use chrono::TimeDelta;
use fusion_api_types::api::SignInCode;
use fusion_coordination::{Ask, Coordinator, Error as EngineError};
use fusion_core::{Actor, ApiToken, ApiTokenId, Decision, Moment, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::auth::{hash_of, new_secret};
use crate::one_time::{NotKept, OneTime};

/// How long a code holds.
const CODE: TimeDelta = TimeDelta::minutes(10);

/// How long a browser is signed in.
const SESSION: TimeDelta = TimeDelta::hours(12);

/// What a code is called where changes are told.
const KIND: &str = "sign_in_code";

/// The longest part of an issuer's name that is in the name of a token made for it.
const LONGEST_NAME: usize = 200;

/// What a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code {
    /// Names it where changes are told.
    id: Uuid,
    /// The token that it was made with.
    pub(crate) issuer: ApiTokenId,
}

/// Why nobody can be signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[from] getrandom::Error),
    /// Too many codes wait to be used.
    #[error("too many codes were made that nobody has used as yet")]
    Full,
    /// The token would be more than the one that made its code.
    #[error("who signed in with a code can't make another")]
    OfSession,
    /// It could not be told in the log, or not be stored.
    #[error("the sign-in could not be stored")]
    Engine(#[from] EngineError),
}

impl From<NotKept> for SignInError {
    fn from(error: NotKept) -> Self {
        match error {
            NotKept::Random(error) => Self::Random(error),
            NotKept::Full => Self::Full,
        }
    }
}

/// The codes of a server that nobody has used as yet.
#[derive(Debug, Clone)]
pub struct SignIns(Arc<OneTime<Code>>);

impl Default for SignIns {
    fn default() -> Self {
        Self(Arc::new(OneTime::holding_for(CODE)))
    }
}

impl SignIns {
    /// A code for the holder of a token. That it was made is told in the log.
    ///
    /// # Errors
    /// The token was itself made by signing in, too many codes wait, or the log can't be written.
    pub async fn code(
        &self,
        token: &ApiToken,
        coordinator: &Coordinator,
        moment: Moment<'_>,
    ) -> Result<SignInCode, SignInError> {
        if token.issuer.is_some() {
            return Err(SignInError::OfSession);
        }
        let code = Code {
            id: moment.ids.uuid(),
            issuer: token.id,
        };
        let (secret, expires_at) = self.0.make(code, moment.now)?;
        coordinator
            .tell_change(&actor(token), "created", KIND, code.id)
            .await?;
        Ok(SignInCode {
            code: secret,
            expires_at,
        })
    }

    pub(crate) fn take(&self, code: &str, now: Timestamp) -> Option<Code> {
        self.0.take(code, now)
    }
}

/// Stores a token for who showed a code of this issuer, and tells both in one commit.
pub(crate) async fn session(
    code: Code,
    issuer: &ApiToken,
    coordinator: &Coordinator,
    moment: Moment<'_>,
) -> Result<(ApiToken, SecretString), SignInError> {
    let secret = new_secret()?;
    let row = row(issuer, hash_of(secret.expose_secret()), moment);
    let used = actor(issuer).changed("used", KIND, code.id, moment);
    let ask = Ask {
        actor: Some(actor(issuer)),
        also: Decision::default().telling(used),
        ..Ask::default()
    };
    coordinator.create_record(row.clone(), ask).await?;
    Ok((row, secret))
}

fn row(issuer: &ApiToken, hash: String, moment: Moment<'_>) -> ApiToken {
    let id = moment.ids.uuid();
    let end = moment.now + SESSION;
    ApiToken {
        id: ApiTokenId::from_uuid(id),
        name: name(&issuer.name, id),
        hash,
        scope: issuer.scope,
        created_at: moment.now,
        expires_at: Some(issuer.expires_at.map_or(end, |last| last.min(end))),
        last_used_at: None,
        revoked_at: None,
        issuer: Some(issuer.id),
        version: 1,
    }
}

/// `browser 8c1f02a9d3b4 of laptop`: the end of an id is its random part.
fn name(issuer: &str, id: Uuid) -> String {
    let id = id.simple().to_string();
    let end = id.get(20..).unwrap_or_default();
    let issuer: String = issuer.chars().take(LONGEST_NAME).collect();
    format!("browser {end} of {issuer}")
}

fn actor(token: &ApiToken) -> Actor {
    Actor {
        token: token.id,
        name: token.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use fusion_core::{ApiToken, IdSource, Moment, Timestamp, TokenScope};
    use uuid::Uuid;

    use super::row;

    #[derive(Debug)]
    struct Ids;

    impl IdSource for Ids {
        fn uuid(&self) -> Uuid {
            Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
        }
    }

    fn now() -> Timestamp {
        DateTime::from_timestamp(1_000, 0).unwrap()
    }

    fn issuer(expires_at: Option<Timestamp>) -> ApiToken {
        ApiToken {
            id: Uuid::from_u128(1).into(),
            name: "laptop".to_owned(),
            hash: "its hash".to_owned(),
            scope: TokenScope::Operate,
            created_at: now(),
            expires_at,
            last_used_at: None,
            revoked_at: None,
            issuer: None,
            version: 1,
        }
    }

    #[test]
    fn a_session_has_the_scope_of_its_issuer_and_ends_with_it_or_after_a_day_of_work() {
        let moment = Moment {
            now: now(),
            ids: &Ids,
        };
        let soon = now() + TimeDelta::hours(1);
        let late = now() + TimeDelta::days(30);
        let ends = [None, Some(soon), Some(late)].map(|end| {
            let issuer = issuer(end);
            row(&issuer, "hash".to_owned(), moment).expires_at
        });
        let day = now() + TimeDelta::hours(12);
        assert_eq!(ends, [Some(day), Some(soon), Some(day)]);
        let made = row(&issuer(None), "hash".to_owned(), moment);
        assert_eq!(
            made,
            ApiToken {
                id: Ids.uuid().into(),
                name: "browser 456789abcdef of laptop".to_owned(),
                hash: "hash".to_owned(),
                expires_at: Some(day),
                issuer: Some(issuer(None).id),
                ..issuer(None)
            }
        );
    }
}

//! Webhooks, and the last attempts to deliver to each.

use fusion_core::{
    NodeId, ProjectId, Sealed, Severity, Webhook, WebhookAttempt, WebhookId, WebhookLease,
    WebhookSecrets, WebhookState, WebhookTrouble,
};
use fusion_persistence::{Result, WEBHOOK_ATTEMPTS, WebhookFilter};
use sea_orm::prelude::Uuid;
use sea_orm::sea_query::SelectStatement;
use sea_orm::{Condition, Statement};

use crate::error::corrupt;
use crate::session::Session;
use crate::store::{signed, unsigned};
use crate::table::{self as tables, Col, Stored, Versioned, any_of, exactly};
use crate::{failure, json, projects};

pub(crate) mod attempts;

pub(crate) mod table {
    #![expect(
        unreachable_pub,
        reason = "the shape is sea-orm's; columns are documented at the entity in core"
    )]
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "webhooks")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub name: String,
        #[sea_orm(column_type = "Text")]
        pub url: String,
        #[sea_orm(column_type = "Text")]
        pub events: String,
        #[sea_orm(column_type = "Text")]
        pub severities: String,
        pub project_id: Option<Uuid>,
        pub allows_private: bool,
        #[sea_orm(column_type = "VarBinary(StringLen::None)")]
        pub secret: Vec<u8>,
        #[sea_orm(column_type = "VarBinary(StringLen::None)", nullable)]
        pub previous_secret: Option<Vec<u8>>,
        pub previous_until: Option<DateTimeUtc>,
        pub state: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub reason: Option<String>,
        pub cursor_seq: i64,
        pub attempts: i32,
        pub failing_since: Option<DateTimeUtc>,
        pub next_at: Option<DateTimeUtc>,
        pub lease_owner: Option<Uuid>,
        pub lease_until: Option<DateTimeUtc>,
        pub created_at: DateTimeUtc,
        pub updated_at: DateTimeUtc,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

impl Stored for Webhook {
    type Table = table::Entity;

    const ID: Col<Self> = table::Column::Id;
    const KEPT: &'static [Col<Self>] = &[table::Column::CreatedAt];

    fn to_row(&self) -> Result<table::Model> {
        let previous = self.secrets.previous.as_ref();
        Ok(table::Model {
            id: self.id.uuid(),
            name: self.name.clone(),
            url: self.url.clone(),
            events: json::to_text("webhook events", &self.events)?,
            severities: json::to_text("webhook severities", &self.severities)?,
            project_id: self.project.map(ProjectId::uuid),
            allows_private: self.allows_private,
            secret: self.secrets.current.as_bytes().to_vec(),
            previous_secret: previous.map(|(sealed, _)| sealed.as_bytes().to_vec()),
            previous_until: previous.map(|(_, until)| *until),
            state: self.state.as_str().to_owned(),
            reason: self.reason.clone(),
            cursor_seq: signed(self.cursor),
            attempts: i32::try_from(self.trouble.attempts).unwrap_or(i32::MAX),
            failing_since: self.trouble.since,
            next_at: self.trouble.next_at,
            lease_owner: self.lease.map(|lease| lease.owner.uuid()),
            lease_until: self.lease.map(|lease| lease.until),
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: 1,
        })
    }

    fn from_row(row: table::Model) -> Result<Self> {
        let severities: Vec<Severity> = json::from_text("webhook severities", &row.severities)?;
        let lease = row.lease_owner.zip(row.lease_until);
        Ok(Self {
            id: WebhookId::from_uuid(row.id),
            name: row.name,
            url: row.url,
            events: json::from_text("webhook events", &row.events)?,
            severities,
            project: row.project_id.map(ProjectId::from_uuid),
            allows_private: row.allows_private,
            secrets: WebhookSecrets {
                current: Sealed::from_bytes(row.secret),
                previous: row
                    .previous_secret
                    .map(Sealed::from_bytes)
                    .zip(row.previous_until),
            },
            state: WebhookState::from_text(&row.state).ok_or_else(|| corrupt("webhook state"))?,
            reason: row.reason,
            cursor: unsigned(row.cursor_seq, "webhook cursor")?,
            trouble: WebhookTrouble {
                attempts: u32::try_from(row.attempts).map_err(|_| corrupt("webhook attempts"))?,
                since: row.failing_since,
                next_at: row.next_at,
            },
            lease: lease.map(|(owner, until)| WebhookLease {
                owner: NodeId::from_uuid(owner),
                until,
            }),
            created_at: row.created_at,
            updated_at: row.updated_at,
            version: unsigned(row.version, "webhook row version")?,
        })
    }

    fn condition(filter: &WebhookFilter) -> Condition {
        let condition = exactly(Condition::all(), table::Column::Name, filter.name.clone());
        let states = filter.states.iter().map(|state| state.as_str());
        any_of(condition, table::Column::State, states)
    }

    fn key(&self) -> Uuid {
        self.id.uuid()
    }

    fn label(&self) -> String {
        self.name.clone()
    }
}

impl Versioned for Webhook {
    const VERSION: Col<Self> = table::Column::Version;

    fn version(&self) -> u64 {
        self.version
    }

    fn requires(&self) -> Vec<SelectStatement> {
        projects::must_exist(self.project)
    }
}

/// Webhooks that are behind the log and do not wait for the time of an attempt.
pub(crate) fn behind(due: &str, now: &str) -> String {
    let enabled = WebhookState::Enabled.as_str();
    format!(
        "SELECT 1 FROM webhooks WHERE state = '{enabled}' AND (next_at IS NULL OR {due} <= {now}) \
         AND cursor_seq < (SELECT last_seq FROM event_streams WHERE name = 'main')"
    )
}

/// Keeps an attempt, and of all at its webhook the last ones.
pub(crate) async fn keep(
    session: &mut impl Session,
    attempt: &WebhookAttempt,
) -> failure::Result<()> {
    const SQL: &str = "DELETE FROM webhook_attempts WHERE webhook_id = $1 AND id <= (
  SELECT id FROM webhook_attempts WHERE webhook_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";
    tables::create(session, attempt).await?;
    let values = [
        attempt.webhook_id.uuid().into(),
        i64::from(WEBHOOK_ATTEMPTS).into(),
    ];
    let old = Statement::from_sql_and_values(session.backend(), SQL, values);
    session.execute("forget old attempts", old).await?;
    Ok(())
}

/// Takes a webhook away, with what is kept of its attempts.
pub(crate) async fn delete(
    session: &mut impl Session,
    id: Uuid,
    version: u64,
) -> failure::Result<()> {
    const SQL: &str = "DELETE FROM webhook_attempts WHERE webhook_id = $1";
    tables::delete::<Webhook>(session, id, version).await?;
    let attempts = Statement::from_sql_and_values(session.backend(), SQL, [id.into()]);
    session.execute("forget attempts", attempts).await?;
    Ok(())
}

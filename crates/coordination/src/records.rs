//! Records that people keep: projects, capabilities, providers, tokens and workflow definitions; and
//! messages that people send.

use fusion_core::{
    Actor, ApiToken, Capability, Change, Decision, Draft, Message, Moment, Project, ProjectId,
    ProviderConfig, Row, Schedule, Webhook, Workflow, WorkflowDefinition, WorkflowId,
    WorkflowState,
};
use fusion_persistence::{Batch, Deletable, Error as StoreError, Idempotency};
use uuid::Uuid;

use crate::races::Races;
use crate::{Coordinator, Result};

/// Who asks for a change, and how often it counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// Told in the same commit; `None` is the program itself, which nobody asked.
    pub actor: Option<Actor>,
    /// Written in the same commit.
    pub also: Decision,
    /// With it the change is made once, however often it is asked for.
    pub idempotency: Option<Idempotency>,
}

impl Ask {
    /// A decision with who asked for it, to be made once. `done` and the kind are words.
    pub(crate) fn batch(
        self,
        done: &str,
        decision: Decision,
        (kind, id): (&str, Uuid),
        moment: Moment<'_>,
    ) -> Batch {
        self.batch_of(done, decision, (kind, &[id]), moment)
    }

    /// The same for a change of several rows.
    pub(crate) fn batch_of(
        self,
        done: &str,
        decision: Decision,
        (kind, ids): (&str, &[Uuid]),
        moment: Moment<'_>,
    ) -> Batch {
        let mut decision = decision;
        decision.merge(self.also);
        for id in ids {
            if let Some(actor) = &self.actor {
                decision = decision.telling(actor.changed(done, kind, *id, moment));
            }
        }
        Batch {
            idempotency: self.idempotency,
            ..Batch::free(decision)
        }
    }
}

/// A definition that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDefinition {
    /// What it says.
    pub definition: WorkflowDefinition,
    /// Its text.
    pub source: String,
    /// Absolute path of the folder that paths in it begin at.
    pub base_dir: String,
    /// The project it belongs to.
    pub project_id: Option<ProjectId>,
    /// The version that must be the newest one, where only that may be followed.
    pub after: Option<WorkflowId>,
}

impl NewDefinition {
    /// Whether a stored version is this very one.
    fn is(&self, stored: &Workflow) -> bool {
        stored.source == self.source
            && stored.base_dir == self.base_dir
            && stored.project_id == self.project_id
    }
}

/// What became of a definition that was to be stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Version {
    /// It was stored.
    New(Box<Workflow>),
    /// It was the newest version already.
    Same(Box<Workflow>),
}

/// A row that has no life of its own: people make it, change it and take it away.
pub trait Record: Deletable + Into<Row> {
    /// Its id and its version.
    fn place(&self) -> (Uuid, u64);
}

macro_rules! records {
    ($($name:ident),*) => {$(
        impl Record for $name {
            fn place(&self) -> (Uuid, u64) {
                (self.id.uuid(), self.version)
            }
        }
    )*};
}

records!(
    ApiToken,
    Capability,
    Project,
    ProviderConfig,
    Schedule,
    Webhook,
    Workflow
);

impl Coordinator {
    /// Stores a new record.
    ///
    /// # Errors
    /// `Exists` when its name is taken, `Missing` when it refers to nothing, or the store fails.
    pub async fn create_record<T: Record>(&self, row: T, ask: Ask) -> Result<()> {
        let place = (T::KIND.as_str(), row.place().0);
        let decision = Decision::default().with(Change::create(row));
        self.commit(ask.batch("created", decision, place, self.moment()))
            .await
    }

    /// Writes a record as it is now.
    ///
    /// # Errors
    /// `Conflict` when it was changed since it was read; else as [`create_record`](Self::create_record).
    pub async fn update_record<T: Record>(&self, row: T, ask: Ask) -> Result<()> {
        let place = (T::KIND.as_str(), row.place().0);
        let decision = Decision::default().with(Change::update(row));
        self.commit(ask.batch("updated", decision, place, self.moment()))
            .await
    }

    /// Takes a record away, as it was read.
    ///
    /// # Errors
    /// `Conflict` when it was changed since, `InUse` while another row refers to it, or the store
    /// fails.
    pub async fn delete_record<T: Record>(&self, row: &T, ask: Ask) -> Result<()> {
        let (id, version) = row.place();
        let decision = Decision::default().with(Change::Delete {
            kind: T::KIND,
            id,
            version,
        });
        self.commit(ask.batch("deleted", decision, (T::KIND.as_str(), id), self.moment()))
            .await
    }

    /// Has a token refused from now on, and gives it as it is then. One that is refused already stays so.
    ///
    /// # Errors
    /// As [`update_record`](Self::update_record).
    pub async fn revoke_token(&self, row: ApiToken, ask: Ask) -> Result<ApiToken> {
        if row.revoked_at.is_some() {
            return Ok(row);
        }
        let row = ApiToken {
            revoked_at: Some(self.moment().now),
            ..row
        };
        self.update_record(row.clone(), ask).await?;
        Ok(row)
    }

    /// Stores a checked definition as the next version of its name, unless its newest version is this
    /// very text: then that one is given. `ask` gets the row that will be stored.
    ///
    /// # Errors
    /// `Missing` when there is no such project, `Conflict` when it is to follow another version than the
    /// newest, or the store fails.
    pub async fn store_workflow(
        &self,
        new: NewDefinition,
        ask: impl Fn(&Workflow) -> Ask + Send + Sync,
    ) -> Result<Version> {
        let mut races = Races::new();
        loop {
            let latest = self
                .parts
                .store
                .latest_workflow(&new.definition.name)
                .await?;
            let next = latest
                .as_ref()
                .map_or(1, |latest| latest.definition_version + 1);
            if let Some(after) = new.after
                && latest.as_ref().is_none_or(|latest| latest.id != after)
            {
                return Err(StoreError::Conflict {
                    entity: "workflow",
                    id: after.to_string(),
                }
                .into());
            }
            if let Some(same) = latest.filter(|latest| new.is(latest)) {
                return Ok(Version::Same(Box::new(same)));
            }
            let moment = self.moment();
            let workflow = Workflow {
                id: WorkflowId::from_uuid(self.parts.ids.uuid()),
                name: new.definition.name.clone(),
                description: new.definition.description.clone(),
                definition: new.definition.clone(),
                source: new.source.clone(),
                base_dir: new.base_dir.clone(),
                state: WorkflowState::Ready,
                created_at: moment.now,
                project_id: new.project_id,
                definition_version: next,
                version: 1,
            };
            let place = ("workflow", workflow.id.uuid());
            let batch = ask(&workflow).batch("created", workflow.create(moment), place, moment);
            match self.commit(batch).await {
                // Another was quicker with the same number.
                Err(error) if error.is_taken() => races.after(error).await?,
                Err(error) => return Err(error),
                Ok(()) => return Ok(Version::New(Box::new(workflow))),
            }
        }
    }

    /// Tells who asked for a change that the engine made in commits of its own.
    ///
    /// # Errors
    /// The store fails; the change is made all the same.
    pub async fn tell_change(&self, actor: &Actor, done: &str, kind: &str, id: Uuid) -> Result<()> {
        let event = actor.changed(done, kind, id, self.moment());
        self.commit(Batch::free(Decision::default().telling(event)))
            .await
    }

    /// Sends a message of a person. `ask` gets the message as it will be stored, without its place
    /// in the log.
    ///
    /// # Errors
    /// It is beyond a limit, nobody would get it, an inbox is full, or the store fails. Nothing was
    /// sent.
    pub async fn send_message(
        &self,
        draft: Draft<'_>,
        ask: impl Fn(&Message) -> Ask + Send + Sync,
    ) -> Result<Message> {
        let moment = self.moment();
        let (message, decision) = draft.send(self.options.messages, moment)?;
        let place = ("message", message.id.uuid());
        self.commit(ask(&message).batch("sent", decision, place, moment))
            .await?;
        Ok(message)
    }
}

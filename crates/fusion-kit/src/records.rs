//! The work of `project`, `capability` and `token`: rows that people keep.

use async_trait::async_trait;
use fusion_api::spending::detail as project_detail;
use fusion_api::{capability_view, hash_of, name_fault, new_secret, project_view, token_view};
use fusion_api_types::{Problem, ProblemKind, SettingView, api};
use fusion_cli::{NewProject, ProjectUpdate, Records};
use fusion_coordination::Ask;
use fusion_core::{
    ApiToken, ApiTokenId, Budget, Capability, CapabilityId, Change, Clock, IdSource, Project,
    ProjectId, TokenScope, nearest,
};
use fusion_persistence::{
    CapabilityFilter, Deletable, Error as StoreError, Page, ProjectFilter, ProviderFilter,
    Repository, TokenFilter,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::backend::LocalBackend;
use crate::problems;
use crate::project_budgets::Limits;
use crate::providers::write;
use crate::system::{SystemClock, SystemIds};

/// Rows that a name is compared with.
const SEARCHED: u32 = 10_000;

#[async_trait]
impl Records for LocalBackend {
    async fn create_project(&self, new: &NewProject) -> Result<api::Project, Problem> {
        let name = checked(&new.name)?;
        let provider = match &new.provider {
            Some(provider) => Some(self.provider_id(provider).await?),
            None => None,
        };
        let budgets = Limits::of(&new.budgets)?;
        let mut made = bare(name.clone());
        budgets.apply(&mut made);
        if let Some(remote) = self.remote()? {
            let body = api::NewProject {
                name,
                description: new.description.clone(),
                message_queue_config: None,
                default_provider_id: provider,
                limits: fusion_api::project_limits_view(&made),
                metadata: None,
            };
            return remote.make("/projects", &body).await;
        }
        let row = Project {
            description: new.description.clone(),
            default_provider_id: match provider {
                Some(id) => Some(crate::agents::find::parsed(&id)?),
                None => None,
            },
            ..made
        };
        self.store_record(Change::create(row.clone())).await?;
        Ok(project_view(row))
    }

    async fn list_projects(
        &self,
        archived: Option<bool>,
        limit: u32,
    ) -> Result<Vec<api::Project>, Problem> {
        if let Some(remote) = self.named_remote()? {
            let asked = archived.map(|archived| ("archived", archived.to_string()));
            let asked: Vec<(&str, String)> = asked.into_iter().collect();
            return remote
                .rows("/projects", "projects", &asked, limit as usize)
                .await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let filter = ProjectFilter {
            archived,
            ..ProjectFilter::default()
        };
        let rows = reading.store().list(&filter, Page::first(limit)).await;
        Ok(rows.map_err(read)?.into_iter().map(project_view).collect())
    }

    async fn show_project(&self, name: &str) -> Result<api::ProjectDetail, Problem> {
        let project = self.project_named(name).await?;
        if let Some(remote) = self.named_remote()? {
            let path = format!("/projects/{}/budgets", project.id);
            let budgets = remote.client().get(&path, &[]).await?;
            return Ok(api::ProjectDetail { project, budgets });
        }
        let reading = self.reading().await?.ok_or_else(|| none("project", name))?;
        let id: ProjectId = crate::agents::find::parsed(&project.id)?;
        let row: Project = reading.store().get(id).await.map_err(read)?;
        let shown = project_detail(reading.store(), row, SystemClock.now()).await;
        shown.map_err(read)
    }

    async fn update_project(&self, update: &ProjectUpdate) -> Result<api::Project, Problem> {
        let found = self.project_named(&update.project).await?;
        let limits = Limits::of(&update.budgets)?;
        if let Some(remote) = self.remote()? {
            let mut body = limits.members();
            if let Some(description) = &update.description {
                body.insert("description".to_owned(), description.clone().into());
            }
            let path = format!("/projects/{}", found.id);
            return remote.client().patch(&path, &body).await;
        }
        let reading = self.reading().await?;
        let reading = reading.ok_or_else(|| none("project", &update.project))?;
        let id: ProjectId = crate::agents::find::parsed(&found.id)?;
        let mut row: Project = reading.store().get(id).await.map_err(read)?;
        limits.apply(&mut row);
        if let Some(description) = &update.description {
            row.description.clone_from(description);
        }
        row.updated_at = SystemClock.now();
        self.store_record(Change::update(row.clone())).await?;
        Ok(project_view(row))
    }

    async fn use_project(&self, name: Option<&str>) -> Result<SettingView, Problem> {
        if let Some(name) = name {
            let found = self.project_named(name).await?;
            if found.archived_at.is_some() {
                let archived = StoreError::Archived {
                    project: found.name,
                };
                return Err(read(archived));
            }
        }
        self.config().keep_project(name)
    }

    async fn archive_project(&self, name: &str, archive: bool) -> Result<api::Project, Problem> {
        let found = self.project_named(name).await?;
        if let Some(remote) = self.remote()? {
            let done = if archive { "archive" } else { "unarchive" };
            let path = format!("/projects/{}/{done}", found.id);
            return remote.client().post(&path, &json!({})).await;
        }
        let id: ProjectId = crate::agents::find::parsed(&found.id)?;
        let engine = self.steering().await?;
        let changed = engine
            .coordinator()
            .archive_project(id, archive, |_| Ask::default())
            .await;
        engine.close().await;
        changed
            .map(project_view)
            .map_err(|error| problems::of_engine(&error))
    }

    async fn delete_project(&self, name: &str) -> Result<api::Project, Problem> {
        let found = self.project_named(name).await?;
        if let Some(remote) = self.remote()? {
            remote.unmake("/projects", &found.id).await?;
            return Ok(found);
        }
        let reading = self.reading().await?.ok_or_else(|| none("project", name))?;
        let id: ProjectId = crate::agents::find::parsed(&found.id)?;
        let row: Project = reading.store().get(id).await.map_err(read)?;
        let gone = Change::Delete {
            kind: Project::KIND,
            id: row.id.uuid(),
            version: row.version,
        };
        self.store_record(gone).await?;
        Ok(found)
    }

    async fn create_capability(
        &self,
        new: &api::NewCapability,
    ) -> Result<api::Capability, Problem> {
        let name = checked(&new.name)?;
        if let Some(remote) = self.remote()? {
            return remote.make("/capabilities", new).await;
        }
        let row = Capability {
            id: CapabilityId::from_uuid(SystemIds::new().uuid()),
            name,
            description: new.description.clone(),
            category: new.category.clone(),
            metadata: new.metadata.clone().unwrap_or_else(|| json!({})),
            created_at: SystemClock.now(),
            version: 1,
        };
        self.store_record(Change::create(row.clone())).await?;
        Ok(capability_view(row))
    }

    async fn list_capabilities(&self, limit: u32) -> Result<Vec<api::Capability>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.records("/capabilities", "capabilities", limit).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let filter = CapabilityFilter::default();
        let rows = reading.store().list(&filter, Page::first(limit)).await;
        Ok(rows
            .map_err(read)?
            .into_iter()
            .map(capability_view)
            .collect())
    }

    async fn show_capability(&self, name: &str) -> Result<api::Capability, Problem> {
        let all = self.list_capabilities(SEARCHED).await?;
        named(all, "capability", name, |row| (&row.id, &row.name))
    }

    async fn delete_capability(&self, name: &str) -> Result<api::Capability, Problem> {
        let found = self.show_capability(name).await?;
        if let Some(remote) = self.remote()? {
            remote.unmake("/capabilities", &found.id).await?;
            return Ok(found);
        }
        let reading = self.reading().await?;
        let reading = reading.ok_or_else(|| none("capability", name))?;
        let id: CapabilityId = crate::agents::find::parsed(&found.id)?;
        let row: Capability = reading.store().get(id).await.map_err(read)?;
        let gone = Change::Delete {
            kind: Capability::KIND,
            id: row.id.uuid(),
            version: row.version,
        };
        self.store_record(gone).await?;
        Ok(found)
    }

    async fn create_token(&self, new: &api::NewToken) -> Result<api::TokenMade, Problem> {
        let name = checked(&new.name)?;
        if let Some(remote) = self.remote()? {
            return remote.make("/tokens", new).await;
        }
        let secret = new_secret().map_err(|error| {
            let text = format!("the system gives no random bytes: {error}");
            Problem::new(ProblemKind::Unavailable, text)
        })?;
        let row = ApiToken {
            id: ApiTokenId::from_uuid(SystemIds::new().uuid()),
            name,
            hash: hash_of(secret.expose_secret()),
            scope: TokenScope::from_text(&new.scope).unwrap_or(TokenScope::Read),
            created_at: SystemClock.now(),
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
            issuer: None,
            version: 1,
        };
        self.store_record(Change::create(row.clone())).await?;
        Ok(api::TokenMade {
            token: token_view(&row),
            secret: secret.expose_secret().to_owned(),
        })
    }

    async fn list_tokens(&self, limit: u32) -> Result<Vec<api::Token>, Problem> {
        if let Some(remote) = self.named_remote()? {
            return remote.records("/tokens", "tokens", limit).await;
        }
        let Some(reading) = self.reading().await? else {
            return Ok(Vec::new());
        };
        let filter = TokenFilter::default();
        let rows = reading.store().list(&filter, Page::first(limit)).await;
        Ok(rows.map_err(read)?.iter().map(token_view).collect())
    }

    async fn revoke_token(&self, name: &str) -> Result<api::Token, Problem> {
        let found = self.token_named(name).await?;
        if let Some(remote) = self.remote()? {
            remote.unmake("/tokens", &found.id).await?;
            return self.token_named(&found.id).await;
        }
        let reading = self.reading().await?.ok_or_else(|| none("token", name))?;
        let id: ApiTokenId = crate::agents::find::parsed(&found.id)?;
        let mut row: ApiToken = reading.store().get(id).await.map_err(read)?;
        if row.revoked_at.is_none() {
            row.revoked_at = Some(SystemClock.now());
            self.store_record(Change::update(row.clone())).await?;
        }
        Ok(token_view(&row))
    }
}

impl LocalBackend {
    /// The project of this name or id, archived or not.
    pub(crate) async fn project_named(&self, name: &str) -> Result<api::Project, Problem> {
        let all = self.list_projects(None, SEARCHED).await?;
        named(all, "project", name, |row| (&row.id, &row.name))
    }

    /// The token of this name or id.
    pub(crate) async fn token_named(&self, name: &str) -> Result<api::Token, Problem> {
        let all = self.list_tokens(SEARCHED).await?;
        named(all, "token", name, |row| (&row.id, &row.name))
    }

    /// The id of a stored provider.
    async fn provider_id(&self, name: &str) -> Result<String, Problem> {
        let rows: Vec<(String, String)> = if let Some(remote) = self.named_remote()? {
            let rows: Vec<api::Provider> =
                remote.records("/providers", "providers", SEARCHED).await?;
            rows.into_iter().map(|row| (row.id, row.name)).collect()
        } else if let Some(reading) = self.reading().await? {
            let filter = ProviderFilter::default();
            let rows = reading.store().list(&filter, Page::first(SEARCHED)).await;
            let rows = rows.map_err(read)?.into_iter();
            rows.map(|row| (row.id.to_string(), row.name)).collect()
        } else {
            Vec::new()
        };
        let found = named(rows, "stored provider", name, |row| (&row.0, &row.1))?;
        Ok(found.0)
    }

    /// Commits one change as the owner of the data directory.
    pub(crate) async fn store_record(&self, change: Change) -> Result<(), Problem> {
        write(&self.place()?, change).await?.map_err(read)
    }
}

/// A new project with a name and nothing else.
fn bare(name: String) -> Project {
    let now = SystemClock.now();
    Project {
        id: ProjectId::from_uuid(SystemIds::new().uuid()),
        name,
        description: String::new(),
        message_queue_config: json!({}),
        default_provider_id: None,
        budget: Budget::default(),
        budget_per_day: Budget::default(),
        archived_at: None,
        created_at: now,
        updated_at: now,
        metadata: json!({}),
        version: 1,
    }
}

fn checked(name: &str) -> Result<String, Problem> {
    match name_fault(name) {
        Some(fault) => {
            let text = format!("the name {fault}");
            Err(Problem::new(ProblemKind::InvalidInput, text))
        }
        None => Ok(name.to_owned()),
    }
}

/// The row of this name, or of this id.
pub(crate) fn named<T>(
    rows: Vec<T>,
    kind: &str,
    text: &str,
    names: impl Fn(&T) -> (&String, &String),
) -> Result<T, Problem> {
    let known: Vec<String> = rows.iter().map(|row| names(row).1.clone()).collect();
    let is_meant = |row: &T| {
        let (id, name) = names(row);
        name == text || id == text
    };
    rows.into_iter().find(|row| is_meant(row)).ok_or_else(|| {
        let problem = none(kind, text);
        match nearest(text, known.iter().map(String::as_str)) {
            Some(near) => problem.with_help(format!("did you mean '{near}'?")),
            None => problem,
        }
    })
}

pub(crate) fn none(kind: &str, name: &str) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("there is no {kind} '{name}'"),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of map_err")]
pub(crate) fn read(error: StoreError) -> Problem {
    problems::of_store(&error)
}

impl crate::remote::Remote {
    /// Makes a record.
    async fn make<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl serde::Serialize + Sync),
    ) -> Result<T, Problem> {
        // Members that are not given are left out: to some of them null is no value.
        let mut body = serde_json::to_value(body).unwrap_or_default();
        if let Value::Object(members) = &mut body {
            members.retain(|_, value| !value.is_null());
        }
        self.client().post(path, &body).await
    }

    async fn unmake(&self, path: &str, id: &str) -> Result<(), Problem> {
        self.client().delete(&format!("{path}/{id}"), &[]).await
    }

    async fn records<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        name: &str,
        limit: u32,
    ) -> Result<Vec<T>, Problem> {
        self.rows(path, name, &[], limit as usize).await
    }
}

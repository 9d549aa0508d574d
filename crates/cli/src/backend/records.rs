//! The port behind `project`, `capability` and `token`.

use async_trait::async_trait;
use fusion_api_types::{Problem, SettingView, api};

/// A project to be made, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewProject {
    /// Its unique name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Name of the stored provider of agents that name none.
    pub provider: Option<String>,
    /// What it may use.
    pub budgets: ProjectBudgets,
}

/// Limits of a project as they were typed: an amount of US dollars, or a number of tokens. `none` takes
/// one away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectBudgets {
    /// US dollars in all.
    pub usd: Option<String>,
    /// Tokens in all.
    pub tokens: Option<String>,
    /// US dollars on one day.
    pub usd_per_day: Option<String>,
    /// Tokens on one day.
    pub tokens_per_day: Option<String>,
}

/// What is to change of a project; what is not given stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectUpdate {
    /// Its name, or its id.
    pub project: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it may use.
    pub budgets: ProjectBudgets,
}

/// Looks after what people keep. A record is named by its name or its id; one that does not exist is
/// answered with the nearest.
#[async_trait]
pub trait Records {
    /// Makes a project.
    ///
    /// # Errors
    /// The name is taken or can't be used, or there is no such provider.
    async fn create_project(&self, new: &NewProject) -> Result<api::Project, Problem>;

    /// Projects, the newest first: those that are archived, those that are not, or all.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_projects(
        &self,
        archived: Option<bool>,
        limit: u32,
    ) -> Result<Vec<api::Project>, Problem>;

    /// One project, with what was spent of its budgets.
    ///
    /// # Errors
    /// There is none of this name.
    async fn show_project(&self, name: &str) -> Result<api::ProjectDetail, Problem>;

    /// Changes a project.
    ///
    /// # Errors
    /// There is none of this name, or a limit can't be read.
    async fn update_project(&self, update: &ProjectUpdate) -> Result<api::Project, Problem>;

    /// Makes a project that of what is made without one, from the next command on; `None` makes it
    /// none.
    ///
    /// # Errors
    /// There is none of this name, or the user's settings can't be written.
    async fn use_project(&self, name: Option<&str>) -> Result<SettingView, Problem>;

    /// Lets a project take nothing new, or take it again; one that is so already stays as it is.
    ///
    /// # Errors
    /// There is none of this name, or something of it is open.
    async fn archive_project(&self, name: &str, archive: bool) -> Result<api::Project, Problem>;

    /// Takes a project away.
    ///
    /// # Errors
    /// There is none of this name, or something refers to it.
    async fn delete_project(&self, name: &str) -> Result<api::Project, Problem>;

    /// Makes a capability.
    ///
    /// # Errors
    /// The name is taken or can't be used.
    async fn create_capability(&self, new: &api::NewCapability)
    -> Result<api::Capability, Problem>;

    /// Capabilities, the newest first.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_capabilities(&self, limit: u32) -> Result<Vec<api::Capability>, Problem>;

    /// One capability.
    ///
    /// # Errors
    /// There is none of this name.
    async fn show_capability(&self, name: &str) -> Result<api::Capability, Problem>;

    /// Takes a capability out of the registry.
    ///
    /// # Errors
    /// There is none of this name.
    async fn delete_capability(&self, name: &str) -> Result<api::Capability, Problem>;

    /// Makes a token of the API; it is in the answer and nowhere else.
    ///
    /// # Errors
    /// The name is taken or can't be used, or the time has passed.
    async fn create_token(&self, new: &api::NewToken) -> Result<api::TokenMade, Problem>;

    /// Tokens, the newest first, without what they are.
    ///
    /// # Errors
    /// The data directory can't be read.
    async fn list_tokens(&self, limit: u32) -> Result<Vec<api::Token>, Problem>;

    /// Takes a token away for good.
    ///
    /// # Errors
    /// There is none of this name.
    async fn revoke_token(&self, name: &str) -> Result<api::Token, Problem>;
}

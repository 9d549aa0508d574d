//! What the fake backend says of records, schedules, events, settings and the server.

use std::path::PathBuf;

use async_trait::async_trait;
use fusion_api_types::{InfoView, Problem, Replayed, SettingChange, SettingView, VersionView, api};
use fusion_cli::{
    About, EditEnd, EventQuery, EventSink, Events, NewProject, NewSchedule, NewWebhook,
    ProjectUpdate, Records, Replay, Schedules, SettingRequest, SettingsFile, Webhooks,
};
use serde_json::{Value, json};

use super::Fake;

impl Fake {
    fn rows<T: serde::de::DeserializeOwned>(&self, question: String) -> Result<Vec<T>, Problem> {
        self.report(question)
    }
}

#[async_trait]
impl Records for Fake {
    async fn create_project(&self, new: &NewProject) -> Result<api::Project, Problem> {
        self.report(format!("{new:?}"))
    }

    async fn list_projects(
        &self,
        archived: Option<bool>,
        limit: u32,
    ) -> Result<Vec<api::Project>, Problem> {
        self.rows(format!("projects {archived:?} {limit}"))
    }

    async fn archive_project(&self, name: &str, archive: bool) -> Result<api::Project, Problem> {
        self.report(format!("archive {archive} project {name}"))
    }

    async fn show_project(&self, name: &str) -> Result<api::ProjectDetail, Problem> {
        self.report(format!("project {name}"))
    }

    async fn update_project(&self, update: &ProjectUpdate) -> Result<api::Project, Problem> {
        self.report(format!("{update:?}"))
    }

    async fn use_project(&self, name: Option<&str>) -> Result<SettingView, Problem> {
        self.report(format!("use {name:?}"))
    }

    async fn delete_project(&self, name: &str) -> Result<api::Project, Problem> {
        self.report(format!("delete project {name}"))
    }

    async fn create_capability(
        &self,
        new: &api::NewCapability,
    ) -> Result<api::Capability, Problem> {
        self.report(json!(new).to_string())
    }

    async fn list_capabilities(&self, limit: u32) -> Result<Vec<api::Capability>, Problem> {
        self.rows(format!("capabilities {limit}"))
    }

    async fn show_capability(&self, name: &str) -> Result<api::Capability, Problem> {
        self.report(format!("capability {name}"))
    }

    async fn delete_capability(&self, name: &str) -> Result<api::Capability, Problem> {
        self.report(format!("delete capability {name}"))
    }

    async fn create_token(&self, new: &api::NewToken) -> Result<api::TokenMade, Problem> {
        self.report(json!(new).to_string())
    }

    async fn list_tokens(&self, limit: u32) -> Result<Vec<api::Token>, Problem> {
        self.rows(format!("tokens {limit}"))
    }

    async fn revoke_token(&self, name: &str) -> Result<api::Token, Problem> {
        self.report(format!("revoke {name}"))
    }
}

#[async_trait]
impl Events for Fake {
    async fn tail_events(
        &self,
        query: &EventQuery,
        limit: u32,
        follow: bool,
        sink: &mut dyn EventSink,
    ) -> Result<(), Problem> {
        let events: Vec<api::Event> = self.rows(format!("{query:?} {limit} {follow}"))?;
        for event in &events {
            if sink.event(event)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn list_events(
        &self,
        query: &EventQuery,
        limit: u32,
        cursor: Option<&str>,
    ) -> Result<api::EventPage, Problem> {
        self.report(format!("list {query:?} {limit} {cursor:?}"))
    }

    async fn show_event(&self, event: &str) -> Result<api::Event, Problem> {
        self.report(format!("event {event}"))
    }

    async fn replay_events(
        &self,
        query: &EventQuery,
        replay: &Replay,
    ) -> Result<Replayed, Problem> {
        self.report(format!("replay {query:?} {replay:?}"))
    }

    async fn all_events(
        &self,
        query: &EventQuery,
        sink: &mut dyn EventSink,
    ) -> Result<(), Problem> {
        self.tail_events(query, 0, false, sink).await
    }
}

#[async_trait]
impl About for Fake {
    fn settings(&self) -> Vec<SettingView> {
        self.report("settings".to_owned()).unwrap_or_default()
    }

    fn change_setting(&self, request: &SettingRequest) -> Result<SettingChange, Problem> {
        self.report(format!("{request:?}"))
    }

    fn settings_file(&self, _: &SettingsFile) -> Result<PathBuf, Problem> {
        Ok(PathBuf::from("/p/.env"))
    }

    async fn edit_settings(&self, file: &SettingsFile) -> Result<EditEnd, Problem> {
        self.asked.lock().unwrap().push(format!("edit {file:?}"));
        Ok(EditEnd::Same)
    }

    async fn version(&self) -> Result<VersionView, Problem> {
        self.report("version".to_owned())
    }

    async fn info(&self) -> Result<InfoView, Problem> {
        self.report("info".to_owned())
    }

    async fn health(&self) -> Result<api::Health, Problem> {
        let health: Value = self.report("health".to_owned())?;
        Ok(serde_json::from_value(health).unwrap())
    }
}

#[async_trait]
impl Webhooks for Fake {
    async fn add_webhook(&self, new: &NewWebhook) -> Result<api::WebhookMade, Problem> {
        self.report(format!("{new:?}"))
    }

    async fn list_webhooks(&self, limit: u32) -> Result<Vec<api::Webhook>, Problem> {
        self.report(format!("webhooks {limit}"))
    }

    async fn show_webhook(&self, name: &str) -> Result<api::Webhook, Problem> {
        self.report(format!("webhook {name}"))
    }

    async fn test_webhook(&self, name: &str) -> Result<api::WebhookTest, Problem> {
        self.report(format!("test webhook {name}"))
    }

    async fn resend_delivery(
        &self,
        name: &str,
        delivery: &str,
    ) -> Result<api::WebhookTest, Problem> {
        self.report(format!("resend {delivery} to webhook {name}"))
    }

    async fn webhook_deliveries(
        &self,
        name: &str,
        limit: u32,
    ) -> Result<Vec<api::WebhookDelivery>, Problem> {
        self.report(format!("deliveries {name} {limit}"))
    }

    async fn switch_webhook(&self, name: &str, on: bool) -> Result<api::Webhook, Problem> {
        self.report(format!("switch webhook {name}: {on}"))
    }

    async fn rotate_webhook(&self, name: &str) -> Result<api::WebhookMade, Problem> {
        self.report(format!("rotate webhook {name}"))
    }

    async fn remove_webhook(&self, name: &str) -> Result<api::Webhook, Problem> {
        self.report(format!("remove webhook {name}"))
    }
}

#[async_trait]
impl Schedules for Fake {
    async fn create_schedule(&self, new: &NewSchedule) -> Result<api::Schedule, Problem> {
        self.report(format!("{new:?}"))
    }

    async fn list_schedules(&self, limit: u32) -> Result<Vec<api::Schedule>, Problem> {
        self.report(format!("schedules {limit}"))
    }

    async fn show_schedule(&self, name: &str) -> Result<api::Schedule, Problem> {
        self.report(format!("schedule {name}"))
    }

    async fn pause_schedule(&self, name: &str, paused: bool) -> Result<api::Schedule, Problem> {
        self.report(format!("pause {name}: {paused}"))
    }

    async fn delete_schedule(&self, name: &str) -> Result<api::Schedule, Problem> {
        self.report(format!("delete schedule {name}"))
    }
}

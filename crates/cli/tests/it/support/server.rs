//! A server that is ready at once and then stopped.

use std::ffi::OsString;
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{Problem, ProblemKind, ServerReady, SignInLink};
use fusion_cli::{Audience, Ready, ServeRequest, Server};

use super::Fake;

#[async_trait]
impl Server for Fake {
    async fn serve(&self, request: &ServeRequest, ready: &mut dyn Ready) -> Result<(), Problem> {
        self.asked.lock().unwrap().push(format!("{request:?}"));
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let link = (request.audience == Audience::Person).then(|| SignInLink {
            url: "http://127.0.0.1:8000/sign-in#code=abc".to_owned(),
            expires_at: chrono::DateTime::UNIX_EPOCH,
        });
        let server = serde_json::from_value(self.report.clone()).unwrap();
        ready.ready(&server, link.as_ref())?;
        if request.open {
            ready.not_opened("there is none");
        }
        Ok(())
    }

    async fn start_server(
        &self,
        request: &ServeRequest,
        place: &[OsString],
    ) -> Result<Option<ServerReady>, Problem> {
        self.report(format!("start_server {request:?} {place:?}"))
            .map(Some)
    }

    async fn open_browser(&self) -> Result<(), Problem> {
        self.asked.lock().unwrap().push("open_browser".to_owned());
        Err(Problem::new(ProblemKind::Unavailable, "there is none"))
    }

    async fn stop_server(&self, within: Duration, at_once: bool) -> Result<ServerReady, Problem> {
        let how = if at_once { " at once" } else { "" };
        self.report(format!("stop_server {within:?}{how}"))
    }

    async fn sign_in_link(&self) -> Result<SignInLink, Problem> {
        self.report("sign_in_link".to_owned())
    }
}

//! A server that is ready at once and then stopped.

use async_trait::async_trait;
use fusion_api_types::{Problem, SignInLink};
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
        ready.ready(&server, link.as_ref())
    }

    async fn sign_in_link(&self) -> Result<SignInLink, Problem> {
        self.report("sign_in_link".to_owned())
    }
}

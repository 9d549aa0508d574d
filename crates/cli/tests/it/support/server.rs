//! A server that is ready at once and then stopped.

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_cli::{Ready, ServeRequest, Server};

use super::Fake;

#[async_trait]
impl Server for Fake {
    async fn serve(&self, request: &ServeRequest, ready: &mut dyn Ready) -> Result<(), Problem> {
        self.asked.lock().unwrap().push(format!("{request:?}"));
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        ready.ready(&serde_json::from_value(self.report.clone()).unwrap())
    }
}

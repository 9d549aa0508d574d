//! What the fake backend says of everything at a glance.

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_cli::{Overview, Sight};
use tokio::sync::mpsc;

use super::Fake;

#[async_trait]
impl Overview for Fake {
    async fn overview(&self, _: mpsc::Sender<Sight>) -> Result<(), Problem> {
        self.report("overview".to_owned())
    }
}

//! Serves nothing, and remembers what it would have served.

use async_trait::async_trait;
use fusion_api_types::Problem;
use fusion_cli::{CommandTools, Offer};

use super::Fake;

#[async_trait]
impl CommandTools for Fake {
    async fn serve_commands(&self, offers: Vec<Offer>, place: Vec<String>) -> Result<(), Problem> {
        let names: Vec<&str> = offers.iter().map(|offer| offer.name.as_str()).collect();
        self.ask(format!("serve {} at {place:?}", names.join(" ")))
    }
}

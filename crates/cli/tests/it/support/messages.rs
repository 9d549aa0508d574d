//! What the fake backend says of messages.

use async_trait::async_trait;
use fusion_api_types::{MessageDetail, MessageList, Problem};
use fusion_cli::{MessageQuery, Messages, NewMessage, Tail};

use super::Fake;

#[async_trait]
impl Messages for Fake {
    async fn send_message(&self, new: &NewMessage) -> Result<MessageDetail, Problem> {
        self.report(format!("{new:?}"))
    }

    async fn list_messages(&self, query: &MessageQuery) -> Result<MessageList, Problem> {
        self.report(format!("{query:?}"))
    }

    async fn show_message(&self, id: &str) -> Result<MessageDetail, Problem> {
        self.report(format!("show {id}"))
    }

    async fn tail_messages(
        &self,
        query: &MessageQuery,
        follow: bool,
        tail: &mut dyn Tail,
    ) -> Result<(), Problem> {
        let list: MessageList = self.report(format!("{query:?} {follow}"))?;
        for message in &list.messages {
            if tail.message(message)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    async fn resend_message(&self, id: &str) -> Result<MessageDetail, Problem> {
        self.report(format!("resend {id}"))
    }
}

//! The port behind `message`.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use fusion_api_types::{MessageDetail, MessageList, MessageView, Problem};

/// Who is to get a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// An agent, by its name in the run or its id.
    Agent(String),
    /// Every agent of the run that listens to a topic.
    Topic(String),
    /// Every agent of the run.
    Everyone,
}

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A text.
    Text(String),
    /// What is in a file.
    File(PathBuf),
    /// What comes from stdin.
    Stdin,
}

impl Content {
    /// What is in a file; `-` is stdin.
    #[must_use]
    pub fn of_file(file: &Path) -> Self {
        if file == Path::new("-") {
            Self::Stdin
        } else {
            Self::File(file.to_owned())
        }
    }
}

/// A message to be sent, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Who is to get it.
    pub to: To,
    /// Id or unique prefix of the run; the newest unfinished one without it.
    pub run: Option<String>,
    /// What kind of content it is.
    pub message_type: String,
    /// Id or unique prefix of the message that it answers.
    pub reply_to: Option<String>,
    /// How long it is worth reading.
    pub expires_in: Option<Duration>,
    /// The content.
    pub content: Content,
}

/// Which messages are meant, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageQuery {
    /// Id or unique prefix of the run.
    pub run: Option<String>,
    /// The sender, by its name in the run or its id.
    pub from: Option<String>,
    /// A recipient, by its name in the run or its id.
    pub to: Option<String>,
    /// The topic.
    pub topic: Option<String>,
    /// Names of statuses.
    pub statuses: Vec<&'static str>,
    /// Sent within this time.
    pub since: Option<Duration>,
    /// At most this many.
    pub limit: u32,
}

/// Takes messages one by one; says whether anybody wants more.
pub trait Tail: Send {
    /// The next one.
    ///
    /// # Errors
    /// It can't be shown.
    fn message(&mut self, message: &MessageView) -> Result<ControlFlow<()>, Problem>;
}

/// Sends messages to agents and shows what they send each other.
///
/// An agent, run or message that does not exist is answered with the way to find one.
#[async_trait]
pub trait Messages {
    /// Sends a message; it is in the store when this returns.
    ///
    /// # Errors
    /// Nobody would get it, it is beyond a limit, an inbox is full, or the database belongs to
    /// another process. Nothing was sent.
    async fn send_message(&self, new: &NewMessage) -> Result<MessageDetail, Problem>;

    /// Messages, the newest first: fewer than were asked for when they hold a lot.
    ///
    /// # Errors
    /// The data directory can't be read, or there is no such run or agent.
    async fn list_messages(&self, query: &MessageQuery) -> Result<MessageList, Problem>;

    /// One message, by id or unique prefix.
    ///
    /// # Errors
    /// There is none, an ambiguous prefix, or the data directory can't be read.
    async fn show_message(&self, id: &str) -> Result<MessageDetail, Problem>;

    /// The newest messages in the order in which they were sent; with `follow` also those that are
    /// sent from now on, until `tail` wants no more.
    ///
    /// # Errors
    /// As [`list_messages`](Self::list_messages).
    async fn tail_messages(
        &self,
        query: &MessageQuery,
        follow: bool,
        tail: &mut dyn Tail,
    ) -> Result<(), Problem>;

    /// Sends a failed or expired message again, to those that have not read it and still can.
    ///
    /// # Errors
    /// There is none, it is neither, or nobody is left to read it. Nothing was sent.
    async fn resend_message(&self, id: &str) -> Result<MessageDetail, Problem>;
}

//! The arguments of `message`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand, ValueEnum, value_parser};

/// `message`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Agents read messages between two turns. A message that nobody reads is told as failed or expired,
and can be sent again.

Examples:
  fusion-kit message send --to reviewer \"stop\"
  fusion-kit message list --status failed,expired
  fusion-kit message tail --follow"
)]
pub struct MessageArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MessageCommand,
}

/// Sending messages and looking at them.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum MessageCommand {
    /// Send a message to an agent, to a topic or to all agents of a run.
    Send(SendArgs),
    /// List messages, the newest first.
    List(MessageListArgs),
    /// Show all about a message: its content, and what became of it at each recipient.
    #[command(after_long_help = "\
Examples:
  fusion-kit message show 0192f3c1
  fusion-kit message show 0192f3c1 --json | jq '.deliveries[] | .status'")]
    Show(MessageName),
    /// Print messages as they are sent.
    Tail(TailArgs),
    /// Send a failed or expired message again.
    #[command(after_long_help = "\
A new message goes to those recipients that have not read the old one and still can.

Examples:
  fusion-kit message resend 0192f3c1")]
    Resend(MessageName),
}

/// `message send`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    group(ArgGroup::new("audience").required(true).args(["to", "topic", "broadcast"])),
    group(ArgGroup::new("content").required(true).args(["text", "payload"])),
    after_long_help = "\
With a database on a server it also works while another process works on the run; a SQLite file
belongs to that process.

Examples:
  fusion-kit message send --to reviewer \"stop\"
  fusion-kit message send --topic review.done --expires 10m \"done\"
  fusion-kit message send --broadcast --payload notice.json
  date | jq -R . | fusion-kit message send --to planner --payload -"
)]
pub struct SendArgs {
    /// Send it to this agent: its name in the run, or its id.
    #[arg(long, value_name = "AGENT")]
    pub to: Option<String>,
    /// Send it to every agent of the run that listens to this topic.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Send it to every agent of the run.
    #[arg(long)]
    pub broadcast: bool,
    /// The run, by its id or the unique beginning of one; the newest unfinished run without it.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// What kind of content it is, for the reader.
    #[arg(long = "type", value_name = "TYPE", default_value = "message")]
    pub message_type: String,
    /// The message that it answers: its id or the unique beginning of one.
    #[arg(long, value_name = "ID")]
    pub reply_to: Option<String>,
    /// Give it up when it is not read within this time, such as 90s, 10m, 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub expires: Option<Duration>,
    /// The content, as text.
    pub text: Option<String>,
    /// The content as JSON, from this file; `-` is stdin. At most 1 MiB.
    #[arg(long, value_name = "FILE")]
    pub payload: Option<PathBuf>,
}

/// Which messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct MessageFilterArgs {
    /// Only of this run: its id or the unique beginning of one.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Only from this agent: its name in the run (without --run the newest), or its id.
    #[arg(long, value_name = "AGENT")]
    pub from: Option<String>,
    /// Only to this agent; --status is then that of its own delivery.
    #[arg(long, value_name = "AGENT")]
    pub to: Option<String>,
    /// Only on exactly this topic.
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,
    /// Only with one of these statuses; dead letters are failed,expired.
    #[arg(long, value_name = "STATUS", value_enum, value_delimiter = ',')]
    pub status: Vec<MessageStatus>,
    /// Only those sent within this time, such as 90s, 10m, 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub since: Option<Duration>,
}

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MessageStatus {
    /// Not yet read.
    Pending,
    /// Read by all its recipients.
    Delivered,
    /// Given up: a recipient has ended, for example.
    Failed,
    /// Not read in time.
    Expired,
}

impl MessageStatus {
    /// Its name, as it is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// `message list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit message list
  fusion-kit message list --to reviewer --status pending
  fusion-kit message list --status failed,expired --json | jq -r '.messages[] | .id'")]
pub struct MessageListArgs {
    /// Which.
    #[command(flatten)]
    pub filter: MessageFilterArgs,
    /// At most this many.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// `message tail`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
With --json each message is one JSON object on a line of its own.

Examples:
  fusion-kit message tail
  fusion-kit message tail --follow --json | jq -r .topic")]
pub struct TailArgs {
    /// Which.
    #[command(flatten)]
    pub filter: MessageFilterArgs,
    /// Begin with this many that were sent already.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(0..=1000))]
    pub limit: u32,
    /// Go on with those that are sent from now on, until it is stopped. A new message is pending: not
    /// with --status.
    #[arg(short, long, conflicts_with = "status")]
    pub follow: bool,
}

/// Which message.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct MessageName {
    /// Id of the message or the unique beginning of one.
    pub id: String,
}

/// The longest time that can be given: a hundred years.
const MAX_SECONDS: u64 = 36_500 * 24 * 60 * 60;

/// `90s`, `10m`, `2h`, `3d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1), ("m", 60), ("h", 60 * 60), ("d", 24 * 60 * 60)];
    let seconds = units.iter().find_map(|(unit, seconds)| {
        let digits = text.strip_suffix(unit)?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = is_number.then(|| digits.parse().ok())??;
        number.checked_mul(*seconds)
    });
    match seconds {
        Some(seconds @ 1..=MAX_SECONDS) => Ok(Duration::from_secs(seconds)),
        Some(_) => Err("from 1s to 36500d are allowed".to_owned()),
        None => Err("write a number and a unit, such as 90s, 10m, 2h or 3d".to_owned()),
    }
}

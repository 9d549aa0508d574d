//! The arguments of `events` and `export`.

use clap::{Args, Subcommand, ValueEnum, value_parser};

use super::metrics::{Moment, moment};

/// `events`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit events tail --follow
  fusion-kit events tail --type 'task.*' --severity warning+"
)]
pub struct EventsArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: EventsCommand,
}

/// Looking at the event log.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum EventsCommand {
    /// Show the newest events, and with --follow those to come.
    Tail(EventsTailArgs),
    /// List a page of the log, the newest events first.
    List(EventsListArgs),
    /// Show all about one event.
    #[command(after_long_help = "\
Examples:
  fusion-kit events get 42
  fusion-kit events get 0198f2c4-0000-7000-8000-000000000001 --json | jq .data")]
    Get(WhichEvent),
    /// Write the event log, in its order: `export events`.
    #[command(after_long_help = "\
What was exported up to a place is gone on with by --after and that place.

Examples:
  fusion-kit events export > events.jsonl
  fusion-kit events export --format csv --type 'task.*' --since 1d")]
    Export(ExportEventsArgs),
    /// Send the log again to a receiver, the oldest event first.
    Replay(EventsReplayArgs),
}

/// `events list`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
With --after the events come in the order of the log. The cursor of the next page is told on stderr,
and in JSON as next_cursor.

Examples:
  fusion-kit events list --severity warning+
  fusion-kit events list --type 'task.*' --limit 500 --json | jq -r .next_cursor")]
pub struct EventsListArgs {
    /// Which.
    #[command(flatten)]
    pub filter: EventFilterArgs,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// Go on where a page ended: its cursor.
    #[arg(long, value_name = "CURSOR", conflicts_with = "after")]
    pub cursor: Option<String>,
}

/// `events replay`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Each event is one POST with the JSON that `events get --json` prints; its id is also the header
Idempotency-Key, for a receiver may get one twice. With --batch a request has several, as JSON
lines. A receiver that answers with 429 or 5xx, or not at all, is asked up to five times, after the
time that its Retry-After tells (two minutes at most); any other answer but 2xx ends the command,
which tells the --after to go on with.

Examples:
  fusion-kit events replay --to https://hooks.example/fusion --type 'task.*' --since 1d
  fusion-kit events replay --to https://hooks.example/fusion --token-env HOOK_TOKEN --after 4711
  fusion-kit events replay --to http://127.0.0.1:9000/ --batch 100 --dry-run")]
pub struct EventsReplayArgs {
    /// The URL of the receiver.
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// Which.
    #[command(flatten)]
    pub filter: EventFilterArgs,
    /// Send so many in one request, each on a line.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=500))]
    pub batch: u32,
    /// The variable, of the environment or of .env, that holds the receiver's bearer token.
    #[arg(long, value_name = "VAR")]
    pub token_env: Option<String>,
    /// Allow http:// to another machine.
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Send nothing; tell what would be sent.
    #[arg(long)]
    pub dry_run: bool,
}

/// Names an event.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WhichEvent {
    /// Its place in the log, or its id.
    #[arg(value_name = "SEQ|ID")]
    pub event: String,
}

/// `events tail`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
With --json each event is one JSON object on a line of its own.

Examples:
  fusion-kit events tail --limit 100
  fusion-kit events tail --follow --agent writer --json | jq -r .message")]
pub struct EventsTailArgs {
    /// Which.
    #[command(flatten)]
    pub filter: EventFilterArgs,
    /// Begin with this many that have happened already.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(0..=10_000))]
    pub limit: u32,
    /// Go on with those that happen from now on, until it is stopped.
    #[arg(short, long)]
    pub follow: bool,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct EventFilterArgs {
    /// Only of this type, `task.*` for all that begin so; may be repeated.
    #[arg(long = "type", value_name = "TYPE", value_delimiter = ',')]
    pub types: Vec<String>,
    /// Only of this severity, `warning+` for that one and all above it.
    #[arg(long, value_name = "SEVERITY", value_delimiter = ',')]
    pub severity: Vec<String>,
    /// Only about this agent: its name, or its id or the unique beginning of one.
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Only of this run: its id or the unique beginning of one.
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Only those within this time, such as 90s, 10m, 2h or 3d, or since this one, such as
    /// 2026-11-23T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Moment>,
    /// Only those before this time, or longer ago.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub until: Option<Moment>,
    /// Only those whose message has each of these words.
    #[arg(long, value_name = "WORDS")]
    pub text: Option<String>,
    /// Only those after this place in the log.
    #[arg(long, value_name = "SEQ")]
    pub after: Option<u64>,
}

/// `export`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit export events --format csv > events.csv"
)]
pub struct ExportArgs {
    /// What to write.
    #[command(subcommand)]
    pub command: ExportCommand,
}

/// Writing what is stored for other programs.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ExportCommand {
    /// Write the event log, in its order.
    Events(ExportEventsArgs),
}

/// `export events`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
What was exported up to a place is gone on with by --after and that place.

Examples:
  fusion-kit export events > events.jsonl
  fusion-kit export events --format csv --type 'task.*' --since 1d")]
pub struct ExportEventsArgs {
    /// Which.
    #[command(flatten)]
    pub filter: EventFilterArgs,
    /// The form of the lines.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    pub format: ExportFormat,
}

/// The form of exported lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ExportFormat {
    /// One JSON object on each line.
    #[default]
    Jsonl,
    /// Comma-separated values under a line of names (RFC 4180).
    Csv,
}

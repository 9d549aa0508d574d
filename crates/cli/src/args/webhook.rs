//! The arguments of `webhook`.

use clap::{Args, Subcommand};

use super::Tried;
use super::record::{RecordListArgs, RecordName};

/// `webhook`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A server sends each event of the log to the webhooks that want it: one POST with the JSON that
`events get --json` prints, signed as Standard Webhooks says (webhook-id, webhook-timestamp,
webhook-signature), in the order of the log and at least once. What is not taken is tried again for
a day. Without a server nothing is sent, and nothing is lost: it is sent when one works again.

Examples:
  fusion-kit webhook add https://hooks.example/fusion --event 'task.*' --severity warning+
  fusion-kit webhook deliveries hooks.example"
)]
pub struct WebhookArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WebhookCommand,
}

/// Looking after webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum WebhookCommand {
    /// Send what happens from now on to a URL; prints the secret that signs, this once.
    Add(WebhookAddArgs),
    /// List the webhooks, the newest first.
    #[command(after_long_help = "\
Examples:
  fusion-kit webhook list -o name")]
    List(RecordListArgs),
    /// Show a webhook: what is sent, how far it is, and what is in its way.
    #[command(after_long_help = "\
Examples:
  fusion-kit webhook get hooks.example")]
    Get(RecordName),
    /// Send one message `webhook.test` and say what came of it; exit code 1 when it was not taken.
    #[command(after_long_help = "\
Examples:
  fusion-kit webhook test hooks.example")]
    Test(RecordName),
    /// List the last attempts to send events, the newest first.
    #[command(after_long_help = "\
The last hundred of each webhook are kept.

Examples:
  fusion-kit webhook deliveries hooks.example
  fusion-kit webhook deliveries hooks.example --json | jq '.deliveries[] | select(.error)'")]
    Deliveries(WebhookDeliveriesArgs),
    /// Send the event of a delivery once more, now, and say what came of it; exit code 1 when it was not taken.
    Resend(WebhookResendArgs),
    /// Send events again; what came meanwhile first.
    #[command(after_long_help = "\
Examples:
  fusion-kit webhook enable hooks.example")]
    Enable(RecordName),
    /// Send nothing until it is enabled.
    #[command(after_long_help = "\
Examples:
  fusion-kit webhook disable hooks.example")]
    Disable(RecordName),
    /// Make another secret and print it, this once; the one before signs beside it for a day.
    #[command(after_long_help = "\
Examples:
  fusion-kit webhook rotate hooks.example --json | jq -r .secret")]
    Rotate(RecordName),
    /// Take a webhook away.
    #[command(after_long_help = "\
Examples:
  fusion-kit webhook remove hooks.example")]
    Remove(Tried<RecordName>),
}

/// `webhook add`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The secret begins with whsec_; the receiver checks the header webhook-signature with it. Addresses
in private networks and on this machine are refused without --allow-private; with it http:// may be
used there.

Examples:
  fusion-kit webhook add https://hooks.example/fusion --name ops --severity error+
  fusion-kit webhook add http://127.0.0.1:9000/ --allow-private --event 'workflow.*'")]
pub struct WebhookAddArgs {
    /// Where events are sent.
    pub url: String,
    /// Its unique name; without it, the host of the URL.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Only events of this type, `task.*` for all that begin so; may be repeated.
    #[arg(long = "event", value_name = "TYPE", value_delimiter = ',')]
    pub events: Vec<String>,
    /// Only events of this severity, `warning+` for that one and all above it.
    #[arg(long, value_name = "SEVERITY", value_delimiter = ',')]
    pub severity: Vec<String>,
    /// Only events of the runs and agents of this project.
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// Allow a receiver in a private network, or on this machine.
    #[arg(long)]
    pub allow_private: bool,
}

/// `webhook resend`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
It has the webhook-id that it had, so that the receiver can tell that it was there before. Taken, it
is no longer in the way of those after it; else it is tried again when it would have been. Works
without a server, too, and while the webhook is disabled or has stopped.

Examples:
  fusion-kit webhook resend hooks.example 4711
  fusion-kit webhook resend hooks.example 0198f2 --json | jq .status")]
pub struct WebhookResendArgs {
    /// Name of the webhook, or its id.
    pub name: String,
    /// One of its deliveries: EVENT of `webhook deliveries`, the place of the event in the log; or the id of
    /// a delivery, or the unique beginning of one.
    pub delivery: String,
}

/// `webhook deliveries`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct WebhookDeliveriesArgs {
    /// Its name or its id.
    pub name: String,
    /// How many.
    #[command(flatten)]
    pub list: RecordListArgs,
}

//! The arguments of `provider`.

use std::ffi::OsString;

use clap::{Args, Subcommand, value_parser};

/// `provider`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A provider answers for models. Runs use it by its name: `provider: NAME` in a workflow file.

Examples:
  fusion-kit provider detect                 servers on this machine
  fusion-kit provider add openrouter         key from OPENROUTER_API_KEY, or asked for
  fusion-kit provider test openrouter"
)]
pub struct ProviderArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProviderCommand,
}

/// Looking after providers.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ProviderCommand {
    /// Store a provider; its key is encrypted.
    Add(AddArgs),
    /// List the providers that a workflow file can name.
    #[command(after_long_help = "\
Examples:
  fusion-kit provider list
  fusion-kit provider list --json | jq -r '.providers[] | select(.enabled) | .name'")]
    List,
    /// Show all about a provider but its key.
    #[command(after_long_help = "\
Examples:
  fusion-kit provider show openrouter")]
    Show(ProviderName),
    /// Ask a model for a few words: latency, who answered, what is left.
    Test(TestArgs),
    /// List the models of a provider with context, price and abilities.
    Models(ModelsArgs),
    /// Show what is left of a provider's limits and credit.
    #[command(after_long_help = "\
What the provider does not tell is shown as unknown, never as 0.

Examples:
  fusion-kit provider quota openrouter
  fusion-kit provider quota openrouter --json | jq '.limits[] | .remaining'")]
    Quota(ProviderName),
    /// Let runs use a provider again.
    #[command(after_long_help = "\
Examples:
  fusion-kit provider enable openrouter")]
    Enable(ProviderName),
    /// Let no run use a provider; it stays stored.
    #[command(after_long_help = "\
Examples:
  fusion-kit provider disable openrouter")]
    Disable(ProviderName),
    /// Take a provider and its key out of the store.
    Remove(RemoveArgs),
    /// Look for model servers on the usual ports of this machine.
    Detect(DetectArgs),
}

/// Which provider.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProviderName {
    /// Its name.
    pub name: String,
}

/// `provider add`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The key is never an argument, where other users and the shell's history could read it. It comes
from --key-env, else from the vendor's own variable, else it is asked for on a terminal. It belongs
to the base URL that it was given for: another base URL needs the key again.

Examples:
  fusion-kit provider add openrouter
  fusion-kit provider add ollama
  fusion-kit provider add team --type openrouter --key-env TEAM_KEY --requests-per-minute 60
  fusion-kit provider add gateway --base-url https://models.example.org/v1 --key-env GATEWAY_KEY")]
pub struct AddArgs {
    /// What workflow files call it: lower-case letters, digits, '-', '_' and '.'.
    pub name: String,
    /// The vendor or kind of server; without it NAME, or `openai-compatible` with a base URL.
    #[arg(long = "type", value_name = "VENDOR")]
    pub vendor: Option<String>,
    /// Where the server answers; without it the vendor's usual place.
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// The environment variable that holds the key now; it may also stand in `.env`.
    #[arg(long, value_name = "VAR")]
    pub key_env: Option<String>,
    /// Allow plain HTTP to another machine: everyone on the way can read key and prompts.
    #[arg(long)]
    pub allow_plain_http: bool,
    /// Allow a name that leads to a private address, such as that of another machine at home.
    #[arg(long)]
    pub allow_private_addresses: bool,
    /// Make at most this many calls a minute.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000))]
    pub requests_per_minute: Option<u32>,
    /// Use at most this many tokens a minute.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000_000))]
    pub tokens_per_minute: Option<u64>,
    /// Make at most this many calls at once.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    pub max_concurrent: Option<u32>,
    /// Replace a provider of this name; its key stays if the base URL stays.
    #[arg(long)]
    pub replace: bool,
    /// What people type to give a key; refused without showing it.
    #[arg(long = "key", alias = "api-key", hide = true)]
    pub(crate) typed_key: Option<OsString>,
    /// The same, as a second word.
    #[arg(hide = true)]
    pub(crate) surplus: Vec<OsString>,
}

impl AddArgs {
    /// Whether something stands on the command line that may be a key.
    pub(crate) const fn may_hold_a_key(&self) -> bool {
        self.typed_key.is_some() || !self.surplus.is_empty()
    }
}

/// `provider test`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
A real call, which may cost a little. Without --model, a model of the provider's list is asked: a
free one where there is one, else the cheapest.

Examples:
  fusion-kit provider test ollama
  fusion-kit provider test openrouter --model openai/gpt-5-mini")]
pub struct TestArgs {
    /// Its name.
    pub name: String,
    /// The model to ask.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
}

/// `provider models`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The list is kept, and its age is shown. Prices are US dollars for a million tokens.

Examples:
  fusion-kit provider models openrouter --search qwen
  fusion-kit provider models ollama --refresh")]
pub struct ModelsArgs {
    /// Its name.
    pub name: String,
    /// Only models with this text in their id or name.
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Read the list from the provider anew.
    #[arg(long)]
    pub refresh: bool,
}

/// `provider remove`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
A provider that an unfinished run needs is not removed.

Examples:
  fusion-kit provider remove gateway
  fusion-kit provider remove gateway --force     leave an interrupted run without it")]
pub struct RemoveArgs {
    /// Its name.
    pub name: String,
    /// Also when an interrupted run needs it; that run then can't go on.
    #[arg(long)]
    pub force: bool,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// `provider detect`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Only this machine is asked. On a terminal it asks whether to add what it finds; elsewhere it says
how.

Examples:
  fusion-kit provider detect
  fusion-kit provider detect --yes")]
pub struct DetectArgs {
    /// Add every server that is found.
    #[arg(short, long)]
    pub yes: bool,
    /// Look at this port instead of the usual ones; may be repeated.
    #[arg(long = "port", value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,
}

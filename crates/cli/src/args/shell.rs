//! The arguments of `config`, `health`, `completions`, `schema`, `man` and `verify`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::message::duration;

/// `config`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
Examples:
  fusion-kit config show --origin"
)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Looking at the settings.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum ConfigCommand {
    /// Show the settings that are in force; secrets are masked.
    #[command(visible_alias = "list")]
    Show(ConfigShowArgs),
    /// Print the value of one setting; a secret is masked.
    #[command(after_long_help = "\
Exits with 3 when it is not set.

Examples:
  fusion-kit config get FUSION_KIT_DATA_DIR
  fusion-kit config get API_PORT --json | jq -r .origin")]
    Get(SettingName),
}

/// Names a setting.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct SettingName {
    /// Its environment variable.
    #[arg(value_name = "KEY")]
    pub name: String,
}

/// `config show`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit config show
  fusion-kit config show --origin
  fusion-kit config show --all --json | jq '.settings[] | select(.origin == \"file\")'")]
pub struct ConfigShowArgs {
    /// Also where each value comes from: a flag, the environment or .env.
    #[arg(long)]
    pub origin: bool,
    /// Also those that are not set.
    #[arg(long)]
    pub all: bool,
}

/// `completions`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit completions bash > ~/.local/share/bash-completion/completions/fusion-kit
  fusion-kit completions zsh > ~/.zfunc/_fusion-kit
  fusion-kit completions fish > ~/.config/fish/completions/fusion-kit.fish
  fusion-kit completions powershell >> $PROFILE
  fusion-kit completions elvish > ~/.config/elvish/lib/fusion-kit.elv")]
pub struct CompletionsArgs {
    /// The shell that is to complete commands.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
    /// PowerShell.
    #[value(name = "powershell")]
    PowerShell,
    /// Elvish.
    Elvish,
}

/// `schema`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
JSON Schema, draft 2020-12. Fields are only ever added.

Examples:
  fusion-kit schema agent list
  fusion-kit schema > fusion-kit.schemas.json    of every command")]
pub struct SchemaArgs {
    /// The words of the command; every command without.
    #[arg(value_name = "COMMAND")]
    pub words: Vec<String>,
}

/// `man`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// The folder to write a page into for each command; made if it is not there.
    pub dir: PathBuf,
}

/// `verify`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Exits with 1 when something is wrong. Nothing is changed.

Examples:
  fusion-kit verify
  fusion-kit verify --online                 ask each provider too
  fusion-kit verify --deep                   and have each say a few words, which may cost something
  fusion-kit verify --json | jq -r '.checks[] | select(.fault) | .name'")]
pub struct VerifyArgs {
    /// Ask each enabled provider for its models: whether it can be reached and takes the key.
    #[arg(long)]
    pub online: bool,
    /// The same, and ask a model of each for a few words, as `provider test` does, which may cost
    /// something; then run a workflow of one step in a throw-away folder.
    #[arg(long)]
    pub deep: bool,
}

/// `health`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Examples:
  fusion-kit health
  fusion-kit health --wait 30s
  fusion-kit health --json | jq -r .status")]
pub struct HealthArgs {
    /// Ask again until it is well, but no longer than this; then tell how it is.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
}

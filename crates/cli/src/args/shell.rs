//! The arguments of `config`, `health`, `completions`, `schema`, `man` and `verify`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::message::duration;
use super::{Cli, Command, Tried};

/// `config`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
A setting is in force from the first of these that has it: a flag, the environment, the profile,
.env of the current folder, the user's file.

Examples:
  fusion-kit config show --origin
  fusion-kit config set FUSION_AGENTS_AT_ONCE 20"
)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// Looking at the settings, and changing the files they stand in.
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
    /// Set a setting in .env of the current folder, or in your own file.
    Set(Tried<ConfigSetArgs>),
    /// Take a setting out of .env of the current folder, or out of your own file.
    #[command(after_long_help = "\
Exits with 2 when there is no such setting; it need not be set.

Examples:
  fusion-kit config unset FUSION_AGENTS_AT_ONCE
  fusion-kit config unset project --profile lab --dry-run")]
    Unset(Tried<ConfigUnsetArgs>),
    /// Open .env of the current folder, or your own file, in your editor: that of VISUAL, else of EDITOR.
    #[command(after_long_help = "\
It needs a terminal. What you write is checked first: where it is wrong, the file stays as it was,
and what you wrote is kept beside it.

Exits with 1 when the editor does not end well, 2 when what you wrote is wrong, 5 when there is no
terminal or no editor.

Examples:
  fusion-kit config edit
  fusion-kit config edit --user")]
    Edit(ConfigFileArgs),
}

/// `config set`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
With --profile NAME it is set in that profile of your own file, which is made where there is none.
Comments and the order of the file stay. Secrets are not set so: others can read a command line.

Exits with 2 when there is no such setting, its value is not right, or that file does not have it.

Examples:
  fusion-kit config set FUSION_AGENTS_AT_ONCE 20
  fusion-kit config set project shop --user
  fusion-kit config set server https://fusion.example --profile lab
  fusion-kit config set API_PORT 8080 --dry-run --json | jq -r .was")]
pub struct ConfigSetArgs {
    /// Its environment variable, or its key in your own file.
    #[arg(value_name = "KEY")]
    pub name: String,
    /// What it is to be.
    #[arg(allow_negative_numbers = true)]
    pub value: String,
    /// Which file.
    #[command(flatten)]
    pub file: ConfigFileArgs,
}

/// `config unset`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ConfigUnsetArgs {
    /// Its environment variable, or its key in your own file.
    #[arg(value_name = "KEY")]
    pub name: String,
    /// Which file.
    #[command(flatten)]
    pub file: ConfigFileArgs,
}

/// Which file of settings.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ConfigFileArgs {
    /// Your own file, fusion-kit/config.toml, instead of .env of the current folder.
    #[arg(long)]
    pub user: bool,
}

impl Cli {
    /// Whether it changes the files that settings stand in: then it is no matter what is wrong in them.
    #[must_use]
    pub const fn changes_settings(&self) -> bool {
        matches!(
            &self.command,
            Command::Config(ConfigArgs {
                command: ConfigCommand::Set(_) | ConfigCommand::Unset(_) | ConfigCommand::Edit(_)
            })
        )
    }
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
Exits with 1 when something is wrong. Nothing is changed without --fix, which closes the data
directory, the token, the database and the master key to other users, removes what a server left
behind that was killed, and makes a missing .gitignore; it says what it did.

Examples:
  fusion-kit verify
  fusion-kit doctor --fix
  fusion-kit verify --online                 ask each provider too
  fusion-kit verify --deep                   and have each say a few words, which may cost something
  fusion-kit verify --json | jq -r '.checks[] | select(.fault) | .name'")]
pub struct VerifyArgs {
    /// Put right first what can be put right without asking and without losing anything, and say what it was.
    #[arg(long)]
    pub fix: bool,
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

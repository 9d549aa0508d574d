//! The arguments of `db`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `db`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(
    disable_help_subcommand = true,
    after_long_help = "\
The database is the file fusion.db in the data directory, or what DATABASE_URL names.

Examples:
  fusion-kit db status
  fusion-kit db backup monday.db
  DATABASE_URL=postgres://me:secret@localhost/fusion fusion-kit db restore monday.db"
)]
pub struct DbArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: DbCommand,
}

/// Looking after the database.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum DbCommand {
    /// Bring the schema up to date; makes the database when there is none.
    #[command(after_long_help = "\
Examples:
  fusion-kit db migrate")]
    Migrate,
    /// Show where the database is and what is in it.
    #[command(after_long_help = "\
Examples:
  fusion-kit db status
  fusion-kit db status --json | jq .database.rows")]
    Status,
    /// Write a copy of the database into a new file, also while runs go on.
    Backup(BackupArgs),
    /// Fill the database from a backup.
    Restore(RestoreArgs),
    /// Give the room of what was deleted back to the disk.
    #[command(after_long_help = "\
A SQLite file is written anew, which needs as much room again for that time, and is refused while
another process works with it. PostgreSQL works on, and mostly keeps the room for new rows.

Examples:
  fusion-kit db vacuum")]
    Vacuum,
    /// Seal every stored credential with a new master key.
    Rekey(RekeyArgs),
}

/// `db backup`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
A backup is a SQLite file, whichever database it is of, and either database takes it back.
It holds prompts and answers as they are, and credentials sealed: keep the master key elsewhere.

Examples:
  fusion-kit db backup monday.db")]
pub struct BackupArgs {
    /// The file to make; it must not be there.
    pub file: PathBuf,
}

/// `db restore`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
The workspaces of agents are not part of a backup.

Examples:
  fusion-kit db restore monday.db
  fusion-kit db restore monday.db --replace      lose what is in the database now")]
pub struct RestoreArgs {
    /// The backup to read.
    pub file: PathBuf,
    /// Take everything out of a database that holds data first.
    #[arg(long)]
    pub replace: bool,
    /// Only say what would change: nothing is changed, and all is checked.
    #[arg(long)]
    pub dry_run: bool,
}

/// `db rekey`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
With a key file, a new key is made and put before the old one, which stays in the file until
--retire: other databases that use the file need it, and so do older backups. Until then each
further rekey seals with that same new key.
With FUSION_MASTER_KEY, set it to the new key and FUSION_MASTER_KEY_OLD to the old one.
A rekey that was cut off is taken up by doing it again.

Examples:
  fusion-kit db rekey
  fusion-kit db rekey --retire")]
pub struct RekeyArgs {
    /// Then remove the older keys from the key file: whatever else is sealed with them is lost.
    #[arg(long)]
    pub retire: bool,
}

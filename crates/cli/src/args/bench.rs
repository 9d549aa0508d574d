//! The arguments of `bench`.

use clap::{Args, ValueEnum};

/// `bench`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_long_help = "\
Everything goes the way that it always goes: runs are stored, agents have workspaces, models are
asked through retries, circuit breaker, quotas and cost. The store is a new one each time and is
removed afterwards. 20 units are done first and not counted.

  W1   one agent, one model call                   W5  idle agents: their memory, for 10 seconds
  W1d  the same                                    W6  starts of the program: `run` to its end
  W2   one agent, ten turns with a tool call each  W7  agents that do five steps one after the other
  W3   a workflow of three steps                   W9  tasks claimed and completed in the store
  W4   a workflow of 1, then 200, then 1 step

A unit is a run; of W5 and W7 an agent, of W6 a start, of W9 a task. With `--llm raw` models are
those of the chat completions server that MOCK_URL names; it must answer W2 with tool calls for a
model called `tool-turns-10`. With `--store postgres` PG_URL names a server on which a database may
be made. The last line of stdout is one JSON object: seconds, MB of 1,000,000 bytes, bytes.

Examples:
  fusion-kit bench W3 --llm none
  fusion-kit bench W7 --n 200 --conc 200               with MOCK_URL=http://127.0.0.1:9000
  fusion-kit bench W3 --store postgres --llm none      with PG_URL=postgres://me@127.0.0.1/postgres")]
pub struct BenchArgs {
    /// What is done.
    #[arg(value_enum, ignore_case = true)]
    pub row: BenchRow,
    /// Units; each row has its own number otherwise.
    #[arg(long = "n", value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub number: Option<u64>,
    /// Units at once; each row has its own number otherwise.
    #[arg(long = "conc", value_name = "C", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub at_once: Option<u32>,
    /// Where things are kept.
    #[arg(long, value_enum, default_value_t)]
    pub store: BenchStore,
    /// Who answers.
    #[arg(long, value_enum, default_value_t)]
    pub llm: BenchModel,
    /// Through a server of its own, over REST and a WebSocket, instead of in this process.
    #[arg(long, value_enum)]
    pub via: Option<BenchVia>,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchRow {
    /// One agent, one model call.
    #[value(name = "W1")]
    W1,
    /// The same, kept on disk, one after the other.
    #[value(name = "W1d")]
    W1d,
    /// Ten turns with a tool call each.
    #[value(name = "W2")]
    W2,
    /// Three steps.
    #[value(name = "W3")]
    W3,
    /// One step, then 200, then one.
    #[value(name = "W4")]
    W4,
    /// Idle agents.
    #[value(name = "W5")]
    W5,
    /// Starts of the program.
    #[value(name = "W6")]
    W6,
    /// Agents of five steps each.
    #[value(name = "W7")]
    W7,
    /// Claims.
    #[value(name = "W9")]
    W9,
}

impl BenchRow {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::W1 => "W1",
            Self::W1d => "W1d",
            Self::W2 => "W2",
            Self::W3 => "W3",
            Self::W4 => "W4",
            Self::W5 => "W5",
            Self::W6 => "W6",
            Self::W7 => "W7",
            Self::W9 => "W9",
        }
    }
}

/// Where things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum BenchStore {
    /// SQLite in memory.
    Memory,
    /// A SQLite file that survives a crash of the program (`synchronous=NORMAL`).
    Sqlite,
    /// A SQLite file that survives a loss of power too, as always otherwise.
    #[default]
    SqliteFull,
    /// A database of the server that `PG_URL` names.
    Postgres,
}

impl BenchStore {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::SqliteFull => "sqlite-full",
            Self::Postgres => "postgres",
        }
    }
}

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum BenchModel {
    /// The server that `MOCK_URL` names.
    #[default]
    Raw,
    /// A script, at once.
    None,
}

impl BenchModel {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::None => "none",
        }
    }
}

/// Another way to the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchVia {
    /// The HTTP API.
    Api,
}

//! How results are printed.

use clap::ValueEnum;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people.
    Table,
    /// The same with nothing cut.
    Wide,
    /// One JSON object, as with `--json`.
    Json,
    /// One JSON object on a line for each row.
    Jsonl,
    /// One document of YAML.
    Yaml,
    /// What other commands take to mean a row: its id, or its name.
    Name,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Even into a pipe.
    Always,
    /// Nowhere.
    Never,
}

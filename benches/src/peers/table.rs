//! The tables: a figure each, a line for each row, a column for each program.

use std::fmt::Write as _;

use serde::Serialize;

/// What a round of a row came to in one program. Seconds, megabytes of 1,000,000 bytes, bytes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// `floor`, `fusion-kit` or what the peer is called.
    pub program: String,
    /// The row.
    pub row: &'static str,
    /// Units that were done.
    pub units: u64,
    /// From the first unit to the end of the last.
    pub wall: f64,
    /// User and system, of the program and its servers, PostgreSQL included.
    pub cpu: f64,
    /// The most resident memory of the program and of a server of its own.
    pub maxrss_mb: f64,
    /// Given to disks by the program and a server of its own.
    pub write_bytes: Option<u64>,
    /// What each idle agent added to the memory, where agents were measured.
    pub bytes_per_agent: Option<u64>,
}

/// What is told of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// Milliseconds of CPU for a unit.
    Cpu,
    /// Milliseconds for a unit: of all units together, so that units at once share them.
    Wall,
    /// Megabytes.
    Memory,
    /// Kilobytes of 1,000 bytes for a unit.
    Written,
    /// Kilobytes of 1,000 bytes for an idle agent.
    Idle,
}

impl Figure {
    /// In the order in which they are printed.
    pub const ALL: [Self; 5] = [
        Self::Cpu,
        Self::Wall,
        Self::Memory,
        Self::Written,
        Self::Idle,
    ];

    const fn title(self) -> &'static str {
        match self {
            Self::Cpu => "CPU for a unit, ms",
            Self::Wall => "wall time for a unit, ms",
            Self::Memory => "most memory, MB",
            Self::Written => "written for a unit, KB",
            Self::Idle => "memory of an idle agent, KB",
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn of(self, measured: &Measured) -> Option<f64> {
        let units = measured.units as f64;
        let of_agents = measured.bytes_per_agent;
        match self {
            Self::Idle => of_agents.map(|bytes| bytes as f64 / 1e3),
            // Agents that wait take no time that says anything of a unit.
            Self::Cpu | Self::Wall | Self::Written if of_agents.is_some() => None,
            Self::Cpu => Some(measured.cpu / units * 1e3),
            Self::Wall => Some(measured.wall / units * 1e3),
            Self::Memory => Some(measured.maxrss_mb),
            Self::Written => measured.write_bytes.map(|bytes| bytes as f64 / units / 1e3),
        }
    }
}

/// A table in Markdown, of the middle of the rounds; nothing where there are no figures.
#[must_use]
pub fn table(figure: Figure, rows: &[&str], programs: &[&str], all: &[Measured]) -> String {
    let cell = |row: &str, program: &str| {
        let of_cell = all
            .iter()
            .filter(|one| one.row == row && one.program == program);
        middle(of_cell.filter_map(|one| figure.of(one)).collect())
    };
    let mut text = format!("| {} | {} |\n", figure.title(), programs.join(" | "));
    text += &format!("|---|{}\n", "---|".repeat(programs.len()));
    let head = text.len();
    for row in rows {
        let cells: Vec<_> = programs.iter().map(|program| cell(row, program)).collect();
        if cells.iter().all(Option::is_none) {
            continue;
        }
        let told: Vec<String> = cells.into_iter().map(told).collect();
        // Writing to a text does not fail.
        writeln!(text, "| {row} | {} |", told.join(" | ")).ok();
    }
    if text.len() == head {
        return String::new();
    }
    text
}

fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// Three digits that count.
fn told(figure: Option<f64>) -> String {
    match figure {
        None => String::new(),
        Some(figure) if figure >= 100.0 => format!("{figure:.0}"),
        Some(figure) if figure >= 10.0 => format!("{figure:.1}"),
        Some(figure) if figure >= 1.0 => format!("{figure:.2}"),
        Some(figure) => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Figure, Measured, table};

    fn measured(program: &str, row: &'static str, wall: f64) -> Measured {
        Measured {
            program: program.to_owned(),
            row,
            units: 10,
            wall,
            cpu: wall / 2.0,
            maxrss_mb: 20.25,
            write_bytes: (row == "W3").then_some(123_456),
            bytes_per_agent: (row == "W5").then_some(4_096),
        }
    }

    #[test]
    fn a_table_tells_the_middle_of_the_rounds_and_leaves_out_what_was_not_measured() {
        let mut all = [2.0, 0.05, 1.0]
            .map(|wall| measured("floor", "W1", wall))
            .to_vec();
        all.push(measured("DBOS", "W3", 15.0));
        all.push(measured("DBOS", "W5", 1.0));
        let of = |figure| table(figure, &["W1", "W3", "W5"], &["floor", "DBOS"], &all);
        assert_eq!(
            of(Figure::Wall),
            "| wall time for a unit, ms | floor | DBOS |\n|---|---|---|\n| W1 | 100 |  |\n| W3 |  | 1500 |\n"
        );
        assert_eq!(
            of(Figure::Cpu),
            "| CPU for a unit, ms | floor | DBOS |\n|---|---|---|\n| W1 | 50.0 |  |\n| W3 |  | 750 |\n"
        );
        assert_eq!(
            of(Figure::Written),
            "| written for a unit, KB | floor | DBOS |\n|---|---|---|\n| W3 |  | 12.3 |\n"
        );
        assert_eq!(
            of(Figure::Idle),
            "| memory of an idle agent, KB | floor | DBOS |\n|---|---|---|\n| W5 |  | 4.10 |\n"
        );
        assert_eq!(table(Figure::Idle, &["W1"], &["floor"], &all), "");
    }
}

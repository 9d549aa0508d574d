//! The rows that are compared, and how much more than the floor each may take.

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What is told.
    pub name: &'static str,
    /// The row of both programs.
    pub row: &'static str,
    /// Units.
    pub number: u64,
    /// Units at once.
    pub at_once: u32,
    /// Where fusion-kit keeps things; the floor writes unless it is `memory`.
    pub store: &'static str,
    /// Whether a server answers, and after how many milliseconds.
    pub delay: Option<u64>,
    /// The gate: so many times the floor.
    pub gate: f64,
    /// What the gate is about.
    pub by: By,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// CPU seconds, of the program and its database.
    Cpu,
    /// Seconds.
    Wall,
    /// Seconds, beside the time that the answers alone take.
    Ideal {
        /// Answers one after the other.
        answers: u32,
    },
}

/// All rows.
pub const ROWS: [Row; 7] = [
    Row {
        name: "W1",
        row: "W1",
        number: 500,
        at_once: 1,
        store: "memory",
        delay: Some(0),
        gate: 4.0,
        by: By::Cpu,
    },
    Row {
        name: "W1d",
        row: "W1d",
        number: 500,
        at_once: 1,
        store: "sqlite-full",
        delay: Some(0),
        gate: 6.0,
        by: By::Cpu,
    },
    Row {
        name: "W2",
        row: "W2",
        number: 100,
        at_once: 1,
        store: "memory",
        delay: Some(0),
        gate: 3.0,
        by: By::Cpu,
    },
    Row {
        name: "W3",
        row: "W3",
        number: 640,
        at_once: 32,
        store: "sqlite-full",
        delay: Some(0),
        gate: 6.0,
        by: By::Cpu,
    },
    Row {
        name: "W3n",
        row: "W3",
        number: 640,
        at_once: 32,
        store: "sqlite-full",
        delay: None,
        gate: 10.0,
        by: By::Cpu,
    },
    Row {
        name: "W3s",
        row: "W3",
        number: 200,
        at_once: 1,
        store: "sqlite-full",
        delay: Some(0),
        gate: 2.5,
        by: By::Wall,
    },
    Row {
        name: "W7",
        row: "W7",
        number: 200,
        at_once: 200,
        store: "sqlite-full",
        delay: Some(500),
        gate: 1.12,
        by: By::Ideal { answers: 5 },
    },
];

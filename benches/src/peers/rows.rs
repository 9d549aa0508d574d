//! The rows, with numbers for those who take long.

/// A row that is compared.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// What is told.
    pub name: &'static str,
    /// The row of the programs.
    pub row: &'static str,
    /// Units of the floor and of fusion-kit.
    pub number: u64,
    /// Units of the others.
    pub of_peers: u64,
    /// Units at once.
    pub at_once: u32,
    /// Where fusion-kit keeps things.
    pub store: &'static str,
    /// Whether a server answers, and after how many milliseconds.
    pub delay: Option<u64>,
    /// Calls of the model in a unit.
    pub calls: u64,
    /// Steps of a unit.
    pub steps: u64,
    /// Whether the floor has it.
    pub has_floor: bool,
}

impl Row {
    /// Where the others keep things: `memory`, `sqlite` or `postgres`.
    #[must_use]
    pub fn store_of_peers(&self) -> &'static str {
        match self.store {
            "sqlite-full" => "sqlite",
            other => other,
        }
    }
}

/// One call, one at a time, in memory: what the others change.
const BASE: Row = Row {
    name: "W1",
    row: "W1",
    number: 500,
    of_peers: 100,
    at_once: 1,
    store: "memory",
    delay: Some(0),
    calls: 1,
    steps: 1,
    has_floor: true,
};

/// Three steps, 32 at once, durable.
const WORKFLOWS: Row = Row {
    name: "W3",
    row: "W3",
    number: 640,
    of_peers: 160,
    at_once: 32,
    store: "sqlite-full",
    calls: 3,
    steps: 3,
    ..BASE
};

/// All rows.
pub const ROWS: [Row; 11] = [
    BASE,
    Row {
        name: "W1d",
        row: "W1d",
        store: "sqlite-full",
        ..BASE
    },
    Row {
        name: "W2",
        row: "W2",
        number: 100,
        of_peers: 20,
        calls: 11,
        ..BASE
    },
    WORKFLOWS,
    Row {
        name: "W3n",
        delay: None,
        calls: 0,
        ..WORKFLOWS
    },
    Row {
        name: "W3s",
        number: 200,
        of_peers: 40,
        at_once: 1,
        ..WORKFLOWS
    },
    Row {
        name: "W3p",
        store: "postgres",
        has_floor: false,
        ..WORKFLOWS
    },
    Row {
        name: "W4",
        row: "W4",
        number: 20,
        of_peers: 3,
        store: "sqlite-full",
        calls: 202,
        steps: 202,
        ..BASE
    },
    Row {
        name: "W5",
        row: "W5",
        number: 1_000,
        of_peers: 1_000,
        calls: 0,
        has_floor: false,
        ..BASE
    },
    Row {
        name: "W6",
        row: "W6",
        number: 20,
        of_peers: 3,
        store: "sqlite-full",
        has_floor: false,
        ..BASE
    },
    Row {
        name: "W7",
        row: "W7",
        number: 200,
        of_peers: 200,
        at_once: 200,
        store: "sqlite-full",
        delay: Some(500),
        calls: 5,
        steps: 5,
        ..BASE
    },
];

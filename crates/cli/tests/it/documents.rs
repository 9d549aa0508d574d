//! What the documents tell people to type.

use std::fs;
use std::path::Path;

/// The documents with commands in them, from the root of the repository.
const DOCUMENTS: [&str; 8] = [
    "README.md",
    "docs/commands.md",
    "docs/howto/add-a-provider.md",
    "docs/messages.md",
    "docs/providers.md",
    "docs/recovery.md",
    "docs/sandbox.md",
    "docs/workflow-file.md",
];

#[test]
fn every_command_in_the_documents_parses() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        let commands = commands(&text);
        assert!(!commands.is_empty(), "{document} has no command");
        for command in commands {
            let words = words(&command);
            if let Err(error) = fusion_cli::parse(&words) {
                panic!("{document}: {command}: {error}");
            }
        }
    }
}

/// From `fusion-kit` on: the lines of the blocks marked `sh`, and the one behind `$ `.
fn commands(text: &str) -> Vec<String> {
    let blocks = text.split("\n```").skip(1).step_by(2);
    let lines = blocks.flat_map(|block| {
        let is_shell = block.starts_with("sh\n");
        let lines = block.lines().skip(1);
        lines.filter(move |line| is_shell || line.starts_with("$ "))
    });
    lines
        .filter_map(|line| {
            let from = line
                .find("fusion-kit ")
                .or_else(|| line.find("-- run ").map(|at| at + 3))?;
            let command = line.split(" #").next()?.get(from..)?;
            let command = command.strip_prefix("fusion-kit ").unwrap_or(command);
            Some(format!("fusion-kit {}", command.trim_end()))
        })
        .collect()
}

/// The words as a shell would hand them over; enough for quotes, no more.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for character in command.chars() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, ' ') => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words
}

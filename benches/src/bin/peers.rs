//! `peers`: other frameworks beside fusion-kit and the floor, in rounds that take turns, each in an
//! environment of its own that is made for it. Prints the middle of each figure, and the versions.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(
    clippy::print_stderr,
    reason = "it says what it does, and what did not go"
)]

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use fusion_benches::mock::Mock;
use fusion_benches::peers::PEERS;
use fusion_benches::peers::environment::{Environment, make};
use fusion_benches::peers::measure::{Needs, floor, ours, peer};
use fusion_benches::peers::rows::{ROWS, Row};
use fusion_benches::peers::table::{Figure, Measured, table};
use fusion_testkit::{Postgres, postgres_binaries};
use serde_json::json;

/// Compares other frameworks with fusion-kit and the floor.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rows, such as W3; all without any.
    rows: Vec<String>,
    /// A peer, such as dbos; all without any. May be given more than once.
    #[arg(long)]
    peer: Vec<String>,
    /// Rounds, of which the middle one counts; with 0 the environments are made, and no more.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where environments are made and left for the next time; without it they go at the end.
    #[arg(long)]
    environments: Option<PathBuf>,
    /// The folder of the peers' programs.
    #[arg(long, default_value = "benches/peers")]
    programs: PathBuf,
    /// One JSON object with every round instead of tables.
    #[arg(long)]
    json: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let here = std::env::current_exe()?;
    let here = here.parent().context("no folder")?;
    let temporary = tempfile::tempdir()?;
    let folder = match &arguments.environments {
        Some(folder) => std::path::absolute(folder)?,
        None => temporary.path().to_owned(),
    };
    let environments = environments(&arguments, &folder);
    let mut all = Vec::new();
    let wanted =
        |row: &&Row| arguments.rows.is_empty() || arguments.rows.iter().any(|it| it == row.name);
    let rows: Vec<&Row> = ROWS.iter().filter(wanted).collect();
    if arguments.rounds > 0 {
        let postgres = postgres(&rows)?;
        let url = postgres.as_ref().map(Postgres::url);
        for row in &rows {
            let mock = row.delay.map(Mock::start).transpose()?;
            let needs = Needs {
                mock: mock.as_ref(),
                postgres: url.as_deref().filter(|_| row.store == "postgres"),
            };
            for round in 1..=arguments.rounds {
                eprintln!("{}, round {round}", row.name);
                Box::pin(round_of(row, here, &environments, needs, &mut all)).await;
            }
        }
    }
    print(&arguments, &rows, &environments, &all);
    Ok(())
}

/// Those that can be installed; the others are named.
fn environments(arguments: &Arguments, folder: &Path) -> Vec<Environment> {
    let is_wanted =
        |name: &str| arguments.peer.is_empty() || arguments.peer.iter().any(|it| it == name);
    let wanted = PEERS.iter().filter(|peer| is_wanted(peer.name));
    let made = wanted.filter_map(|peer| {
        eprintln!("{}: its environment", peer.title);
        let made = make(peer, &arguments.programs, folder);
        made.inspect_err(|error| eprintln!("{} can't be installed: {error:#}", peer.title))
            .ok()
    });
    made.collect()
}

/// A server of its own, where a row needs one.
fn postgres(rows: &[&Row]) -> Result<Option<Postgres>> {
    if rows.iter().all(|row| row.store != "postgres") {
        return Ok(None);
    }
    Ok(Some(Postgres::start(&postgres_binaries()?)?))
}

/// Everybody who has the row, one after the other. Who fails is named and has no figure.
async fn round_of(
    row: &Row,
    here: &Path,
    environments: &[Environment],
    needs: Needs<'_>,
    all: &mut Vec<Measured>,
) {
    let mut note = |program: &str, measured: Result<Measured>| match measured {
        Ok(measured) => all.push(measured),
        Err(error) => eprintln!("{program} failed in {}: {error:#}", row.name),
    };
    if row.has_floor {
        note("the floor", floor(&here.join("floor"), row, needs).await);
    }
    note(
        "fusion-kit",
        ours(&here.join("fusion-kit"), row, needs).await,
    );
    for environment in environments {
        if environment.peer.rows.contains(&row.name) {
            note(environment.peer.title, peer(environment, row, needs).await);
        }
    }
}

fn print(arguments: &Arguments, rows: &[&Row], environments: &[Environment], all: &[Measured]) {
    if arguments.json {
        let versions: serde_json::Map<_, _> = environments
            .iter()
            .map(|one| (one.peer.title.to_owned(), json!(one.versions)))
            .collect();
        println!("{}", json!({ "versions": versions, "rounds": all }));
        return;
    }
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let titles = environments.iter().map(|one| one.peer.title);
    let programs: Vec<&str> = ["floor", "fusion-kit"].into_iter().chain(titles).collect();
    for figure in Figure::ALL {
        let table = table(figure, &names, &programs, all);
        if !table.is_empty() {
            println!("{table}");
        }
    }
    for environment in environments {
        let versions = environment
            .versions
            .iter()
            .map(|one| format!("{} {}", one.package, one.version));
        let versions: Vec<String> = versions.collect();
        println!("{}: {}", environment.peer.title, versions.join(", "));
    }
}

//! `api`: the server of fusion-kit beside a bare axum handler that answers with the same bytes, and beside
//! the store alone, asked by the same clients in turns.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]
#![expect(
    clippy::disallowed_methods,
    reason = "it starts the program that is measured"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::http::header;
use axum::routing::get;
use clap::Parser;
use fusion_benches::asking::{Asked, rate};
use fusion_benches::rows::{ASKED, DELAY, newest, tasks_per_second};
use fusion_benches::server::{Bare, Server, program};
use reqwest::Client;
use serde_json::{Value, json};
use tikv_jemallocator::Jemalloc;
use tokio::net::TcpListener;

/// That of the program, so that the store alone has what the store in the server has.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How often each command is run.
const RUNS: usize = 40;

/// Measures the server of fusion-kit.
#[derive(Debug, Parser)]
struct Arguments {
    /// The program; without it the one beside this.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Clients that ask at once.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Rounds, of which the middle one counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Serve what is in this file to everybody, and nothing else: the floor, in a process of its own as
    /// the server is.
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    if let Some(file) = &arguments.bare {
        return bare(std::fs::read_to_string(file)?).await;
    }
    let here = std::env::current_exe()?;
    let program = program(arguments.program.as_deref())?;
    let place = tempfile::tempdir()?;
    // Once for the database, so that a start is one like all others.
    drop(Server::start(&program, place.path())?);
    let server = Server::start(&program, place.path())?;
    println!("ready      {:>10.1} ms", server.ready.as_secs_f64() * 1e3);
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!("idle       {:>10.1} MiB", server.memory()?);
    let client = Client::builder().no_proxy().build()?;
    let agent = seed(&server, &client, place.path()).await?;
    for (name, words) in [
        ("--help", &["--help"][..]),
        ("agent list", &["agent", "list"][..]),
    ] {
        command(name, &program, words, place.path())?;
    }
    let measured = Measured {
        arguments: &arguments,
        client: &client,
        server: &server,
        place: place.path(),
    };
    println!(
        "{:<10} {:>12} {:>12} {:>7}",
        "row", "bare axum/s", "fusion-kit/s", "ratio"
    );
    for (name, path) in [
        ("GET one", format!("/api/v1/agents/{agent}")),
        ("GET 100", "/api/v1/agents?limit=100".to_owned()),
    ] {
        measured.reads(name, &path, &here).await?;
    }
    measured.posts(&program).await?;
    println!("after all  {:>10.1} MiB", server.memory()?);
    Ok(())
}

/// From the start of a command's process to its end, beside the server.
fn command(name: &str, program: &Path, words: &[&str], place: &Path) -> Result<()> {
    let mut took = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let mut process = Command::new(program);
        process.args(words).current_dir(place);
        process.stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        ensure!(process.status()?.success(), "{name} failed");
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    let longest = took.last().copied().unwrap_or_default();
    println!(
        "{name:<10} {:>10.1} ms (longest of {RUNS} {longest:.1} ms)",
        middle(took)
    );
    Ok(())
}

/// What is measured, and with what.
struct Measured<'a> {
    arguments: &'a Arguments,
    client: &'a Client,
    server: &'a Server,
    place: &'a Path,
}

impl Measured<'_> {
    /// What is at a path, beside the same bytes from a bare handler.
    async fn reads(&self, name: &str, path: &str, here: &Path) -> Result<()> {
        let url = format!("{}{path}", self.server.url);
        let token = &self.server.token;
        let bytes = self.client.get(&url).bearer_auth(token).send().await?;
        let file = self.place.join("bytes");
        std::fs::write(&file, bytes.error_for_status()?.text().await?)?;
        let bare = Bare::start(here, &file)?;
        let (mut floor, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            floor.push(self.rate(&Asked::at(&bare.url, "-", None)?).await?);
            ours.push(self.rate(&Asked::at(&url, token, None)?).await?);
        }
        show(name, middle(floor), middle(ours));
        Ok(())
    }

    /// Answers a second.
    async fn rate(&self, asked: &Asked) -> Result<f64> {
        let time = Duration::from_secs(self.arguments.seconds);
        rate(asked, self.arguments.clients, time).await
    }

    /// Tasks that are asked for, beside the same commits of the store alone; both begin with nothing.
    async fn posts(&self, program: &Path) -> Result<()> {
        // The tasks wait, so that nothing but the store is at work.
        let body = json!({ "description": ASKED, "delay_seconds": DELAY.as_secs() });
        let time = Duration::from_secs(self.arguments.seconds);
        let (mut store, mut posts) = (Vec::new(), Vec::new());
        for _ in 0..self.arguments.rounds {
            let folder = tempfile::tempdir_in(self.place)?;
            let database = folder.path().join("rows.db");
            store.push(tasks_per_second(&database, self.arguments.clients, time).await?);
            let server = Server::start(program, folder.path())?;
            let url = format!("{}/api/v1/tasks", server.url);
            let asked = Asked::at(&url, &server.token, Some(body.to_string()))?;
            posts.push(self.rate(&asked).await?);
            let (alone, asked) = (newest(&database)?, newest(&server.database)?);
            ensure!(alone == asked, "not the same: {alone:?}, {asked:?}");
        }
        println!(
            "{:<10} {:>12} {:>12} {:>7}",
            "row", "the store/s", "fusion-kit/s", "ratio"
        );
        show("POST task", middle(store), middle(posts));
        Ok(())
    }
}

fn show(name: &str, floor: f64, ours: f64) {
    println!(
        "{name:<10} {floor:>12.0} {ours:>12.0} {:>7.2}",
        ours / floor
    );
}

/// A hundred agents; gives the id of one.
async fn seed(server: &Server, client: &Client, place: &Path) -> Result<String> {
    let script = place.join("script.yaml");
    std::fs::write(&script, "version: 1\nsteps:\n  task: [{ text: done }]\n")?;
    let agent = json!({ "name": "a", "provider": "scripted", "model_name": script });
    let url = format!("{}/api/v1/agents/batch", server.url);
    let body = json!({ "agent": agent, "count": 100 });
    let made = client.post(url).bearer_auth(&server.token).json(&body);
    let made: Value = made.send().await?.error_for_status()?.json().await?;
    let id = made.pointer("/agents/0/id").and_then(Value::as_str);
    Ok(id.context("no agent was made")?.to_owned())
}

/// A handler that does nothing but answer with these bytes, until the process is ended.
async fn bare(bytes: String) -> Result<()> {
    let bytes: Arc<str> = bytes.into();
    let answer = move || {
        let bytes = Arc::clone(&bytes);
        async move {
            (
                [(header::CONTENT_TYPE, "application/json")],
                bytes.to_string(),
            )
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/", listener.local_addr()?);
    let router = Router::new().route("/", get(answer));
    Ok(axum::serve(listener, router).await?)
}

fn middle(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

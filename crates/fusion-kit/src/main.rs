//! The binary: configuration, wiring and signals around the engine and the command line.

mod about;
mod agents;
mod answers;
mod artifacts;
mod backend;
mod bench;
mod budget;
mod calls;
mod config;
mod content;
mod data_dir;
mod database;
mod dry_run;
mod events;
mod files;
mod find;
mod held;
mod inbox;
mod master_key;
mod mcp;
mod mend;
mod messages;
mod metrics;
mod nodes;
mod overview;
mod problems;
mod project_budgets;
mod providers;
mod records;
mod remote;
mod run_deletions;
mod run_files;
mod sandbox;
mod schedules;
mod serve;
mod signals;
mod steering;
mod system;
mod tasks;
mod tools;
mod watch;
mod webhooks;
mod wiring;
mod workflows;
mod workspaces;

use std::process::ExitCode;

use fusion_cli::{Cli, Exit, Hints, Terminal};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use tikv_jemallocator::Jemalloc;

use crate::backend::LocalBackend;
use crate::config::{Config, Flags};

/// Also C's `malloc`, so that of SQLite (ADR 0065).
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// The argument that turns this program into the helper that holds an agent's process.
const HELPER: &str = "__exec";

fn main() -> ExitCode {
    // Before anything else: the helper must have one thread and no settings of ours.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == HELPER)
    {
        return fusion_workspaces::helper_main();
    }
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let arguments = system::arguments();
    let config = Config::from_environment();
    let terminal = Terminal::of_process(Hints {
        no_color: config.no_color,
        dumb: config.dumb_terminal,
    });
    match fusion_cli::parse(arguments) {
        Ok(cli) => run(cli, config, &terminal).into(),
        Err(error) => fusion_cli::refuse(&error, &terminal).into(),
    }
}

fn run(cli: Cli, config: Config, terminal: &Terminal) -> Exit {
    let flags = Flags {
        profile: cli.global.profile.as_deref(),
        server: cli.global.server.as_deref(),
        data_dir: cli.global.data_dir.as_deref(),
    };
    let of_user = config.clone().with_settings_of_user(flags);
    let config = match of_user {
        Ok(config) => config,
        // So that what is wrong in the file can be put right, and a profile be made.
        Err(_) if cli.changes_settings() => config,
        Err(problem) => return fusion_cli::fail(&problem, &cli.global, terminal),
    };
    system::log_to_stderr(&config, cli.global.verbose);
    // Agents' commands may run under the user of this process, whose environment holds keys.
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "processes of the same user can read this process");
    }
    // Fails only when a provider is installed already: then there is one, which is all we need.
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            terminal
                .stderr
                .write(&format!(
                    "error: the program can't start its threads: {error}\n"
                ))
                .ok();
            return Exit::Failed;
        }
    };
    let data_dir = cli
        .global
        .data_dir
        .clone()
        .or_else(|| config.data_dir.clone());
    let server = cli
        .global
        .server
        .clone()
        .or_else(|| config.server_url.clone());
    let backend = LocalBackend::new(config, data_dir, server);
    let exit = runtime.block_on(fusion_cli::execute(cli, &backend, terminal));
    // What still blocks a thread (a name lookup, say) must not keep the user waiting.
    runtime.shutdown_background();
    exit
}

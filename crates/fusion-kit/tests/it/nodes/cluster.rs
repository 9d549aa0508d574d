//! Servers of the binary on one PostgreSQL and one Redis, and a ledger that their agents' commands write.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use fusion_core::{EventType, NewEvent};
use fusion_persistence::{EventFilter, EventReader};
use fusion_persistence_sql::{Durability, Location, SqlStore};
use fusion_testkit::{Postgres, Redis, postgres_binaries, redis_binaries};
use serde_json::{Value, json};

use super::ledger::Ledger;
use super::net::Net;
use crate::api::client::Serving;
use crate::support::{BINARY, Invocation, Project};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(240);

/// What a workflow of the tests has to do.
pub(crate) struct Tasks {
    /// Steps of a run, one after the other.
    pub(crate) per_run: usize,
    /// Commands of a step, one after the other.
    pub(crate) commands: usize,
    /// How long each command takes.
    pub(crate) seconds: String,
}

impl Tasks {
    /// What the model calls for in a step, as the scripted provider reads it.
    fn script_of(&self, step: usize, ledger: &str) -> String {
        let command = format!(
            "a=${{PWD%/projects}}; a=${{a##*/}}; echo begin $a s{step} >> {ledger}; \
             sleep {}; echo end $a s{step} >> {ledger}",
            self.seconds
        );
        let call = format!(
            "    - tool_calls: [{{ name: run_command, arguments: {{ command: {} }} }}]\n",
            json!(command)
        );
        format!(
            "  s{step}:\n{}    - text: done\n",
            call.repeat(self.commands)
        )
    }
}

/// The servers that all nodes share.
struct Shared {
    postgres: Postgres,
    redis: Redis,
}

/// A database, a bus, and the folder that all nodes share; or one machine alone.
pub(crate) struct Cluster {
    shared: Option<Shared>,
    project: Project,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let servers = tokio::task::spawn_blocking(|| Shared {
            postgres: Postgres::start(&postgres_binaries().unwrap()).unwrap(),
            redis: Redis::start(&redis_binaries().unwrap()).unwrap(),
        });
        let shared = servers.await.unwrap();
        let mut project = Project::new();
        project.set("DATABASE_URL", shared.postgres.url());
        project.set("REDIS_URL", shared.redis.url());
        Self::of(project, Some(shared))
    }

    /// One server with a file as its database.
    pub(crate) fn alone() -> Self {
        Self::of(Project::new(), None)
    }

    fn of(mut project: Project, shared: Option<Shared>) -> Self {
        let path = project.path().to_owned();
        project.set("FUSION_MASTER_KEY_FILE", text(&path.join("master.key")));
        project.set("WORKSPACES_ROOT", text(&path.join("workspaces")));
        // The ledger is outside of every workspace: no agent's command could reach it with a sandbox.
        project.set("FUSION_KIT_SANDBOX", "off");
        let cluster = Self { shared, project };
        fs::write(cluster.ledger_file(), "").unwrap();
        fs::set_permissions(cluster.ledger_file(), Permissions::from_mode(0o666)).unwrap();
        cluster
    }

    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.project.set(name, value);
    }

    fn ledger_file(&self) -> PathBuf {
        self.project.path().join("ledger")
    }

    /// A server of this name with a data directory of its own.
    pub(crate) async fn node(&self, name: &str) -> Serving {
        self.node_with(name, &[]).await
    }

    pub(crate) async fn node_with(&self, name: &str, arguments: &[&str]) -> Serving {
        let all = serve(name).chain(arguments.iter().map(ToString::to_string));
        self.serving(name, self.project.fusion_kit(all)).await
    }

    /// A network for one node, from which it reaches the servers; `None` for those who may make none.
    pub(crate) async fn net(&self, number: u32) -> Option<Net> {
        let shared = self.shared.as_ref().unwrap();
        let mut net = Net::new(number).await?;
        net.lead_to("DATABASE_URL", &shared.postgres.url()).await;
        net.lead_to("REDIS_URL", &shared.redis.url()).await;
        Some(net)
    }

    /// A server in such a network.
    pub(crate) async fn node_in(&self, net: &Net, name: &str) -> Serving {
        let ([program, network], there) = (net.entry(), net.there().to_string());
        let open = ["--allow-plain-http", "--host", &there].map(ToOwned::to_owned);
        let all = [network, BINARY.to_owned()].into_iter();
        let mut call = self
            .project
            .call(&program, all.chain(serve(name)).chain(open));
        for (setting, url) in net.urls() {
            call = call.env(setting, url);
        }
        self.serving(name, call).await
    }

    async fn serving(&self, name: &str, call: Invocation) -> Serving {
        let call = call
            .env("FUSION_NODE_NAME", name)
            .log_to(self.open_log(name));
        Serving::of(call).await.named(name)
    }

    fn open_log(&self, name: &str) -> File {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file(name));
        log.unwrap()
    }

    /// A superuser's address of the database.
    pub(crate) fn database_url(&self) -> String {
        self.shared.as_ref().unwrap().postgres.url()
    }

    /// Ends the database in the middle of whatever it does, and starts it again.
    pub(crate) fn restart_database(&mut self) {
        let postgres = &mut self.shared.as_mut().unwrap().postgres;
        postgres.stop_immediate().unwrap();
        postgres.start_again().unwrap();
    }

    pub(crate) const fn project(&self) -> &Project {
        &self.project
    }

    pub(crate) fn log_file(&self, name: &str) -> PathBuf {
        self.project.path().join(format!("{name}.log"))
    }

    /// How often a node was refused a write since its lease was lost.
    pub(crate) fn refused(&self, name: &str) -> usize {
        let log = fs::read_to_string(self.log_file(name)).unwrap_or_default();
        log.matches("a write under a lost lease was refused")
            .count()
    }

    /// Stores a workflow whose commands write into the ledger as they begin and as they end.
    pub(crate) async fn flow(&self, node: &Serving, tasks: &Tasks) -> String {
        let ledger = text(&self.ledger_file());
        let steps: Vec<String> = (0..tasks.per_run).map(step).collect();
        let answers = (0..tasks.per_run).map(|number| tasks.script_of(number, &ledger));
        let answers: Vec<String> = answers.collect();
        self.store(node, &steps.concat(), &answers.concat()).await
    }

    /// Stores a workflow of one agent with these steps and the answers to each.
    pub(crate) async fn store(&self, node: &Serving, steps: &str, answers: &str) -> String {
        self.store_with(node, "[shell]", steps, answers).await
    }

    /// The same for an agent with these tools.
    pub(crate) async fn store_with(
        &self,
        node: &Serving,
        tools: &str,
        steps: &str,
        answers: &str,
    ) -> String {
        self.project.write("script.yaml", script(answers));
        let source = source(tools, steps);
        let body = json!({ "source": source, "base_dir": text(self.project.path()) });
        let made = node.post("/api/v1/workflows", &body).await.expect(201);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Starts so many runs. Where the database is away for a moment, it is asked again.
    pub(crate) async fn begin(&self, node: &Serving, flow: &str, count: usize) -> Vec<String> {
        let path = format!("/api/v1/workflows/{flow}/start");
        let (mut runs, began) = (Vec::with_capacity(count), Instant::now());
        while runs.len() < count {
            let started = node.post(&path, &json!({ "inputs": {} })).await;
            if started.status == 503 && began.elapsed() < LIMIT {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            let started = started.expect(200).json();
            runs.push(started["run_id"].as_str().unwrap().to_owned());
        }
        runs
    }

    /// Asks a node until the answer is as wanted.
    pub(crate) async fn until<F>(&self, node: &Serving, path: &str, what: &str, wanted: F) -> Value
    where
        F: Fn(&Value) -> bool + Send,
    {
        let began = Instant::now();
        loop {
            let answer = node.get(path).await;
            if answer.status == 200 && wanted(&answer.json()) {
                return answer.json();
            }
            assert!(
                began.elapsed() < LIMIT,
                "waited too long until {what}: {answer:#?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until all runs have completed.
    pub(crate) async fn until_completed(&self, node: &Serving, runs: &[String]) {
        for run in runs {
            let path = format!("/api/v1/runs/{run}");
            let ended = self.until(node, &path, "a run has ended", |run| {
                ["completed", "failed", "cancelled"].contains(&run["state"].as_str().unwrap())
            });
            let ended = ended.await;
            assert_eq!(ended["state"], "completed", "{ended:#}");
        }
    }

    /// How a run ended; `None` when it did not in a long time.
    pub(crate) async fn end_of(&self, node: &Serving, run: &str) -> Option<Value> {
        let (path, began) = (format!("/api/v1/runs/{run}"), Instant::now());
        while began.elapsed() < LIMIT {
            let request = node.request("GET", &path).try_send().await;
            let run = request.filter(|answer| answer.status == 200);
            let run = run.map(|answer| answer.json());
            let is_final = |run: &Value| {
                let state = run["state"].as_str().unwrap_or_default();
                ["completed", "failed", "cancelled"].contains(&state)
            };
            if let Some(ended) = run.filter(is_final) {
                return Some(ended);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        None
    }

    /// The tasks of which it was told more than once that they completed.
    pub(crate) async fn completed_twice(&self) -> Vec<String> {
        let mut told = BTreeMap::<String, usize>::new();
        for event in self.events(EventType::TaskCompleted).await {
            let task = event.data["task_id"].to_string();
            *told.entry(task).or_default() += 1;
        }
        told.retain(|_, times| *times > 1);
        told.into_keys().collect()
    }

    /// Where the database is.
    pub(crate) fn location(&self) -> Location {
        let url = match &self.shared {
            Some(shared) => shared.postgres.url(),
            None => format!(
                "sqlite:{}",
                text(&self.project.path().join("one/fusion.db"))
            ),
        };
        Location::from_url(&url, Durability::Full).unwrap()
    }

    /// All events of a type, as the store has them.
    pub(crate) async fn events(&self, of: EventType) -> Vec<NewEvent> {
        let location = self.location();
        let store = SqlStore::open_to_read(&location).await.unwrap().unwrap();
        let filter = EventFilter {
            types: vec![of.as_str().to_owned()],
            ..EventFilter::default()
        };
        let (mut last, mut all) = (0, Vec::new());
        loop {
            let events = store.events_after(&filter, last, 1_000).await.unwrap();
            let Some(newest) = events.last() else {
                return all;
            };
            last = newest.seq;
            all.extend(events.into_iter().map(|event| event.event));
        }
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::read(&fs::read_to_string(self.ledger_file()).unwrap())
    }
}

/// What the scripted provider answers in each step.
pub(crate) fn script(answers: &str) -> String {
    format!("version: 1\nsteps:\n{answers}")
}

/// A workflow of one agent with these tools and steps.
pub(crate) fn source(tools: &str, steps: &str) -> String {
    format!(
        "version: 1\nname: flow\nagents: {{ a: {{ provider: scripted, model: script.yaml, tools: {tools} }} }}\nsteps:\n{steps}"
    )
}

/// The arguments of a server.
fn serve(name: &str) -> impl Iterator<Item = String> {
    let line = format!("serve --json --port 0 -v --data-dir {name}");
    let words: Vec<String> = line.split(' ').map(ToOwned::to_owned).collect();
    words.into_iter()
}

fn step(number: usize) -> String {
    let needs = match number {
        0 => String::new(),
        later => format!(", needs: [s{}]", later - 1),
    };
    format!("  - {{ id: s{number}, agent: a, prompt: x{needs} }}\n")
}

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

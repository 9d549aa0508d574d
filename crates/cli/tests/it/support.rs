//! A backend that answers from memory, streams that are buffers, and sample runs.

mod agents;
mod bench;
mod dry_runs;
mod files;
mod inbox;
mod mcp;
mod messages;
mod nodes;
mod overview;
mod providers;
mod records;
mod run_deletions;
mod run_files;
mod runs;
mod server;
mod tasks;
mod tools;
mod upkeep;
mod workflows;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use fusion_api_types::{
    AgentView, JournalView, MessageView, Problem, ProblemKind, RunDetail, RunSummary, StepView,
    UsageView, WorkflowSummary,
};
use fusion_cli::{
    Backend, Input, Output, Progress, ResumeRequest, RunQuery, RunRequest, Size, Terminal,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub(crate) const RUN_ID: &str = "019aaaaa-0000-7000-8000-000000000001";

/// Answers from memory; fails the test when it is asked what it was not given.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    /// What `run` and `resume` show before they answer.
    pub(crate) snapshots: Vec<RunDetail>,
    /// Messages that are sent meanwhile.
    pub(crate) messages: Vec<MessageView>,
    pub(crate) notice: Option<&'static str>,
    pub(crate) run: Option<RunDetail>,
    pub(crate) runs: Vec<RunSummary>,
    pub(crate) workflow: Option<WorkflowSummary>,
    pub(crate) problem: Option<Problem>,
    /// What the commands around the database answer, in its wire form.
    pub(crate) report: Value,
    /// What `add` answers, in its wire form.
    pub(crate) added: Value,
    /// The lines that a person types; nobody is there when there are none.
    pub(crate) typed: Vec<&'static str>,
    /// The lines of stdin.
    pub(crate) lines: Mutex<VecDeque<String>>,
    pub(crate) asked: Mutex<Vec<String>>,
}

/// One whose commands answer with this.
pub(crate) fn answering(report: Value) -> Fake {
    Fake {
        report,
        ..Fake::default()
    }
}

impl Fake {
    pub(crate) fn of(run: RunDetail) -> Self {
        Self {
            run: Some(run),
            ..Self::default()
        }
    }

    pub(crate) fn refusing(problem: Problem) -> Self {
        Self {
            problem: Some(problem),
            ..Self::default()
        }
    }

    fn ask(&self, question: String) -> Result<(), Problem> {
        self.asked.lock().unwrap().push(question);
        self.problem.clone().map_or(Ok(()), Err)
    }

    fn play(&self, progress: &mut dyn Progress) -> RunDetail {
        for snapshot in &self.snapshots {
            progress.update(snapshot);
        }
        for message in &self.messages {
            progress.message(message);
        }
        if let Some(notice) = self.notice {
            progress.notice(notice);
        }
        self.run.clone().unwrap()
    }
}

#[async_trait]
impl Backend for Fake {
    async fn run(
        &self,
        request: &RunRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        self.ask(format!(
            "run {} {:?}",
            request.file.display(),
            request.inputs
        ))?;
        Ok(self.play(progress))
    }

    async fn resume(
        &self,
        request: &ResumeRequest,
        progress: &mut dyn Progress,
    ) -> Result<RunDetail, Problem> {
        let budget = (
            request.budget_usd.as_deref(),
            request.budget_tokens,
            request.budget_of.as_deref(),
        );
        let told = if budget == (None, None, None) {
            String::new()
        } else {
            format!(" {budget:?}")
        };
        self.ask(format!("resume {:?}{told}", request.run.as_deref()))?;
        Ok(self.play(progress))
    }

    async fn list_runs(&self, query: &RunQuery) -> Result<Vec<RunSummary>, Problem> {
        let (states, workflow, limit) = (&query.states, &query.workflow, query.limit);
        self.ask(match &query.parent {
            None if states.is_empty() && workflow.is_none() => format!("list {limit}"),
            parent => format!("list {limit} {states:?} {workflow:?} {parent:?}"),
        })?;
        Ok(self.runs.clone())
    }

    async fn show_run(&self, run: Option<&str>) -> Result<RunDetail, Problem> {
        self.ask(format!("show {run:?}"))?;
        Ok(self.run.clone().unwrap())
    }
}

impl Fake {
    fn report<T: DeserializeOwned>(&self, question: String) -> Result<T, Problem> {
        self.ask(question)?;
        Ok(serde_json::from_value(self.report.clone()).unwrap())
    }
}

/// A stream that keeps what is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the streams of a test lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streams {
    Files,
    /// Both are one window of this size.
    Window(Size),
    /// stdout is a file, stderr a window of this size.
    ErrWindow(Size),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) async fn fusion_kit(line: &str, backend: &Fake) -> Ended {
    fusion_kit_on(Streams::Files, line, backend).await
}

/// Runs a command line, words parted by spaces.
pub(crate) async fn fusion_kit_on(streams: Streams, line: &str, backend: &Fake) -> Ended {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (out, err) = (Buffer::default(), Buffer::default());
    let window = |buffer: &Buffer, size| Output::terminal(buffer.clone(), move || size);
    let (stdout, stderr) = match streams {
        Streams::Files => (Output::file(out.clone()), Output::file(err.clone())),
        Streams::Window(size) => (window(&out, size), window(&err, size)),
        Streams::ErrWindow(size) => (Output::file(out.clone()), window(&err, size)),
    };
    let terminal = Terminal {
        input: person(&backend.typed),
        ..terminal(stdout, stderr)
    };
    let exit = match fusion_cli::parse(["fusion-kit"].into_iter().chain(words)) {
        Ok(cli) => fusion_cli::execute(cli, backend, &terminal).await,
        Err(error) => fusion_cli::refuse(&error, &terminal),
    };
    Ended {
        code: exit.code(),
        out: out.text(),
        err: err.text(),
    }
}

/// Somebody who types these lines, one for each question.
fn person(lines: &[&'static str]) -> Input {
    if lines.is_empty() {
        return Input::nobody();
    }
    let lines: Mutex<VecDeque<&str>> = Mutex::new(lines.iter().copied().collect());
    Input::person(move |_| {
        let line = lines.lock().unwrap().pop_front();
        line.map(str::to_owned)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    })
}

/// A terminal at 12:00:05 UTC, one hour east of it, without colours.
pub(crate) fn terminal(stdout: Output, stderr: Output) -> Terminal {
    Terminal {
        input: Input::nobody(),
        stdout,
        stderr,
        no_color: true,
        now: Arc::new(|| DateTime::parse_from_rfc3339("2026-11-23T13:00:05+01:00").unwrap()),
    }
}

/// Compares with `snapshots/NAME`; `UPDATE_SNAPSHOTS=1` writes the file anew.
#[track_caller]
#[expect(
    clippy::disallowed_methods,
    reason = "the way to ask for new snapshots is an environment variable"
)]
pub(crate) fn check_snapshot(name: &str, text: &str) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/snapshots");
    let path: PathBuf = dir.join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(dir).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "snapshot {name}");
}

/// 12:00:00.SECONDS of the day of all samples.
pub(crate) fn at(seconds: i64, millis: u32) -> DateTime<Utc> {
    let noon: DateTime<Utc> = "2026-11-23T12:00:00Z".parse().unwrap();
    noon + chrono::TimeDelta::new(seconds, millis * 1_000_000).unwrap()
}

pub(crate) fn usage(turns: u64, input_tokens: u64, output_tokens: u64, cost: &str) -> UsageView {
    UsageView {
        turns,
        input_tokens,
        output_tokens,
        cost_usd: cost.to_owned(),
    }
}

/// A step that waits.
pub(crate) fn queued(id: &str, agent: &str, needs: &[&str]) -> StepView {
    StepView {
        id: id.to_owned(),
        task_id: format!("task-{id}"),
        state: "queued".to_owned(),
        cancel_reason: None,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        agent: Some(agent.to_owned()),
        attempts: 0,
        waiting: None,
        recovered: None,
        started_at: None,
        completed_at: None,
        usage: UsageView::default(),
        outputs: None,
        files: Vec::new(),
        artifacts: Vec::new(),
        runs: Vec::new(),
        error: None,
        activity: None,
        journal: Vec::new(),
    }
}

/// The same step, begun at this second.
pub(crate) fn running(mut step: StepView, second: i64) -> StepView {
    step.state = "running".to_owned();
    step.attempts = 1;
    step.started_at = Some(at(second, 0));
    step.activity = Some("turn 1".to_owned());
    step
}

/// The same step, ended well after 400 ms.
pub(crate) fn completed(step: StepView, second: i64) -> StepView {
    let mut step = running(step, second);
    step.state = "completed".to_owned();
    step.completed_at = Some(at(second, 400));
    step.activity = None;
    step.usage = usage(2, 800, 404, "0.0042");
    step.outputs = Some(json!({ "text": format!("{} is done", step.id) }));
    step
}

/// The same step, ended badly after 400 ms.
pub(crate) fn failed(step: StepView, second: i64, error: &str) -> StepView {
    let mut step = completed(step, second);
    step.state = "failed".to_owned();
    step.outputs = None;
    step.error = Some(error.to_owned());
    step
}

/// The same step, never begun for this reason.
pub(crate) fn cancelled(mut step: StepView, reason: &str) -> StepView {
    step.state = "cancelled".to_owned();
    step.cancel_reason = Some(reason.to_owned());
    step.completed_at = Some(at(4, 0));
    step
}

/// The three steps of the sample workflow, all waiting.
pub(crate) fn three_steps() -> [StepView; 3] {
    [
        queued("plan", "planner", &[]),
        queued("build", "coder", &["plan"]),
        queued("review", "critic", &["build"]),
    ]
}

/// A run that works on these steps.
pub(crate) fn run(steps: impl IntoIterator<Item = StepView>) -> RunDetail {
    let steps: Vec<StepView> = steps.into_iter().collect();
    let done = steps
        .iter()
        .filter(|step| step.state == "completed")
        .count();
    let sum = |of: fn(&UsageView) -> u64| steps.iter().map(|step| of(&step.usage)).sum();
    RunDetail {
        summary: RunSummary {
            id: RUN_ID.to_owned(),
            workflow: "feature".to_owned(),
            state: "running".to_owned(),
            interrupted: false,
            steps_total: u32::try_from(steps.len()).unwrap(),
            steps_completed: u32::try_from(done).unwrap(),
            usage: UsageView {
                turns: sum(|usage| usage.turns),
                input_tokens: sum(|usage| usage.input_tokens),
                output_tokens: sum(|usage| usage.output_tokens),
                cost_usd: "0.0126".to_owned(),
            },
            created_at: at(0, 0),
            started_at: Some(at(0, 0)),
            completed_at: None,
            error: None,
            halt: None,
            continues: None,
            parent: None,
            imported: None,
        },
        inputs: Map::from_iter([("issue".to_owned(), json!("a calculator"))]),
        max_cost_usd: None,
        outputs: None,
        scripted: false,
        data_dir: "/data".to_owned(),
        agents: vec![
            agent("planner", "openrouter", "some/model"),
            agent("coder", "openrouter", "some/model"),
            agent("critic", "scripted", "feature.script.yaml"),
        ],
        steps,
    }
}

/// The same run, ended in this state after 5 s.
pub(crate) fn ended(mut run: RunDetail, state: &str) -> RunDetail {
    run.summary.state = state.to_owned();
    run.summary.completed_at = Some(at(5, 0));
    run
}

/// A run that went well, with files and outputs of every shape.
pub(crate) fn completed_run() -> RunDetail {
    let [plan, build, review] = three_steps();
    let mut build = completed(build, 1);
    build.artifacts = vec!["/data/agents/coder/projects/sum.sh".to_owned()];
    let mut run = ended(
        run([completed(plan, 0), build, completed(review, 2)]),
        "completed",
    );
    run.outputs = Some(json!({
        "approved": true,
        "files": ["sum.sh"],
        "report": "All good.\n\nShip it.",
        "verdict": "approved",
    }));
    run
}

/// A run whose second step failed.
pub(crate) fn failed_run() -> RunDetail {
    let [plan, build, review] = three_steps();
    let mut run = ended(
        run([
            completed(plan, 0),
            failed(
                build,
                1,
                "`sh ./check.sh` exited with 1:\nexpected 3, got 4",
            ),
            cancelled(review, "dependency_failed"),
        ]),
        "failed",
    );
    run.summary.error = Some("step 'build' failed".to_owned());
    run
}

/// A run that stopped in its second step.
pub(crate) fn interrupted_run() -> RunDetail {
    let [plan, build, review] = three_steps();
    let mut run = run([completed(plan, 0), running(build, 1), review]);
    run.summary.interrupted = true;
    run
}

pub(crate) fn agent(name: &str, provider: &str, model: &str) -> AgentView {
    AgentView {
        id: format!("agent-{name}"),
        name: name.to_owned(),
        state: "idle".to_owned(),
        provider: provider.to_owned(),
        model: model.to_owned(),
        capabilities: vec!["coding".to_owned(), "review".to_owned()],
        workspace_path: format!("/data/agents/{name}"),
        grants: None,
    }
}

pub(crate) fn entry(seq: u32, kind: &str, name: &str, request: Value) -> JournalView {
    JournalView {
        seq,
        kind: kind.to_owned(),
        name: name.to_owned(),
        state: "finished".to_owned(),
        effect: "once".to_owned(),
        attempts: 1,
        request,
        outcome: None,
        usage: UsageView::default(),
        started_at: at(1, 0),
        finished_at: Some(at(1, 100)),
    }
}

pub(crate) fn problem(message: &str) -> Problem {
    Problem::new(ProblemKind::Unavailable, message)
}

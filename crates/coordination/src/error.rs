//! What can go wrong while runs are started and driven.

use fusion_core::{
    AgentState, Coded, Decision, Disposal, ErrorCode, IllegalTransition, RunId, WorkflowState,
};

use crate::again::AgainFault;
use crate::agents::Fault;
use crate::approvals::AnswerFault;
use crate::called::CallFault;
use crate::projects::Unfinished;
use crate::run_file::RunFileFault;

/// A failure of the engine. A task's own failure is not one: it is a state of the task.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A model that an agent needs can't be asked.
    #[error("the agent '{agent}' can't be spawned")]
    Model {
        /// The agent's name in the workflow file.
        agent: String,
        /// Which of its models, where that is known: 0 its own, then its fallback models.
        number: Option<usize>,
        /// What its provider says.
        #[source]
        source: Box<fusion_providers::Error>,
    },
    /// The inputs of a run don't name a provider or a model that they choose.
    #[error("the agent '{agent}' can't be spawned")]
    Choice {
        /// The agent's name in the workflow file.
        agent: String,
        /// Which name, and why not.
        #[source]
        source: fusion_workflow_file::ChoiceError,
    },
    /// An agent can't be granted what its file says.
    #[error("the agent '{agent}' can't be spawned: {why}")]
    Grant {
        /// The agent's name in the workflow file.
        agent: String,
        /// Which entry of its `sandbox`.
        granted: fusion_workflow_file::Granted,
        /// Why not.
        why: String,
    },
    /// A model's provider can't serve a step now, or wants a person first. The step waits; the
    /// run can be resumed.
    #[error("step '{step}' has to wait: {message}")]
    Unserved {
        /// The step.
        step: String,
        /// The kind of failure.
        code: ErrorCode,
        /// What the provider says.
        message: String,
        /// The way out, where there is one.
        help: Option<String>,
    },
    /// A workspace can't be made or opened.
    #[error("the workspace of the agent '{agent}' can't be used")]
    Workspace {
        /// The agent's name in the workflow file.
        agent: String,
        /// Why.
        #[source]
        source: fusion_workspaces::Error,
    },
    /// A kept file of a step can't be read.
    #[error("an artifact can't be read")]
    Artifact {
        /// Why.
        #[source]
        source: fusion_workspaces::Error,
    },
    /// The store refused or failed. Nothing acknowledged is lost; the run can be resumed.
    #[error("the store failed")]
    Store(#[source] fusion_persistence::Error),
    /// The run has ended; there is nothing to resume.
    #[error("run {run} is {state} already")]
    Ended {
        /// The run.
        run: RunId,
        /// How it ended.
        state: WorkflowState,
    },
    /// The run was told to end and ends just now.
    #[error("run {run} is being cancelled")]
    Cancelling {
        /// The run.
        run: RunId,
    },
    /// Another process works on the run.
    #[error("another process works on run {run}")]
    Elsewhere {
        /// The run.
        run: RunId,
    },
    /// A node that has ended can't be told anything.
    #[error("the node '{node}' is down")]
    NodeDown {
        /// What it is called.
        node: String,
    },
    /// An agent that was to begin a task was paused or ended just then: the task waits.
    #[error("the agent '{agent}' is held")]
    Held {
        /// Its name.
        agent: String,
    },
    /// The state of an agent does not allow what was asked.
    #[error("the agent '{agent}' refuses")]
    Lifecycle {
        /// Its name.
        agent: String,
        /// Which move.
        #[source]
        source: IllegalTransition,
    },
    /// A message can't be sent again: all who have not read it have ended.
    #[error("nobody is left to read the message: {agents} ended with the run")]
    NobodyLeft {
        /// Their names.
        agents: String,
    },
    /// Agents can't be spawned as they were described.
    #[error("{}", listed(faults))]
    Description {
        /// All that is wrong.
        faults: Vec<Fault>,
    },
    /// Only a standing agent can be changed: one of a run works as its workflow file says.
    #[error("the agent '{agent}' belongs to a run: its workflow file says what it works with")]
    OfRun {
        /// Its name.
        agent: String,
    },
    /// Another operation on the agent is under way in this process.
    #[error("the agent '{agent}' is being spawned or ended just now")]
    Busy {
        /// Its name.
        agent: String,
    },
    /// A step of the agent is at work in its workspace, or it is being spawned.
    #[error("the agent '{agent}' is at work: what it makes is taken in when its step ends")]
    AtWork {
        /// Its name.
        agent: String,
    },
    /// An agent that has ended does nothing any more.
    #[error("the agent '{agent}' has ended")]
    HasEnded {
        /// Its name.
        agent: String,
    },
    /// An agent was to end only where it was in some state, and it has left that.
    #[error("the agent '{agent}' is {}, and was to end only as {}", state.as_str(), words(asked))]
    InOtherState {
        /// Its name.
        agent: String,
        /// The state that it is in.
        state: AgentState,
        /// The states in which it was to end.
        asked: Vec<AgentState>,
    },
    /// An agent that is being ended does not go on.
    #[error(
        "the agent '{agent}' is being ended: its workspace is {}, and then it has ended",
        done_with(*.disposal)
    )]
    Ending {
        /// Its name.
        agent: String,
        /// What becomes of its workspace.
        disposal: Disposal,
    },
    /// The workspace of an agent that has not ended is its own.
    #[error("the agent '{agent}' has not ended")]
    Lives {
        /// Its name.
        agent: String,
    },
    /// The workspace of an agent that is to end is in use.
    #[error("somebody is at work in the workspace of the agent '{agent}', which ends after that")]
    Occupied {
        /// Its name.
        agent: String,
    },
    /// What is in a workspace that is to be removed is taken over.
    #[error("run {run}, which has not ended, takes over what the agent '{agent}' made")]
    Wanted {
        /// Whose workspace it is.
        agent: String,
        /// Which run.
        run: RunId,
    },
    /// A workspace that is to be removed holds what is nowhere else.
    #[error(
        "the workspace of '{agent}' ({path}) has {} that are nowhere else",
        only_here(*files, *bytes, *branches)
    )]
    OnlyCopy {
        /// Whose it is.
        agent: String,
        /// Where it is.
        path: String,
        /// How many files, folders and links.
        files: u64,
        /// What the files hold.
        bytes: u64,
        /// How many branches, tags and stashes of its worktree.
        branches: u64,
    },
    /// Workspaces that would go with a run hold what is nowhere else.
    #[error("run {run} can't be deleted: {}", only.join("; "))]
    OnlyCopies {
        /// The run.
        run: RunId,
        /// What each of them holds.
        only: Vec<String>,
    },
    /// A run can't be done again as it was asked.
    #[error(transparent)]
    Again(#[from] AgainFault),
    /// Steps that are runs of other workflows can't be.
    #[error("{}", listed(faults))]
    Calls {
        /// All that is wrong.
        faults: Vec<CallFault>,
    },
    /// A project can't be archived while something of it is open.
    #[error(transparent)]
    OpenWork(Box<Unfinished>),
    /// An answer to a question does not count.
    #[error(transparent)]
    Answer(#[from] AnswerFault),
    /// The state of a task does not allow what was asked.
    #[error("the task '{task}' refuses")]
    TaskState {
        /// Its name.
        task: String,
        /// Which move.
        #[source]
        source: IllegalTransition,
    },
    /// As many tasks wait for an agent as may.
    #[error(
        "{waiting} tasks wait for the agent '{agent}', and no more may: give the task to nobody, or wait"
    )]
    QueueFull {
        /// Its name.
        agent: String,
        /// How many.
        waiting: u64,
    },
    /// A run that is a task of its own is not driven.
    #[error("run {run} is a task of its own: standing agents do it, while a process hosts them")]
    Standalone {
        /// The run.
        run: RunId,
    },
    /// A step of a workflow can't be done for itself.
    #[error("'{task}' is a step of run {run}: it is done again with its run")]
    OfWorkflow {
        /// Its name.
        task: String,
        /// Its run.
        run: RunId,
    },
    /// A task that has not ended badly is not done again.
    #[error("the task '{task}' has not failed and was not cancelled")]
    NotEnded {
        /// Its name.
        task: String,
    },
    /// A workflow that came with an imported run is there to show it.
    #[error("the workflow {workflow} came with an imported run: store its text to start it")]
    OfImported {
        /// Its name.
        workflow: String,
    },
    /// A run can't be exported or imported.
    #[error(transparent)]
    RunFile(#[from] RunFileFault),
    /// A message can't be sent.
    #[error(transparent)]
    Message(#[from] fusion_core::MessageFault),
    /// All that was decided first could be written, and nothing was: it was a dry run.
    #[error("nothing was changed: it was a dry run")]
    DryRun(Box<Decision>),
    /// A rule was asked for a move that its state machine does not have: a fault of ours.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// What the store holds does not fit together: a fault of ours.
    #[error("{0}")]
    Broken(String),
}

/// The result of a call of the engine.
pub type Result<T> = std::result::Result<T, Error>;

impl From<fusion_persistence::Error> for Error {
    fn from(error: fusion_persistence::Error) -> Self {
        Self::Store(error)
    }
}

/// What is done with a workspace, in a word.
const fn done_with(disposal: Disposal) -> &'static str {
    match disposal {
        Disposal::Keep => "kept",
        Disposal::Archive => "packed",
        Disposal::Remove => "removed",
    }
}

impl Error {
    /// The way out for a person, where the text of the error does not say it.
    #[must_use]
    pub fn way_out(&self) -> Option<String> {
        if matches!(self, Self::Lives { .. }) {
            let way =
                "end it with `agent terminate`, which also removes its workspace when told to";
            Some(way.to_owned())
        } else if matches!(self, Self::Wanted { .. }) {
            Some("let the run go on with `resume`, or end it with `cancel`".to_owned())
        } else if matches!(self, Self::OnlyCopy { .. } | Self::OnlyCopies { .. }) {
            let way = "keep them with `workspace export`, or have them deleted with --yes (`only_copies` in the API)";
            Some(way.to_owned())
        } else if matches!(self, Self::HasEnded { .. } | Self::Ending { .. }) {
            Some("make another with `agent spawn`".to_owned())
        } else if let Self::OpenWork(open) = self {
            Some(open.way_out())
        } else {
            None
        }
    }

    /// Whether another writer was first, so that reading and deciding again may work.
    pub(crate) const fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Store(fusion_persistence::Error::Conflict { .. })
        )
    }

    /// Whether deciding again on what is there now may work: another writer was first, or the lease
    /// that was read is gone.
    pub(crate) const fn lost_a_race(&self) -> bool {
        self.is_conflict() || self.is_fenced()
    }

    /// Whether a unique value, such as the version of a workflow, was taken by another writer.
    pub(crate) const fn is_taken(&self) -> bool {
        matches!(self, Self::Store(fusion_persistence::Error::Exists { .. }))
    }

    /// Whether a task could not begin because its agent was held.
    pub(crate) const fn is_held(&self) -> bool {
        matches!(self, Self::Held { .. })
    }

    /// Whether the run is in the hands of another process.
    pub(crate) const fn is_elsewhere(&self) -> bool {
        matches!(
            self,
            Self::Elsewhere { .. } | Self::Store(fusion_persistence::Error::NotDriver { .. })
        )
    }

    /// Whether the lease is lost: the result must be dropped.
    pub(crate) const fn is_fenced(&self) -> bool {
        matches!(self, Self::Store(fusion_persistence::Error::Fenced { .. }))
    }
}

fn words(states: &[AgentState]) -> String {
    let words: Vec<&str> = states.iter().copied().map(AgentState::as_str).collect();
    words.join(" or ")
}

/// All that is wrong, in one line.
pub(crate) fn listed(faults: &[impl ToString]) -> String {
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    told.join("; ")
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Model { source, .. } => source.code(),
            Self::Choice { .. } | Self::Grant { .. } => ErrorCode::InvalidInput,
            Self::Workspace { source, .. } | Self::Artifact { source } => source.code(),
            Self::Store(source) => source.code(),
            Self::Unserved { code, .. } => *code,
            Self::Ended { .. }
            | Self::Cancelling { .. }
            | Self::Elsewhere { .. }
            | Self::NodeDown { .. }
            | Self::Held { .. }
            | Self::Lifecycle { .. }
            | Self::TaskState { .. }
            | Self::QueueFull { .. }
            | Self::Standalone { .. }
            | Self::NotEnded { .. }
            | Self::OfWorkflow { .. }
            | Self::OfRun { .. }
            | Self::OfImported { .. }
            | Self::NobodyLeft { .. }
            | Self::AtWork { .. }
            | Self::Lives { .. }
            | Self::HasEnded { .. }
            | Self::InOtherState { .. }
            | Self::Ending { .. }
            | Self::OnlyCopy { .. }
            | Self::OnlyCopies { .. }
            | Self::OpenWork(_)
            | Self::Wanted { .. }
            | Self::Occupied { .. }
            | Self::DryRun(_)
            | Self::Busy { .. } => ErrorCode::Conflict,
            Self::Description { .. } | Self::Calls { .. } => ErrorCode::InvalidInput,
            Self::Again(source) => source.code(),
            Self::Answer(source) => source.code(),
            Self::Message(source) => source.code(),
            Self::RunFile(source) => source.code(),
            Self::Illegal(_) | Self::Broken(_) => ErrorCode::Internal,
        }
    }
}

fn only_here(files: u64, bytes: u64, branches: u64) -> String {
    let of_files = format!("{files} files of {bytes} bytes");
    let of_git = format!("{branches} branches, tags or stashes of its worktree");
    match (files, branches) {
        (_, 0) => of_files,
        (0, _) => of_git,
        (_, _) => format!("{of_files} and {of_git}"),
    }
}

//! Writing to a standing agent line by line, and seeing what it does until it rests.

pub(crate) mod desk;

use std::ops::ControlFlow;

use async_trait::async_trait;
use fusion_api_types::{AgentLogEntry, AgentSummary, Problem, ProblemKind};
use fusion_cli::{AttachEnd, Log, Tools};
use fusion_coordination::{Coordinator, Driven, Raised};
use fusion_core::{Agent, AgentId, AgentState, Run, RunId};
use fusion_persistence::Repository;
use fusion_persistence_sql::Location;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use desk::{Became, Course, Desk, OfEngine, OfServer};

use super::find::find_agent;
use super::logs::{self, Extent, LOOK, Reach, Source};
use super::send::open_run;
use super::{read, views};
use crate::backend::LocalBackend;
use crate::problems;
use crate::remote::Remote;
use crate::signals::Signalled;
use crate::wiring::{self, Engine};

/// Lines that wait to be sent; who writes more waits.
const LINES: usize = 16;

/// The log of an agent for somebody who writes to it meanwhile.
struct Attached<'a> {
    log: &'a mut (dyn Source + 'a),
    desk: &'a dyn Desk,
    agent: AgentSummary,
    /// What is read, until its end.
    lines: Option<mpsc::Receiver<Result<String, Problem>>>,
    /// Messages that have not been dealt with.
    open: Vec<String>,
    end: AttachEnd,
    /// What the log has then is all.
    is_over: bool,
    stop: CancellationToken,
}

impl LocalBackend {
    pub(super) async fn attach_through(
        &self,
        remote: Remote,
        agent: &str,
        limit: u32,
        log: &mut dyn Log,
    ) -> Result<AttachEnd, Problem> {
        let agent = standing(self.agent_of(&remote, agent).await?)?;
        let heard = Some(("agent_id", agent.id.clone()));
        let mut source = logs::OfServer {
            listening: remote.listen(heard).await,
            remote: remote.clone(),
            agent: agent.clone(),
        };
        let desk = OfServer {
            remote,
            agent: agent.clone(),
        };
        let signalled = Signalled::catch();
        let mut attached = Attached::new(self, &mut source, &desk, agent, signalled.stop.clone());
        logs::show(&mut attached, Extent::on_from(limit), log).await?;
        Ok(attached.end)
    }

    pub(super) async fn attach_on(
        &self,
        engine: &Engine,
        agent: &str,
        limit: u32,
        log: &mut dyn Log,
    ) -> Result<AttachEnd, Problem> {
        let data_dir = self.data_dir()?;
        let agent = find_agent(engine.store(), &data_dir, agent).await?;
        let summary = standing(views::summary(&agent))?;
        let mut source = logs::OfStore {
            store: engine.store(),
            agent: agent.id,
        };
        let (begun, taken) = mpsc::unbounded_channel();
        let desk = OfEngine {
            engine,
            agent: agent.id,
            begun,
        };
        let signalled = Signalled::catch();
        let stop = signalled.stop.child_token();
        let works_alone = matches!(
            wiring::location(self.config(), &data_dir)?,
            Location::File(..)
        );
        let work = Work {
            engine,
            agent: agent.id,
            taken,
            works_alone,
            stop: stop.clone(),
        };
        let mut attached = Attached::new(self, &mut source, &desk, summary, signalled.stop.clone());
        let mut working = Box::pin(work.go_on());
        let shown = tokio::select! {
            biased;
            shown = logs::show(&mut attached, Extent::on_from(limit), log) => shown,
            failed = &mut working => {
                failed?;
                // It ends by itself only when it is told to.
                attached.end.stopped = signalled.stop.is_cancelled();
                return Ok(attached.end);
            }
        };
        stop.cancel();
        working.await?;
        shown.map(|()| attached.end)
    }
}

/// Who works on what the agent was sent, where no server does.
struct Work<'a> {
    engine: &'a Engine,
    agent: AgentId,
    /// Runs that were begun for what was sent.
    taken: mpsc::UnboundedReceiver<RunId>,
    /// No other process works on the same store, so that what is open is left over.
    works_alone: bool,
    stop: CancellationToken,
}

impl Work<'_> {
    /// Works until it is told to stop.
    async fn go_on(mut self) -> Result<(), Problem> {
        while !self.stop.is_cancelled() {
            if let Some(run) = self.next().await? {
                self.drive(run).await?;
                continue;
            }
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<RunId>, Problem> {
        if self.works_alone {
            let agent = self.engine.store().get(self.agent).await.map_err(read)?;
            // A held agent leaves its run as it is.
            if matches!(agent.state, AgentState::Idle | AgentState::Working)
                && let Some(run) = open_run(self.engine, &agent).await?
            {
                return Ok(Some(run));
            }
        }
        if let Ok(run) = self.taken.try_recv() {
            return Ok(Some(run));
        }
        let coordinator = self.engine.coordinator();
        let taken = coordinator.take_up_mail(self.agent).await;
        let taken = taken.map_err(|error| problems::of_engine(&error))?;
        Ok(taken.map(|(_, run)| run))
    }

    async fn drive(&self, run: RunId) -> Result<(), Problem> {
        let found: Run = self.engine.store().get(run).await.map_err(read)?;
        if found.state.is_final() {
            return Ok(());
        }
        if found.is_paused() {
            return Err(held(run));
        }
        let coordinator: &Coordinator = self.engine.coordinator();
        let raised = Raised::default();
        let driven = Box::pin(coordinator.resume_run(run, &raised, &self.stop)).await;
        match driven.map_err(|error| problems::of_engine(&error))? {
            Driven::Ended(_) | Driven::Interrupted => Ok(()),
            Driven::Paused => {
                let agent: Agent = self.engine.store().get(self.agent).await.map_err(read)?;
                // Of a held agent its own state tells.
                if agent.state == AgentState::Paused {
                    return Ok(());
                }
                Err(held(run))
            }
        }
    }
}

fn held(run: RunId) -> Problem {
    Problem::new(
        ProblemKind::Held,
        format!("run {run} is held, so the agent does not go on with it"),
    )
    .with_help("see what to do with: fusion-kit inbox")
}

/// Refuses an agent of a run: its run says what it does.
fn standing(agent: AgentSummary) -> Result<AgentSummary, Problem> {
    match &agent.run {
        None => Ok(agent),
        Some(run) => {
            let text = format!(
                "{} is no standing agent: it belongs to run {run}",
                agent.name
            );
            Err(Problem::new(ProblemKind::Conflict, text).with_help(format!(
                "see what it does with: fusion-kit agent logs {} --follow",
                agent.id
            )))
        }
    }
}

impl<'a> Attached<'a> {
    fn new(
        backend: &LocalBackend,
        log: &'a mut (dyn Source + 'a),
        desk: &'a dyn Desk,
        agent: AgentSummary,
        stop: CancellationToken,
    ) -> Self {
        let (write, lines) = mpsc::channel(LINES);
        let backend = backend.clone();
        // It waits for a line as long as the process lives.
        TaskTracker::new().spawn(async move {
            while let Some(line) = backend.next_line().await.transpose() {
                let is_last = line.is_err();
                if write.send(line).await.is_err() || is_last {
                    return;
                }
            }
        });
        Self {
            log,
            desk,
            end: AttachEnd {
                agent: agent.name.clone(),
                ..AttachEnd::default()
            },
            agent,
            lines: Some(lines),
            open: Vec::new(),
            is_over: false,
            stop,
        }
    }

    /// Sends the lines that are there.
    async fn send(&mut self) -> Result<(), Problem> {
        while let Some(lines) = &mut self.lines {
            match lines.try_recv() {
                Ok(line) => {
                    let line = line?;
                    let line = line.trim();
                    if !line.is_empty() {
                        self.open.push(self.desk.send(line).await?);
                    }
                }
                Err(mpsc::error::TryRecvError::Empty) => return Ok(()),
                Err(mpsc::error::TryRecvError::Disconnected) => self.lines = None,
            }
        }
        Ok(())
    }

    /// Looks what became of what was sent; tells what failed, once each run.
    async fn look(&mut self, log: &mut dyn Log) -> Result<(), Problem> {
        // They are taken up in their order: behind the first that is open nothing is asked for.
        let mut open = std::mem::take(&mut self.open).into_iter();
        for message in open.by_ref() {
            match self.desk.became(&message).await? {
                Became::Open => {
                    self.open.push(message);
                    break;
                }
                Became::Ended {
                    run,
                    why: Some(why),
                } if !self.end.failed.contains(&run) => {
                    log.notice(&format!("run {run} did not end well: {why}"))?;
                    self.end.failed.push(run);
                }
                Became::Ended { .. } => {}
            }
        }
        self.open.extend(open);
        Ok(())
    }

    /// Whether nothing more is to come.
    async fn is_done(&self) -> Result<bool, Problem> {
        let (name, has_input) = (&self.agent.name, self.lines.is_some());
        match self.desk.course().await? {
            Course::Over => {
                let text = format!("{name} is terminated");
                Err(Problem::new(ProblemKind::Conflict, text))
            }
            Course::Held(state) if !has_input => {
                let text = format!("{name} is {state}: it reads what it was sent later");
                Err(Problem::new(ProblemKind::Conflict, text)
                    .with_help(format!("let it go on with: fusion-kit agent resume {name}")))
            }
            Course::Rests => Ok(!has_input && self.open.is_empty()),
            Course::Works | Course::Held(_) => Ok(false),
        }
    }
}

#[async_trait]
impl Source for Attached<'_> {
    async fn entries(&self, reach: Reach) -> Result<Vec<(String, AgentLogEntry)>, Problem> {
        self.log.entries(reach).await
    }

    async fn wait(&mut self, log: &mut dyn Log) -> Result<ControlFlow<()>, Problem> {
        if self.stop.is_cancelled() {
            self.end.stopped = true;
            return Ok(ControlFlow::Break(()));
        }
        if self.is_over {
            return Ok(ControlFlow::Break(()));
        }
        self.send().await?;
        let stop = self.stop.clone();
        let heard = tokio::select! {
            heard = self.log.wait(log) => heard?,
            () = stop.cancelled() => ControlFlow::Continue(()),
        };
        self.look(log).await?;
        self.is_over = self.is_done().await?;
        Ok(heard)
    }
}

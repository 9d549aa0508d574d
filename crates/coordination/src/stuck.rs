//! What follows when an agent gets stuck in a step for good: another agent, then a person.

use data_encoding::HEXLOWER;
use fusion_core::{Again, Agent, AgentState, Question, StuckSpec};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::worker::Job;
use crate::{Coordinator, Result};

/// How much of why an agent got stuck a person is told, in characters.
const TOLD: usize = 2_000;

/// What is done instead of failing.
pub(crate) fn when_stuck<'a>(
    job: &Job<'_>,
    error: &'a str,
    other: Option<&'a Agent>,
) -> Option<Again<'a>> {
    let spec = spec(job)?;
    if let Some(to) = other {
        return Some(Again::HandOver { error, to });
    }
    spec.ask.then(|| Again::Help {
        error,
        question: question(job, error),
    })
}

/// That of the agent at work; `None` where nobody else takes part: what an agent was sent, a task of
/// its own, a command.
fn spec(job: &Job<'_>) -> Option<StuckSpec> {
    if job.plan.run.is_standalone || job.task.pool.is_some() || job.step.command.is_some() {
        return None;
    }
    let (_, spec) = job.plan.workflow.definition.agent_of(&job.agent.name)?;
    Some(spec.when_stuck)
}

fn question(job: &Job<'_>, error: &str) -> Question {
    let told: String = error.chars().take(TOLD).collect();
    let (step, agent) = (&job.task.name, &job.agent.name);
    let message = format!("{agent} got stuck in {step}: {told}. Is it to try again?");
    let subject = json!({ "step": step, "agent": agent, "attempt": job.task.course.renewals });
    let whole = json!({ "message": message, "subject": subject });
    Question {
        hash: HEXLOWER.encode(&Sha256::digest(whole.to_string())),
        message,
        subject,
        expires: None,
    }
}

impl Coordinator {
    /// Another agent of the run that can do a task and is to be given it.
    pub(crate) async fn another_for(&self, job: &Job<'_>) -> Result<Option<Agent>> {
        let (task, handed_on) = (&job.task, &job.task.course.handed_on);
        let most = spec(job).map_or(0, |spec| spec.hand_over);
        let so_many = u32::try_from(handed_on.len()).unwrap_or(u32::MAX);
        if task.required_capabilities.is_empty() || so_many >= most {
            return Ok(None);
        }
        let agents = self.parts.store.agents_of_run(task.run_id).await?;
        let agents = agents.into_iter().map(|(agent, _)| agent);
        let mut able: Vec<Agent> = agents
            .filter(|other| {
                let is_at_hand = matches!(other.state, AgentState::Idle | AgentState::Working);
                let is_new = other.id != job.agent.id && !handed_on.contains(&other.id);
                is_at_hand
                    && is_new
                    && other.ending().is_none()
                    && other.capabilities.satisfies(&task.required_capabilities)
            })
            .collect();
        able.sort_by_key(|other| (other.state != AgentState::Idle, other.id));
        Ok(able.into_iter().next())
    }
}

//! What an agent or a runner is told before it begins.

use std::collections::BTreeSet;
use std::time::Duration;

use fusion_agents::{CommandBrief, TaskBrief};
use fusion_core::{CallSpec, CommandSpec, StepSpec, Task};
use fusion_web::Hosts;
use serde_json::{Map, Value};

use crate::candidates::context_tokens;
use crate::grants;
use crate::worker::Job;
use crate::{Error, Result};

/// What is asked after its expressions were put in, in bytes.
const ASKED_LIMIT: usize = 256 * 1024;

/// How much of the reason of a failed attempt the next one is told, in characters.
const REASON_TOLD: usize = 2_000;

/// The prompt or the command of a step with its expressions put in.
///
/// # Errors
/// In words, why it can't be made.
pub(crate) fn asked(step: &StepSpec, context: &Value) -> std::result::Result<String, String> {
    let what = if step.command.is_some() {
        "command"
    } else {
        "prompt"
    };
    let asked = fusion_workflow_file::render_text(step.asked(), context)
        .map_err(|error| format!("the {what} can't be made: {error}"))?;
    if asked.len() > ASKED_LIMIT {
        return Err(format!(
            "the {what} has {} bytes and the limit is {ASKED_LIMIT}",
            asked.len()
        ));
    }
    Ok(asked)
}

/// The inputs of a call with their expressions evaluated. What is null is not given.
///
/// # Errors
/// In words, why they can't be made.
pub(crate) fn given(
    call: &CallSpec,
    context: &Value,
) -> std::result::Result<Map<String, Value>, String> {
    let mut given = Map::new();
    for (name, value) in &call.with {
        let value = fusion_workflow_file::render_within(value, context)
            .map_err(|error| format!("the input '{name}' can't be made: {error}"))?;
        if !value.is_null() {
            given.insert(name.clone(), value);
        }
    }
    Ok(given)
}

/// The ids of the steps that what is asked, the condition and the list of a step name.
pub(crate) fn steps_named(step: &StepSpec) -> BTreeSet<String> {
    let mut named = fusion_workflow_file::steps_named_in(step.asked());
    if let Some(condition) = &step.condition {
        named.extend(fusion_workflow_file::steps_named_in_condition(condition));
    }
    if let Some(foreach) = &step.foreach {
        named.extend(fusion_workflow_file::steps_named_in(&foreach.items));
    }
    let with = step.call.iter().flat_map(|call| call.with.values());
    named.extend(with.flat_map(fusion_workflow_file::steps_named_within));
    named
}

/// What an agent is told.
///
/// # Errors
/// The stored workflow does not have the agent.
pub(crate) fn of_agent(job: &Job<'_>, prompt: &str) -> Result<TaskBrief> {
    let Job {
        plan,
        step,
        task,
        agent,
        ..
    } = job;
    let (_, spec) = plan
        .workflow
        .definition
        .agent_of(&agent.name)
        .ok_or_else(|| {
            Error::Broken(format!("the stored workflow has no agent '{}'", agent.name))
        })?;
    let hosts = Hosts::try_from(spec.web_hosts.clone())
        .map_err(|error| Error::Broken(format!("the stored workflow: {error}")))?;
    Ok(TaskBrief {
        task_id: task.id,
        run_id: task.run_id,
        agent_id: agent.id,
        // The scripted answers of standing agents are filed under one name.
        step: if plan.run.is_standalone {
            step.id.clone()
        } else {
            task.name.clone()
        },
        workflow: plan.workflow.name.clone(),
        agent: agent.name.clone(),
        instructions: grants::told(&spec.instructions, agent),
        model: agent.model_name.clone(),
        prompt: with_the_last_failure(prompt, task),
        peers: plan.peers_of(agent.id),
        tools: spec.tools.clone(),
        hosts,
        max_turns: spec.max_turns,
        max_repeats: spec.max_repeats,
        context_tokens: context_tokens(agent, spec),
        max_tokens: spec.max_tokens,
        temperature: spec.temperature,
        provider_options: spec.provider_options.clone(),
        output_schema: step.output_schema(),
        verify: step.verify.clone(),
        command_timeout: Duration::from_secs(step.timeout_seconds),
        renewal: task.course.renewals.saturating_add(1),
        journal_from: task.course.journal_from,
    })
}

/// What a runner is told.
pub(crate) fn of_command(job: &Job<'_>, command: &CommandSpec, script: &str) -> CommandBrief {
    CommandBrief {
        task_id: job.task.id,
        run_id: job.task.run_id,
        script: script.to_owned(),
        repeatable: command.repeatable,
        verify: job.step.verify.clone(),
        timeout: Duration::from_secs(job.step.timeout_seconds),
        journal_from: job.task.course.journal_from,
    }
}

/// An agent that tries again knows of the attempt before: what it made is still in its workspace.
fn with_the_last_failure(prompt: &str, task: &Task) -> String {
    let Some(error) = &task.course.last_error else {
        return prompt.to_owned();
    };
    let reason: String = error.chars().take(REASON_TOLD).collect();
    let course = &task.course;
    if course.failures == 0 && !course.handed_on.is_empty() {
        return format!(
            "{prompt}\n\n[Another agent got stuck in this: {reason}. What it made is not in your workspace.]"
        );
    }
    let number = task.course.failures.saturating_add(1);
    format!(
        "{prompt}\n\n[This is attempt {number}. The one before failed: {reason}. Files that it made are \
         still in the workspace.]"
    )
}

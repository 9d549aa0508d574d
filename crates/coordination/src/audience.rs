//! To whom a message goes: from what its sender wrote to the agents that get it.

use fusion_core::{
    Agent, EVERYONE, TOPIC_OF_EVERYONE, WorkflowDefinition, inbox_subject, nearest, reserved_part,
};
use fusion_messaging::{Pattern, Subject};

/// Names that a refusal lists.
const LISTED: usize = 20;

/// What a message is sent to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target<'a> {
    /// One agent.
    Agent(&'a Agent),
    /// Whoever listens to it.
    Topic(Subject),
    /// Every other agent of the run.
    All,
}

impl<'a> Target<'a> {
    /// Finds out what was meant.
    ///
    /// # Errors
    /// Nothing that a message can be sent to; the text says what could be meant.
    pub(crate) fn of(to: &str, own: &Agent, others: &'a [Agent]) -> Result<Self, String> {
        if let Some(agent) = others.iter().find(|agent| agent.name == to) {
            return Ok(Self::Agent(agent));
        }
        if to == own.name {
            return Err("that is your own name: name another agent, a topic or `all`".to_owned());
        }
        if to == EVERYONE || to == TOPIC_OF_EVERYONE {
            return Ok(Self::All);
        }
        if !to.contains('.') {
            return Err(unknown(to, others));
        }
        let subject: Subject = to
            .parse()
            .map_err(|error: fusion_messaging::Error| error.to_string())?;
        if let Some(first) = reserved_part(to) {
            return Err(format!(
                "the topics that begin with `{first}.` belong to the engine: take a name of your own, or \
                 `broadcast.NAME`; to reach one agent, write its name"
            ));
        }
        Ok(Self::Topic(subject))
    }

    /// The topic that the message has.
    pub(crate) fn topic(&self) -> String {
        match self {
            Self::Agent(agent) => inbox_subject(agent.id),
            Self::Topic(subject) => subject.as_str().to_owned(),
            Self::All => TOPIC_OF_EVERYONE.to_owned(),
        }
    }
}

fn unknown(to: &str, others: &[Agent]) -> String {
    let names = || others.iter().map(|agent| agent.name.as_str());
    let hint = nearest(to, names()).map_or_else(
        || {
            let listed: Vec<&str> = names().take(LISTED).collect();
            format!("The other agents are: {}.", listed.join(", "))
        },
        |near| format!("Did you mean `{near}`?"),
    );
    format!("There is no agent '{to}'. {hint} A topic has a dot in it, such as review.draft.")
}

/// Who gets a message.
#[derive(Debug)]
pub(crate) struct Recipients<'a> {
    pub(crate) agents: Vec<&'a Agent>,
    /// The names of those that the message flow keeps it from.
    pub(crate) kept_from: Vec<String>,
}

/// Why nobody gets it.
#[derive(Debug)]
pub(crate) struct Refused {
    /// In words for its sender.
    pub(crate) why: String,
    pub(crate) topic: String,
    /// The names of those that the message flow keeps it from.
    pub(crate) kept_from: Vec<String>,
}

/// The agents that a message reaches, by what they listen to and by the message flow of the workflow.
///
/// # Errors
/// There are none.
pub(crate) fn recipients<'a>(
    definition: &WorkflowDefinition,
    own: &Agent,
    others: &'a [Agent],
    target: &Target<'a>,
) -> Result<Recipients<'a>, Refused> {
    let topic = target.topic();
    let named = topic.parse::<Subject>();
    let names = |pattern: &str| {
        named.as_ref().is_ok_and(|subject| {
            let pattern = pattern.parse::<Pattern>();
            pattern.is_ok_and(|pattern| pattern.matches(subject))
        })
    };
    let listens = |agent: &&Agent| agent.message_subscriptions.iter().any(|one| names(one));
    let meant: Vec<&Agent> = match target {
        Target::Agent(agent) => vec![agent],
        Target::All => others.iter().collect(),
        Target::Topic(_) => others.iter().filter(listens).collect(),
    };
    let (agents, kept): (Vec<&Agent>, Vec<&Agent>) = meant
        .into_iter()
        .partition(|agent| definition.may_send(&own.name, &agent.name, names));
    let kept_from: Vec<String> = kept.into_iter().map(|agent| agent.name.clone()).collect();
    if !agents.is_empty() {
        return Ok(Recipients { agents, kept_from });
    }
    let why = if kept_from.is_empty() {
        nobody(&topic, definition, others)
    } else {
        format!(
            "the message flow of this workflow does not let you send to {} on '{topic}'",
            kept_from.join(", ")
        )
    };
    Err(Refused {
        why,
        topic,
        kept_from,
    })
}

/// Only patterns of the file are told: what an agent subscribed to by itself are words of a model,
/// which reach another agent as a quoted message or not at all.
fn nobody(topic: &str, definition: &WorkflowDefinition, others: &[Agent]) -> String {
    if others.is_empty() {
        return "there is no other agent in this run".to_owned();
    }
    let listening: Vec<String> = others
        .iter()
        .filter_map(|agent| {
            let of_file = &definition.agent_of(&agent.name)?.1.subscriptions;
            let patterns: Vec<&str> = agent
                .message_subscriptions
                .iter()
                .filter(|pattern| of_file.contains(pattern))
                .map(String::as_str)
                .collect();
            (!patterns.is_empty()).then(|| format!("{} to {}", agent.name, patterns.join(" ")))
        })
        .take(LISTED)
        .collect();
    if listening.is_empty() {
        return format!("nobody listens to '{topic}': write an agent's name");
    }
    format!(
        "nobody listens to '{topic}': {} listens. Write such a topic, or an agent's name",
        listening.join("; ")
    )
}

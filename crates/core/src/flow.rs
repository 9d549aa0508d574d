//! The message flow of a workflow: who may send to whom on which topics.

use serde::{Deserialize, Serialize};

use crate::WorkflowDefinition;

/// Allows some agents to send to some agents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowRule {
    /// The senders, by their names in the file.
    pub from: Vec<String>,
    /// The recipients; none named means every agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Patterns of the topics; none given means every topic.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
}

impl FlowRule {
    /// Whether it allows this agent to send to that one on a topic. `names` says whether a pattern
    /// names the topic: patterns are the bus's affair.
    fn allows(&self, from: &str, to: &str, names: impl Fn(&str) -> bool) -> bool {
        let holds = |list: &[String], name: &str| list.iter().any(|one| one == name);
        holds(&self.from, from)
            && (self.to.is_empty() || holds(&self.to, to))
            && (self.topics.is_empty() || self.topics.iter().any(|pattern| names(pattern)))
    }
}

impl WorkflowDefinition {
    /// Whether its message flow allows an agent to send to another on a topic. `names` says whether
    /// a pattern names the topic.
    #[must_use]
    pub fn may_send(&self, from: &str, to: &str, names: impl Fn(&str) -> bool) -> bool {
        // A rule for a name that several agents have is one for each of them.
        let own = |name| self.agent_of(name).map_or(name, |(of_file, _)| of_file);
        let (from, to) = (own(from), own(to));
        self.message_flow
            .as_ref()
            .is_none_or(|rules| rules.iter().any(|rule| rule.allows(from, to, &names)))
    }
}

#[cfg(test)]
mod tests {
    use super::FlowRule;
    use crate::{Budget, WorkflowDefinition};

    fn rule(from: &[&str], to: &[&str], topics: &[&str]) -> FlowRule {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        FlowRule {
            from: texts(from),
            to: texts(to),
            topics: texts(topics),
        }
    }

    fn with_flow(message_flow: Option<Vec<FlowRule>>) -> WorkflowDefinition {
        WorkflowDefinition {
            name: "w".into(),
            description: String::new(),
            inputs: [].into(),
            agents: [].into(),
            steps: vec![],
            outputs: [].into(),
            budget: Budget::default(),
            artifacts: Vec::new(),
            total_budget: Budget::default(),
            message_flow,
        }
    }

    /// Whether a message is allowed when its topic is named by exactly these patterns.
    fn allowed(workflow: &WorkflowDefinition, from: &str, to: &str, patterns: &[&str]) -> bool {
        workflow.may_send(from, to, |pattern| patterns.contains(&pattern))
    }

    #[test]
    fn without_a_flow_everybody_may_send_and_an_empty_one_allows_nobody() {
        assert!(allowed(&with_flow(None), "a", "b", &[]));
        assert!(!allowed(&with_flow(Some(vec![])), "a", "b", &[]));
    }

    #[test]
    fn one_rule_has_to_fit_sender_recipient_and_topic() {
        let flow = with_flow(Some(vec![
            rule(&["writer"], &["reviewer"], &["review.*"]),
            rule(&["reviewer", "lead"], &[], &[]),
        ]));
        for (from, to, patterns, wanted) in [
            ("writer", "reviewer", &["review.*"][..], true),
            ("writer", "reviewer", &[], false),
            ("writer", "lead", &["review.*"], false),
            ("reviewer", "writer", &[], true),
            ("lead", "reviewer", &["review.*"], true),
            ("other", "writer", &["review.*"], false),
        ] {
            assert_eq!(allowed(&flow, from, to, patterns), wanted, "{from} {to}");
        }
    }
}

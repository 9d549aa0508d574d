//! Finds out that an agent goes round in a circle: the same call, the same outcome, again.

use fusion_core::ErrorCode;
use fusion_providers::ToolCall;
use serde_json::Value;

use crate::{Failure, TaskBrief};

/// What becomes of an agent that repeats itself.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// It is told so, after the outcome of its call.
    Told(String),
    /// Its task fails, unless it can be begun anew.
    Failed(Failure),
}

/// The calls of a row that are all the same.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    last: Option<Seen>,
    count: u32,
}

#[derive(Debug, PartialEq)]
struct Seen {
    name: String,
    arguments: Value,
    content: String,
}

impl Repeats {
    /// Counts a call with its outcome, and says what follows when it was there too often.
    pub(crate) fn count(
        &mut self,
        call: &ToolCall,
        content: &str,
        brief: &TaskBrief,
    ) -> Option<Stall> {
        let seen = Seen {
            name: call.name.clone(),
            arguments: call.arguments.clone(),
            content: content.to_owned(),
        };
        if self.last.as_ref() == Some(&seen) {
            self.count = self.count.saturating_add(1);
        } else {
            (self.last, self.count) = (Some(seen), 1);
        }
        let (count, limit) = (self.count, brief.max_repeats);
        let name = &call.name;
        if count >= limit {
            return Some(Stall::Failed(Failure {
                code: ErrorCode::Limited,
                message: format!(
                    "the agent '{}' made the same call of {name} {count} times in a row with the same \
                     outcome",
                    brief.agent
                ),
                help: Some(format!(
                    "say in the step what to do instead, or raise `max_repeats` of the agent '{}'",
                    brief.agent
                )),
            }));
        }
        (count >= 2 && count == limit.div_ceil(2)).then(|| {
            Stall::Told(format!(
                "\n[this was the same call with the same outcome {count} times in a row, and after {limit} it \
                 is ended: do something else, or finish with what there is]"
            ))
        })
    }
}

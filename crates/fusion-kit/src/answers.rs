//! Answers that are still coming, for the screen and for nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fusion_api_types::RunDetail;
use fusion_api_types::api::{Delta as Told, DeltaKind};
use fusion_core::Usage;
use fusion_providers::{Delta, DeltaSink};

/// How much of an answer's end is shown, in characters.
const TAIL: usize = 40;

/// What has come of the answer of each task that is being asked, by the task's id.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<BTreeMap<String, Answer>>);

/// What has come of one answer.
#[derive(Debug, Default)]
struct Answer {
    /// Characters of text, of thoughts and of arguments.
    characters: usize,
    /// What is being said, or done.
    doing: Doing,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Doing {
    #[default]
    Nothing,
    Thinking,
    /// The end of the text.
    Saying(String),
    /// The tool that is being called.
    Calling(String),
}

impl Answers {
    /// Shows the deltas of a task's turn until this value goes.
    pub(crate) fn hear<'a>(&'a self, task: &'a str, also: &'a dyn DeltaSink) -> Hearing<'a> {
        Hearing {
            answers: self,
            task,
            also,
        }
    }

    /// Shows what a server tells of an answer.
    pub(crate) fn heard(&self, told: &Told) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let delta = match told.kind {
            DeltaKind::Text => Delta::Text(&told.text),
            DeltaKind::Reasoning => Delta::Reasoning(&told.text),
            DeltaKind::ToolCall => Delta::ToolCall {
                index: 0,
                name: told.tool.as_deref().unwrap_or_default(),
                arguments: &told.text,
            },
            DeltaKind::Discarded => Delta::Discarded,
            DeltaKind::End => {
                answers.remove(&told.task_id);
                return;
            }
        };
        let answer = answers.entry(told.task_id.clone()).or_default();
        // Also what was not heard has been said.
        answer.characters = usize::try_from(told.at).unwrap_or(usize::MAX);
        answer.take(delta);
    }

    /// Adds to what the steps at work do what is heard of them.
    pub(crate) fn add_to(&self, run: &mut RunDetail) {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = run.steps.iter_mut().filter(|step| step.state == "running");
        for step in running {
            if let Some(answer) = answers.get(&step.task_id) {
                let turn = step.activity.take().unwrap_or_default();
                step.activity = Some(format!("{turn}{answer}"));
            }
        }
    }
}

impl Answer {
    fn take(&mut self, delta: Delta<'_>) {
        match delta {
            Delta::Text(text) => {
                self.characters += text.chars().count();
                let mut said = match std::mem::take(&mut self.doing) {
                    Doing::Saying(said) => said,
                    Doing::Nothing | Doing::Thinking | Doing::Calling(_) => String::new(),
                };
                said.push_str(text);
                self.doing = Doing::Saying(tail(&said));
            }
            Delta::Reasoning(text) => {
                self.characters += text.chars().count();
                self.doing = Doing::Thinking;
            }
            Delta::ToolCall {
                name, arguments, ..
            } => {
                self.characters += arguments.chars().count();
                if !name.is_empty() {
                    self.doing = Doing::Calling(name.to_owned());
                }
            }
            Delta::Discarded => *self = Self::default(),
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.doing {
            Doing::Nothing => Ok(()),
            Doing::Thinking => write!(f, ", thinks, {} characters", self.characters),
            Doing::Saying(end) => write!(f, ", {} characters: {end}", self.characters),
            Doing::Calling(tool) => {
                write!(
                    f,
                    ", writes a call of {tool}, {} characters",
                    self.characters
                )
            }
        }
    }
}

/// The last characters of a text.
fn tail(text: &str) -> String {
    let more = text.chars().count().saturating_sub(TAIL);
    text.chars().skip(more).collect()
}

/// Hears one turn.
pub(crate) struct Hearing<'a> {
    answers: &'a Answers,
    task: &'a str,
    also: &'a dyn DeltaSink,
}

impl DeltaSink for Hearing<'_> {
    fn take(&self, delta: Delta<'_>) {
        self.also.take(delta);
        let mut answers = self
            .answers
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        answers.entry(self.task.to_owned()).or_default().take(delta);
    }

    fn began(&self, generation: &str) {
        self.also.began(generation);
    }

    fn lost(&self, cost: Option<Usage>) -> bool {
        self.also.lost(cost)
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        let mut answers = self
            .answers
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        answers.remove(self.task);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use fusion_core::{Cost, Usage};
    use fusion_providers::{Delta, DeltaSink, NoDeltas};

    use super::{Answers, DeltaKind, TAIL, Told};

    fn shown(answers: &Answers) -> Option<String> {
        let answers = answers.0.lock().unwrap();
        answers.get("write").map(ToString::to_string)
    }

    #[test]
    fn an_answer_is_shown_by_its_end_while_it_comes_and_not_after_it() {
        let answers = Answers::default();
        let hearing = answers.hear("write", &NoDeltas);
        assert_eq!(shown(&answers), None);
        hearing.take(Delta::Reasoning("well"));
        assert_eq!(shown(&answers).as_deref(), Some(", thinks, 4 characters"));
        hearing.take(Delta::Text("Bees "));
        hearing.take(Delta::Text("dance."));
        assert_eq!(
            shown(&answers).as_deref(),
            Some(", 15 characters: Bees dance.")
        );
        hearing.take(Delta::ToolCall {
            index: 0,
            name: "finish",
            arguments: "{}",
        });
        assert_eq!(
            shown(&answers).as_deref(),
            Some(", writes a call of finish, 17 characters")
        );
        hearing.take(Delta::Discarded);
        assert_eq!(shown(&answers).as_deref(), Some(""));
        drop(hearing);
        assert_eq!(shown(&answers), None);
    }

    #[test]
    fn what_a_server_tells_of_an_answer_is_shown_like_one_of_our_own() {
        let answers = Answers::default();
        let told = |kind, at, text: &str| Told {
            run_id: "r".to_owned(),
            task_id: "write".to_owned(),
            agent_id: "a".to_owned(),
            step: "write".to_owned(),
            turn: 1,
            kind,
            at,
            text: text.to_owned(),
            tool: None,
        };
        answers.heard(&told(DeltaKind::Text, 0, "Bees "));
        // Seven characters were missed.
        answers.heard(&told(DeltaKind::Text, 12, "dance."));
        assert_eq!(
            shown(&answers).as_deref(),
            Some(", 18 characters: Bees dance.")
        );
        answers.heard(&told(DeltaKind::Discarded, 18, ""));
        assert_eq!(shown(&answers).as_deref(), Some(""));
        answers.heard(&told(DeltaKind::End, 0, ""));
        assert_eq!(shown(&answers), None);
    }

    /// Keeps what lost calls cost and has no room for another.
    #[derive(Default)]
    struct Full(Mutex<Vec<Option<Usage>>>);

    impl DeltaSink for Full {
        fn take(&self, _: Delta<'_>) {}

        fn lost(&self, cost: Option<Usage>) -> bool {
            self.0.lock().unwrap().push(cost);
            false
        }
    }

    #[test]
    fn what_lost_calls_cost_is_passed_on() {
        let (answers, full) = (Answers::default(), Full::default());
        let hearing = answers.hear("write", &full);
        let cost = Usage {
            cost: Cost::from_picos(37),
            ..Usage::default()
        };
        let has_room = [Some(cost), None].map(|cost| hearing.lost(cost));
        assert_eq!(has_room, [false, false]);
        assert_eq!(*full.0.lock().unwrap(), [Some(cost), None]);
    }

    #[test]
    fn only_the_end_of_a_long_answer_is_kept() {
        let answers = Answers::default();
        let hearing = answers.hear("write", &NoDeltas);
        for _ in 0..100 {
            hearing.take(Delta::Text("ü0123456789"));
        }
        let shown = shown(&answers).unwrap();
        let (count, end) = shown.split_once(": ").unwrap();
        assert_eq!((count, end.chars().count()), (", 1100 characters", TAIL));
    }
}

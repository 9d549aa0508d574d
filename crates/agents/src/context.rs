//! What a model gets to read, within limits.

use fusion_core::ToolGroup;
use fusion_providers::Message;
use serde_json::{Map, Value};

use crate::TaskBrief;
use crate::toolbox::FINISH;

/// One tool result, in bytes.
pub(crate) const RESULT_LIMIT: usize = 32 * 1024;

/// What a tool takes from a file or a process, in bytes: a result with room for what the tool
/// says about it.
pub(crate) const CONTENT_LIMIT: usize = RESULT_LIMIT - 256;

/// Other agents that an agent is told of by name.
const PEERS_TOLD: usize = 50;

/// The system prompt: the agent's own instructions and the rules of the place it works in.
pub(crate) fn system_prompt(brief: &TaskBrief) -> String {
    let mut text = brief.instructions.trim().to_owned();
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(&format!(
        "You are the agent '{}' and work on the step '{}' of the workflow '{}'.",
        brief.agent, brief.step, brief.workflow
    ));
    let has = |group| brief.tools.contains(&group);
    if has(ToolGroup::Files) || has(ToolGroup::Shell) {
        text.push_str(
            " You have a workspace of your own: every path is relative to it, and nothing outside of it \
             can be reached. Put what you make under projects/.",
        );
    }
    if has(ToolGroup::Messages) {
        text.push_str(&talk(brief));
    }
    if brief.answers_with_outputs() {
        text.push_str(
            " Answer with one JSON object that holds every output, each as its schema says, and with \
             nothing else.",
        );
    } else if brief.output_schema.is_some() {
        text.push_str(&format!(
            " When the work is done, call the tool `{FINISH}` once, with every output."
        ));
    }
    text
}

/// With whom the agent can talk.
fn talk(brief: &TaskBrief) -> String {
    let mut names: Vec<&str> = brief
        .peers
        .iter()
        .take(PEERS_TOLD)
        .map(String::as_str)
        .collect();
    if brief.peers.len() > PEERS_TOLD {
        names.push("...");
    }
    let peers = match names.as_slice() {
        [] => "There are no other agents in this run".to_owned(),
        names => format!("The other agents of this run are: {}", names.join(", ")),
    };
    format!(
        " {peers}. Your messages reach an agent at its next turn while it works on a step, and its \
         messages reach you in the same way."
    )
}

/// What is sent of a conversation.
#[derive(Debug, PartialEq)]
pub(crate) struct Sent {
    /// The messages, some of them with a note in the place of what was left out.
    pub(crate) messages: Vec<Message>,
    /// Bytes of these messages.
    pub(crate) bytes: usize,
    /// Bytes that were left out.
    pub(crate) left_out: usize,
}

/// The messages to send: all of them, or with the oldest tool results, the long arguments of the
/// oldest calls and what was said to the agent after its prompt left out when they are too many.
/// What was left out is said in its place.
///
/// # Errors
/// Even without these it is too much; the text says how much.
pub(crate) fn within_limit(messages: &[Message], limit: usize) -> Result<Sent, String> {
    let mut kept = messages.to_vec();
    let all: usize = kept.iter().map(size).sum();
    let mut total = all;
    // The first one is the prompt: without it there is no task.
    for message in kept.iter_mut().skip(1) {
        if total <= limit {
            break;
        }
        total -= size(message);
        leave_out(message);
        total += size(message);
    }
    if total > limit {
        return Err(format!(
            "the conversation has {total} bytes and the limit is {limit}"
        ));
    }
    Ok(Sent {
        messages: kept,
        bytes: total,
        left_out: all - total,
    })
}

fn leave_out(message: &mut Message) {
    match message {
        Message::User { text } => replace(text, "an earlier message"),
        Message::Assistant { tool_calls, .. } => {
            for call in tool_calls {
                for argument in call
                    .arguments
                    .as_object_mut()
                    .into_iter()
                    .flat_map(Map::values_mut)
                {
                    if let Value::String(text) = argument {
                        replace(text, &format!("an argument of {}", call.name));
                    }
                }
            }
        }
        Message::Tool { content, name, .. } => replace(content, &format!("the result of {name}")),
    }
}

/// Puts a note in the place of a text that is longer than it.
fn replace(text: &mut String, what: &str) {
    let note = format!(
        "[{} bytes of {what} were left out to fit the context]",
        text.len()
    );
    if note.len() < text.len() {
        *text = note;
    }
}

/// Bytes of text in a message.
pub(crate) fn size(message: &Message) -> usize {
    match message {
        Message::User { text } => text.len(),
        Message::Assistant {
            text, tool_calls, ..
        } => {
            text.len()
                + tool_calls
                    .iter()
                    .map(|call| call.name.len() + call.arguments.to_string().len())
                    .sum::<usize>()
        }
        Message::Tool { content, .. } => content.len(),
    }
}

/// Keeps the head and the tail of a long text and says what is missing between them.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let half = limit / 2;
    let head = text
        .get(..text.floor_char_boundary(half))
        .unwrap_or_default();
    let tail = text
        .get(text.ceil_char_boundary(text.len() - half)..)
        .unwrap_or_default();
    let missing = text.len() - head.len() - tail.len();
    format!("{head}\n[... {missing} bytes left out ...]\n{tail}")
}

#[cfg(test)]
mod tests {
    use super::{shorten, within_limit};
    use fusion_providers::{Message, ToolCall};
    use proptest::prelude::*;
    use serde_json::json;

    fn result(content: &str) -> Message {
        Message::Tool {
            call_id: "c".into(),
            name: "read_file".into(),
            content: content.into(),
        }
    }

    #[test]
    fn the_oldest_tool_results_are_left_out_first_and_it_is_said() {
        let messages = [
            Message::User { text: "go".into() },
            result(&"a".repeat(500)),
            result(&"b".repeat(300)),
        ];
        let kept = within_limit(&messages, 400).unwrap().messages;
        let note = "[500 bytes of the result of read_file were left out to fit the context]";
        assert_eq!(
            kept,
            [messages[0].clone(), result(note), messages[2].clone()]
        );
    }

    #[test]
    fn what_was_said_after_the_prompt_is_left_out_and_the_prompt_is_not() {
        let said = |text: String| Message::User { text };
        let prompt = || said("p".repeat(200));
        let kept = within_limit(&[prompt(), said("x".repeat(500))], 400)
            .unwrap()
            .messages;
        let note = "[500 bytes of an earlier message were left out to fit the context]";
        assert_eq!(kept, [prompt(), said(note.to_owned())]);
    }

    #[test]
    fn a_long_argument_of_an_old_call_is_left_out_and_the_short_ones_stay() {
        let call = |content: &str| Message::Assistant {
            text: String::new(),
            tool_calls: vec![ToolCall {
                id: "c".into(),
                name: "write_file".into(),
                arguments: json!({ "path": "a.txt", "content": content }),
            }],
            reasoning: None,
        };
        let prompt = Message::User { text: "go".into() };
        let told = [prompt.clone(), call(&"x".repeat(500)), call("short")];
        let note = "[500 bytes of an argument of write_file were left out to fit the context]";
        assert_eq!(
            within_limit(&told, 300).unwrap().messages,
            [prompt, call(note), call("short")]
        );
    }

    #[test]
    fn what_can_not_be_left_out_is_refused_with_figures() {
        let prompt = Message::User {
            text: "x".repeat(50),
        };
        assert_eq!(
            within_limit(&[prompt], 40).unwrap_err(),
            "the conversation has 50 bytes and the limit is 40"
        );
    }

    proptest! {
        #[test]
        fn a_shortened_text_keeps_both_ends(text in "\\PC{0,400}", limit in 40_usize..200) {
            let short = shorten(&text, limit);
            prop_assert!(short.len() <= limit + 40);
            prop_assert!(text.starts_with(short.split("\n[...").next().unwrap()));
            prop_assert!(text.ends_with(short.rsplit("...]\n").next().unwrap()));
        }
    }
}

//! `message`: to agents and between them.

use std::ops::ControlFlow;

use fusion_api_types::{MessageView, Problem, ProblemKind};

use super::db::answer;
use crate::args::{MessageCommand, MessageFilterArgs, MessageListArgs, SendArgs, TailArgs};
use crate::backend::{Backend, Content, MessageQuery, NewMessage, Tail, To};
use crate::exit::Exit;
use crate::report::message as report;
use crate::session::Session;

/// Every command below `message`.
pub(crate) async fn message(
    command: &MessageCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        MessageCommand::Send(send) => {
            let sent = backend.send_message(&new_message(send)?).await?;
            answer(&sent, report::sent, session)
        }
        MessageCommand::List(list) => self::list(list, backend, session).await,
        MessageCommand::Show(name) => {
            let shown = backend.show_message(&name.id).await?;
            answer(&shown, report::one, session)
        }
        MessageCommand::Tail(tail) => self::tail(tail, backend, session).await,
        MessageCommand::Resend(name) => {
            let sent = backend.resend_message(&name.id).await?;
            answer(&sent, report::sent, session)
        }
    }
}

fn new_message(send: &SendArgs) -> Result<NewMessage, Problem> {
    let to = match (&send.to, &send.topic) {
        (Some(agent), _) => To::Agent(agent.clone()),
        (None, Some(topic)) => To::Topic(topic.clone()),
        (None, None) => To::Everyone,
    };
    let content = match (&send.text, &send.payload) {
        (Some(text), _) => Content::Text(text.clone()),
        (None, Some(file)) => Content::of_file(file),
        (None, None) => {
            return Err(
                Problem::new(ProblemKind::InvalidInput, "the message has no content")
                    .with_help("fusion-kit message send --to AGENT TEXT"),
            );
        }
    };
    Ok(NewMessage {
        to,
        run: send.run.clone(),
        message_type: send.message_type.clone(),
        reply_to: send.reply_to.clone(),
        expires_in: send.expires,
        content,
    })
}

fn query(filter: &MessageFilterArgs, limit: u32) -> MessageQuery {
    MessageQuery {
        run: filter.run.clone(),
        from: filter.from.clone(),
        to: filter.to.clone(),
        topic: filter.topic.clone(),
        statuses: filter.status.iter().map(|status| status.as_str()).collect(),
        since: filter.since,
        limit,
    }
}

async fn list(
    list: &MessageListArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let found = backend
        .list_messages(&query(&list.filter, list.limit))
        .await?;
    if session.is_machine() {
        session.print_rows(&found, &found.messages)?;
    } else if found.messages.is_empty() {
        session.tell("no such messages\n");
    } else {
        session.print(&report::list(&found.messages, session))?;
    }
    if found.cut {
        session.tell("older messages were left out: those above hold as much as one list takes\n");
    }
    Ok(Exit::Done)
}

async fn tail(
    tail: &TailArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let query = query(&tail.filter, tail.limit);
    let mut lines = Lines { session };
    backend
        .tail_messages(&query, tail.follow, &mut lines)
        .await?;
    Ok(Exit::Done)
}

/// Prints each message as it comes.
struct Lines<'a> {
    session: &'a Session<'a>,
}

impl Tail for Lines<'_> {
    fn message(&mut self, message: &MessageView) -> Result<ControlFlow<()>, Problem> {
        if self.session.is_machine() {
            self.session.stream_json(message)
        } else {
            self.session.stream(&report::line(message, self.session))
        }
    }
}

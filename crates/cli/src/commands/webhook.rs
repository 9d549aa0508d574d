//! `webhook`: receivers that the event log is sent to.

use fusion_api_types::{Problem, api};
use serde_json::json;

use super::db::answer;
use super::dry_run::tell;
use crate::args::{RecordName, Tried, WebhookAddArgs, WebhookCommand, WebhookDeliveriesArgs};
use crate::backend::{Backend, NewWebhook, Operation};
use crate::exit::Exit;
use crate::report::{record, webhook as report};
use crate::session::Session;

/// Every command below `webhook`.
pub(crate) async fn webhook(
    command: &WebhookCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        WebhookCommand::Add(add) => {
            let made = backend.add_webhook(&new(add)).await?;
            made_known(&made, session)?;
            session.tell(&format!(
                "events are sent while a server works: {}\n",
                session.command("serve")
            ));
            Ok(Exit::Done)
        }
        WebhookCommand::List(list) => {
            let rows = backend.list_webhooks(list.limit).await?;
            if session.is_machine() {
                session.print_rows(&json!({ "webhooks": rows }), &rows)?;
            } else if rows.is_empty() {
                let make = session.command("webhook add URL");
                session.tell(&format!("no webhooks yet; make one with: {make}\n"));
            } else {
                session.print(&report::list(&rows, session))?;
            }
            Ok(Exit::Done)
        }
        WebhookCommand::Get(which) => {
            let shown = backend.show_webhook(&which.name).await?;
            answer(&shown, report::one, session)
        }
        WebhookCommand::Test(which) => sent(&backend.test_webhook(&which.name).await?, session),
        WebhookCommand::Resend(which) => {
            let resent = backend.resend_delivery(&which.name, &which.delivery);
            sent(&resent.await?, session)
        }
        WebhookCommand::Deliveries(of) => deliveries(of, backend, session).await,
        WebhookCommand::Enable(which) => {
            let enabled = backend.switch_webhook(&which.name, true).await?;
            answer(&enabled, report::one, session)
        }
        WebhookCommand::Disable(which) => {
            let disabled = backend.switch_webhook(&which.name, false).await?;
            answer(&disabled, report::one, session)
        }
        WebhookCommand::Rotate(which) => {
            let made = backend.rotate_webhook(&which.name).await?;
            made_known(&made, session)?;
            Ok(Exit::Done)
        }
        WebhookCommand::Remove(which) => remove(which, backend, session).await,
    }
}

fn new(add: &WebhookAddArgs) -> NewWebhook {
    NewWebhook {
        url: add.url.clone(),
        name: add.name.clone(),
        events: add.events.clone(),
        severities: add.severity.clone(),
        project: add.project.clone(),
        allow_private: add.allow_private,
    }
}

fn made_known(made: &api::WebhookMade, session: &Session<'_>) -> Result<(), Problem> {
    answer(made, report::made, session).map(|_| ())
}

/// What came of one message.
fn sent(tried: &api::WebhookTest, session: &Session<'_>) -> Result<Exit, Problem> {
    answer(tried, report::test, session)?;
    Ok(if tried.taken {
        Exit::Done
    } else {
        Exit::Failed
    })
}

async fn deliveries(
    of: &WebhookDeliveriesArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let rows = backend.webhook_deliveries(&of.name, of.list.limit).await?;
    if session.is_machine() {
        session.print_rows(&json!({ "deliveries": rows }), &rows)?;
    } else if rows.is_empty() {
        session.tell("nothing was sent to it as yet\n");
    } else {
        session.print(&report::deliveries(&rows, session))?;
    }
    Ok(Exit::Done)
}

async fn remove(
    which: &Tried<RecordName>,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let name = &which.what.name;
    if which.dry_run {
        return tell(Operation::RemoveWebhook(name.clone()), backend, session).await;
    }
    let gone = backend.remove_webhook(name).await?;
    answer(
        &gone,
        |gone, _| record::gone("webhook", &gone.name),
        session,
    )
}

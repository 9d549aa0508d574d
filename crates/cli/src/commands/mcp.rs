//! `mcp serve` and `mcp tools`.

use fusion_api_types::{McpTool, McpToolList, Problem, ProblemKind};
use serde_json::Value;

use crate::args::{McpCommand, McpOfferArgs};
use crate::backend::Backend;
use crate::exit::Exit;
use crate::mcp::{Offer, Selection, offers};
use crate::session::Session;
use crate::table::{Align, Table};
use crate::text::clean_line;

/// `mcp`.
pub(crate) async fn mcp(
    command: &McpCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        McpCommand::Serve(which) => {
            let place = session.global.place();
            backend.serve_commands(chosen(which)?, place).await?;
            Ok(Exit::Done)
        }
        McpCommand::Tools(which) => tools(&chosen(which)?, session),
    }
}

fn chosen(which: &McpOfferArgs) -> Result<Vec<Offer>, Problem> {
    let selection = Selection {
        scope: which.scope,
        only: which.only.clone(),
    };
    offers(&selection).map_err(|why| {
        Problem::new(ProblemKind::InvalidInput, format!("--only: {why}"))
            .with_help("`fusion-kit mcp tools --scope admin` lists the commands of every day")
    })
}

fn tools(offers: &[Offer], session: &Session<'_>) -> Result<Exit, Problem> {
    let list = McpToolList {
        tools: offers.iter().map(view).collect(),
    };
    if session.is_machine() {
        session.print_rows(&list, &list.tools)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&[
        ("TOOL", Align::Whole),
        ("EFFECT", Align::Left),
        ("WHAT IT DOES", Align::Whole),
    ]);
    for tool in &list.tools {
        let effect = match (tool.read_only, tool.destructive) {
            (true, _) => "looks",
            (false, true) => "ends",
            (false, false) => "changes",
        };
        table.row([
            clean_line(&tool.name),
            effect.to_owned(),
            clean_line(&tool.description),
        ]);
    }
    session.print(&table.render())?;
    Ok(Exit::Done)
}

fn view(offer: &Offer) -> McpTool {
    McpTool {
        name: offer.name.clone(),
        description: offer.description.clone(),
        read_only: offer.is_read_only,
        destructive: offer.is_destructive,
        input_schema: Value::Object((*offer.input_schema).clone()),
    }
}

//! Commands as tools of the Model Context Protocol, over stdin and stdout.

mod call;

use std::sync::Arc;

use async_trait::async_trait;
use fusion_api_types::{Problem, ProblemKind};
use fusion_cli::{CommandTools, Offer};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt as _};

use crate::backend::LocalBackend;
use crate::signals::Signalled;
use call::Commands;

/// What a client is told about all tools.
const INSTRUCTIONS: &str = "\
Commands of fusion-kit, which runs AI agents, tasks and workflows. Each answers with JSON. Things are \
named by their id, the beginning of an id that is the only one, or their name. Give `jq` to get only \
the fields that you need. `run`, `run_resume`, `run_retry` and `wait` last as long as the work: a call \
that is given up interrupts what this process does, and with a server (`fusion-kit serve`) the work \
goes on; `task_wait` takes a `timeout`. Without a server one command works at a time, and the next is \
told so. Approvals and budgets are for people: tell the person what waits.";

#[async_trait]
impl CommandTools for LocalBackend {
    async fn serve_commands(&self, offers: Vec<Offer>, place: Vec<String>) -> Result<(), Problem> {
        let signals = Signalled::catch();
        let tools = Tools {
            offers: Arc::new(offers),
            commands: Commands::of_this_program(place)?,
        };
        let begun = tools
            .serve_with_ct(rmcp::transport::stdio(), signals.stop.clone())
            .await;
        let serving = match begun {
            Ok(serving) => serving,
            Err(_) if signals.stop.is_cancelled() => return Ok(()),
            Err(error) => {
                return Err(Problem::new(
                    ProblemKind::InvalidInput,
                    format!("stdin is no client of the Model Context Protocol: {error}"),
                )
                .with_help("an agent or an editor starts this command: name it in its settings"));
            }
        };
        let ended = serving.waiting().await;
        ended.map(|_| ()).map_err(|error| {
            Problem::new(
                ProblemKind::Internal,
                format!("the service broke off: {error}"),
            )
        })
    }
}

/// The tools of a client.
struct Tools {
    offers: Arc<Vec<Offer>>,
    commands: Commands,
}

impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("fusion-kit", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.offers.iter().map(described);
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(offer) = self.offers.iter().find(|offer| offer.name == request.name) else {
            let told = format!("there is no tool '{}'", request.name);
            return Err(ErrorData::invalid_params(told, None));
        };
        let input = request.arguments.unwrap_or_default();
        let result = match offer.command_line(&input) {
            Ok(line) if offer.is_quick() => self.commands.call_quick(&line, &context.ct).await,
            Ok(line) => self.commands.call(&line, &context.ct).await,
            Err(told) => CallToolResult::error(vec![ContentBlock::text(told)]),
        };
        Ok(result.into())
    }
}

fn described(offer: &Offer) -> Tool {
    let hints = ToolAnnotations::new()
        .read_only(offer.is_read_only)
        .destructive(offer.is_destructive);
    Tool::new(
        offer.name.clone(),
        offer.description.clone(),
        Arc::clone(&offer.input_schema),
    )
    .with_annotations(hints)
}

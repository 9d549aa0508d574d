//! `provider`: where models are asked.

use fusion_api_types::{DetectReport, FoundServer, ModelList, Problem, ProblemKind, ProviderList};
use secrecy::SecretString;

use super::db::{answer, answer_rows};
use super::dry_run::tell;
use crate::args::{AddArgs, DetectArgs, ModelsArgs, ProviderCommand};
use crate::backend::{AskKey, Backend, NewProvider, Operation};
use crate::exit::Exit;
use crate::report::provider as report;
use crate::session::Session;
use crate::terminal::Question;
use crate::text::clean_line;

/// The longest text that models are searched for, in characters.
const MAX_SEARCH: usize = 200;

/// Every command below `provider`.
pub(crate) async fn provider(
    command: &ProviderCommand,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    match command {
        ProviderCommand::Add(add) => {
            let added = backend.add_provider(&new_provider(add), session).await?;
            answer(&added, report::added, session)
        }
        ProviderCommand::List => list(backend, session).await,
        ProviderCommand::Show(show) => {
            let shown = backend.show_provider(&show.name).await?;
            answer(&shown, report::one, session)
        }
        ProviderCommand::Test(test) => {
            // A local server may load its model first, which takes a while.
            if session.terminal.stderr.size().is_some() && !session.global.quiet {
                session.tell(&format!("asking {} ...\n", clean_line(&test.name)));
            }
            let tested = backend
                .test_provider(&test.name, test.model.as_deref())
                .await?;
            answer(&tested, report::tested, session)
        }
        ProviderCommand::Models(models) => self::models(models, backend, session).await,
        ProviderCommand::Quota(quota) => {
            let told = backend.quota(&quota.name).await?;
            answer(&told, report::quota, session)
        }
        ProviderCommand::Enable(name) => {
            let switched = backend.switch_provider(&name.name, true).await?;
            answer(&switched, report::switched, session)
        }
        ProviderCommand::Disable(name) => {
            let switched = backend.switch_provider(&name.name, false).await?;
            answer(&switched, report::switched, session)
        }
        ProviderCommand::Remove(remove) if remove.dry_run => {
            let (provider, force) = (remove.name.clone(), remove.force);
            tell(
                Operation::RemoveProvider { provider, force },
                backend,
                session,
            )
            .await
        }
        ProviderCommand::Remove(remove) => {
            let removed = backend.remove_provider(&remove.name, remove.force).await?;
            answer(&removed, report::removed, session)
        }
        ProviderCommand::Detect(detect) => self::detect(detect, backend, session).await,
    }
}

fn new_provider(add: &AddArgs) -> NewProvider {
    NewProvider {
        name: add.name.clone(),
        vendor: add.vendor.clone(),
        base_url: add.base_url.clone(),
        key_env: add.key_env.clone(),
        allow_plain_http: add.allow_plain_http,
        allow_private_addresses: add.allow_private_addresses,
        requests_per_minute: add.requests_per_minute,
        tokens_per_minute: add.tokens_per_minute,
        max_concurrent: add.max_concurrent,
        replace: add.replace,
    }
}

async fn list(backend: &dyn Backend, session: &Session<'_>) -> Result<Exit, Problem> {
    let providers = backend.list_providers().await?;
    let list = ProviderList { providers };
    answer_rows(&list, &list.providers, report::list, session)
}

async fn models(
    models: &ModelsArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let search = models.search.as_deref().unwrap_or_default().to_lowercase();
    if search.chars().count() > MAX_SEARCH {
        return Err(Problem::new(
            ProblemKind::InvalidInput,
            format!("the text to search for has more than {MAX_SEARCH} characters"),
        ));
    }
    let mut list: ModelList = backend.list_models(&models.name, models.refresh).await?;
    let has = |text: &str| text.to_lowercase().contains(&search);
    list.models
        .retain(|model| has(&model.id) || model.name.as_deref().is_some_and(has));
    answer_rows(&list, &list.models, report::models, session)
}

/// Adds what is found when a person, or `--yes`, says so.
async fn detect(
    detect: &DetectArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let mut report: DetectReport = backend.detect_servers(&detect.ports).await?;
    for server in report.servers.iter_mut().filter(|server| !server.added) {
        if detect.yes || wanted(server, session) {
            let added = backend.add_provider(&found(server), session).await?;
            server.name = added.provider.name;
            server.added = true;
        }
    }
    answer_rows(&report, &report.servers, report::detected, session)
}

/// Whether the person at the terminal wants a server to be added.
fn wanted(server: &FoundServer, session: &Session<'_>) -> bool {
    let question = format!(
        "{} at {}: add it as '{}'? [y/N] ",
        clean_line(&server.r#type),
        clean_line(&server.base_url),
        clean_line(&server.name)
    );
    let said = session.ask(&question, Question::Open);
    said.is_some_and(|said| matches!(said.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn found(server: &FoundServer) -> NewProvider {
    NewProvider {
        name: server.name.clone(),
        vendor: Some(server.r#type.clone()),
        base_url: Some(server.base_url.clone()),
        ..NewProvider::default()
    }
}

impl AskKey for Session<'_> {
    fn key(&self, question: &str) -> Option<SecretString> {
        let typed = self.ask(question, Question::Hidden).map(SecretString::from);
        typed.filter(|typed| {
            !secrecy::ExposeSecret::expose_secret(typed)
                .trim()
                .is_empty()
        })
    }
}

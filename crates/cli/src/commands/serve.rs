//! `serve` and `dashboard`.

use fusion_api_types::{Problem, ServerReady, SignInLink};

use crate::args::{NodeRoleArg, ServeArgs};
use crate::backend::{Audience, Backend, Ready, ServeRequest};
use crate::exit::Exit;
use crate::session::Session;
use crate::text::clean;

/// `serve`: says where it listens, then serves until it is stopped.
pub(crate) async fn serve(
    serve: &ServeArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let request = ServeRequest {
        host: serve.host.clone(),
        port: serve.port,
        allow_plain_http: serve.allow_plain_http,
        api: serve.roles.contains(&NodeRoleArg::Api),
        worker: serve.roles.contains(&NodeRoleArg::Worker),
        capacity: serve.capacity,
        audience: if session.is_machine() || session.terminal.stdout.size().is_none() {
            Audience::Others
        } else {
            Audience::Person
        },
    };
    backend.serve(&request, &mut Greeting { session }).await?;
    Ok(Exit::Done)
}

/// `dashboard`: a link that signs a browser in. The browser is not started from here: every user of the
/// machine could read the link in its arguments.
pub(crate) async fn dashboard(
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let link = backend.sign_in_link().await?;
    if session.is_machine() {
        session.print_json(&link)?;
        return Ok(Exit::Done);
    }
    session.print(&format!("{}\n", clean(&link.url)))?;
    session.tell("open it in a browser: it works once, for ten minutes\n");
    Ok(Exit::Done)
}

/// What is printed once it listens.
struct Greeting<'a> {
    session: &'a Session<'a>,
}

impl Ready for Greeting<'_> {
    fn ready(&mut self, server: &ServerReady, link: Option<&SignInLink>) -> Result<(), Problem> {
        if self.session.is_machine() {
            return self.session.print_json(server);
        }
        let ServerReady {
            url,
            token_file,
            data_dir,
            ..
        } = server;
        if url.is_empty() {
            let text = format!("fusion-kit drives runs\n  data   {}\n", clean(data_dir));
            return self.session.print(&text);
        }
        let page = match link {
            Some(link) => format!("{}  (works once, for ten minutes)", clean(&link.url)),
            None => format!(
                "{} prints a link to sign a browser in",
                self.session.command("dashboard")
            ),
        };
        self.session.print(&format!(
            "fusion-kit serves {}\n  data   {}\n  token  {}\n  try    curl -H \"Authorization: Bearer $(cat {})\" {}/api/v1/runs\n  page   {page}\n",
            clean(url),
            clean(data_dir),
            clean(token_file),
            clean(&crate::shell_word(token_file)),
            clean(url),
        ))
    }
}

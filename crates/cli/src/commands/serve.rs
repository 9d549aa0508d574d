//! `serve`, `down` and `dashboard`.

use fusion_api_types::{Problem, ProblemKind, ServerReady, SignInLink};

use super::db::answer;
use crate::args::{DownArgs, NodeRoleArg, ServeArgs};
use crate::backend::{Audience, Backend, Ready, ServeRequest};
use crate::exit::Exit;
use crate::session::Session;
use crate::text::clean;

/// `serve`: says where it listens, then serves until it is stopped; or lets another process do so.
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
        open: serve.open,
    };
    if request.open && !request.api {
        let text = "--open signs a browser in, and this server answers no requests";
        let problem = Problem::new(ProblemKind::InvalidInput, text);
        return Err(problem.with_help("leave --open out, or add the role api"));
    }
    if serve.detach {
        return detached(&request, backend, session).await;
    }
    backend.serve(&request, &mut Greeting { session }).await?;
    Ok(Exit::Done)
}

async fn detached(
    request: &ServeRequest,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let place = session.global.of_server();
    let Some(server) = backend.start_server(request, &place).await? else {
        return Ok(Exit::Interrupted);
    };
    answer(&server, in_the_background, session)?;
    if request.open
        && let Err(problem) = backend.open_browser().await
    {
        tell_not_opened(&problem.message, session);
    }
    Ok(Exit::Done)
}

/// `down`: ends the server and says so.
pub(crate) async fn down(
    down: &DownArgs,
    backend: &dyn Backend,
    session: &Session<'_>,
) -> Result<Exit, Problem> {
    let ended = backend.stop_server(down.timeout, down.now).await?;
    let text = |ended: &ServerReady, _: &Session<'_>| {
        let (url, pid) = (clean(&ended.url), ended.pid);
        let space = if url.is_empty() { "" } else { " " };
        format!("the server{space}{url} (pid {pid}) has ended\n")
    };
    answer(&ended, text, session)
}

fn tell_not_opened(why: &str, session: &Session<'_>) {
    session.tell(&format!(
        "warning: no browser was opened: {}\n  help: {} prints a link to open\n",
        clean(why),
        session.command("dashboard")
    ));
}

/// What is told of a server that goes on by itself.
fn in_the_background(server: &ServerReady, session: &Session<'_>) -> String {
    let doing = if server.url.is_empty() {
        "drives runs".to_owned()
    } else {
        format!("serves {}", clean(&server.url))
    };
    let end = session.command("down");
    let log = server.log_file.as_deref().map(clean).unwrap_or_default();
    format!(
        "fusion-kit {doing} in the background\n  pid    {}\n  data   {}\n  log    {log}\n  end    {end}\n",
        server.pid,
        clean(&server.data_dir),
    )
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
    fn not_opened(&mut self, why: &str) {
        tell_not_opened(why, self.session);
    }

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

//! `serve`.

use fusion_api_types::{Problem, ServerReady};

use crate::args::{NodeRoleArg, ServeArgs};
use crate::backend::{Backend, Ready, ServeRequest};
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
    };
    backend.serve(&request, &mut Greeting { session }).await?;
    Ok(Exit::Done)
}

/// What is printed once it listens.
struct Greeting<'a> {
    session: &'a Session<'a>,
}

impl Ready for Greeting<'_> {
    fn ready(&mut self, server: &ServerReady) -> Result<(), Problem> {
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
        self.session.print(&format!(
            "fusion-kit serves {}\n  data   {}\n  token  {}\n  try    curl -H \"Authorization: Bearer $(cat {})\" {}/api/v1/runs\n",
            clean(url),
            clean(data_dir),
            clean(token_file),
            clean(&crate::shell_word(token_file)),
            clean(url),
        ))
    }
}

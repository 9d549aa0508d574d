//! What a helper is asked to start.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_core::error_chain;

use super::wire::Request;
use super::{Attempt, Command, Launcher, PATH, Program, SHELL};
use crate::sandbox::Policy;
use crate::{Grants, Limits, Sandbox, Usage, WorkspaceDir};

impl Launcher {
    /// What a workspace takes of the disk before a command. It bounds what a command may add, so
    /// one that is not held does without.
    pub(super) async fn used(&self, dir: &WorkspaceDir) -> Option<Usage> {
        if self.sandbox == Sandbox::Off {
            return None;
        }
        let measured = dir.clone();
        match tokio::task::spawn_blocking(move || measured.usage()).await {
            Ok(Ok(used)) => Some(used),
            Ok(Err(error)) => {
                tracing::warn!(error = %error_chain(&error), "a workspace is not measured");
                None
            }
            Err(_) => None,
        }
    }

    /// In a workspace that is full, a command can remove files and not make them longer.
    fn limits_in(&self, attempt: &Attempt<'_>) -> Limits {
        let is_full = attempt
            .used
            .is_some_and(|used| used.is_over(attempt.dir.quota()));
        let file_size = if is_full { 0 } else { self.limits.file_size };
        Limits {
            file_size,
            ..self.limits.clone()
        }
    }

    pub(super) fn request(&self, attempt: &Attempt<'_>, no_namespaces: Option<String>) -> Request {
        let Attempt { dir, command, .. } = *attempt;
        let argv = match &command.program {
            Program::Shell(script) => vec![SHELL.to_owned(), "-c".to_owned(), script.clone()],
            Program::Argv(argv) => argv.clone(),
        };
        let mut hidden = self.withheld.whole.clone();
        hidden.extend(dir.path().parent().map(ToOwned::to_owned));
        Request {
            argv,
            canary: attempt.canary.map(Path::to_owned),
            env: environment(dir, &self.grants, command),
            stdin: command.stdin.clone(),
            uid: dir.uid(),
            workspace: dir.path().to_owned(),
            hidden,
            policy: (self.sandbox == Sandbox::On).then(|| Policy {
                grants: self.grants.clone(),
                limits: self.limits_in(attempt),
                quota: dir.quota(),
                used: attempt.used,
                no_namespaces,
            }),
        }
    }
}

fn environment(dir: &WorkspaceDir, grants: &Grants, command: &Command) -> BTreeMap<String, String> {
    let agent = dir.path().join(".agent");
    let folder = |name: &str| agent.join(name).to_string_lossy().into_owned();
    let mut env = BTreeMap::from([
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), folder("home")),
        ("TMPDIR".to_owned(), folder("tmp")),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ("TERM".to_owned(), "dumb".to_owned()),
        ("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned()),
    ]);
    env.extend(grants.env.clone());
    env.extend(command.env.clone());
    env
}

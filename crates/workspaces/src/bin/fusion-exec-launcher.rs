//! Stands in for the product in this package's tests, so that they can kill it: runs one shell
//! command in a workspace. The product does not ship it.
//!
//! Arguments: the helper, the workspaces folder, the workspace's name, its user id or `-`, the
//! script.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use fusion_workspaces::{Command, Launcher, Options, Owners, Program, Workspaces};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [helper, root, name, uid, script] = arguments.as_slice() else {
        return ExitCode::FAILURE;
    };
    let uid = uid.parse().ok();
    let workspaces = Workspaces::new(Options {
        root: root.into(),
        owners: uid.map_or(Owners::SameUser, |uid| Owners::Range(uid..=uid)),
    });
    let Ok(workspace) = workspaces.open(name, uid) else {
        return ExitCode::FAILURE;
    };
    let command = Command {
        program: Program::Shell(script.clone()),
        env: BTreeMap::new(),
        stdin: String::new(),
        timeout: Duration::from_secs(600),
        output_limit: 1024,
        output_file: None,
    };
    let launcher = Launcher::new(vec![helper.into()]);
    match launcher
        .run(&workspace, &command, &CancellationToken::new())
        .await
    {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

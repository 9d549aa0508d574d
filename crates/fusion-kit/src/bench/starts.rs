//! Starts of this program: `run` of one step, from the start of the process to its end.

use std::path::Path;
use std::process::Stdio;

use fusion_api_types::{Problem, ProblemKind};
use tokio::process::Command;

use super::place::Place;
use super::{Done, Plan, WARM_UP};

pub(super) async fn measure(place: &Place, plan: Plan) -> Result<Done, Problem> {
    let program = std::env::current_exe().map_err(|error| {
        Problem::new(
            ProblemKind::Internal,
            format!("this program is not found: {error}"),
        )
    })?;
    for number in 0..WARM_UP {
        start(place, &program, number).await?;
    }
    let counting = place.start_of_children().await?;
    for number in 0..plan.number {
        start(place, &program, WARM_UP + number).await?;
    }
    let cost = counting.stop().await?;
    Ok(Done {
        cost,
        llm_calls: plan.number,
        steps: plan.number,
        bytes_per_agent: None,
    })
}

/// Runs the workflow in a data directory of its own.
async fn start(place: &Place, program: &Path, number: u64) -> Result<(), Problem> {
    #[expect(
        clippy::disallowed_methods,
        reason = "what is started here is this program, and no command of an agent"
    )]
    let mut command = Command::new(program);
    command
        .arg("run")
        .arg(place.folder().join("bench.yaml"))
        .arg("--quiet")
        .arg("--data-dir")
        .arg(place.folder().join(format!("start{number}")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    super::remote::settings(&mut command, place);
    let broken = |error: std::io::Error| {
        Problem::new(
            ProblemKind::Internal,
            format!("the program could not be started: {error}"),
        )
    };
    let output = command
        .spawn()
        .map_err(broken)?
        .wait_with_output()
        .await
        .map_err(broken)?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let text = format!("a start ended with {}: {}", output.status, told.trim());
        return Err(Problem::new(ProblemKind::Internal, text));
    }
    Ok(())
}

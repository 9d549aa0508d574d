//! What holds agents' commands on this machine.

use fusion_api_types::{CheckView, Problem};
use fusion_workspaces::{Sandbox, SandboxReport, Scratch};

use crate::backend::LocalBackend;
use crate::system::SystemIds;
use crate::{problems, wiring};

/// What everybody is told when the operator gave the sandbox up.
pub(crate) const OFF: &str = "the sandbox is switched off (FUSION_KIT_SANDBOX=off): commands of \
                              agents can do whatever their user can";

impl LocalBackend {
    /// Puts the sandbox on and tries from inside what it must deny.
    pub(crate) async fn check_sandbox(&self) -> CheckView {
        let mut check = CheckView {
            name: "sandbox".to_owned(),
            note: None,
            fault: None,
            help: None,
        };
        match self.look_at_sandbox().await {
            Ok(report) if report.sandbox == Sandbox::Off => {
                check.fault = Some(OFF.to_owned());
                check.help = Some("leave FUSION_KIT_SANDBOX out".to_owned());
            }
            Ok(report) => match report.check() {
                Ok(()) => check.note = Some(described(&report)),
                Err(error) => tell(&mut check, problems::of_workspaces(&error)),
            },
            Err(problem) => tell(&mut check, problem),
        }
        check
    }

    async fn look_at_sandbox(&self) -> Result<SandboxReport, Problem> {
        let launcher = wiring::launcher(self.config(), &self.data_dir()?)?;
        let scratch = self.scratch()?;
        launcher
            .look(scratch.dir())
            .await
            .map_err(|error| problems::of_workspaces(&error))
    }

    /// A workspace for one use.
    pub(crate) fn scratch(&self) -> Result<Scratch, Problem> {
        let owners = wiring::owners(self.config())?;
        Scratch::new(&owners, SystemIds::new().seed())
            .map_err(|error| problems::of_workspaces(&error))
    }
}

fn tell(check: &mut CheckView, problem: Problem) {
    check.fault = Some(problem.message);
    check.help = problem.help;
}

/// What is in force, and why the rest is missing.
fn described(report: &SandboxReport) -> String {
    let missing = report.layers.iter().filter(|layer| !layer.in_force);
    let missing: Vec<String> = missing
        .map(|layer| format!("; {}: {}", layer.name, layer.detail))
        .collect();
    format!("{}{}", report.summary(), missing.concat())
}

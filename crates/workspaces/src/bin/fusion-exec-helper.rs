//! The helper as a program of its own, for this package's tests only: the product does not
//! ship it, its one binary starts itself again instead.

use std::process::ExitCode;

fn main() -> ExitCode {
    fusion_workspaces::helper_main()
}

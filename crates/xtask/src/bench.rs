//! Measurements and long journeys. What the numbers mean stands in `docs/performance.md`.

use crate::ci::{NEXTEST_SELECTION, nextest};
use crate::shell::{self, command};
use crate::workspace::Workspace;

/// Runs the benches of the light rooms, then those of the optimised binary.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    shell::run(command("cargo", &["bench", "--locked"]).args(arguments))
}

/// Runs the journeys in real time, with one hundred kills instead of a few.
pub(crate) fn soak(arguments: &[String]) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let mut soak = nextest(&workspace.target_directory)?;
    soak.arg("run").args(NEXTEST_SELECTION).args(["--profile", "soak", "-E", "package(acceptance)"]);
    soak.args(arguments);
    soak.env("TICKHOUSE_BIN", workspace.built("quick", "tickhouse"));
    if std::env::var_os("TICKHOUSE_KILLS").is_none() {
        soak.env("TICKHOUSE_KILLS", "100");
    }
    soak.env("TICKHOUSE_SOAK", "1");
    shell::run(&mut soak)
}

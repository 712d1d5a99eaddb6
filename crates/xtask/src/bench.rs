//! Measurements and long journeys. What the numbers mean stands in `docs/performance.md`.

use anyhow::bail;

use crate::ci::{NEXTEST_SELECTION, nextest};
use crate::shell::{self, command};
use crate::workspace::Workspace;

/// Benches of single rooms, and that of the built binary, which comes last.
const BENCHES: &[&str] = &[
    "append",
    "bars",
    "blocks",
    "chain",
    "coins",
    "decode",
    "import",
    "lake",
    "node",
    "price",
    "primitive",
    "sync",
    PLATFORM,
];
const PLATFORM: &str = "platform";

/// The selection of `make release`, so that what is measured is what is packed.
pub(crate) const RELEASE: &[&str] = &["--workspace", "--locked", "--release"];

/// Runs the named bench, handing on the words after it; without a name, all of them.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (named, rest) = match arguments {
        [] => (BENCHES, arguments),
        [name, rest @ ..] => match BENCHES.iter().position(|bench| bench == name) {
            Some(at) => (&BENCHES[at..=at], rest),
            None => bail!("no bench is named {name}: know {}", BENCHES.join(", ")),
        },
    };
    let workspace = Workspace::load()?;
    for name in named {
        let mut bench = command("cargo", &["bench", "--workspace", "--locked", "--bench", name]);
        if *name == PLATFORM {
            shell::run(command("cargo", &["build"]).args(RELEASE))?;
            // What measures is beside the point, and takes ten minutes less.
            bench.args(["--profile", "quick"]);
            bench.env("TICKHOUSE_BIN", workspace.built("release", "tickhouse"));
        }
        shell::run(bench.arg("--").args(rest))?;
    }
    Ok(())
}

/// Runs the journeys in real time, with one hundred kills instead of a few.
pub(crate) fn soak(arguments: &[String]) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let mut soak = nextest(&workspace.target_directory)?;
    soak.arg("run").args(NEXTEST_SELECTION).args(["--profile", "soak", "-E", "package(acceptance)"]);
    soak.args(arguments).env("TICKHOUSE_BIN", workspace.built("quick", "tickhouse"));
    if std::env::var_os("TICKHOUSE_KILLS").is_none() {
        soak.env("TICKHOUSE_KILLS", "100");
    }
    shell::run(soak.env("TICKHOUSE_SOAK", "1"))
}

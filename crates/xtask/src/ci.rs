//! The gate: every check there is, cheap ones first, each with the last line it had to say.
//!
//! What a check looks at is left to the check; what is missing on the machine is fetched here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell::{self, command};
use crate::workspace::{self, Workspace};
use crate::{generate, tidy};

/// The selection and profile everything shares; another one would build the lake anew.
pub(crate) const SELECTION: &[&str] = &["--workspace", "--locked", "--profile", "quick"];

/// How one step ended.
struct Outcome {
    name: &'static str,
    is_good: bool,
    words: String,
    seconds: u64,
}

/// What the steps share.
struct Gate {
    target: PathBuf,
    binary: PathBuf,
    outcomes: Vec<Outcome>,
}

/// Runs the gate. Every step is run, so that one look shows all that is broken.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    let mut gate = Gate {
        binary: workspace.built("quick", "tickhouse"),
        target: workspace.target_directory,
        outcomes: Vec::new(),
    };
    gate.step("format", || command_step("cargo", &["fmt", "--all", "--check"], &[]));
    gate.step("tidy", || tidy::run().map(|()| "house rules are in order".into()));
    let target = gate.target.clone();
    gate.step("deny", || deny(&target));
    gate.step("generated", || generate::compare().map(|()| "references are fresh".into()));
    gate.step("web", web);
    gate.step("build", || command_step("cargo", &["build"], SELECTION));
    gate.settings();
    gate.step("clippy", || {
        command_step("cargo", &["clippy", "--all-targets"], &[SELECTION, &["--", "-D", "warnings"]].concat())
    });
    gate.tests();
    gate.step("doc tests", || {
        keep(command("cargo", &["test", "--doc"]).args(SELECTION), |line| line.starts_with("test result"))
    });
    gate.step("docs", || {
        let mut docs = command("cargo", &["doc", "--no-deps"]);
        keep(docs.args(SELECTION).env("RUSTDOCFLAGS", "-D warnings"), is_cargo_summary)
    });
    gate.python();
    gate.close()
}

impl Gate {
    fn step(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<String>) {
        shell::say(&format!("\n── {name} ──"));
        let begun = begin();
        let done = work();
        let (is_good, words) = match done {
            Ok(words) => (true, words),
            Err(error) => (false, format!("{error:#}")),
        };
        self.outcomes.push(Outcome { name, is_good, words, seconds: begun.elapsed().as_secs() });
    }

    fn settings(&mut self) {
        let (target, binary) = (self.target.clone(), self.binary.clone());
        self.step("settings", move || {
            generate::compare_settings(&binary, &target).map(|()| "the reference is fresh".into())
        });
    }

    fn tests(&mut self) {
        let (target, binary) = (self.target.clone(), self.binary.clone());
        self.step("tests", move || {
            let mut tests = nextest(&target)?;
            tests.arg("run").args(NEXTEST_SELECTION).env("TICKHOUSE_BIN", binary);
            keep(&mut tests, |line| line.starts_with("Summary"))
        });
    }

    fn python(&mut self) {
        let (target, binary) = (self.target.clone(), self.binary.clone());
        self.step("python", move || {
            let python = python_home(&target)?;
            let mut tests = command(&python.to_string_lossy(), &["-m", "pytest", "-rs", "tests/python"]);
            tests.env("TICKHOUSE_BIN", binary);
            keep(&mut tests, |line| {
                line.contains(" in ") && (line.contains("passed") || line.contains("failed"))
            })
        });
    }

    fn close(self) -> anyhow::Result<()> {
        shell::say("\n── the gate ──");
        for Outcome { name, is_good, words, seconds } in &self.outcomes {
            let mark = if *is_good { "ok  " } else { "FAIL" };
            shell::say(&format!("{mark} {name:<10} {seconds:>5} s  {words}"));
        }
        let failed = self.outcomes.iter().filter(|outcome| !outcome.is_good).count();
        if failed > 0 {
            bail!("{failed} of {} steps failed", self.outcomes.len());
        }
        Ok(())
    }
}

/// [`SELECTION`] in nextest's words, where `--profile` means something else.
pub(crate) const NEXTEST_SELECTION: &[&str] = &["--workspace", "--locked", "--cargo-profile", "quick"];

/// `cargo nextest`, built once where it is missing.
pub(crate) fn nextest(target: &Path) -> anyhow::Result<Command> {
    cargo_tool(target, "cargo-nextest", "nextest")
}

/// A subcommand of cargo's that is a package of its own, built once where it is missing.
fn cargo_tool(target: &Path, package: &str, subcommand: &str) -> anyhow::Result<Command> {
    let own = target.join("tools/bin").join(package);
    if shell::answers("cargo", &[subcommand, "--version"]) {
        return Ok(command("cargo", &[subcommand]));
    }
    if !own.exists() {
        shell::say(&format!("{package} is missing; building it once, into the target folder"));
        let tools = target.join("tools");
        let mut install = command("cargo", &["install", "--locked", "--debug", package, "--root"]);
        shell::run(install.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")))?;
    }
    Ok(command(&own.to_string_lossy(), &[subcommand]))
}

/// Bans, licences and sources of every guest, by deny.toml.
fn deny(target: &Path) -> anyhow::Result<String> {
    let mut check = cargo_tool(target, "cargo-deny", "deny")?;
    keep(check.args(["--locked", "check", "bans", "licenses", "sources"]), |line| {
        line.contains("licenses ok")
    })
}

/// The interpreter of a virtual environment that holds what the Python tests need.
fn python_home(target: &Path) -> anyhow::Result<PathBuf> {
    let home = target.join("python");
    let python = home.join("bin/python");
    let stamp = home.join("requirements.txt");
    let wanted_path = workspace::root().join("tests/python/requirements.txt");
    let wanted = std::fs::read_to_string(&wanted_path).context("read tests/python/requirements.txt")?;
    if std::fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(python);
    }
    shell::run(command("python3", &["-m", "venv", "--clear"]).arg(&home))
        .context("make a virtual environment; Python 3.11 or newer with venv is needed")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    shell::run(command(&python.to_string_lossy(), &pip).arg(&wanted_path))?;
    std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
    Ok(python)
}

/// The page: packages as locked, types and forms, tests.
fn web() -> anyhow::Result<String> {
    let folder = workspace::root().join("web");
    let npm = |arguments: &[&str]| {
        let mut npm = command("npm", arguments);
        npm.current_dir(&folder).env("CI", "true");
        npm
    };
    shell::run(&mut npm(&["ci", "--no-audit", "--no-fund"]))
        .context("fetch packages; Node 20 or newer is needed")?;
    shell::run(&mut npm(&["run", "check"]))?;
    keep(&mut npm(&["test"]), |line| line.starts_with("Tests ") || line.starts_with("# pass"))
}

fn command_step(program: &str, arguments: &[&str], rest: &[&str]) -> anyhow::Result<String> {
    keep(command(program, arguments).args(rest), is_cargo_summary)
}

fn is_cargo_summary(line: &str) -> bool {
    line.starts_with("Finished") || line.starts_with("error: could not compile")
}

/// Runs a step and returns its summary line; without success, that line is the complaint.
fn keep(step: &mut Command, is_summary: fn(&str) -> bool) -> anyhow::Result<String> {
    let (is_good, kept) = shell::run_and_keep(step, is_summary)?;
    let words = kept.unwrap_or_else(|| if is_good { "done" } else { "see above" }.into());
    if !is_good {
        bail!("{words}");
    }
    Ok(words)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a chore measures real time and leans on no room that tells it"
)]
fn begin() -> std::time::Instant {
    std::time::Instant::now()
}

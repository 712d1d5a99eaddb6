//! The one binary: reads the command line and hands over to one file per command.

mod commands;
mod config;
mod folder;
mod output;
mod wiring;

use std::process::ExitCode;

use clap::Parser;

/// Own your market data: record, keep, derive and serve what exchanges say.
#[derive(Parser)]
#[command(name = "tickhouse", version, about, max_term_width = 110)]
struct Line {
    #[command(subcommand)]
    command: commands::Command,
}

/// How a command ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing to report.
    Clean,
    /// Done, but with findings (gaps, damaged records).
    Findings,
}

fn main() -> ExitCode {
    // Wrong use ends with 2, as clap does by itself.
    let line = Line::parse();
    if let Err(error) = load_dotenv() {
        report(&error);
        return ExitCode::from(2);
    }
    match commands::run(line.command) {
        Ok(Done::Clean) => ExitCode::SUCCESS,
        Ok(Done::Findings) => ExitCode::from(3),
        Err(error) => {
            report(&error);
            let is_wrong_use = error.is::<config::Mistakes>() || error.is::<commands::WrongUse>();
            ExitCode::from(if is_wrong_use { 2 } else { 1 })
        }
    }
}

/// A `.env` file in the current folder adds to the environment without overriding it.
fn load_dotenv() -> anyhow::Result<()> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        Err(error) => Err(anyhow::anyhow!(".env: {error}; write KEY=value lines")),
    }
}

fn report(error: &anyhow::Error) {
    use std::io::Write;
    let mut out = std::io::stderr().lock();
    // Nothing can be said if standard error is gone.
    let _gone = writeln!(out, "tickhouse: {error:#}");
}

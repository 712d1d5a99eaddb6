//! The one binary: reads the command line and hands over to one file per command.

mod commands;
mod config;
mod dotenv;
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
    if let Err(error) = dotenv::load() {
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

fn report(error: &anyhow::Error) {
    output::aside(in_words(error));
}

/// The error with its causes. Many a message holds its cause already: nothing is said twice.
pub(crate) fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

#[cfg(test)]
mod tests {
    //! Cases for messages.
    use super::*;

    #[test]
    fn a_cause_that_stands_in_the_message_was_said_twice() {
        let cause = std::io::Error::other("no such file");
        let error =
            anyhow::Error::new(cause).context("list logs: no such file; check the path").context("open");
        assert_eq!(in_words(&error), "open: list logs: no such file; check the path");
    }
}

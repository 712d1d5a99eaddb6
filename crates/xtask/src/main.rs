//! Repository chores: the gate, the house rules, generated references, measurements, packing.
//!
//! `cargo xtask` lists them. Nothing here is shipped, and nothing here knows the market.

mod bench;
mod ci;
mod generate;
mod release;
mod shell;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  ci                 the whole gate, cheap checks first
  tidy               the house rules alone (tidy.toml)
  generate           renew api/ and docs/reference/ (--check: only compare)
  bench              measure; see docs/performance.md
  soak               the long journeys, in real time
  release            optimised binary, packed with its licences
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let outcome = match arguments.first().map(String::as_str) {
        Some("ci") => ci::run(),
        Some("tidy") => tidy::run(),
        Some("generate") => generate::run(rest.iter().any(|word| word == "--check")),
        Some("bench") => bench::run(rest),
        Some("soak") => bench::soak(rest),
        Some("release") => release::run(),
        Some("help" | "--help" | "-h") => {
            shell::say(USAGE);
            return ExitCode::SUCCESS;
        }
        _ => {
            shell::say(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("xtask: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

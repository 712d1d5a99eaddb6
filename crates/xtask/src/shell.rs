//! Starting other programs and speaking to the person at the terminal. Which programs is left to the chores.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Writes a line (or several) to standard error.
pub(crate) fn say(words: &str) {
    // Nothing can be said if standard error is gone.
    let _gone = writeln!(std::io::stderr(), "{}", words.trim_end());
}

/// A program to be started in the top folder, without standard input.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(crate::workspace::root()).stdin(Stdio::null());
    // What `cargo run` says about xtask itself: build scripts of guests look at it, and would have everything above them
    // compiled anew at each turn between `make test` and `make build`.
    for (variable, _) in std::env::vars_os() {
        let is_about_xtask = variable.to_str().is_some_and(|variable| {
            variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
        });
        if is_about_xtask {
            command.env_remove(variable);
        }
    }
    command
}

/// What a program prints; its complaints go to ours.
pub(crate) fn read(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = command(program, arguments)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        bail!("{program} {} ended with {}", arguments.join(" "), output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} printed something that is no text"))
}

/// Whether a program answers to these arguments with success.
pub(crate) fn answers(program: &str, arguments: &[&str]) -> bool {
    command(program, arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a program, passing on what it says.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("start {}", name(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", name(command));
    }
    Ok(())
}

/// Runs a program, passing on what it says, and keeps the last line that `is_summary` knows.
pub(crate) fn run_and_keep(
    command: &mut Command,
    is_summary: fn(&str) -> bool,
) -> anyhow::Result<(bool, Option<String>)> {
    // One pipe for both, so that lines stay in order.
    let (reader, writer) = std::io::pipe()?;
    let both = writer.try_clone()?;
    let mut child =
        command.stdout(writer).stderr(both).spawn().with_context(|| format!("start {}", name(command)))?;
    // Our own ends of the pipe go with these, else reading would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut kept = None;
    let mut out = std::io::stdout();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        // Whoever reads us may have gone; the program shall still come to its end.
        let _gone = out.write_all(&line).and_then(|()| out.flush());
        let text = plain(&String::from_utf8_lossy(&line));
        if is_summary(&text) {
            kept = Some(text);
        }
        line.clear();
    }
    Ok((child.wait()?.success(), kept))
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// A line without colours and blanks around it.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            text.push(character);
        }
    }
    text.trim().trim_matches('=').trim().to_owned()
}

#[cfg(test)]
mod tests {
    //! Cases for reading what programs say.
    use super::*;

    #[test]
    fn summaries_are_kept_without_colours() {
        assert_eq!(plain("\u{1b}[32m==== 7 passed in 3.1s ====\u{1b}[0m\n"), "7 passed in 3.1s");
        let mut script = command("sh", &["-c", "echo first; echo 2 passed >&2; echo last; exit 3"]);
        let (is_success, kept) = run_and_keep(&mut script, |line| line.contains("passed")).unwrap();
        assert!(!is_success);
        assert_eq!(kept.as_deref(), Some("2 passed"));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut command("no-such-program-here", &[])).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-program-here"), "{error:#}");
        assert!(!answers("no-such-program-here", &[]));
    }
}

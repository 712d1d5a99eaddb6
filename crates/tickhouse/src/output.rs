//! Writes to standard output and error. A reader that went away ends the command quietly.

use std::fmt::Display;
use std::io::Write;

/// Writes one line.
pub(crate) fn line(text: impl Display) {
    write_out(format!("{text}\n").as_bytes());
}

/// Writes one line beside the output, to standard error.
pub(crate) fn aside(text: impl Display) {
    // Nothing can be said if standard error is gone.
    let _gone = writeln!(std::io::stderr().lock(), "tickhouse: {text}");
}

/// Writes bytes as they are.
pub(crate) fn write_out(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

//! Writes to standard output. A reader that went away ends the command quietly.

use std::fmt::Display;
use std::io::Write;

/// Writes one line.
pub(crate) fn line(text: impl Display) {
    write_out(format!("{text}\n").as_bytes());
}

/// Writes bytes as they are.
pub(crate) fn write_out(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    if out.write_all(bytes).and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

//! Why bytes cannot be read, and where in them. What to do about it is left to the caller.

use std::fmt;

/// A place in bytes that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was being read: `block`, `spent outputs`, …
    pub part: &'static str,
    /// Byte from the beginning of it.
    pub at: usize,
    /// Number of the transaction, the coinbase being 0.
    pub transaction: Option<usize>,
    /// Which piece.
    pub what: &'static str,
    /// What is wrong with the piece.
    pub why: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, at, what, why, .. } = self;
        write!(f, "{part}, byte {at}")?;
        if let Some(transaction) = self.transaction {
            write!(f, ", transaction {transaction}")?;
        }
        write!(f, ": {what} {why}")
    }
}

/// Why something of a chain cannot be read or does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The bytes are not what they should be. Asking for them again may help.
    Malformed(Fault),
    /// Block and spent outputs do not belong together.
    Unfit(String),
    /// The header does not continue the chain it is put on.
    Header(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(fault) => fault.fmt(f),
            Self::Unfit(why) => write!(f, "block and spent outputs do not belong together: {why}"),
            Self::Header(why) => write!(f, "the header does not continue the chain: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Malformed(fault)
    }
}

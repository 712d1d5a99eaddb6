//! What a fold is: rows in, rows out, and a state that can be saved and taken up anywhere.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Turns inputs into outputs, one by one.
///
/// The same inputs give the same outputs, whether taken whole, in pieces, or with a save and restore in between.
pub trait Fold {
    /// What goes in.
    type Input;
    /// What comes out.
    type Output;

    /// Takes one input and hands out what follows from it.
    fn take(&mut self, input: &Self::Input, emit: &mut dyn FnMut(Self::Output));

    /// Everything later outputs depend on, as bytes with a version.
    fn save(&self) -> Vec<u8>;

    /// Takes up saved state. Bytes of a foreign form are refused and change nothing.
    fn restore(&mut self, state: &[u8]) -> Result<(), Error>;
}

/// Why a saved state was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The state is of a version that this binary does not know.
    Version {
        /// Which fold.
        fold: &'static str,
        /// The version found; `None` for no bytes at all.
        found: Option<u8>,
    },
    /// The bytes do not hold what the version says.
    Damaged {
        /// Which fold.
        fold: &'static str,
        /// What was wrong.
        reason: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { fold, found: Some(found) } => {
                write!(
                    f,
                    "state of {fold} has version {found}, which this binary does not know; replay the log"
                )
            }
            Self::Version { fold, found: None } => write!(f, "state of {fold} is empty; replay the log"),
            Self::Damaged { fold, reason } => {
                write!(f, "state of {fold} is damaged: {reason}; replay the log")
            }
        }
    }
}

impl std::error::Error for Error {}

/// A version byte, then the state.
pub(crate) fn pack(version: u8, state: &impl Serialize) -> Vec<u8> {
    postcard::to_extend(state, vec![version]).expect("plain values always serialise into memory")
}

/// Reads what `pack` wrote.
pub(crate) fn unpack<T: DeserializeOwned>(fold: &'static str, version: u8, bytes: &[u8]) -> Result<T, Error> {
    match bytes.split_first() {
        Some((found, rest)) if *found == version => {
            postcard::from_bytes(rest).map_err(|error| Error::Damaged { fold, reason: error.to_string() })
        }
        found => Err(Error::Version { fold, found: found.map(|(version, _)| *version) }),
    }
}

//! What can go wrong with the store of coins, with the remedy in each message.

use std::fmt;
use std::path::PathBuf;

use chain::OutPoint;
use model::BlockHash;

/// Why coins could not be read or changed. The store is as it was before.
#[derive(Debug)]
pub enum Error {
    /// The files cannot be opened, read or written.
    Store {
        /// What we were doing.
        doing: &'static str,
        /// Their folder.
        folder: PathBuf,
        /// What was said.
        reason: String,
    },
    /// The folder holds the coins of something else.
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What it holds.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// A block that does not follow the one the store stands at.
    NotExtending {
        /// Its height.
        height: u32,
        /// The block before it, by its header.
        previous: BlockHash,
        /// Where the store stands.
        tip: Option<BlockHash>,
    },
    /// A block spends an output that is not there.
    Missing {
        /// Its height.
        height: u32,
        /// The output.
        output: OutPoint,
    },
    /// Blocks so far back cannot be taken back any more.
    TooDeep {
        /// The block that was to be taken back.
        height: u32,
    },
}

impl Error {
    /// Whether the coins are of no use any more, so that they must be gathered anew from the first block on.
    pub fn is_lost(&self) -> bool {
        self.lost_at().is_some()
    }

    /// At which block that turned out.
    pub fn lost_at(&self) -> Option<u32> {
        match self {
            Self::Missing { height, .. } | Self::TooDeep { height } => Some(*height),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store { doing, folder, reason } => write!(
                f,
                "{doing} the coins in {}: {reason}; free space or repair the disk, or delete the folder: coins are gathered anew then",
                folder.display()
            ),
            Self::Foreign { folder, found, wanted } => write!(
                f,
                "the folder {} holds coins of {found}, not of {wanted}; delete it or name another data folder",
                folder.display()
            ),
            Self::NotExtending { height, previous, tip } => {
                let tip = tip.map_or_else(|| "the beginning".to_owned(), |tip| tip.to_string());
                write!(f, "block {height} follows {previous}; the coins stand at {tip}")
            }
            Self::Missing { height, output } => write!(
                f,
                "block {height} spends output {} of {}, which is not among the coins; they must be gathered anew",
                output.vout, output.txid
            ),
            Self::TooDeep { height } => write!(
                f,
                "block {height} cannot be taken back from the coins any more; they must be gathered anew"
            ),
        }
    }
}

impl std::error::Error for Error {}

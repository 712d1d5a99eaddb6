//! What a node may say instead of an answer, by what can be done about it. Doing it is left to the feed.

use std::fmt;

use model::Network;

/// Why a node did not answer what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeError {
    /// Nobody listens, the connection broke, or no answer came in time. It may come back.
    Unreachable(String),
    /// It is starting and says how far it is.
    WarmingUp(String),
    /// Too many questions wait there.
    Busy,
    /// It does not know us.
    Unauthorised(String),
    /// It follows another network.
    WrongNetwork {
        /// The network wanted.
        wanted: Network,
        /// What it calls its own.
        found: String,
    },
    /// It has let go of the block.
    Pruned {
        /// Height of the block.
        height: u32,
        /// The lowest height of which it has blocks.
        prune_height: Option<u32>,
    },
    /// It has no such block, or not so many, as after a reorganisation.
    Missing(String),
    /// It refuses for another reason, with its own code.
    Refused {
        /// The code.
        code: i64,
        /// Its words.
        message: String,
    },
    /// The answer is none that we understand.
    Malformed(String),
}

impl NodeError {
    /// Whether waiting alone may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::WarmingUp(_) | Self::Busy)
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(what) => write!(f, "the node cannot be reached: {what}"),
            Self::WarmingUp(words) => write!(f, "the node is starting: {words}"),
            Self::Busy => f.write_str(
                "too many questions wait at the node; ask over fewer connections or raise its rpcworkqueue",
            ),
            Self::Unauthorised(what) => write!(f, "the node does not know us: {what}"),
            Self::WrongNetwork { wanted, found } => {
                write!(
                    f,
                    "the node follows the network {found:?}, wanted is {wanted}; name another node or network"
                )
            }
            Self::Pruned { height, prune_height } => {
                write!(f, "the node has let go of block {height}")?;
                if let Some(prune_height) = prune_height {
                    write!(f, ", it has blocks from height {prune_height} on")?;
                }
                f.write_str("; ask a node that is not pruned, let this one fetch the past again (prune=0 and -reindex)")?;
                match prune_height {
                    Some(prune_height) => write!(f, ", or follow a range that begins at {prune_height}"),
                    None => f.write_str(", or follow a later range"),
                }
            }
            Self::Missing(what) => write!(f, "the node has none such: {what}"),
            Self::Refused { code, message } => write!(f, "the node refuses: {message} (code {code})"),
            Self::Malformed(what) => write!(f, "the node's answer is not understood: {what}"),
        }
    }
}

impl std::error::Error for NodeError {}

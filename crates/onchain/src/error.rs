//! What can go wrong while a chain is followed, with the remedy in each message.

use std::fmt;

use collect::bitcoin_node::NodeError;
use model::BlockHash;
use tables::StoreError;

/// Why the chain could not be taken further.
#[derive(Debug)]
pub enum Error {
    /// Bytes that are no block, or outputs that do not fit it.
    Block {
        /// Its height, as far as it is known.
        height: u32,
        /// What is wrong.
        reason: chain::Error,
    },
    /// A block that does not follow the stored tip.
    NotExtending {
        /// Its height.
        height: u32,
        /// The block before it, by its header.
        previous: BlockHash,
        /// The tip.
        tip: BlockHash,
    },
    /// The folder follows another network.
    Network {
        /// What the folder holds.
        stored: String,
        /// What the node follows.
        node: String,
    },
    /// Reading or writing tables failed.
    Store(StoreError),
    /// Reading or writing the bytes of blocks failed.
    Bytes(rawlog::Error),
    /// Remembering how far it came failed.
    Control(control::Error),
    /// The node did not answer what was asked before its blocks could be followed.
    Node(NodeError),
    /// Work in the background broke off.
    Broken(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { height, reason } => {
                write!(
                    f,
                    "block {height} cannot be read: {reason}; if it comes again, compare it with another node"
                )
            }
            Self::NotExtending { height, previous, tip } => {
                write!(
                    f,
                    "block {height} follows {previous}, not the stored tip {tip}; the fork is looked for"
                )
            }
            Self::Network { stored, node } => write!(
                f,
                "the node follows the network {node}, this folder holds {stored}; name another node or another data folder"
            ),
            Self::Store(error) => error.fmt(f),
            Self::Bytes(error) => error.fmt(f),
            Self::Control(error) => error.fmt(f),
            Self::Node(error) => error.fmt(f),
            Self::Broken(what) => write!(f, "work in the background broke off: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rawlog::Error> for Error {
    fn from(error: rawlog::Error) -> Self {
        Self::Bytes(error)
    }
}

impl From<control::Error> for Error {
    fn from(error: control::Error) -> Self {
        Self::Control(error)
    }
}

impl From<NodeError> for Error {
    fn from(error: NodeError) -> Self {
        Self::Node(error)
    }
}

//! Talks to a Bitcoin node: asks over JSON-RPC and REST, reads its block files, and feeds blocks in the order of the chain.
//!
//! What a block amounts to is left to `chain`, what becomes of it to `onchain`.

mod access;
mod blocks;
mod client;
mod error;
mod feed;
mod files;
mod folder;
mod headers;
mod heard;
mod places;
mod rpc;
mod settings;
mod state;
mod verbose;

pub use access::Access;
pub use blocks::FetchedBlock;
pub use client::{HeaderInfo, NodeClient, NodeInfo, Tip};
pub use error::NodeError;
pub use feed::{BlockFeed, FeedItem, FeedStart, Followed, LongPoll, Wake, follow};
pub use files::BlockFiles;
pub use folder::{NodePlace, read_block};
pub use heard::{Heard, check_published, wake_of};
pub use settings::{NodeBounds, NodeSettings, RestUse};
pub use state::{NodeState, NodeWord};

#[cfg(test)]
mod tests;

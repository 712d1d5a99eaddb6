//! Which node, how it is asked, and every bound. Reading it from a file is left to `tickhouse`.

use std::path::PathBuf;
use std::time::Duration;

use model::Network;

use super::access::Access;

/// A node.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The network it must follow.
    pub network: Network,
    /// Where it answers, such as `http://127.0.0.1:8332`.
    pub url: String,
    /// How it knows us.
    pub access: Access,
    /// Whether its REST interface is used.
    pub rest: RestUse,
    /// Its folder of block files, where they can be read from here; for catching up alone.
    pub blocks_folder: Option<PathBuf>,
    /// Where it publishes its blocks (`-zmqpubhashblock`), such as `tcp://127.0.0.1:28332`; new blocks are asked for alone if absent.
    pub published: Option<String>,
    /// Bounds.
    pub bounds: NodeBounds,
}

impl NodeSettings {
    /// A node on this machine at its usual port, with the cookie in its usual place below the node's data folder.
    pub fn local(network: Network, data_folder: &std::path::Path) -> Self {
        let folder = data_folder.join(chain::network::folder(network));
        Self {
            network,
            url: format!("http://127.0.0.1:{}", chain::network::rpc_port(network)),
            access: Access::cookie(folder.join(".cookie")),
            rest: RestUse::WhereItIs,
            blocks_folder: None,
            published: None,
            bounds: NodeBounds::default(),
        }
    }
}

/// Whether REST is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestUse {
    /// As far as the node has it.
    #[default]
    WhereItIs,
    /// Never: all over JSON-RPC.
    Never,
}

/// Bounds, with defaults that suit a node on the same machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeBounds {
    /// Longest wait for a connection to open.
    pub connect_max: Duration,
    /// Longest wait for an answer.
    pub answer_max: Duration,
    /// Most bytes of an answer; a longer one counts as not understood.
    pub answer_bytes_max: usize,
    /// Blocks asked for at once.
    pub connections: usize,
    /// Blocks that wait for being taken; the feed waits when they are so many.
    pub queue_blocks: usize,
    /// Hashes asked for in one question.
    pub batch_hashes: u32,
    /// Longest wait for a new block before the node is asked how it stands.
    pub wake_max: Duration,
    /// First and longest wait before a question is tried again.
    pub retry: (Duration, Duration),
    /// Blocks behind the node's tip from which on its files are read instead of asking, where they are known.
    pub files_lag_min: u32,
}

impl Default for NodeBounds {
    fn default() -> Self {
        Self {
            connect_max: Duration::from_secs(5),
            answer_max: Duration::from_mins(1),
            answer_bytes_max: 256 << 20,
            connections: 6,
            queue_blocks: 32,
            batch_hashes: 1_000,
            wake_max: Duration::from_secs(25),
            retry: (Duration::from_millis(200), Duration::from_secs(15)),
            files_lag_min: 200,
        }
    }
}

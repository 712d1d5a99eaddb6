//! The questions we have for a node, each asked once: how it stands, hashes, headers, a new tip. Whether to ask again is
//! left to the feed.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use model::{BlockHash, Network, Work};
use runtime::Clock;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::error::NodeError;
use super::rpc::Transport;
use super::settings::NodeSettings;
use super::state::{Board, NodeState};

/// Since this version a wait for a new block can name the block that is known.
const NAMES_KNOWN_TIP: u32 = 290_000;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// The network it follows.
    pub network: Network,
    /// Height of its last block.
    pub blocks: u32,
    /// Height of the last header it knows.
    pub headers: u32,
    /// Hash of its last block.
    pub best_hash: BlockHash,
    /// Whether it is still fetching the past itself.
    pub is_initial_download: bool,
    /// Whether it lets go of old blocks.
    pub is_pruned: bool,
    /// The lowest height of which it has blocks, if it lets go of some.
    pub prune_height: Option<u32>,
    /// Its version: 310000 is 31.0.
    pub version: u32,
}

/// What a node says of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderInfo {
    /// Its height.
    pub height: u32,
    /// Blocks on top of it and itself; negative if it is on no active chain.
    pub confirmations: i64,
    /// The median of times.
    pub median_time: u32,
    /// The work up to it.
    pub chainwork: Work,
}

/// A last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// Asks one node.
pub struct NodeClient {
    pub(super) transport: Transport,
    pub(super) settings: NodeSettings,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) board: Board,
    /// What its REST interface was found to offer: see `blocks`.
    pub(super) offer: AtomicU8,
}

#[derive(Deserialize)]
struct ChainInfo {
    chain: String,
    blocks: u32,
    headers: u32,
    bestblockhash: String,
    #[serde(default)]
    initialblockdownload: bool,
    #[serde(default)]
    pruned: bool,
    #[serde(default)]
    pruneheight: Option<u32>,
}

#[derive(Deserialize)]
struct NetworkInfo {
    version: u32,
}

#[derive(Deserialize)]
struct Header {
    height: u32,
    confirmations: i64,
    mediantime: u32,
    chainwork: String,
}

#[derive(Deserialize)]
struct NewTip {
    hash: String,
    height: u32,
}

impl NodeClient {
    /// For a node. Asks nothing yet.
    pub fn new(settings: NodeSettings, clock: Arc<dyn Clock>) -> Result<Self, crate::Error> {
        let transport = Transport::new(&settings)?;
        Ok(Self { transport, settings, clock, board: Board::default(), offer: AtomicU8::default() })
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &NodeSettings {
        &self.settings
    }

    /// How it stands between us.
    pub fn state(&self) -> NodeState {
        self.board.state()
    }

    /// What the node says of itself. Refuses a node of another network.
    pub async fn info(&self) -> Result<NodeInfo, NodeError> {
        let info = self.read_info().await;
        self.noted(info).inspect(|info| self.board.knows(info))
    }

    async fn read_info(&self) -> Result<NodeInfo, NodeError> {
        let chain: ChainInfo = self.ask("getblockchaininfo", json!([])).await?;
        let wanted = self.settings.network;
        let network = Network::known(&chain.chain).filter(|network| *network == wanted);
        let Some(network) = network else {
            return Err(NodeError::WrongNetwork { wanted, found: chain.chain });
        };
        let NetworkInfo { version } = self.ask("getnetworkinfo", json!([])).await?;
        Ok(NodeInfo {
            network,
            blocks: chain.blocks,
            headers: chain.headers,
            best_hash: hash_of(&chain.bestblockhash)?,
            is_initial_download: chain.initialblockdownload,
            is_pruned: chain.pruned,
            prune_height: chain.pruneheight,
            version,
        })
    }

    /// The hash at a height of the active chain; `None` above its end.
    pub async fn hash_at(&self, height: u32) -> Result<Option<BlockHash>, NodeError> {
        match self.ask::<String>("getblockhash", json!([height])).await {
            Ok(text) => self.noted(hash_of(&text).map(Some)),
            Err(NodeError::Missing(_)) => self.noted(Ok(None)),
            Err(error) => self.noted(Err(error)),
        }
    }

    /// The hashes of a range of heights of the active chain, as far as it goes, in questions of bounded size.
    pub async fn hashes(&self, heights: Range<u32>) -> Result<Vec<BlockHash>, NodeError> {
        let mut hashes = Vec::with_capacity(heights.len());
        let mut from = heights.start;
        while from < heights.end {
            let to = heights.end.min(from.saturating_add(self.settings.bounds.batch_hashes.max(1)));
            let asked = (from..to).map(|height| json!([height])).collect();
            for answer in self.noted(self.transport.batch("getblockhash", asked).await)? {
                match answer {
                    Ok(text) => hashes.push(hash_of(&read::<String>(&text, "getblockhash")?)?),
                    Err(NodeError::Missing(_)) => return Ok(hashes),
                    Err(error) => return self.noted(Err(error)),
                }
            }
            from = to;
        }
        Ok(hashes)
    }

    /// What the node says of a header, on the active chain or not; `None` if it has none of that hash.
    pub async fn header(&self, hash: &BlockHash) -> Result<Option<HeaderInfo>, NodeError> {
        let header: Header = match self.ask("getblockheader", json!([hash.to_string()])).await {
            Ok(header) => header,
            Err(NodeError::Missing(_)) => return self.noted(Ok(None)),
            Err(error) => return self.noted(Err(error)),
        };
        let Some(chainwork) = Work::parse(&header.chainwork) else {
            return self.noted(Err(NodeError::Malformed(format!(
                "getblockheader: the work {:?}",
                header.chainwork
            ))));
        };
        let Header { height, confirmations, mediantime: median_time, .. } = header;
        self.noted(Ok(Some(HeaderInfo { height, confirmations, median_time, chainwork })))
    }

    /// Waits until the last block is another one than `known`, at most so long. Returns the last block in any case.
    pub async fn wait_for_tip(&self, known: &BlockHash, at_most: Duration) -> Result<Tip, NodeError> {
        let names_known = self.state().info.is_some_and(|info| info.version >= NAMES_KNOWN_TIP);
        let half = self.settings.bounds.answer_max / 2;
        let milliseconds = u64::try_from(at_most.min(half).as_millis()).unwrap_or(u64::MAX);
        let parameters = if names_known {
            json!([milliseconds, known.to_string()])
        } else {
            // It would not notice a block that came just before the question.
            let best: String = self.noted(self.ask("getbestblockhash", json!([])).await)?;
            if hash_of(&best)? == *known { json!([milliseconds]) } else { json!([1]) }
        };
        let tip: NewTip = self.noted(self.ask("waitfornewblock", parameters).await)?;
        Ok(Tip { height: tip.height, hash: hash_of(&tip.hash)? })
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: Value,
    ) -> Result<T, NodeError> {
        let answer = self.transport.call(method, parameters).await?;
        read(&answer, method)
    }

    /// Notes on the board whether the node answered.
    pub(super) fn noted<T>(&self, answer: Result<T, NodeError>) -> Result<T, NodeError> {
        match &answer {
            Ok(_) => self.board.answers(self.clock.time()),
            Err(error) => self.board.fails(error),
        }
        answer
    }
}

fn read<T: DeserializeOwned>(answer: &RawValue, method: &str) -> Result<T, NodeError> {
    serde_json::from_str(answer.get()).map_err(|error| NodeError::Malformed(format!("{method}: {error}")))
}

pub(super) fn hash_of(text: &str) -> Result<BlockHash, NodeError> {
    text.parse().map_err(|error| NodeError::Malformed(format!("{error}")))
}

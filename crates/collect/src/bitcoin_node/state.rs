//! How it stands between us and the node, in a word, for those who look.

use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Time;

use super::client::NodeInfo;
use super::error::NodeError;

/// How it stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NodeWord {
    /// Nothing was asked yet.
    #[default]
    Starting,
    /// It answers.
    Connected,
    /// It is starting.
    WarmingUp,
    /// Too many questions wait there.
    Busy,
    /// Nobody answers.
    Unreachable,
    /// It does not know us.
    Unauthorised,
    /// It follows another network.
    WrongNetwork,
    /// It has let go of blocks that are wanted.
    Pruned,
    /// It answers what we do not understand, or refuses.
    Troubled,
}

impl NodeWord {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Connected => "connected",
            Self::WarmingUp => "warming_up",
            Self::Busy => "busy",
            Self::Unreachable => "unreachable",
            Self::Unauthorised => "unauthorised",
            Self::WrongNetwork => "wrong_network",
            Self::Pruned => "pruned",
            Self::Troubled => "troubled",
        }
    }
}

/// How it stands, with what was last heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// In a word.
    pub word: NodeWord,
    /// Why it is not `connected`.
    pub message: Option<String>,
    /// When it last answered.
    pub answered: Option<Time>,
    /// What it last said of itself.
    pub info: Option<NodeInfo>,
    /// How spent outputs are asked for: `spenttxouts`, `getblock 3` or `files`; absent before the first block.
    pub spent_by: Option<&'static str>,
    /// What tells of new blocks: `zmq` while what the node publishes is heard, else `polling`; absent before anybody listens.
    pub woken_by: Option<&'static str>,
}

/// The state that client and feed share.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<NodeState>);

impl Board {
    pub(super) fn state(&self) -> NodeState {
        self.lock().clone()
    }

    /// The node answered.
    pub(super) fn answers(&self, now: Time) {
        let mut state = self.lock();
        state.answered = Some(now);
        state.word = NodeWord::Connected;
        state.message = None;
    }

    /// It did not; missing blocks are no trouble of the node.
    pub(super) fn fails(&self, error: &NodeError) {
        let word = match error {
            NodeError::Unreachable(_) => NodeWord::Unreachable,
            NodeError::WarmingUp(_) => NodeWord::WarmingUp,
            NodeError::Busy => NodeWord::Busy,
            NodeError::Unauthorised(_) => NodeWord::Unauthorised,
            NodeError::WrongNetwork { .. } => NodeWord::WrongNetwork,
            NodeError::Pruned { .. } => NodeWord::Pruned,
            NodeError::Missing(_) => return,
            NodeError::Refused { .. } | NodeError::Malformed(_) => NodeWord::Troubled,
        };
        metrics::counter!("tickhouse_btc_node_failures_total", "kind" => word.as_str()).increment(1);
        let mut state = self.lock();
        if state.word != word {
            tracing::warn!(word = word.as_str(), %error, "trouble with the bitcoin node");
        }
        state.word = word;
        state.message = Some(error.to_string());
    }

    pub(super) fn knows(&self, info: &NodeInfo) {
        self.lock().info = Some(info.clone());
    }

    pub(super) fn gets_spent_by(&self, way: &'static str) {
        self.lock().spent_by = Some(way);
    }

    pub(super) fn is_woken_by(&self, way: &'static str) {
        self.lock().woken_by = Some(way);
    }

    fn lock(&self) -> MutexGuard<'_, NodeState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Following a simulated node: ranges of its chain, and what tells of new blocks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use collect::bitcoin_node::{Access, NodeBounds, NodeClient, NodeSettings, RestUse};
use model::{BlockFacts, Network};
use runtime::{SystemClock, Tasks};
use simulate::node::{self, Node, NodeSource};
use tables::TableName;

use crate::testing::{Memory, doors};
use crate::{Chain, ChainStanding, Doors, FollowSettings, start};

/// A simulated node, and tables that follow it.
struct World {
    node: Node,
    memory: Arc<Memory>,
    folder: tempfile::TempDir,
    _tasks: Tasks,
}

impl World {
    async fn start(settings: node::NodeSettings) -> Self {
        // Another test may have been first.
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tasks = Tasks::new();
        let node = node::start(settings, SystemClock::shared(), &tasks).await.unwrap();
        Self { node, memory: Arc::default(), folder: tempfile::tempdir().unwrap(), _tasks: tasks }
    }

    async fn recorded() -> Self {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../chain/fixtures/regtest"));
        let source = NodeSource::Folder { path, arrived: None };
        Self::start(node::NodeSettings { source, ..node::NodeSettings::default() }).await
    }

    fn doors(&self) -> Doors {
        doors(&self.memory, self.folder.path())
    }

    /// Follows as a process of its own would.
    fn follow(&self, from_height: u32, until_height: Option<u32>) -> (Chain, Tasks) {
        let settings = NodeSettings {
            network: Network::Regtest,
            url: self.node.address(),
            access: Access::cookie(self.node.cookie_path()),
            rest: RestUse::WhereItIs,
            blocks_folder: None,
            bounds: NodeBounds::default(),
        };
        let client = Arc::new(NodeClient::new(settings, SystemClock::shared()).unwrap());
        let settings =
            FollowSettings { network: Network::Regtest, step_blocks_max: 50, from_height, until_height };
        let tasks = Tasks::new();
        (start(settings, self.doors(), client, &tasks).unwrap(), tasks)
    }

    /// Follows through a height, then ends.
    async fn sync(&self, from_height: u32, until: u32) {
        let (chain, tasks) = self.follow(from_height, Some(until));
        wait_for(&chain, |standing| standing.raw.is_some_and(|(height, _)| height >= until)).await;
        wait_for(&chain, |standing| standing.is_caught_up).await;
        assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
    }

    fn facts(&self) -> Vec<BlockFacts> {
        tables::btc_primitive_block::from_batch(&self.memory.rows(TableName::BtcPrimitiveBlock))
    }
}

async fn wait_for(chain: &Chain, is_so: impl Fn(&ChainStanding) -> bool) {
    for _ in 0..4_000 {
        if is_so(&chain.board.standing()) {
            return;
        }
        runtime::sleep(Duration::from_millis(5)).await;
    }
    panic!("it does not come so far; it stands so: {:?}", chain.board.standing());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_has_the_places_of_the_whole_chain() {
    let whole = World::recorded().await;
    whole.sync(0, 334).await;
    let whole: Vec<BlockFacts> = whole.facts();
    assert_eq!(whole.len(), 335);
    // Stopped amid the eleven headers that come from the node, and once at a height with fewer of them before it.
    for (from, stops) in [(200, vec![203, 300, 334]), (4, vec![6, 334]), (334, vec![334])] {
        let range = World::recorded().await;
        for stop in stops {
            range.sync(from, stop).await;
        }
        let facts = range.facts();
        assert_eq!(facts.len() as u32, 335 - from);
        for (own, other) in facts.iter().zip(&whole[from as usize..]) {
            // Supply is that of all blocks before, which no range has.
            assert_eq!(own, &BlockFacts { supply_total_sat: None, ..other.clone() });
        }
        let rows = tables::btc_blocks::from_batch(&range.memory.rows(TableName::BtcBlocks));
        assert_eq!(rows.len(), facts.len());
    }
}

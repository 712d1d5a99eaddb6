//! Following a simulated node: ranges of its chain, and what tells of new blocks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use collect::bitcoin_node::{Access, NodeBounds, NodeClient, NodeSettings, RestUse};
use model::{BlockFacts, Network};
use runtime::{SystemClock, Tasks};
use simulate::node::{self, Node, NodeSource};
use tables::{BlockRow, ChainNews, TableName};

use crate::beats::Beats;
use crate::testing::{Memory, doors};
use crate::{
    BlockFolder, Board, Chain, ChainStanding, CoinBounds, CoinPlace, Doors, FollowSettings, Prices, Shelves,
    components, kept_block, start,
};

fn recorded() -> node::NodeSettings {
    let path = PathBuf::from(format!(
        "{}/../chain/fixtures/regtest",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    ));
    let source = NodeSource::Folder { path, arrived: None };
    node::NodeSettings { source, ..node::NodeSettings::default() }
}

/// A simulated node, and tables that follow it. Bytes are kept unless the node's own files can be read.
pub(crate) struct World {
    node_files: Option<PathBuf>,
    published: Option<String>,
    pub(crate) node: Node,
    pub(crate) memory: Arc<Memory>,
    /// Whether coins are kept.
    pub(crate) has_coins: bool,
    folder: tempfile::TempDir,
    tasks: Tasks,
}

impl World {
    pub(crate) async fn start(settings: node::NodeSettings) -> Self {
        // Another test may have been first.
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (tasks, node_files) = (Tasks::new(), settings.blocks_folder.clone());
        let node = node::start(settings, SystemClock::shared(), &tasks).await.unwrap();
        let published = node.zmq_address();
        let (memory, folder) = (Arc::default(), tempfile::tempdir().unwrap());
        Self { node_files, published, node, memory, has_coins: false, folder, tasks }
    }

    pub(crate) async fn recorded() -> Self {
        Self::start(recorded()).await
    }

    pub(crate) fn doors(&self) -> Doors {
        let mut doors = doors(&self.memory, self.folder.path());
        if self.has_coins {
            let bounds = CoinBounds { cache_bytes: 1 << 20, undo_blocks: 10 };
            doors.coins = Some(CoinPlace { folder: self.folder.path().join("coins"), bounds });
        }
        let is_kept = self.node_files.is_none();
        Doors { blocks: BlockFolder { is_kept, ..doors.blocks }, ..doors }
    }

    pub(crate) fn client(&self) -> NodeClient {
        let settings = NodeSettings {
            network: Network::Regtest,
            url: self.node.address(),
            access: Access::cookie(self.node.cookie_path()),
            rest: RestUse::WhereItIs,
            blocks_folder: self.node_files.clone(),
            published: self.published.clone(),
            bounds: NodeBounds::default(),
        };
        NodeClient::new(settings, SystemClock::shared()).unwrap()
    }

    /// Follows as a process of its own would.
    pub(crate) fn follow(&self, from_height: u32, until_height: Option<u32>) -> (Chain, Tasks) {
        let client = Arc::new(self.client());
        let settings =
            FollowSettings { network: Network::Regtest, step_blocks_max: 50, from_height, until_height };
        let tasks = Tasks::new();
        (start(settings, self.doors(), client, &tasks).unwrap(), tasks)
    }

    /// Follows through a height, then ends.
    pub(crate) async fn sync(&self, from_height: u32, until: u32) {
        let (chain, tasks) = self.follow(from_height, Some(until));
        wait_for(&chain, |standing| standing.raw.is_some_and(|(height, _)| height >= until)).await;
        wait_for(&chain, |standing| standing.is_caught_up).await;
        assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
    }

    fn rows(&self) -> Vec<BlockRow> {
        tables::btc_blocks::from_batch(&self.memory.rows(TableName::BtcBlocks))
    }

    fn shelves(&self) -> Shelves {
        let own = self.folder.path().join("blocks");
        Shelves { own, node: self.node_files.clone(), network: Network::Regtest }
    }

    pub(crate) fn facts(&self) -> Vec<BlockFacts> {
        tables::btc_primitive_block::from_batch(&self.memory.rows(TableName::BtcPrimitiveBlock))
    }
}

pub(crate) async fn wait_for(chain: &Chain, is_so: impl Fn(&ChainStanding) -> bool) {
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
        assert_eq!(range.rows().len(), facts.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_is_read_back_from_either_kind_of_place() {
    let files = tempfile::tempdir().unwrap();
    let ours = World::recorded().await;
    let theirs = World::start(node::NodeSettings {
        blocks_folder: Some(files.path().to_owned()),
        block_file_bytes_max: 250_000,
        ..recorded()
    })
    .await;
    // Far behind first, then near the tip: files are read, and asked beside.
    ours.sync(0, 334).await;
    theirs.sync(0, 100).await;
    theirs.sync(0, 334).await;
    assert_eq!(ours.rows().len(), theirs.rows().len());
    assert!(!theirs.folder.path().join("blocks").exists());
    let read = |world: &World, row: &BlockRow| {
        kept_block(&world.shelves(), &row.place.header.hash, (row.stored.as_ref(), row.node.as_ref()))
    };
    for (own, other) in ours.rows().iter().zip(&theirs.rows()) {
        assert!(own.stored.is_some() && own.node.is_none());
        assert!(other.stored.is_none() && other.node.is_some(), "{other:?}");
        assert_eq!(own.place, other.place);
        let bytes = ours.node.block_bytes(own.place.header.hash).unwrap();
        assert_eq!(read(&ours, own), Ok(bytes.clone()));
        assert_eq!(read(&theirs, other), Ok(bytes));
    }
    let rows = theirs.rows();
    let last = rows.last().unwrap();
    let elsewhere = Shelves { node: None, ..theirs.shelves() };
    let told = kept_block(&elsewhere, &last.place.header.hash, (None, last.node.as_ref())).unwrap_err();
    assert!(told.contains("btc.blocks_folder"), "{told}");
    let told = kept_block(&elsewhere, &last.place.header.hash, (None, None)).unwrap_err();
    assert!(told.contains("ask the node"), "{told}");
    theirs.node.prune(330).unwrap();
    let told = read(&theirs, &rows[0]).unwrap_err();
    assert!(told.contains("let go of it") && told.contains("blk00000.dat"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn published_blocks_wake_and_a_publisher_that_is_gone_leaves_asking() {
    let generated = NodeSource::Generated { blocks: 5, first_time: Some(node::FIRST_TIME) };
    let settings = node::NodeSettings { source: generated, publishes: true, ..node::NodeSettings::default() };
    let world = World::start(settings).await;
    let (chain, tasks) = world.follow(0, None);
    let woken_by = |way: &'static str| {
        let node = Arc::clone(&chain.node);
        async move {
            for _ in 0..4_000 {
                if node.state().woken_by == Some(way) {
                    return;
                }
                runtime::sleep(Duration::from_millis(5)).await;
            }
            panic!("it is not woken by {way} but {:?}", node.state());
        }
    };
    let at = |height: u32| move |standing: &ChainStanding| standing.raw.is_some_and(|(own, _)| own >= height);
    woken_by("zmq").await;
    wait_for(&chain, at(5)).await;
    world.node.order("mine=1").unwrap();
    wait_for(&chain, at(6)).await;
    // The node ends, and with it what it publishes.
    assert!(world.tasks.close(Duration::from_secs(10)).await.is_empty());
    woken_by("polling").await;
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_at_which_nobody_publishes_leaves_asking() {
    let generated = NodeSource::Generated { blocks: 5, first_time: Some(node::FIRST_TIME) };
    let settings = node::NodeSettings { source: generated, ..node::NodeSettings::default() };
    let world = World { published: Some("tcp://127.0.0.1:1".to_owned()), ..World::start(settings).await };
    let (chain, tasks) = world.follow(0, None);
    wait_for(&chain, |standing| standing.is_caught_up).await;
    world.node.order("mine=1").unwrap();
    wait_for(&chain, |standing| standing.raw.is_some_and(|(height, _)| height == 6)).await;
    assert_eq!(chain.node.state().woken_by, Some("polling"));
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_is_committed_and_numbered_without_a_hole() {
    let world = World::recorded().await;
    let (chain, tasks) = world.follow(0, Some(334));
    let (mut last, mut kinds) = (0, std::collections::BTreeSet::new());
    while kinds.len() < 4 {
        let batch = chain.board.news_after(last).await;
        assert_eq!(batch.missed_count, 0);
        for item in batch.items {
            assert_eq!(item.sequence, last + 1);
            last = item.sequence;
            kinds.insert(match item.news {
                ChainNews::RawBlockReady { height, .. } => {
                    assert!(world.facts().len() > height as usize, "told before it stands in the table");
                    "raw"
                }
                ChainNews::PrimitiveReady { through, .. } => {
                    let newest =
                        tables::buckets_of(&world.memory.rows(TableName::BtcBuckets)).last().copied();
                    assert!(newest >= Some(through), "{newest:?} {through:?}");
                    "primitive"
                }
                ChainNews::PriceReady { .. } => "price",
                ChainNews::MetricsReady { .. } => "metrics",
                ChainNews::Reorganised { .. } => panic!("nothing forked"),
            });
        }
    }
    wait_for(&chain, |standing| standing.metrics_bucket.is_some()).await;
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_that_fail_hold_back_no_block_and_give_no_sign_of_life() {
    let world = World::recorded().await;
    world.memory.break_table(TableName::ComposedPrices);
    let (chain, tasks) = world.follow(0, Some(334));
    wait_for(&chain, |standing| standing.is_caught_up && standing.underived.is_some()).await;
    let standing = chain.board.standing();
    let (failures, reason) = standing.underived.unwrap();
    assert!(failures >= 1 && reason.contains("the table is broken"), "{failures} {reason}");
    assert!(!standing.is_derived);
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
    assert_eq!(world.facts().len(), 335);
    let checkpoints = world.doors().control.checkpoints().unwrap();
    let named = |name: &str| checkpoints.iter().find(|checkpoint| checkpoint.key.component == name);
    let composer = named(components::COMPOSER).unwrap();
    assert_eq!(composer.status, "error");
    assert!(composer.error_message.as_deref().unwrap().contains("the table is broken"));
    for worker in [components::LISTENER, components::PRIMITIVE, components::NETWORK] {
        assert_eq!(named(worker).unwrap().key.interval, "heartbeat");
    }
    // With nothing else remembered, the composer's own sign is seen to be missing.
    let other = tempfile::tempdir().unwrap();
    let doors = doors(&world.memory, other.path());
    let kept = Prices::new(doors.clone()).keep(&Board::default(), &Beats::new(&doors)).await;
    assert!(kept.is_err());
    assert_eq!(doors.control.checkpoints().unwrap(), []);
}

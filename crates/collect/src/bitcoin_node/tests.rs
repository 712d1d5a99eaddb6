//! The feed against a simulated node: every way to the same blocks, turns of the chain, and every trouble a node has.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{BlockHash, BlockSums, Network};
use runtime::{SystemClock, Tasks};
use simulate::node::{self, Node, NodeSource};

use super::*;

mod wrong_files;

/// A simulated node, and what asks it.
struct World {
    node: Node,
    client: Arc<NodeClient>,
    tasks: Tasks,
}

fn folder() -> PathBuf {
    PathBuf::from(format!(
        "{}/../chain/fixtures/regtest",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    ))
}

fn recorded(arrived: Option<usize>) -> node::NodeSettings {
    let source = NodeSource::Folder { path: folder(), arrived };
    node::NodeSettings { source, ..node::NodeSettings::default() }
}

fn generated(blocks: u32) -> node::NodeSettings {
    let source = NodeSource::Generated { blocks, first_time: Some(node::FIRST_TIME) };
    node::NodeSettings { source, transactions_per_block: 3, ..node::NodeSettings::default() }
}

impl World {
    async fn start(settings: node::NodeSettings, change: impl FnOnce(&mut NodeSettings)) -> Self {
        // Another test may have been first.
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let tasks = Tasks::new();
        let blocks_folder = settings.blocks_folder.clone();
        let node = node::start(settings, SystemClock::shared(), &tasks).await.unwrap();
        let mut own = NodeSettings {
            network: Network::Regtest,
            url: node.address(),
            access: Access::cookie(node.cookie_path()),
            rest: RestUse::WhereItIs,
            blocks_folder,
            published: None,
            bounds: NodeBounds::default(),
        };
        own.bounds.retry = (Duration::from_millis(5), Duration::from_millis(40));
        own.bounds.batch_hashes = 50;
        change(&mut own);
        let client = Arc::new(NodeClient::new(own, SystemClock::shared()).unwrap());
        Self { node, client, tasks }
    }

    fn follow(&self, start: FeedStart) -> BlockFeed {
        self.follow_stored(Arc::new(chain::HeaderIndex::new()), start)
    }

    fn follow_stored(&self, stored: Arc<dyn Followed>, start: FeedStart) -> BlockFeed {
        let wake = Arc::new(LongPoll(Arc::clone(&self.client)));
        follow(Arc::clone(&self.client), stored, wake, start, &self.tasks)
    }

    fn order(&self, words: &str) {
        self.node.order(words).unwrap();
    }

    /// Waits until the client says this word of the node.
    async fn wait_word(&self, word: NodeWord) {
        for _ in 0..1_000 {
            if self.client.state().word == word {
                return;
            }
            runtime::sleep(Duration::from_millis(5)).await;
        }
        panic!("{word:?} does not come; it is {:?}", self.client.state());
    }
}

async fn next(feed: &mut BlockFeed) -> FeedItem {
    let item = runtime::clock::within(Duration::from_secs(20), feed.next()).await;
    item.expect("an item comes in time").expect("the feed goes on")
}

async fn next_block(feed: &mut BlockFeed) -> FetchedBlock {
    match next(feed).await {
        FeedItem::Block(block) => *block,
        other => panic!("{other:?} came instead of a block"),
    }
}

/// All blocks up to a height, each following the one before.
async fn take_to(feed: &mut BlockFeed, height: u32) -> Vec<FetchedBlock> {
    let mut blocks: Vec<FetchedBlock> = Vec::new();
    while blocks.last().is_none_or(|block| block.height < height) {
        let block = next_block(feed).await;
        if let Some(last) = blocks.last() {
            assert_eq!((block.height, block.previous), (last.height + 1, last.hash));
        }
        blocks.push(block);
    }
    blocks
}

fn sums_of(blocks: &[FetchedBlock]) -> Vec<BlockSums> {
    blocks.iter().map(|block| chain::sums(&block.bytes, block.spent.view()).unwrap()).collect()
}

fn without_heights(sums: &[BlockSums]) -> Vec<BlockSums> {
    sums.iter().map(|sums| BlockSums { spent: None, ..sums.clone() }).collect()
}

#[tokio::test]
async fn rest_verbose_answers_and_files_bring_the_same_blocks() {
    let files = tempfile::tempdir().unwrap();
    let settings = node::NodeSettings {
        blocks_folder: Some(files.path().to_owned()),
        block_file_bytes_max: 250_000,
        ..recorded(None)
    };
    let world = World::start(settings, |own| own.blocks_folder = None).await;
    let whole = FeedStart { until_height: Some(334), ..FeedStart::default() };
    let mut feed = world.follow(whole);
    let by_rest = take_to(&mut feed, 334).await;
    assert_eq!((next(&mut feed).await, feed.next().await), (FeedItem::Done, None));
    assert_eq!(world.client.state().spent_by, Some("spenttxouts"));
    assert_eq!(by_rest[0].hash, chain::network::genesis(Network::Regtest).hash);
    assert_eq!(by_rest[334].hash, world.node.tip_and_height().0);

    world.order("spent=off");
    let older = Arc::new(NodeClient::new(world.client.settings().clone(), SystemClock::shared()).unwrap());
    let older = World { client: older, node: world.node.clone(), tasks: world.tasks.clone() };
    let by_verbose = take_to(&mut older.follow(whole), 334).await;
    assert_eq!(older.client.state().spent_by, Some("getblock 3"));

    let mut without_rest = world.client.settings().clone();
    without_rest.rest = RestUse::Never;
    let client = Arc::new(NodeClient::new(without_rest, SystemClock::shared()).unwrap());
    let without_rest = World { client, node: world.node.clone(), tasks: world.tasks.clone() };
    let by_rpc = take_to(&mut without_rest.follow(whole), 334).await;

    let mut with_files = world.client.settings().clone();
    with_files.blocks_folder = Some(files.path().to_owned());
    with_files.bounds.files_lag_min = 0;
    let client = Arc::new(NodeClient::new(with_files, SystemClock::shared()).unwrap());
    let with_files = World { client, node: world.node.clone(), tasks: world.tasks.clone() };
    let by_files = take_to(&mut with_files.follow(whole), 334).await;
    assert_eq!(with_files.client.state().spent_by, Some("files"));
    assert!(by_files.iter().all(|block| block.place.is_some()));

    // At the tip blocks come over REST, and their place is looked for beside.
    let mut beside = world.client.settings().clone();
    beside.blocks_folder = Some(files.path().to_owned());
    beside.bounds.files_lag_min = u32::MAX;
    let client = Arc::new(NodeClient::new(beside, SystemClock::shared()).unwrap());
    let beside = World { client, node: world.node.clone(), tasks: world.tasks.clone() };
    let by_both = take_to(&mut beside.follow(whole), 334).await;
    assert_eq!(beside.client.state().spent_by, Some("getblock 3"));
    let places = |blocks: &[FetchedBlock]| blocks.iter().map(|block| block.place).collect::<Vec<_>>();
    assert_eq!(places(&by_both), places(&by_files));
    for block in &by_both {
        let ((name, offset), undo) = block.place.unwrap().named();
        assert_eq!(undo.is_some(), block.height > 0, "{}", block.height);
        let read = |hash| read_block(files.path(), Network::Regtest, (&name, offset), hash);
        assert_eq!(read(&block.hash), Ok(block.bytes.clone()));
        let told = read(&BlockHash([9; 32])).unwrap_err();
        assert!(told.contains("the bytes are those of") && told.contains("blk0"), "{told}");
    }

    let bytes = |blocks: &[FetchedBlock]| blocks.iter().map(|block| block.bytes.clone()).collect::<Vec<_>>();
    for other in [&by_verbose, &by_rpc, &by_files] {
        assert_eq!(bytes(other), bytes(&by_rest));
    }
    let with_heights = sums_of(&by_files);
    assert_eq!(sums_of(&by_verbose), with_heights);
    assert_eq!(sums_of(&by_rpc), with_heights);
    assert_eq!(without_heights(&sums_of(&by_rest)), without_heights(&with_heights));
}

#[tokio::test]
async fn what_the_files_do_not_have_is_asked_of_the_node() {
    let files = tempfile::tempdir().unwrap();
    let settings = node::NodeSettings { blocks_folder: Some(files.path().to_owned()), ..recorded(None) };
    let world = World::start(settings, |own| own.bounds.files_lag_min = 0).await;
    // Undo records that are scratched belong to no block any more.
    let undo_path = files.path().join("rev00000.dat");
    let mut undo = std::fs::read(&undo_path).unwrap();
    undo[30_000..].fill(0);
    std::fs::write(&undo_path, undo).unwrap();
    let blocks = take_to(&mut world.follow(FeedStart::default()), 334).await;
    let from_files = blocks.iter().filter(|block| block.spent.form == chain::SpentForm::Undo).count();
    assert!((100..300).contains(&from_files), "{from_files}");
    assert_eq!(sums_of(&blocks).len(), 335);

    let mut elsewhere = world.client.settings().clone();
    elsewhere.blocks_folder = Some(files.path().join("nowhere"));
    let client = Arc::new(NodeClient::new(elsewhere, SystemClock::shared()).unwrap());
    let elsewhere = World { client, node: world.node.clone(), tasks: world.tasks.clone() };
    let asked = take_to(&mut elsewhere.follow(FeedStart::default()), 30).await;
    assert!(asked.iter().all(|block| block.place.is_none()));
}

#[tokio::test]
async fn a_block_at_the_tip_is_found_in_the_files_that_grow() {
    let files = tempfile::tempdir().unwrap();
    let settings = node::NodeSettings {
        blocks_folder: Some(files.path().to_owned()),
        block_file_bytes_max: 1_500,
        ..generated(3)
    };
    let world = World::start(settings, |_| {}).await;
    let mut feed = world.follow(FeedStart::default());
    take_to(&mut feed, 3).await;
    for number in 0..30 {
        world.order("mine=1");
        let block = next_block(&mut feed).await;
        let place = block.place.unwrap_or_else(|| panic!("block {} was not found", block.height));
        let ((name, offset), _) = place.named();
        let read = read_block(files.path(), Network::Regtest, (&name, offset), &block.hash);
        assert_eq!(read, Ok(block.bytes), "{number}");
        assert!(place.undo.is_some());
    }
    assert!(files.path().join("blk00002.dat").exists());
    // What is no block any more says so.
    let block = {
        world.order("mine=1");
        next_block(&mut feed).await
    };
    let ((name, offset), _) = block.place.unwrap().named();
    std::fs::write(files.path().join(&name), [0; 100]).unwrap();
    let told = read_block(files.path(), Network::Regtest, (&name, offset), &block.hash).unwrap_err();
    assert!(told.contains("no block begins there") && told.contains("ask the node"), "{told}");
    std::fs::remove_file(files.path().join(&name)).unwrap();
    let told = read_block(files.path(), Network::Regtest, (&name, offset), &block.hash).unwrap_err();
    assert!(told.contains(&name) && told.contains("let go of it"), "{told}");
}

#[tokio::test]
async fn a_turn_three_blocks_deep_goes_back_to_the_fork_and_on() {
    // All of the branch that loses has come, and nothing of the one that wins.
    let world = World::start(recorded(Some(319)), |_| {}).await;
    let mut feed = world.follow(FeedStart::default());
    let first = take_to(&mut feed, 317).await;
    assert!(first[317].hash.to_string().starts_with("71123d3c835ca83a"));
    world.node.feed(usize::MAX).unwrap();
    assert_eq!(next(&mut feed).await, FeedItem::Rewound { fork_height: Some(314) });
    let then = take_to(&mut feed, 334).await;
    assert_eq!((then[0].height, then[0].previous), (315, first[314].hash));
    assert_eq!(then.last().unwrap().hash, world.node.tip_and_height().0);
}

#[tokio::test]
async fn a_turn_while_nobody_followed_is_found_by_what_is_stored() {
    let world = World::start(recorded(Some(319)), |_| {}).await;
    let mut index = chain::HeaderIndex::new();
    for block in take_to(&mut world.follow(FeedStart::default()), 317).await {
        index.extend(chain::header(&block.bytes[..80]).unwrap()).unwrap();
    }
    world.node.feed(usize::MAX).unwrap();
    let tip = index.tip().map(|tip| Tip { height: tip.height, hash: tip.hash });
    let mut feed = world.follow_stored(Arc::new(index), FeedStart { tip, ..FeedStart::default() });
    assert_eq!(next(&mut feed).await, FeedItem::Rewound { fork_height: Some(314) });
    assert_eq!(next_block(&mut feed).await.height, 315);
}

#[tokio::test]
async fn a_last_block_that_is_replaced_by_another_of_its_height_is_noticed() {
    let world = World::start(generated(12), |_| {}).await;
    let mut feed = world.follow(FeedStart::default());
    let first = take_to(&mut feed, 12).await;
    world.order("replace");
    assert_eq!(next(&mut feed).await, FeedItem::Rewound { fork_height: Some(11) });
    let other = next_block(&mut feed).await;
    assert_eq!((other.height, other.previous), (12, first[11].hash));
    assert_ne!(other.hash, first[12].hash);
    world.order("mine=2");
    take_to(&mut feed, 14).await;
}

#[tokio::test]
async fn another_chain_altogether_shares_not_even_the_first_stored_block() {
    let world = World::start(generated(5), |_| {}).await;
    let tip = Some(Tip { height: 3, hash: BlockHash([7; 32]) });
    let mut feed = world.follow(FeedStart { tip, ..FeedStart::default() });
    assert_eq!(next(&mut feed).await, FeedItem::Rewound { fork_height: None });
    assert_eq!(next_block(&mut feed).await.height, 0);
}

#[tokio::test]
async fn a_node_that_lags_behind_us_is_waited_for_and_nothing_is_taken_back() {
    let ahead = World::start(generated(20), |_| {}).await;
    let mut index = chain::HeaderIndex::new();
    for block in take_to(&mut ahead.follow(FeedStart::default()), 20).await {
        index.extend(chain::header(&block.bytes[..80]).unwrap()).unwrap();
    }
    // The same chain, of which not all has come to the other node yet.
    let behind = World::start(generated(15), |own| own.bounds.wake_max = Duration::from_millis(50)).await;
    assert_eq!(behind.node.tip_and_height().0, index.hash_at(15).unwrap());
    let tip = index.tip().map(|tip| Tip { height: tip.height, hash: tip.hash });
    let mut feed = behind.follow_stored(Arc::new(index), FeedStart { tip, ..FeedStart::default() });
    behind.wait_word(NodeWord::Connected).await;
    let asked = |world: &World| world.node.told()["asked"]["rpc"].as_u64().unwrap();
    let before = asked(&behind);
    while asked(&behind) < before + 20 {
        runtime::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(feed.try_next(), None);
}

#[tokio::test]
async fn a_node_that_starts_or_is_crowded_is_waited_for() {
    let world = World::start(generated(30), |_| {}).await;
    world.order("warm");
    let mut feed = world.follow(FeedStart::default());
    world.wait_word(NodeWord::WarmingUp).await;
    assert!(world.client.state().message.unwrap().contains("the node is starting"));
    world.order("none, busy=7");
    take_to(&mut feed, 30).await;
    assert_eq!(world.client.state().word, NodeWord::Connected);
}

#[tokio::test]
async fn a_node_that_goes_away_and_comes_back_is_followed_on() {
    let world = World::start(generated(8), |_| {}).await;
    let mut feed = world.follow(FeedStart::default());
    take_to(&mut feed, 8).await;
    world.order("gone");
    world.wait_word(NodeWord::Unreachable).await;
    world.order("mine=2, none");
    take_to(&mut feed, 10).await;
}

#[tokio::test]
async fn a_node_that_takes_questions_and_does_not_answer_is_given_up_in_time() {
    let world = World::start(generated(3), |own| own.bounds.answer_max = Duration::from_millis(300)).await;
    world.order("hang");
    let error = world.client.info().await.unwrap_err();
    assert!(matches!(&error, NodeError::Unreachable(words) if words.contains("no answer within")), "{error}");
    world.order("none");
    assert_eq!(world.client.info().await.unwrap().blocks, 3);
}

#[tokio::test]
async fn a_new_cookie_is_read_and_a_wrong_password_says_what_to_do() {
    let world = World::start(generated(3), |_| {}).await;
    assert_eq!(world.client.info().await.unwrap().blocks, 3);
    world.order("rotate");
    assert_eq!(world.client.info().await.unwrap().blocks, 3);

    let stranger = World::start(generated(3), |own| own.access = Access::user("house", "secret-words")).await;
    let mut feed = stranger.follow(FeedStart::default());
    let FeedItem::Stuck(error) = next(&mut feed).await else { panic!("a stranger was let in") };
    assert!(matches!(error, NodeError::Unauthorised(_)));
    let shown = format!("{error} {error:?} {:?} {:?}", stranger.client.settings(), stranger.client.state());
    assert!(shown.contains("the user \"house\"") && !shown.contains("secret"), "{shown}");
}

#[tokio::test]
async fn a_node_of_another_network_is_refused_until_it_is_the_right_one() {
    let world = World::start(generated(4), |_| {}).await;
    world.order("network=main");
    let mut feed = world.follow(FeedStart::default());
    let FeedItem::Stuck(error) = next(&mut feed).await else { panic!("another network was taken") };
    assert_eq!(error, NodeError::WrongNetwork { wanted: Network::Regtest, found: "main".into() });
    assert_eq!(world.client.state().word, NodeWord::WrongNetwork);
    world.order("none");
    take_to(&mut feed, 4).await;
}

#[tokio::test]
async fn blocks_that_were_let_go_of_are_named_with_what_helps() {
    for rest in [RestUse::WhereItIs, RestUse::Never] {
        let world = World::start(generated(40), |own| own.rest = rest).await;
        world.order("prune=25");
        let mut feed = world.follow(FeedStart { from_height: 3, ..FeedStart::default() });
        let FeedItem::Stuck(error) = next(&mut feed).await else { panic!("a block that is gone came") };
        assert_eq!(error, NodeError::Pruned { height: 3, prune_height: Some(25) });
        assert!(error.to_string().contains("-reindex"), "{error}");
        let mut later = world.follow(FeedStart { from_height: 25, ..FeedStart::default() });
        take_to(&mut later, 40).await;
    }
}

#[tokio::test]
async fn a_connection_that_the_node_closed_meanwhile_costs_nothing() {
    let world = World::start(generated(3), |_| {}).await;
    world.order("idle=30ms");
    for _ in 0..4 {
        assert_eq!(world.client.info().await.unwrap().blocks, 3);
        runtime::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!(world.client.state().word, NodeWord::Connected);
}

#[tokio::test]
async fn questions_about_headers_and_heights_are_answered() {
    let world = World::start(recorded(None), |_| {}).await;
    let client = &world.client;
    let info = client.info().await.unwrap();
    assert_eq!((info.blocks, info.network, info.is_pruned), (334, Network::Regtest, false));
    assert_eq!(info.best_hash, world.node.tip_and_height().0);
    let hashes = client.hashes(300..400).await.unwrap();
    assert_eq!((hashes.len(), hashes[34]), (35, info.best_hash));
    assert_eq!(client.hash_at(335).await.unwrap(), None);
    let stale = "71123d3c835ca83ad4f973bcd0ec1722783fbc5656bec46c984d0da3cdba7851".parse().unwrap();
    let header = client.header(&stale).await.unwrap().unwrap();
    assert_eq!((header.height, header.confirmations, header.median_time), (317, -1, 1_600_431_086));
    assert_eq!(client.header(&BlockHash([9; 32])).await.unwrap(), None);
    let places = client.places_through(&info.best_hash, 335).await.unwrap();
    let mut index = chain::HeaderIndex::new();
    for place in &places {
        assert_eq!(index.extend(place.header).unwrap(), *place);
    }
    assert_eq!(client.places_through(&info.best_hash, 11).await.unwrap(), places[324..]);
    assert_eq!(client.places_through(&hashes[0], 500).await.unwrap().len(), 301);
    let tip = client.wait_for_tip(&stale, Duration::from_secs(5)).await.unwrap();
    assert_eq!((tip.height, tip.hash), (334, info.best_hash));
    let error = client.block(5, &BlockHash([9; 32])).await.unwrap_err();
    assert!(matches!(error, NodeError::Missing(_)), "{error}");
}

#[tokio::test]
async fn a_feed_that_nobody_listens_to_ends_and_waits_while_its_queue_is_full() {
    let world = World::start(generated(60), |own| own.bounds.queue_blocks = 2).await;
    let feed = world.follow(FeedStart::default());
    world.wait_word(NodeWord::Connected).await;
    drop(feed);
    let waiting = world.follow(FeedStart::default());
    assert!(world.tasks.close(Duration::from_secs(10)).await.is_empty());
    drop(waiting);
}

/// Sleeps, and wakes nobody before its time.
struct Asleep;

impl Wake for Asleep {
    fn wait<'a>(
        &'a self,
        _: &'a BlockHash,
        _: Duration,
    ) -> futures::future::BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn a_published_block_wakes_without_a_question() {
    let settings = node::NodeSettings { publishes: true, ..generated(5) };
    let world = World::start(settings, |own| own.bounds.wake_max = Duration::from_mins(10)).await;
    let address = world.node.zmq_address().unwrap();
    for wrong in
        ["http://127.0.0.1:1", "tcp://127.0.0.1", "tcp://:28332", "tcp://127.0.0.1:port", "tcp://127.0.0.1:0"]
    {
        let Err(error) = Heard::start(&world.client, wrong, Arc::new(Asleep), &world.tasks) else {
            panic!("{wrong} was taken")
        };
        assert!(error.to_string().contains("write tcp://host:port"), "{error}");
    }
    let wake = Arc::new(Heard::start(&world.client, &address, Arc::new(Asleep), &world.tasks).unwrap());
    let stored = Arc::new(chain::HeaderIndex::new());
    let mut feed = follow(Arc::clone(&world.client), stored, wake, FeedStart::default(), &world.tasks);
    take_to(&mut feed, 5).await;
    // The node may not know yet what is wished for, and then publishes it to nobody.
    let mut first = None;
    while first.is_none() {
        world.order("mine=1");
        first = runtime::clock::within(Duration::from_millis(300), feed.next()).await;
    }
    let tip = |world: &World| world.node.tip_and_height().1;
    if tip(&world) > 6 {
        take_to(&mut feed, tip(&world)).await;
    }
    for _ in 0..4 {
        world.order("mine=1");
        assert_eq!(next_block(&mut feed).await.height, tip(&world));
    }
    let fork_height = Some(tip(&world) - 2);
    world.order("reorg=2:3");
    assert_eq!(next(&mut feed).await, FeedItem::Rewound { fork_height });
    take_to(&mut feed, tip(&world)).await;
}

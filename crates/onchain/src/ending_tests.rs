//! Following through a height: it ends only when everything that follows blocks is there, and on the node's chain.

use std::time::Duration;

use model::Network;
use simulate::node::{self, NodeSource};
use tables::{ChainNews, TableName};

use control::{CheckpointKey, Reached};

use crate::follow_tests::{World, wait_for};
use crate::{components, drift, forget};

/// A generated chain that ends about now.
async fn young(blocks: u32) -> World {
    let source = NodeSource::Generated { blocks, first_time: None };
    World::start(node::NodeSettings { source, ..node::NodeSettings::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn coins_that_were_switched_on_later_are_there_at_the_end() {
    let mut world = World::recorded().await;
    world.sync(0, 334).await;
    world.has_coins = true;
    let (chain, tasks) = world.follow(0, Some(334));
    wait_for(&chain, |standing| standing.is_finished).await;
    let standing = chain.board.standing();
    assert_eq!(
        (standing.coins_height, standing.is_gathering, standing.coins_trouble),
        (Some(334), false, None)
    );
    assert!(standing.is_derived);
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_was_replaced_at_its_height_is_seen_before_the_end() {
    let world = young(40).await;
    world.sync(0, 40).await;
    world.node.order("reorg=1:1").unwrap();
    let (chain, tasks) = world.follow(0, Some(40));
    wait_for(&chain, |standing| standing.is_finished).await;
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
    let last = world.facts().last().unwrap().place;
    assert_eq!((last.header.hash, last.height), world.node.tip_and_height());
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_either_branch_and_no_shorter_chain() {
    let world = young(40).await;
    let (chain, tasks) = world.follow(0, None);
    wait_for(&chain, |standing| standing.raw.is_some_and(|(height, _)| height == 40)).await;
    wait_for(&chain, |standing| standing.is_caught_up && standing.is_derived).await;
    let mut last = chain.board.news_newest();
    world.node.order("reorg=3:4").unwrap();
    let (mut after, mut is_turned) = (None, false);
    while after.is_none() {
        let batch = chain.board.news_after(last).await;
        for item in batch.items {
            last = item.sequence;
            match item.news {
                ChainNews::Reorganised { fork_height, blocks } => {
                    assert_eq!((fork_height, blocks), (37, 3));
                    is_turned = true;
                }
                ChainNews::RawBlockReady { height, .. } if is_turned => after = Some(height),
                _ => {}
            }
        }
    }
    assert!(after > Some(37), "told of the fork alone: {after:?}");
    wait_for(&chain, |standing| standing.raw.is_some_and(|(height, _)| height == 41)).await;
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
    let facts = world.facts();
    let heights: Vec<u32> = facts.iter().map(|facts| facts.place.height).collect();
    assert_eq!(heights, (0..=41).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_earlier_than_it_did_is_followed_back() {
    let world = young(40).await;
    let (chain, tasks) = world.follow(0, None);
    wait_for(&chain, |standing| standing.is_caught_up && standing.is_derived).await;
    let before = tables::buckets_of(&world.memory.rows(TableName::BtcBuckets)).len();
    // Buckets that time brought stay, whatever a late header says.
    let now = u32::try_from(chain.board.standing().primitive_bucket.unwrap().0 / 1_000_000).unwrap();
    world.node.order(&format!("mine=1@{}", now - 60)).unwrap();
    wait_for(&chain, |standing| standing.raw.is_some_and(|(height, _)| height == 41)).await;
    let after = tables::buckets_of(&world.memory.rows(TableName::BtcBuckets)).len();
    assert!(after >= before, "{after} of {before} buckets");
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_begun_at_a_height_turns_above_it() {
    let world = young(60).await;
    world.sync(50, 60).await;
    world.node.order("reorg=5:6").unwrap();
    let client = world.client();
    let found = drift(&world.doors(), Network::Regtest, &client).await.unwrap();
    assert_eq!((found.shared_height, found.blocks_astray), (Some(55), 5));
    let (chain, tasks) = world.follow(50, Some(61));
    wait_for(&chain, |standing| standing.is_finished).await;
    assert!(tasks.close(Duration::from_secs(10)).await.is_empty());
    let heights: Vec<u32> = world.facts().iter().map(|facts| facts.place.height).collect();
    assert_eq!(heights, (50..=61).collect::<Vec<_>>());
    assert_eq!(world.facts().last().unwrap().place.header.hash, world.node.tip_and_height().0);
    assert!(drift(&world.doors(), Network::Regtest, &client).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_let_go_of_was_still_said_to_be_there() {
    let world = World::recorded().await;
    world.sync(0, 60).await;
    let (doors, client) = (world.doors(), world.client());
    let heights = || -> Vec<Option<u32>> {
        let checkpoints = doors.control.checkpoints().unwrap();
        let own = checkpoints.iter().filter(|one| one.key.interval != "heartbeat");
        own.map(|one| one.reached.height).collect()
    };
    assert!(heights().contains(&Some(60)));
    forget(&doors).await.unwrap();
    assert!(heights().iter().all(Option::is_none), "{:?}", heights());
    assert!(drift(&doors, Network::Regtest, &client).await.unwrap().is_none());
    // A checkpoint that says more than the tables have would be believed by all who read it.
    let key = CheckpointKey::btc(components::RAW, "block");
    let reached = Reached { height: Some(60), ..Reached::default() };
    doors.control.checkpoint_reached(&key, &reached, doors.clock.time()).unwrap();
    let found = drift(&doors, Network::Regtest, &client).await.unwrap();
    assert_eq!(found.checkpoints_ahead, ["btc_raw_block_ingestion says block 60"]);
    assert!(!found.is_none());
}

//! Files of a node in which something else stands than the node would answer: it is asked instead.

use std::path::Path;

use chain::hash::sha256d;
use chain::network::magic;
use chain::{Key, SpentForm};
use tempfile::TempDir;

use super::*;

/// Coins may be spent from here on, so that the last blocks have several transactions.
const LAST: u32 = 120;

/// A node, a client that reads its files from the first block on, and the folder.
async fn with_files() -> (World, TempDir) {
    let files = tempfile::tempdir().unwrap();
    let settings = node::NodeSettings {
        blocks_folder: Some(files.path().to_owned()),
        transactions_per_block: 1,
        ..generated(LAST)
    };
    let world = World::start(settings, |own| own.bounds.files_lag_min = 0).await;
    (world, files)
}

/// The blocks as the node gives them.
async fn asked(world: &World) -> Vec<FetchedBlock> {
    let own = NodeSettings { blocks_folder: None, ..world.client.settings().clone() };
    let client = Arc::new(NodeClient::new(own, SystemClock::shared()).unwrap());
    let world = World { client, node: world.node.clone(), tasks: world.tasks.clone() };
    take_to(&mut world.follow(FeedStart::default()), world.node.tip_and_height().1).await
}

/// The blocks as a feed brings them that has the files.
async fn followed(world: &World) -> Vec<FetchedBlock> {
    take_to(&mut world.follow(FeedStart::default()), world.node.tip_and_height().1).await
}

/// Changes a file as it is without its mask.
fn change(folder: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let key = Key::of_file(&std::fs::read(folder.join("xor.dat")).unwrap()).unwrap();
    let mut bytes = std::fs::read(folder.join(name)).unwrap();
    key.unmask(&mut bytes, 0);
    change(&mut bytes);
    key.unmask(&mut bytes, 0);
    std::fs::write(folder.join(name), bytes).unwrap();
}

fn tx_count(block: &FetchedBlock) -> usize {
    chain::Block::read(&block.bytes).unwrap().tx_count
}

fn same(blocks: &[FetchedBlock], asked: &[FetchedBlock]) {
    for (block, asked) in blocks.iter().zip(asked) {
        assert_eq!((block.height, &block.bytes), (asked.height, &asked.bytes));
    }
    assert_eq!(without_heights(&sums_of(blocks)), without_heights(&sums_of(asked)));
}

#[tokio::test]
async fn what_a_stale_sibling_spent_is_not_given_with_the_active_block() {
    let (world, _files) = with_files().await;
    let mut tx_counts = Vec::new();
    loop {
        let block = world.client.block(LAST, &world.node.tip_and_height().0).await.unwrap();
        let tx_count = tx_count(&block);
        if tx_count > 1 && tx_counts.contains(&tx_count) {
            break;
        }
        tx_counts.push(tx_count);
        world.order("replace");
    }
    world.order("mine=2");
    let (blocks, asked) = (followed(&world).await, asked(&world).await);
    same(&blocks, &asked);
    // Beside the one lies another with as many transactions; those before are alone.
    assert!(blocks[..LAST as usize].iter().all(|block| block.spent.form == SpentForm::Undo));
    assert_eq!(blocks[LAST as usize].spent.form, SpentForm::Rest);
    // Where it lies is found, where its record lies is not told.
    let place = world.client.settings().blocks_folder.clone().unwrap();
    let mut newest = super::super::places::NewestFiles::open(&place, Network::Regtest).unwrap();
    for block in &blocks {
        let place = newest.find(&block.hash).unwrap().unwrap();
        assert_eq!(place.undo.is_some(), ![0, LAST].contains(&block.height), "{}", block.height);
    }
}

#[tokio::test]
async fn a_block_that_does_not_fit_what_the_files_say_it_spends_is_asked_of_the_node() {
    let (world, files) = with_files().await;
    let asked = asked(&world).await;
    let (block, tx_count) =
        asked.iter().map(|block| (block, tx_count(block))).rfind(|(_, tx_count)| *tx_count > 1).unwrap();
    // A record with the right number of lists and the right sum, in which nothing is spent.
    let undo = [&[tx_count as u8 - 1][..], &vec![0; tx_count - 1]].concat();
    let sum = sha256d(&[&block.previous.0, &undo]).0;
    let record = [&magic(Network::Regtest)[..], &(undo.len() as u32).to_le_bytes(), &undo, &sum].concat();
    change(files.path(), "rev00000.dat", |bytes| {
        bytes.fill(0);
        bytes[..record.len()].copy_from_slice(&record);
    });
    same(&followed(&world).await, &asked);
}

#[tokio::test]
async fn an_amount_that_flipped_on_the_nodes_disk_is_asked_of_the_node() {
    let (world, files) = with_files().await;
    let asked = asked(&world).await;
    let flipped = &asked[LAST as usize / 2];
    let coinbase = chain::Block::read(&flipped.bytes).unwrap().next().unwrap().unwrap();
    let amount = coinbase.created().next().unwrap().sat.to_le_bytes();
    change(files.path(), "blk00000.dat", |bytes| {
        let block = bytes.windows(flipped.bytes.len()).position(|some| some == flipped.bytes).unwrap();
        let found = flipped.bytes.windows(8).position(|some| some == amount).unwrap();
        bytes[block + found] ^= 1;
    });
    let blocks = followed(&world).await;
    same(&blocks, &asked);
    assert_eq!(blocks[LAST as usize / 2].spent.form, SpentForm::Rest);
    assert_eq!(blocks[LAST as usize / 2 - 1].spent.form, SpentForm::Undo);
}

//! A node that is started again over the blocks that it left.

use std::os::unix::fs::FileExt;

use serde_json::json;
use simulate::node::{NodeSettings, NodeSource};

use super::{Client, generated};

/// What the clock of these tests shows.
const NOW: u32 = 1_723_075_200;
const BLOCKS: u32 = 150;

/// A chain whose last block is some hours old.
fn settings(folder: &tempfile::TempDir, goes_on: bool) -> NodeSettings {
    let source = NodeSource::Generated { blocks: BLOCKS, first_time: Some(NOW - 2 * BLOCKS * 600) };
    NodeSettings { source, blocks_folder: Some(folder.path().to_owned()), goes_on, ..generated(0) }
}

async fn hash_at(client: &Client, height: u32) -> String {
    client.text("getblockhash", json!([height])).await
}

#[tokio::test]
async fn it_goes_on_from_its_blocks_up_to_now() {
    let folder = tempfile::tempdir().unwrap();
    let first = Client::start(settings(&folder, true)).await;
    let (tip, height) = first.node.tip_and_height();
    assert_eq!(height, BLOCKS);
    let second = Client::start(settings(&folder, true)).await;
    assert_eq!(hash_at(&second, BLOCKS).await, hash_at(&first, BLOCKS).await);
    let (_, later) = second.node.tip_and_height();
    assert!(later > BLOCKS + 20, "{later}");
    let hash = second.call("getblockhash", json!([later])).await;
    let time = second.call("getblockheader", json!([hash])).await["time"].as_u64().unwrap();
    assert!((u64::from(NOW) - 1_300..=u64::from(NOW)).contains(&time), "{time}");
    // Nothing is over since: nothing comes, and what was written is as before.
    let third = Client::start(settings(&folder, true)).await;
    let (again, at) = third.node.tip_and_height();
    assert!(at == later || at == later + 1, "{at} {later}");
    assert_eq!(hash_at(&third, later).await, hash_at(&second, later).await);
    assert_ne!(again, tip);
    // Unless asked for, blocks of an earlier node are none of ours.
    let other = Client::start(NodeSettings { seed: 9, ..settings(&folder, false) }).await;
    assert_eq!(other.node.tip_and_height().1, BLOCKS);
    assert_ne!(hash_at(&other, BLOCKS).await, hash_at(&first, BLOCKS).await);
}

#[tokio::test]
async fn a_block_that_was_half_written_never_came() {
    let folder = tempfile::tempdir().unwrap();
    let first = Client::start(settings(&folder, true)).await;
    let path = folder.path().join("blk00000.dat");
    let bytes = std::fs::read(&path).unwrap();
    let key: [u8; 8] = std::fs::read(folder.path().join("xor.dat")).unwrap().try_into().unwrap();
    let plain: Vec<u8> = bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    let begins = (0..plain.len() - 4).rev().find(|at| plain[*at..].starts_with(&[0xfa, 0xbf, 0xb5, 0xda]));
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0; 60], begins.unwrap() as u64 + 40).unwrap();
    let second = Client::start(settings(&folder, true)).await;
    assert_eq!(hash_at(&second, BLOCKS - 1).await, hash_at(&first, BLOCKS - 1).await);
    assert_ne!(hash_at(&second, BLOCKS).await, hash_at(&first, BLOCKS).await);
}

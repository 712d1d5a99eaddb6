//! The fixture chain through ledger and buckets: whole, forked, and cut off between any two commits.

use std::sync::Arc;

use chain::{Spent, SpentForm};
use model::{BlockFacts, ChainBucket, Network, Time};
use serde_json::Value;
use tables::TableName;

use crate::testing::{Memory, bytes_of, doors, lines};
use crate::{Buckets, Error, Ledger, ReadBlock, Shelves, forget, kept_block};

fn spent_of(listed: &Value) -> Spent {
    // The form of REST: lists for all transactions, amounts and scripts.
    let mut bytes = Vec::new();
    let compact = |bytes: &mut Vec<u8>, count: usize| match count {
        0..=252 => bytes.push(count as u8),
        253..=0xffff => {
            bytes.push(253);
            bytes.extend((count as u16).to_le_bytes());
        }
        _ => {
            bytes.push(254);
            bytes.extend((count as u32).to_le_bytes());
        }
    };
    let lists = listed.as_array().unwrap();
    compact(&mut bytes, lists.len());
    for list in lists {
        let list = list.as_array().unwrap();
        compact(&mut bytes, list.len());
        for coin in list {
            let sat = (coin["value"].as_f64().unwrap() * 1e8).round() as i64;
            let script = bytes_of(coin["scriptPubKey"]["hex"].as_str().unwrap());
            bytes.extend(sat.to_le_bytes());
            compact(&mut bytes, script.len());
            bytes.extend(script);
        }
    }
    Spent { form: SpentForm::Rest, bytes }
}

pub(crate) fn main_chain() -> Vec<(Vec<u8>, Spent)> {
    let spent = lines("spenttxouts.jsonl.zst");
    let blocks = lines("raw_blocks.hex.zst");
    let both = blocks.iter().zip(&spent);
    both.map(|(block, spent)| (bytes_of(block), spent_of(&serde_json::from_str(spent).unwrap()))).collect()
}

pub(crate) fn stale_branch() -> Vec<(Vec<u8>, Spent)> {
    let folder = format!(
        "{}/../chain/fixtures/regtest/stale",
        std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")
    );
    let file = |name: String| std::fs::read(std::path::Path::new(&folder).join(name)).unwrap();
    (0..3)
        .map(|number| {
            let bytes = file(format!("A{number}_spenttxouts.bin"));
            (file(format!("A{number}_block.bin")), Spent { form: SpentForm::Rest, bytes })
        })
        .collect()
}

pub(crate) fn read(first: u32, blocks: &[(Vec<u8>, Spent)]) -> Vec<ReadBlock> {
    let each = blocks.iter().zip(first..);
    each.map(|((bytes, spent), height)| {
        ReadBlock::read(height, bytes.clone(), spent.clone(), Time(i64::from(height))).unwrap()
    })
    .collect()
}

/// The first thing in which two states differ.
fn same(one: &(Vec<BlockFacts>, Vec<ChainBucket>), other: &(Vec<BlockFacts>, Vec<ChainBucket>), what: &str) {
    for (one, other) in one.0.iter().zip(&other.0) {
        assert_eq!(one, other, "{what}");
    }
    for (one, other) in one.1.iter().zip(&other.1) {
        assert_eq!(one, other, "{what}");
    }
    assert_eq!((one.0.len(), one.1.len()), (other.0.len(), other.1.len()), "{what}");
}

/// Follows blocks up to the end: what a follower does with a node, kill by kill.
struct Follower {
    memory: Arc<Memory>,
    folder: tempfile::TempDir,
}

impl Follower {
    fn new() -> Self {
        Self { memory: Arc::default(), folder: tempfile::tempdir().unwrap() }
    }

    /// Takes the chain `blocks` (from the first block on) in pieces, as a fresh process.
    async fn follow(&self, blocks: &[(Vec<u8>, Spent)], piece: usize) -> Result<(), Error> {
        let doors = doors(&self.memory, self.folder.path());
        let mut ledger = Ledger::open(doors.clone(), Network::Regtest).await?;
        let mut buckets = Buckets::open(doors, ledger.active()).await?;
        if let Some(earliest) = buckets.behind().await? {
            let step = ledger.step()?;
            buckets.build(earliest, None, step).await?;
        }
        let hashes: Vec<_> =
            blocks.iter().map(|(bytes, _)| chain::header(&bytes[..80]).unwrap().hash).collect();
        let mut agreed = ledger.tip().map(|tip| tip.height);
        while let Some(height) = agreed
            && hashes.get(height as usize) != ledger.active().read().unwrap().hash_at(height).as_ref()
        {
            agreed = height.checked_sub(1);
        }
        let mut fork = agreed.filter(|agreed| ledger.tip().is_some_and(|tip| tip.height > *agreed));
        let mut next = agreed.map_or(0, |agreed| agreed as usize + 1);
        while next < blocks.len() {
            let end = (next + piece).min(blocks.len());
            let taken = ledger.take(fork.take(), read(next as u32, &blocks[next..end])).await?;
            if let Some(earliest) = taken.earliest {
                buckets.build(earliest, None, taken.step).await?;
            }
            next = end;
        }
        Ok(())
    }

    fn state(&self) -> (Vec<BlockFacts>, Vec<ChainBucket>) {
        let facts = tables::btc_primitive_block::from_batch(&self.memory.rows(TableName::BtcPrimitiveBlock));
        (facts, tables::btc_buckets::from_batch(&self.memory.rows(TableName::BtcBuckets)))
    }
}

#[tokio::test]
async fn the_fixture_chain_gives_the_reference_buckets() {
    let follower = Follower::new();
    follower.follow(&main_chain(), 100).await.unwrap();
    let (facts, buckets) = follower.state();
    assert_eq!(facts.len(), 335);
    let references = lines("ref_buckets_10m_by_time.jsonl.zst");
    let starts: Vec<i64> = buckets.iter().map(|bucket| bucket.bucket.0 / 1_000_000).collect();
    let expected: Vec<Value> = references.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected: Vec<i64> = expected.iter().map(|row| row["bucket_start"].as_i64().unwrap()).collect();
    assert_eq!(starts, expected);
    for (bucket, reference) in buckets.iter().zip(&references) {
        let reference: Value = serde_json::from_str(reference).unwrap();
        assert_eq!(Some(bucket.bucket.0 / 1_000_000), reference["bucket_start"].as_i64());
        assert_eq!(Some(bucket.fees_sat), reference["fees_sat"].as_i64(), "{reference}");
        assert_eq!(bucket.supply_total_sat, reference["supply_total_sat"].as_i64(), "{reference}");
        assert_eq!(bucket.median_fee_sat, reference["median_fee_sat"].as_f64(), "{reference}");
        assert_eq!(bucket.chainwork_last.to_string(), reference["chainwork_last"].as_str().unwrap());
    }
}

#[tokio::test]
async fn a_reorganisation_ends_as_if_it_had_never_been() {
    let (main, stale) = (main_chain(), stale_branch());
    let clean = Follower::new();
    clean.follow(&main, 1_000).await.unwrap();
    let forked = Follower::new();
    let losing: Vec<_> = main[..=314].iter().chain(&stale).cloned().collect();
    forked.follow(&losing, 1).await.unwrap();
    assert_eq!(forked.state().0.len(), 318);
    forked.follow(&main, 2).await.unwrap();
    same(&forked.state(), &clean.state(), "forked");
    let rows = tables::btc_blocks::from_batch(&forked.memory.rows(TableName::BtcBlocks));
    let left: Vec<u32> = rows.iter().filter(|row| row.is_stale).map(|row| row.place.height).collect();
    assert_eq!(left, [315, 316, 317]);
    assert_eq!(rows.len(), 338);
}

#[tokio::test]
async fn cut_off_between_any_two_commits_it_goes_on_where_it_was() {
    let (main, stale) = (main_chain(), stale_branch());
    let (main, losing) = (&main[..320], main[..=314].iter().chain(&stale).cloned().collect::<Vec<_>>());
    let clean = Follower::new();
    clean.follow(main, 1_000).await.unwrap();
    for commits in 0..24 {
        let follower = Follower::new();
        follower.follow(&losing[..312], 1_000).await.unwrap();
        follower.memory.fail_after(Some(commits));
        let first = follower.follow(&losing, 2).await;
        let second = follower.follow(main, 2).await;
        follower.memory.fail_after(None);
        let was_cut = first.is_err() || second.is_err();
        follower.follow(main, 3).await.unwrap();
        same(&follower.state(), &clean.state(), &format!("cut after {commits} commits"));
        let rows = tables::btc_blocks::from_batch(&follower.memory.rows(TableName::BtcBlocks));
        assert_eq!(rows.iter().filter(|row| !row.is_stale).count(), main.len());
        assert!(was_cut || commits >= 15, "nothing was cut after {commits} commits");
    }
}

#[tokio::test]
async fn blocks_took_the_number_of_a_lost_answer_and_left_a_hole() {
    let main = main_chain();
    let clean = Follower::new();
    clean.follow(&main[..40], 1_000).await.unwrap();
    for table in [TableName::BtcBlocks, TableName::BtcPrimitiveBlock, TableName::BtcBuckets] {
        let follower = Follower::new();
        follower.follow(&main[..30], 10).await.unwrap();
        follower.memory.lose_answer(table);
        assert!(follower.follow(&main[..32], 2).await.is_err(), "{table}");
        // More blocks have come meanwhile; they are not under the number that is taken. Whoever is told so begins anew.
        for _ in 0..2 {
            let _told = follower.follow(&main[..40], 10).await;
        }
        same(&follower.state(), &clean.state(), table.as_str());
        let rows = tables::btc_blocks::from_batch(&follower.memory.rows(TableName::BtcBlocks));
        assert_eq!(rows.len(), 40, "{table}");
    }
}

#[tokio::test]
async fn files_of_blocks_that_were_let_go_of_stayed_for_ever() {
    let main = &main_chain()[..60];
    let clean = Follower::new();
    clean.follow(main, 20).await.unwrap();
    let held = |follower: &Follower| -> u64 {
        let files = std::fs::read_dir(follower.folder.path().join("blocks")).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
    };
    let all_are_kept = |follower: &Follower, what: &str| {
        let own = follower.folder.path().join("blocks");
        let shelves = Shelves { own, node: None, network: Network::Regtest };
        let rows = tables::btc_blocks::from_batch(&follower.memory.rows(TableName::BtcBlocks));
        assert_eq!(rows.len(), main.len(), "{what}");
        for (row, (bytes, _)) in rows.iter().zip(main) {
            let kept = kept_block(&shelves, &row.place.header.hash, (row.stored.as_ref(), None));
            assert_eq!(kept.as_ref(), Ok(bytes), "{what}");
        }
    };
    let all = 4 + derivations::chain::metrics::METRICS.len() as u32;
    for commits in [0, 1, 2, 3, 4, all] {
        let what = format!("cut after {commits} commits");
        let follower = Follower::new();
        follower.follow(main, 20).await.unwrap();
        follower.memory.fail_after(Some(commits));
        let doors = doors(&follower.memory, follower.folder.path());
        assert_eq!(forget(&doors).await.is_err(), commits < all, "{what}");
        follower.memory.fail_after(None);
        // The next start frees what no row needs, and nothing else.
        drop(Ledger::open(doors.clone(), Network::Regtest).await.unwrap());
        if commits == 0 {
            all_are_kept(&follower, &what);
        } else {
            assert_eq!(held(&follower), 8, "{what}");
        }
        follower.follow(main, 20).await.unwrap();
        all_are_kept(&follower, &what);
        assert_eq!(held(&follower), held(&clean), "{what}");
        same(&follower.state(), &clean.state(), &what);
    }
}

/// The same block behind another one, at another time.
fn put_behind(previous: &[u8], block: &(Vec<u8>, Spent), seconds: i64) -> (Vec<u8>, Spent) {
    let mut header = chain::header(&block.0[..80]).unwrap();
    let before = chain::header(&previous[..80]).unwrap();
    header.previous = before.hash;
    header.time = u32::try_from(i64::from(before.time) + seconds).unwrap();
    let bytes = [&chain::header_bytes(&header)[..], &block.0[80..]].concat();
    (bytes, block.1.clone())
}

#[tokio::test]
async fn a_turn_cut_off_after_its_blocks_leaves_no_bucket_of_the_branch_that_lost() {
    let main = main_chain();
    let stem = &main[..40];
    let early = put_behind(&stem[39].0, &main[40], 700);
    let late = put_behind(&stem[39].0, &main[40], 9_000);
    let (losing, winning) = ([stem, &[early]].concat(), [stem, &[late]].concat());
    let clean = Follower::new();
    clean.follow(&winning, 1_000).await.unwrap();
    for commits in 0..4 {
        let cut = Follower::new();
        cut.follow(&losing, 1_000).await.unwrap();
        cut.memory.fail_after(Some(commits));
        assert_eq!(cut.follow(&winning, 1).await.is_err(), commits < 3);
        cut.memory.fail_after(None);
        cut.follow(&winning, 1).await.unwrap();
        same(&cut.state(), &clean.state(), &format!("cut after {commits} commits"));
    }
}

#[tokio::test]
async fn a_coinbase_that_takes_one_satoshi_more_than_it_may_is_refused() {
    let mut main = main_chain()[..6].to_vec();
    let amount = Network::Regtest.subsidy(5).to_le_bytes();
    let at = main[5].0.windows(8).position(|some| some == amount).unwrap();
    main[5].0[at] += 1;
    let follower = Follower::new();
    let error = follower.follow(&main, 1).await.unwrap_err().to_string();
    for words in ["block 5", "1 sat more than subsidy and fees", "compare it with another node"] {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(follower.state().0.len(), 5);
    // Nothing of it was left behind: the right one is taken.
    main[5].0[at] -= 1;
    follower.follow(&main, 1).await.unwrap();
    assert_eq!(follower.state().0.len(), 6);
}

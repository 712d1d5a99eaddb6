//! Tables that follow steps of their own: blocks that come, leave and come again.

use model::{
    BlockFacts, BlockHash, BlockHeader, BlockPlace, BlockSums, LogPosition, Network, SpentAge, Work,
};
use tables::{BTC, Rows, Span, Step, StoreError, TableName, TableScan};

use crate::support::open;

fn block(height: u32, branch: u8) -> BlockFacts {
    let hash = |height: u32, branch: u8| {
        let mut bytes = [branch; 32];
        bytes[..4].copy_from_slice(&height.to_le_bytes());
        BlockHash(bytes)
    };
    let time = 1_600_000_000 + height * 600;
    let header = BlockHeader {
        hash: hash(height, branch),
        previous: hash(height - 1, if height > 8 { branch } else { 0 }),
        version: 0,
        merkle_root: BlockHash::default(),
        time,
        bits: 0x207f_ffff,
        nonce: 0,
    };
    let fees: Vec<i64> = (0..i64::from(height % 4)).map(|place| place * 100).collect();
    let spent = (branch == 0).then(|| vec![SpentAge { height: 1, sat: 5 }, SpentAge { height: 2, sat: 7 }]);
    let sums = BlockSums { tx_count: 1 + fees.len() as i64, fees, spent, ..BlockSums::default() };
    let place = BlockPlace { header, height, median_time: time - 3_000, chainwork: Work::default() };
    BlockFacts { place, network: Network::Regtest, sums, supply_total_sat: Some(50), interval_sec: None }
}

fn step(blocks: &[BlockFacts], from: Option<u32>, through: u64) -> Step {
    let outgoing = from.map(|height| Span {
        subject: BTC.to_owned(),
        column: "height",
        start: i64::from(height),
        end: i64::MAX,
    });
    let rows = Rows::BtcPrimitiveBlock(blocks.to_vec()).to_batch();
    Step { table: TableName::BtcPrimitiveBlock, outgoing, rows, through: Some(LogPosition(through)) }
}

async fn stored(lake: &lake::Lake) -> Vec<BlockFacts> {
    let scan = TableScan { subject: Some(BTC.to_owned()), ..TableScan::default() };
    let batches = lake.store().scan(TableName::BtcPrimitiveBlock, scan).await.unwrap();
    batches.iter().flat_map(tables::btc_primitive_block::from_batch).collect()
}

#[tokio::test]
async fn a_branch_is_replaced_whole_in_one_commit() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let first: Vec<_> = (1..=10).map(|height| block(height, 0)).collect();
    lake.steps().apply(step(&first, None, 1)).await.unwrap();
    assert_eq!(stored(&lake).await, first);
    // Three blocks leave, two come: a shorter chain may have more work.
    let second: Vec<_> = (8..=9).map(|height| block(height, 7)).collect();
    let version = |lake: &lake::Lake| {
        let infos = lake.table_infos();
        infos.into_iter().find(|info| info.name == TableName::BtcPrimitiveBlock).unwrap().version
    };
    let before = version(&lake);
    lake.steps().apply(step(&second, Some(8), 2)).await.unwrap();
    assert_eq!(version(&lake), before + 1);
    let expected: Vec<_> = first[..7].iter().chain(&second).cloned().collect();
    assert_eq!(stored(&lake).await, expected);
    drop(lake);
    let again = open(folder.path()).await;
    assert_eq!(again.steps().step_of(TableName::BtcPrimitiveBlock).unwrap(), LogPosition(2));
    assert_eq!(stored(&again).await, expected);
}

#[tokio::test]
async fn a_step_that_stands_is_not_taken_twice_and_an_empty_one_moves_the_mark() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let blocks = [block(1, 0), block(2, 0)];
    lake.steps().apply(step(&blocks, None, 5)).await.unwrap();
    // A repeated step must not take the rows away again.
    let refused = lake.steps().apply(step(&[], Some(1), 5)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    assert_eq!(stored(&lake).await, blocks);
    lake.steps().apply(step(&[], None, 6)).await.unwrap();
    assert_eq!(
        open(folder.path()).await.steps().step_of(TableName::BtcPrimitiveBlock).unwrap(),
        LogPosition(6)
    );
    // Tables that follow the raw log know nothing of these marks.
    assert!(!lake.store().positions().contains_key(&TableName::BtcPrimitiveBlock));
}

#[tokio::test]
async fn rows_under_a_number_that_another_writer_took_were_told_as_stored() {
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (open(folder.path()).await, open(folder.path()).await);
    other.steps().apply(step(&[block(1, 7)], None, 1)).await.unwrap();
    // The table is at no step as far as this one knows: it finds out when it commits.
    assert_eq!(own.steps().step_of(TableName::BtcPrimitiveBlock).unwrap(), LogPosition(0));
    let refused = own.steps().apply(step(&[block(2, 0)], None, 1)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
    let told = refused.to_string();
    assert!(told.contains("step 1 of table btc_primitive_block"), "{told}");
    assert_eq!(stored(&own).await, [block(1, 7)]);
    // Looked at again, the next number is free.
    assert_eq!(own.steps().step_of(TableName::BtcPrimitiveBlock).unwrap(), LogPosition(1));
    own.steps().apply(step(&[block(2, 0)], None, 2)).await.unwrap();
    assert_eq!(stored(&own).await, [block(1, 7), block(2, 0)]);
}

#[tokio::test]
async fn a_large_change_is_marked_by_its_last_piece() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let piece = |height: u32| Step { through: None, ..step(&[block(height, 0)], Some(height), 0) };
    lake.steps().apply(piece(1)).await.unwrap();
    lake.steps().apply(piece(2)).await.unwrap();
    // Cut off here, everything is done again.
    assert_eq!(lake.steps().step_of(TableName::BtcPrimitiveBlock).unwrap(), LogPosition(0));
    lake.steps().apply(piece(1)).await.unwrap();
    lake.steps().apply(step(&[block(2, 0)], Some(2), 9)).await.unwrap();
    assert_eq!(stored(&lake).await, [block(1, 0), block(2, 0)]);
}

#[tokio::test]
async fn what_is_lent_is_read_by_sql_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let rows = std::sync::Arc::new(|| Ok(Rows::Metrics(Vec::new()).to_batch()));
    let table = tables::lent::SmallTable { name: "metric_registry".to_owned(), rows };
    let sql = "SELECT count(*) AS n FROM metric_registry".to_owned();
    let view = tables::lent::NamedView { name: "how_many".to_owned(), sql };
    lake.lend(vec![table], vec![view]);
    assert_eq!(crate::support::sql(&lake, "SELECT n FROM how_many").await, ["0"]);
    for (asked, hint) in [
        ("how_mny", "; did you mean how_many?"),
        ("metrics_registry", "did you mean metric_registry, "),
        ("xyz", "'tickhouse.public.xyz' not found"),
    ] {
        let query = format!("SELECT * FROM {asked}");
        let unknown = crate::support::try_sql(&lake, &query).await.unwrap_err().to_string();
        assert!(unknown.contains(hint), "{unknown}");
    }
}

#[tokio::test]
async fn lists_survive_merging_and_are_read_by_sql() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    for height in 1..=40 {
        lake.steps().apply(step(&[block(height, 0)], None, u64::from(height))).await.unwrap();
    }
    let report = lake.compact_now().await.unwrap();
    assert!(report.merges > 0, "{report:?}");
    lake.vacuum_now().await.unwrap();
    let expected: Vec<_> = (1..=40).map(|height| block(height, 0)).collect();
    assert_eq!(stored(&lake).await, expected);
    let sql = "SELECT sum(array_length(fees_by_tx_sat)) FROM btc_primitive_block";
    assert_eq!(crate::support::sql(&lake, sql).await, ["60"]);
}

#[tokio::test]
async fn rows_of_a_foreign_shape_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let rows = Rows::Metrics(Vec::new()).to_batch();
    let wrong = Step { rows, ..step(&[], None, 1) };
    let error = lake.steps().apply(wrong).await.unwrap_err();
    assert!(error.to_string().contains("btc_primitive_block"), "{error}");
}

#[tokio::test]
async fn blocks_whose_times_go_back_are_found_in_the_order_of_their_heights() {
    let folder = tempfile::tempdir().unwrap();
    let lake = open(folder.path()).await;
    let mut blocks: Vec<_> = (1..=600).map(|height| block(height, 0)).collect();
    for (place, block) in blocks.iter_mut().enumerate() {
        // As miners' clocks may: up to two hours ahead.
        block.place.header.time += (place as u32 * 7_919) % 7_200;
    }
    for (number, part) in blocks.chunks(250).enumerate() {
        lake.steps().apply(step(part, None, number as u64 + 1)).await.unwrap();
    }
    let found = async |scan: TableScan| {
        let scan = TableScan { subject: Some(BTC.to_owned()), ..scan };
        let batches = lake.store().scan(TableName::BtcPrimitiveBlock, scan).await.unwrap();
        let facts = batches.iter().flat_map(tables::btc_primitive_block::from_batch);
        facts.map(|facts| facts.place.height).collect::<Vec<u32>>()
    };
    for limit in [1, 7, 30] {
        let limit = Some(limit);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        while up.len() < blocks.len() {
            let at_least = Some(("height", up.len() as i64 + 1));
            let page = found(TableScan { at_least, limit, ..TableScan::default() }).await;
            assert!(!page.is_empty(), "nothing behind {}", up.len());
            up.extend(page);
        }
        assert_eq!(up, (1..=600).collect::<Vec<u32>>());
        while down.len() < blocks.len() {
            let at_most = Some(("height", 600 - down.len() as i64));
            let ask = TableScan { at_most, limit, is_descending: true, ..TableScan::default() };
            let page = found(ask).await;
            assert!(!page.is_empty(), "nothing before {}", down.len());
            down.extend(page);
        }
        assert_eq!(down, (1..=600).rev().collect::<Vec<u32>>());
    }
    let both =
        TableScan { at_least: Some(("height", 40)), at_most: Some(("height", 49)), ..TableScan::default() };
    assert_eq!(found(both).await, (40..50).collect::<Vec<u32>>());
    // Of a range of time those in it, and they in the order of their heights too.
    let time = |second: i64| model::Time((1_600_000_000 + second) * 1_000_000);
    let range = tables::TimeRange { start: time(60_000), end: time(70_000) };
    let within: Vec<u32> = blocks
        .iter()
        .filter(|block| range.contains(time(i64::from(block.place.header.time) - 1_600_000_000)))
        .map(|block| block.place.height)
        .collect();
    let ask = TableScan { range: Some(range), limit: Some(5), ..TableScan::default() };
    assert_eq!(found(ask).await, within[..5]);
}

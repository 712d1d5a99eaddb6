//! All buckets of a chain, built anew from what the tables hold of its blocks.

use std::sync::{Arc, RwLock};

use chain::HeaderIndex;
use model::{BlockFacts, BlockHash, BlockHeader, BlockPlace, BlockSums, LogPosition, Network, Time, Work};
use onchain::Buckets;
use runtime::clock::Stopwatch;
use tables::{Rows, Step, TableName};

use crate::{Active, blocks, doors, lake, memory, tell_files};

const FEES: usize = 200;
/// Blocks of one commit while the table is filled.
const STEP: u32 = 4_000;

fn place_of(height: u32) -> BlockPlace {
    let hash = |height: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&height.to_le_bytes());
        bytes[4..8].copy_from_slice(&height.wrapping_mul(2_654_435_761).to_le_bytes());
        BlockHash(bytes)
    };
    // Every seventh header lies eleven minutes back.
    let late = if height.is_multiple_of(7) && height > 0 { 660 } else { 0 };
    let header = BlockHeader {
        hash: hash(height),
        previous: if height == 0 { BlockHash::default() } else { hash(height - 1) },
        version: 1,
        merkle_root: BlockHash::default(),
        time: 1_231_006_505 + height * 600 - late,
        bits: 0x1d00_ffff,
        nonce: 0,
    };
    let median_time = 1_231_006_505 + height.saturating_sub(6) * 600;
    BlockPlace { header, height, median_time, chainwork: Work::default() }
}

fn facts_of(height: u32, seed: &mut u64) -> BlockFacts {
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*seed >> 44) as i64
    };
    BlockFacts {
        place: place_of(height),
        network: Network::Main,
        sums: BlockSums {
            size_bytes: 100_000,
            stripped_size_bytes: 75_000,
            weight_wu: 300_000,
            tx_count: FEES as i64 + 1,
            input_count: 400,
            output_count: 500,
            segwit_tx_count: 100,
            coinbase_sat: 5_000_000_000,
            total_out_sat: 1_000_000_000,
            total_out_spendable_sat: 1_000_000_000,
            transferred_sat: 500_000_000,
            unspendable_sat: 0,
            tx_size_total_bytes: 99_000,
            tx_weight_total_wu: 296_000,
            fees: (0..FEES).map(|_| next()).collect(),
            // Where blocks come over REST, ages are not known.
            spent: None,
        },
        supply_total_sat: Some(i64::from(height) * 5_000_000_000),
        interval_sec: Some(600),
    }
}

pub(crate) async fn report() {
    let folder = tempfile::tempdir().expect("a folder");
    let total = blocks(900_000);
    let held = lake(folder.path()).await;
    let doors = doors(&held, folder.path());
    let mut index = HeaderIndex::new();
    let (mut seed, mut step) = (7, 0);
    let watch = Stopwatch::start();
    for first in (0..total).step_by(STEP as usize) {
        let rows: Vec<BlockFacts> =
            (first..total.min(first + STEP)).map(|height| facts_of(height, &mut seed)).collect();
        for row in &rows {
            index.push(&row.place).expect("a chain");
        }
        step += 1;
        let change = Step {
            table: TableName::BtcPrimitiveBlock,
            outgoing: None,
            rows: Rows::BtcPrimitiveBlock(rows).to_batch(),
            through: Some(LogPosition(step)),
        };
        doors.steps.apply(change).await.expect("a step");
    }
    held.compact_now().await.expect("merged");
    println!(
        "buckets of {total} blocks with {FEES} fees each; the table was filled in {:.0} s, {} MiB, {} at most",
        watch.elapsed().as_secs_f64(),
        memory().0,
        memory().1
    );
    // The peak from here on is that of building.
    let _kernel_refuses = std::fs::write("/proc/self/clear_refs", "5");
    let active: Active = Arc::new(RwLock::new(index));
    for round in ["into an empty table", "again, over the old rows"] {
        let mut buckets = Buckets::open(doors.clone(), Arc::clone(&active)).await.expect("buckets");
        let watch = Stopwatch::start();
        let built = buckets.build(Time(0), None, step).await.expect("buckets");
        step += 1;
        println!(
            "  {round}: {:.1} s, {} MiB at most, through {}",
            watch.elapsed().as_secs_f64(),
            memory().1,
            built.map(|built| built.through).unwrap_or_default()
        );
    }
    tell_files(&held, folder.path());
}

//! A first synchronisation, step by step, with the upkeep of the lake beside it.

use std::time::Duration;

use chain::{Spent, SpentForm};
use model::{BlockHash, Network, Time};
use onchain::{Buckets, Ledger, ReadBlock};
use runtime::Tasks;
use runtime::clock::Stopwatch;
use simulate::node::generate_large;

use crate::{blocks, doors, lake, memory, processor_ms, tell_files};

/// Blocks of one step while catching up.
const STEP: u32 = 1_000;
/// Bytes of a block: a few transactions.
const BLOCK_BYTES: usize = 1_500;
/// Steps of one block at the end.
const TIPS: u32 = 20;

/// Blocks without end: the same few transactions behind ever new headers, ten minutes apart, every seventh eleven minutes back.
struct Mill {
    bytes: Vec<u8>,
    spent: Vec<u8>,
    previous: BlockHash,
    height: u32,
}

impl Mill {
    fn new() -> Self {
        let block = generate_large(7, 1, BLOCK_BYTES).remove(0);
        Self { spent: block.spent_bytes(), bytes: block.bytes, previous: BlockHash::default(), height: 0 }
    }

    fn next(&mut self) -> ReadBlock {
        let mut header = chain::header(&self.bytes[..80]).expect("a header");
        let late = if self.height.is_multiple_of(7) && self.height > 0 { 660 } else { 0 };
        header.previous = self.previous;
        header.time = 1_231_006_505 + self.height * 600 - late;
        header.nonce = self.height;
        let bytes = [&chain::header_bytes(&header)[..], &self.bytes[80..]].concat();
        let spent = Spent { form: SpentForm::Rest, bytes: self.spent.clone() };
        let mut block = ReadBlock::read(self.height, bytes, spent, Time(0)).expect("a block");
        // It claims what miners got at the beginning, which is refused later.
        block.sums.coinbase_sat = 0;
        (self.previous, self.height) = (block.header.hash, self.height + 1);
        block
    }
}

pub(crate) async fn report() {
    let folder = tempfile::tempdir().expect("a folder");
    let total = blocks(200_000);
    println!("steps of {STEP} blocks of {BLOCK_BYTES} bytes, {total} blocks, upkeep beside");
    let mut mill = Mill::new();
    let tasks = Tasks::new();
    let held = lake(folder.path()).await;
    held.start_upkeep(&tasks);
    let doors = doors(&held, folder.path());
    let mut ledger = Ledger::open(doors.clone(), Network::Regtest).await.expect("a ledger");
    let mut buckets = Buckets::open(doors.clone(), ledger.active()).await.expect("buckets");
    let (mut reading, mut taking, mut building) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (whole, mut processor) = (Stopwatch::start(), processor_ms());
    let piece = (total / 10).next_multiple_of(STEP);
    while mill.height < total {
        let watch = Stopwatch::start();
        let read: Vec<ReadBlock> = (0..STEP).map(|_| mill.next()).collect();
        reading += watch.elapsed();
        let watch = Stopwatch::start();
        let taken = ledger.take(None, read).await.expect("a step");
        taking += watch.elapsed();
        let watch = Stopwatch::start();
        if let Some(earliest) = taken.earliest {
            buckets.build(earliest, None, taken.step).await.expect("buckets");
        }
        building += watch.elapsed();
        if mill.height.is_multiple_of(piece) {
            let steps = piece / STEP;
            let all = reading + taking + building;
            println!(
                "  {:7}: {:6.0} blocks/s; a step {:5.1} ms to make, {:6.1} to take, {:6.1} for buckets; processor {:5.1} ms; {} MiB, {} at most",
                mill.height,
                f64::from(piece) / all.as_secs_f64(),
                reading.as_secs_f64() * 1e3 / f64::from(steps),
                taking.as_secs_f64() * 1e3 / f64::from(steps),
                building.as_secs_f64() * 1e3 / f64::from(steps),
                (processor_ms() - processor) as f64 / f64::from(steps),
                memory().0,
                memory().1,
            );
            processor = processor_ms();
            (reading, taking, building) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        }
    }
    println!("  all in {:.1} s", whole.elapsed().as_secs_f64());
    tell_files(&held, folder.path());
    let _late = tasks.close_together(Duration::from_secs(30)).await;
    let watch = Stopwatch::start();
    held.compact_now().await.expect("merged");
    held.vacuum_now().await.expect("cleaned");
    println!("  merging what is left and a checkpoint: {:.1} s", watch.elapsed().as_secs_f64());
    tell_files(&held, folder.path());
    drop((ledger, buckets, held));
    at_the_tip(folder.path(), mill).await;
}

/// A new start over those tables, and single blocks.
async fn at_the_tip(folder: &std::path::Path, mut mill: Mill) {
    let watch = Stopwatch::start();
    let held = lake(folder).await;
    let opened = watch.elapsed();
    let doors = doors(&held, folder);
    let watch = Stopwatch::start();
    let mut ledger = Ledger::open(doors.clone(), Network::Regtest).await.expect("a ledger");
    let mut buckets = Buckets::open(doors, ledger.active()).await.expect("buckets");
    println!(
        "  a new start: the lake {:.0} ms, the headers {:.0} ms; {} MiB",
        opened.as_secs_f64() * 1e3,
        watch.elapsed().as_secs_f64() * 1e3,
        memory().0
    );
    let (mut each, processor) = (Vec::new(), processor_ms());
    for _ in 0..TIPS {
        let block = mill.next();
        let watch = Stopwatch::start();
        let taken = ledger.take(None, vec![block]).await.expect("a step");
        if let Some(earliest) = taken.earliest {
            buckets.build(earliest, None, taken.step).await.expect("buckets");
        }
        each.push(watch.elapsed());
    }
    each.sort_unstable();
    let processor = (processor_ms() - processor) / u64::from(TIPS);
    println!(
        "  a block at the tip: median {:.0} ms, longest {:.0} ms, processor {processor} ms; {} MiB at most",
        each[each.len() / 2].as_secs_f64() * 1e3,
        each[each.len() - 1].as_secs_f64() * 1e3,
        memory().1
    );
}

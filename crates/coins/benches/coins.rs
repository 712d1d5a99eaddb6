//! How fast blocks pass through the store, and what a coin takes on disk: blocks of 4,000 outputs, of which most are spent soon.
#![expect(clippy::disallowed_methods, reason = "a bench measures in real time")]
#![expect(clippy::disallowed_macros, reason = "a bench prints")]

use std::collections::VecDeque;
use std::time::Instant;

use chain::{CoinMoves, OutPoint};
use coins::{CoinBounds, CoinStore, NextBlock};
use model::{BlockHash, Network};

const OUTPUTS: u64 = 4_000;
/// Of a hundred outputs so many are never spent.
const STAY: u64 = 10;
const STEP: usize = 100;

fn main() {
    let blocks: u32 =
        std::env::var("TICKHOUSE_BENCH_BLOCKS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    let folder = tempfile::tempdir().expect("a folder for the bench");
    let mut store = CoinStore::open(folder.path(), Network::Regtest, CoinBounds::default())
        .expect("an empty folder opens");
    let mut world = World::default();
    let (mut spent, mut taken) = (0_usize, std::time::Duration::ZERO);
    let mut height = 1;
    while height <= blocks {
        let step: Vec<NextBlock> = (height..).take(STEP).map(|height| world.mine(height)).collect();
        spent += step.iter().map(|block| block.moves.spent.len()).sum::<usize>();
        let watch = Instant::now();
        store.apply(&step, blocks).expect("blocks that follow");
        taken += watch.elapsed();
        height += STEP as u32;
    }
    let (count, _) = store.count().expect("a store that was just written");
    let disk = store.disk_bytes().expect("a folder that is there");
    let made = u64::from(height - 1) * OUTPUTS;
    let moves = made as usize + spent;
    println!(
        "coins: {} blocks, {made} outputs made, {spent} spent, {count} left: {:.2} s, {:.0} blocks/s, {:.2} M moves/s; {} MB on disk, {:.0} bytes a coin",
        height - 1,
        taken.as_secs_f64(),
        f64::from(height - 1) / taken.as_secs_f64(),
        moves as f64 / taken.as_secs_f64() / 1e6,
        disk >> 20,
        disk as f64 / count as f64,
    );
}

/// Outputs to be spent, the next first.
#[derive(Default)]
struct World {
    waiting: VecDeque<OutPoint>,
    last: BlockHash,
    seed: u64,
}

impl World {
    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn hash(&mut self) -> BlockHash {
        let mut bytes = [0; 32];
        for piece in bytes.chunks_exact_mut(8) {
            piece.copy_from_slice(&self.random().to_le_bytes());
        }
        BlockHash(bytes)
    }

    fn mine(&mut self, height: u32) -> NextBlock {
        let mut moves = CoinMoves::default();
        let wanted = self.waiting.len().saturating_sub(20 * OUTPUTS as usize);
        for _ in 0..wanted {
            // Some from the whole of what waits, most from what has waited longest.
            let place =
                if self.random().is_multiple_of(5) { self.random() as usize % self.waiting.len() } else { 0 };
            moves.spent.extend(self.waiting.swap_remove_front(place));
        }
        let mut txid = self.hash();
        for number in 0..OUTPUTS {
            if number % 2 == 0 {
                txid = self.hash();
            }
            let output = OutPoint { txid, vout: (number % 2) as u32 };
            moves.created.push((output, 100_000));
            if self.random() % 100 >= STAY {
                self.waiting.push_back(output);
            }
        }
        let previous = std::mem::take(&mut self.last);
        self.last = self.hash();
        NextBlock { height, hash: self.last, previous, moves }
    }
}

//! The store against a plain map: forwards, backwards, opened again, and with blocks that do not fit.

use std::collections::BTreeMap;

use chain::{CoinMoves, OutPoint};
use model::{BlockHash, Network, SpentAge};
use proptest::prelude::*;

use crate::{CoinBounds, CoinStore, CoinTip, Error, NextBlock};

const SMALL: CoinBounds = CoinBounds { cache_bytes: 1 << 20, undo_blocks: 6 };

fn hash(number: u64) -> BlockHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    BlockHash(bytes)
}

/// A chain that is made up, with all its coins in plain sight.
#[derive(Clone, Default)]
struct World {
    blocks: Vec<NextBlock>,
    ages: Vec<Vec<SpentAge>>,
    /// Coins with each block.
    coins: Vec<BTreeMap<OutPoint, (u32, i64)>>,
    made: u64,
}

impl World {
    /// Adds a block that makes some outputs and spends those at some places of the sorted coins, its own among them.
    fn mine(&mut self, outputs: &[u16], places: &[u16]) {
        let height = self.blocks.len() as u32;
        let mut coins = self.coins.last().cloned().unwrap_or_default();
        let mut moves = CoinMoves::default();
        for sat in outputs {
            self.made += 1;
            let output = OutPoint { txid: hash(self.made / 3), vout: self.made as u32 };
            moves.created.push((output, i64::from(*sat)));
            if height > 0 {
                coins.insert(output, (height, i64::from(*sat)));
            }
        }
        let mut ages: BTreeMap<u32, i64> = BTreeMap::new();
        for place in places {
            let output = coins.keys().nth(usize::from(*place) % coins.len().max(1)).copied();
            let Some(output) = output else { continue };
            let (made, sat) = coins.remove(&output).unwrap();
            *ages.entry(made).or_default() += sat;
            moves.spent.push(output);
        }
        self.made += 1;
        let previous = self.blocks.last().map(|block| block.hash).unwrap_or_default();
        self.blocks.push(NextBlock { height, hash: hash(self.made << 32), previous, moves });
        self.ages.push(ages.into_iter().map(|(height, sat)| SpentAge { height, sat }).collect());
        self.coins.push(coins);
    }

    fn turn(&mut self, length: usize) {
        self.blocks.truncate(length);
        self.ages.truncate(length);
        self.coins.truncate(length);
    }

    fn agrees(&self, store: &CoinStore) {
        let tip = self.blocks.last().map(|block| CoinTip { height: block.height, hash: block.hash });
        assert_eq!(store.tip(), tip);
        let coins = self.coins.last().cloned().unwrap_or_default();
        let sum: i64 = coins.values().map(|(_, sat)| sat).sum();
        assert_eq!(store.count().unwrap(), (coins.len() as u64, sum));
    }
}

#[derive(Clone, Debug)]
enum Deed {
    Mine(Vec<(Vec<u16>, Vec<u16>)>),
    Back(usize),
    Reopen,
}

fn deed() -> impl Strategy<Value = Deed> {
    let numbers = || proptest::collection::vec(any::<u16>(), 0..6);
    prop_oneof![
        4 => proptest::collection::vec((numbers(), numbers()), 1..5).prop_map(Deed::Mine),
        2 => (1_usize..6).prop_map(Deed::Back),
        1 => Just(Deed::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn the_store_is_a_map_that_goes_back(deeds in proptest::collection::vec(deed(), 1..25)) {
        let folder = tempfile::tempdir().unwrap();
        let open = || CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
        let (mut store, mut world) = (open(), World::default());
        // Blocks that were taken back leave less that can be.
        let mut depth = 0_usize;
        for deed in deeds {
            match deed {
                Deed::Mine(blocks) => {
                    let from = world.blocks.len();
                    for (outputs, places) in &blocks {
                        world.mine(outputs, places);
                    }
                    let ages = store.apply(&world.blocks[from..], 0).unwrap();
                    prop_assert_eq!(&ages[..], &world.ages[from..]);
                    depth = (depth + blocks.len()).min(SMALL.undo_blocks as usize);
                }
                Deed::Back(count) => {
                    let count = count.min(depth);
                    for _ in 0..count {
                        store.step_back().unwrap();
                    }
                    depth -= count;
                    world.turn(world.blocks.len() - count);
                }
                Deed::Reopen => {
                    drop(store);
                    store = open();
                }
            }
            world.agrees(&store);
        }
    }
}

fn some_chain(length: usize) -> World {
    let mut world = World::default();
    for number in 0..length {
        world.mine(&[50, 7, number as u16], &[number as u16 * 7, 3]);
    }
    world
}

fn fixture(name: &str) -> Vec<String> {
    let folder =
        format!("{}/../chain/fixtures/regtest", std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo"));
    let packed = std::fs::read(std::path::Path::new(&folder).join(name)).unwrap();
    let text = String::from_utf8(zstd::decode_all(&packed[..]).unwrap()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn the_coins_of_a_real_chain_are_those_that_its_node_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    let blocks = fixture("raw_blocks.hex.zst");
    let said = fixture("gettxoutsetinfo_muhash.jsonl.zst");
    for (height, (hex, said)) in blocks.iter().zip(&said).enumerate() {
        let bytes: Vec<u8> =
            hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        let header = chain::header(&bytes[..80]).unwrap();
        let moves = chain::coin_moves(&bytes).unwrap();
        let next = NextBlock { height: height as u32, hash: header.hash, previous: header.previous, moves };
        store.apply(&[next], 0).unwrap();
        let (count, sat) = store.count().unwrap();
        assert!(said.contains(&format!("\"txouts\":{count},")), "{count} coins at {height}: {said}");
        let btc = format!("\"total_amount\":{}.{:08},", sat / 100_000_000, sat % 100_000_000);
        assert!(said.contains(&btc), "{btc} at {height}: {said}");
    }
}

#[test]
fn blocks_that_are_too_far_below_stay() {
    let folder = tempfile::tempdir().unwrap();
    let world = some_chain(20);
    let mut store = CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
    for block in &world.blocks {
        store.apply(std::slice::from_ref(block), 0).unwrap();
    }
    for _ in 0..6 {
        store.step_back().unwrap();
    }
    let error = store.step_back().unwrap_err();
    assert!(matches!(error, Error::TooDeep { height: 13 }) && error.is_lost(), "{error}");
    assert_eq!(store.tip().map(|tip| tip.height), Some(13));
}

#[test]
fn what_was_prepared_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let world = some_chain(8);
    let mut store = CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
    let early = store.prepare(&world.blocks[..2], 0).unwrap();
    store.apply(&world.blocks[..1], 0).unwrap();
    assert!(matches!(store.commit(early), Err(Error::NotExtending { .. })));
    // Only blocks from 5 on can be taken back.
    store.apply(&world.blocks[1..], 5).unwrap();
    world.agrees(&store);
    for _ in 5..8 {
        store.step_back().unwrap();
    }
    assert!(matches!(store.step_back(), Err(Error::TooDeep { height: 4 })));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let world = some_chain(10);
    let mut store = CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
    assert!(matches!(store.apply(&world.blocks[3..], 0), Err(Error::NotExtending { height: 3, .. })));
    store.apply(&world.blocks[..5], 0).unwrap();
    let mut alien = world.blocks[5].clone();
    alien.previous = hash(9);
    let error = store.apply(&[alien], 0).unwrap_err();
    assert!(matches!(error, Error::NotExtending { height: 5, .. }) && !error.is_lost(), "{error}");
    let mut spender = world.blocks[5].clone();
    spender.moves.spent.push(OutPoint { txid: hash(77_777), vout: 4 });
    let error = store.apply(&[spender], 0).unwrap_err();
    assert!(error.is_lost() && error.to_string().contains("output 4 of"), "{error}");
    store.apply(&world.blocks[5..], 0).unwrap();
    world.agrees(&store);
}

#[test]
fn the_first_block_may_be_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let world = some_chain(6);
    let mut store = CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
    store.apply(&world.blocks[1..], 0).unwrap();
    world.agrees(&store);
}

#[test]
fn a_folder_belongs_to_one_network_and_can_be_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let world = some_chain(4);
    let mut store = CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
    store.apply(&world.blocks, 0).unwrap();
    assert!(store.disk_bytes().unwrap() > 0);
    drop(store);
    let error = CoinStore::open(folder.path(), Network::Main, SMALL).unwrap_err();
    assert!(error.to_string().contains("regtest") && error.to_string().contains("delete"), "{error}");
    let store = CoinStore::open(folder.path(), Network::Regtest, SMALL).unwrap();
    let mut store = store.clear().unwrap();
    assert_eq!((store.tip(), store.count().unwrap()), (None, (0, 0)));
    store.apply(&world.blocks, 0).unwrap();
    world.agrees(&store);
}

#[test]
fn a_repeated_coinbase_writes_over_its_coins_and_gives_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = CoinStore::open(folder.path(), Network::Main, SMALL).unwrap();
    let output = OutPoint { txid: hash(5), vout: 0 };
    let block = |height: u32, hash: BlockHash, previous: BlockHash| NextBlock {
        height,
        hash,
        previous,
        moves: CoinMoves { created: vec![(output, 50)], spent: Vec::new() },
    };
    let repeat: BlockHash =
        "00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec".parse().unwrap();
    store.stand_at(CoinTip { height: 91_811, hash: hash(1) });
    let mut blocks = vec![block(91_812, hash(2), hash(1))];
    for height in 91_813..91_842_u32 {
        let previous = blocks[blocks.len() - 1].hash;
        let mut empty = block(height, hash(u64::from(height)), previous);
        empty.moves = CoinMoves::default();
        blocks.push(empty);
    }
    let below = blocks[blocks.len() - 1].hash;
    store.apply(&blocks, 0).unwrap();
    assert_eq!(store.count().unwrap(), (1, 50));
    store.apply(&[block(91_842, repeat, below)], 0).unwrap();
    assert_eq!(store.count().unwrap(), (1, 50), "one coin, not two");
    let mut spender = block(91_843, hash(3), repeat);
    spender.moves = CoinMoves { created: Vec::new(), spent: vec![output] };
    let ages = store.apply(&[spender.clone()], 0).unwrap();
    assert_eq!(ages, [[SpentAge { height: 91_842, sat: 50 }]]);
    for _ in 0..2 {
        store.step_back().unwrap();
    }
    (spender.height, spender.previous) = (91_842, below);
    let ages = store.apply(&[spender], 0).unwrap();
    assert_eq!(ages, [[SpentAge { height: 91_812, sat: 50 }]], "the earlier coin is there again");
}

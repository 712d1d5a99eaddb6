//! Real blocks of the main network, against numbers that an independent program and the node's authors published.

use chain::work::is_mined;
use chain::{Block, Spent, SpentWriter, header, headers, sums, supply_change};
use model::{BlockHash, BlockPlace, Network, Work};
use serde_json::Value;

use crate::data;
use crate::regtest::places;
use crate::stats::{script_bytes, stats};

const SPENT_KNOWN: [(u32, &str); 4] = [
    (300_025, "300025_58a9022cc78c"),
    (361_582, "361582_be6a2dd9a5ad"),
    (739_990, "739990_90c2d50c626e"),
    (866_342, "866342_b101d3c8f1f1"),
];

pub(crate) fn block_with_spent(height: u32) -> (Vec<u8>, Spent) {
    let name = SPENT_KNOWN.iter().find(|(other, _)| *other == height).unwrap().1;
    let block = data::bytes(&format!("mainnet/blocks/main_{name}.bin.zst"));
    let spent = data::json(&format!("mainnet/spent/main_{height}.prevouts.json.zst"));
    (block, data::spent_of_prevouts(&spent))
}

/// Where a block of that height would stand; its median time and work are not known.
fn lone_place(height: u32, block: &[u8]) -> BlockPlace {
    BlockPlace { header: header(&block[..80]).unwrap(), height, median_time: 0, chainwork: Work::default() }
}

#[test]
fn blocks_with_their_spent_outputs_have_the_published_numbers() {
    let told = data::json("mainnet/computed_blockstats.json");
    for (height, _) in SPENT_KNOWN {
        let (block, spent) = block_with_spent(height);
        let own = sums(&block, spent.view()).unwrap();
        let Some(told) = told.get(height.to_string()) else { continue };
        let place = lone_place(height, &block);
        assert!(is_mined(&place.header));
        let mut all = stats(Network::Main, &place, &block, &own, &script_bytes(spent.view()));
        all.as_object_mut().unwrap().remove("mediantime");
        let mut told = told.clone();
        told.as_object_mut().unwrap().remove("mediantime");
        assert_eq!(all, told, "{height}");
    }
}

#[test]
fn spent_outputs_of_2014_are_those_that_another_program_wrote_in_a_row() {
    let (block, rest) = block_with_spent(300_025);
    let (mut coins, mut row, mut writer) = (rest.view().coins().unwrap(), Vec::new(), SpentWriter::new());
    while let Some(count) = coins.next_transaction().unwrap() {
        writer.transaction();
        for _ in 0..count {
            let (coin, mut script) = (coins.next_coin().unwrap(), Vec::new());
            assert!(coin.script.push_whole(&mut script));
            writer.coin(300_000, false, coin.sat, &script);
            row.extend(coin.sat.to_le_bytes());
            data::compact(&mut row, script.len());
            row.extend(script);
        }
    }
    assert_eq!(row, data::bytes("mainnet/spent/main_300025.undo.bin"));
    let by_undo = sums(&block, writer.finish().view()).unwrap();
    assert_eq!(sums(&block, rest.view()).unwrap(), model::BlockSums { spent: None, ..by_undo.clone() });
    let moved = by_undo.total_out_sat + by_undo.fees_sat();
    assert_eq!(by_undo.spent.unwrap(), [model::SpentAge { height: 300_000, sat: moved }]);
}

#[test]
fn a_verbose_answer_tells_the_same_as_the_bytes() {
    let verbose = data::json("mainnet/json/getblock3_main_361582.json.zst");
    let verbose = verbose.get("result").unwrap_or(&verbose);
    let (block, rest) = block_with_spent(361_582);
    let own = sums(&block, rest.view()).unwrap();
    let fee_told = |transaction: &Value| transaction.get("fee").map(data::sat);
    let fees: Vec<i64> = verbose["tx"].as_array().unwrap().iter().filter_map(fee_told).collect();
    assert_eq!(own.fees, fees);
    assert_eq!(verbose["size"].as_i64(), Some(own.size_bytes));
    assert_eq!(verbose["weight"].as_i64(), Some(own.weight_wu));
    let by_verbose = sums(&block, data::spent_of_verbose(verbose).view()).unwrap();
    assert_eq!(own, model::BlockSums { spent: None, ..by_verbose });
}

#[test]
fn the_first_ten_thousand_headers_have_their_work_and_difficulty() {
    let bytes = data::bytes("mainnet/chain/headers-0-10236.bin.zst");
    let headers = headers(&bytes).unwrap();
    assert_eq!(headers.len(), 10_237);
    assert_eq!(headers[0], chain::network::genesis(Network::Main));
    let places = places(headers.iter().copied());
    // All of them at the least difficulty: each is work of 2^32 + 2^16 + 1.
    for place in &places {
        assert_eq!(place.header.difficulty().to_bits(), 1.0_f64.to_bits());
        assert!(is_mined(&place.header));
        let work = (u128::from(place.height) + 1) * 0x1_0001_0001;
        assert_eq!(place.chainwork.to_string(), format!("{work:064x}"));
    }
    let backwards = headers.windows(2).filter(|pair| pair[1].time < pair[0].time).count();
    assert_eq!(backwards, 49);
    assert!(places.windows(2).all(|pair| pair[0].median_time <= pair[1].median_time));
}

#[test]
fn the_first_blocks_follow_each_other_and_make_fifty_coins_each() {
    let file = data::bytes("mainnet/chain/blocks-1-255.dat");
    let magic = chain::network::magic(Network::Main);
    let read_at = |offset: u64, into: &mut [u8]| {
        let from = file.get(offset as usize..).unwrap_or_default();
        let count = into.len().min(from.len());
        into[..count].copy_from_slice(&from[..count]);
        Ok::<_, std::convert::Infallible>(count)
    };
    let mut node_file = chain::NodeFile { number: 0, magic, key: chain::Key::default(), read_at };
    let heads = node_file.blocks().unwrap();
    assert_eq!(heads.len(), 255);
    let genesis = chain::network::genesis(Network::Main);
    let places = places(std::iter::once(genesis).chain(heads.iter().map(|head| head.header)));
    let mut coins = std::collections::HashMap::<(BlockHash, u32), (i64, Vec<u8>, u32)>::new();
    let mut supply = 0;
    for (head, place) in heads.iter().zip(&places[1..]) {
        let block = node_file.read(&head.place, 0).unwrap();
        let mut writer = SpentWriter::new();
        for transaction in Block::read(&block).unwrap().map(Result::unwrap) {
            if !transaction.is_coinbase {
                writer.transaction();
            }
            for point in transaction.spent() {
                let (sat, script, height) = coins.remove(&(point.txid, point.vout)).unwrap();
                writer.coin(height, true, sat, &script);
            }
            for output in transaction.created() {
                let coin = (output.sat, output.script.to_vec(), place.height);
                coins.insert((transaction.txid(), output.vout), coin);
            }
        }
        let own = sums(&block, writer.finish().view()).unwrap();
        assert_eq!((own.coinbase_sat, own.fees_sat()), (5_000_000_000, 0));
        if place.height == 170 {
            // Ten coins to another, forty back: the first payment there was.
            assert_eq!((own.total_out_sat, own.transferred_sat), (5_000_000_000, 1_000_000_000));
            assert_eq!(own.spent.as_deref(), Some(&[model::SpentAge { height: 9, sat: 5_000_000_000 }][..]));
        }
        supply += supply_change(Network::Main, place.height, place.header.hash, &own);
        assert_eq!(supply, i64::from(place.height) * 5_000_000_000);
    }
}

#[test]
fn the_node_authors_own_blocks_have_the_numbers_they_expect() {
    let fixture = data::json("mainnet/json/core_test_rpc_getblockstats.json.zst");
    let blocks: Vec<Vec<u8>> = fixture["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| data::hex(block.as_str().unwrap()))
        .collect();
    let places = places(blocks.iter().map(|block| header(&block[..80]).unwrap()));
    let mut coins = std::collections::HashMap::new();
    let mut all = Vec::new();
    for (block, place) in blocks.iter().zip(&places) {
        let mut writer = SpentWriter::new();
        for transaction in Block::read(block).unwrap().map(Result::unwrap) {
            if !transaction.is_coinbase {
                writer.transaction();
            }
            for point in transaction.spent() {
                let (sat, script, height, is_coinbase): (i64, Vec<u8>, u32, bool) =
                    coins.remove(&point).unwrap();
                writer.coin(height, is_coinbase, sat, &script);
            }
            for output in transaction.created() {
                let point = chain::OutPoint { txid: transaction.txid(), vout: output.vout };
                coins.insert(
                    point,
                    (output.sat, output.script.to_vec(), place.height, transaction.is_coinbase),
                );
            }
        }
        let spent = writer.finish();
        let own = sums(block, spent.view()).unwrap();
        all.push(stats(Network::Regtest, place, block, &own, &script_bytes(spent.view())));
    }
    let told = fixture["stats"].as_array().unwrap();
    assert!(told.len() > 2);
    for told in told {
        let own = &all[told["height"].as_u64().unwrap() as usize];
        for (name, value) in told.as_object().unwrap() {
            assert_eq!(own.get(name), Some(value), "{name}");
        }
    }
}

#[test]
fn more_blocks_are_read_whole_where_there_are_some() {
    let Some(folder) = std::env::var_os("TICKHOUSE_BITCOIN") else {
        #[expect(clippy::print_stderr, reason = "says why nothing was tested")]
        {
            eprintln!("skipped: TICKHOUSE_BITCOIN is not set");
        }
        return;
    };
    let mut count = 0;
    for entry in std::fs::read_dir(std::path::Path::new(&folder).join("mainnet/blocks")).unwrap() {
        let path = entry.unwrap().path();
        let block = zstd::decode_all(std::fs::File::open(&path).unwrap()).unwrap();
        let transactions: Vec<_> = Block::read(&block).unwrap().map(Result::unwrap).collect();
        let read: usize = transactions.iter().map(chain::Transaction::size_bytes).sum();
        assert!(read > block.len() - 90, "{}", path.display());
        crate::oracle::check_block(&block);
        count += 1;
    }
    assert!(count >= 12);
}

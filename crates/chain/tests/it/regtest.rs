//! The private network: every block against everything the node said of it.

use chain::{Spent, first_place, header, place, sums, supply_change};
use model::{BlockPlace, BlockSums, Network};
use serde_json::Value;

use crate::data;
use crate::stats::{script_bytes, stats};

/// Places of headers in a row, the first of a chain being the first.
pub(crate) fn places(headers: impl IntoIterator<Item = model::BlockHeader>) -> Vec<BlockPlace> {
    let (mut places, mut times): (Vec<BlockPlace>, Vec<u32>) = (Vec::new(), Vec::new());
    for header in headers {
        let next = match places.last() {
            Some(previous) => place(previous, &times, header).unwrap(),
            None => first_place(header),
        };
        places.push(next);
        times.push(header.time);
    }
    places
}

fn regtest_places(blocks: &[Vec<u8>]) -> Vec<BlockPlace> {
    places(blocks.iter().map(|block| header(&block[..80]).unwrap()))
}

/// Numbers are compared as numbers, whether they are written with a point or not.
fn check_numbers(height: usize, reference: &Value, pairs: &[(&str, i64)]) {
    for (name, value) in pairs {
        assert_eq!(reference[name].as_i64(), Some(*value), "{name} at {height}");
    }
}

fn check_reference(reference: &Value, place: &BlockPlace, sums: &BlockSums) {
    let height = place.height as usize;
    let subsidy = Network::Regtest.subsidy(place.height);
    check_numbers(
        height,
        reference,
        &[
            ("height", i64::from(place.height)),
            ("time", i64::from(place.header.time)),
            ("mediantime", i64::from(place.median_time)),
            ("size_bytes", sums.size_bytes),
            ("weight_wu", sums.weight_wu),
            ("tx_count", sums.tx_count),
            ("input_count", sums.input_count),
            ("output_count", sums.output_count),
            ("segwit_tx_count", sums.segwit_tx_count),
            ("subsidy_sat", subsidy),
            ("total_fee_sat", sums.fees_sat()),
            ("coinbase_out_sat", sums.coinbase_sat),
            ("total_out_sat", sums.total_out_sat),
        ],
    );
    assert_eq!(reference["hash"], place.header.hash.to_string());
    assert_eq!(reference["prev_hash"], place.header.previous.to_string());
    assert_eq!(reference["chainwork"], place.chainwork.to_string());
}

fn check_full_reference(reference: &Value, place: &BlockPlace, sums: &BlockSums) {
    check_reference(reference, place, sums);
    let subsidy = Network::Regtest.subsidy(place.height);
    check_numbers(
        place.height as usize,
        reference,
        &[
            ("halving_epoch", i64::from(Network::Regtest.halving_epoch(place.height))),
            ("stripped_size_bytes", sums.stripped_size_bytes),
            ("vsize_vb", sums.vsize_vb()),
            ("tx_count_ex_coinbase", sums.tx_count - 1),
            ("unclaimed_sat", subsidy + sums.fees_sat() - sums.coinbase_sat),
            ("unspendable_out_sat", sums.unspendable_sat),
            ("total_out_spendable_sat", sums.total_out_spendable_sat),
            ("transferred_ex_own_script_sat", sums.transferred_sat),
            ("noncb_size_bytes", sums.tx_size_total_bytes),
            ("noncb_weight_wu", sums.tx_weight_total_wu),
        ],
    );
    assert_eq!(reference["bits"], format!("{:08x}", place.header.bits));
    assert_eq!(reference["difficulty"].as_f64(), Some(place.header.difficulty()));
    let mut fees: Vec<i64> =
        reference["fees"].as_array().unwrap().iter().map(|fee| fee.as_i64().unwrap()).collect();
    let mut own = sums.fees.clone();
    fees.sort_unstable();
    own.sort_unstable();
    assert_eq!(own, fees, "fees at {}", place.height);
}

#[test]
fn headers_have_the_place_that_the_node_says() {
    let blocks = data::regtest_blocks();
    let told = data::lines("regtest/getblockheader.jsonl.zst");
    assert_eq!((blocks.len(), told.len()), (335, 335));
    for (place, told) in regtest_places(&blocks).iter().zip(&told) {
        let header = place.header;
        assert_eq!(told["hash"], header.hash.to_string());
        assert_eq!(told["merkleroot"], header.merkle_root.to_string());
        assert_eq!(told["chainwork"], place.chainwork.to_string());
        assert_eq!(told["bits"], format!("{:08x}", header.bits));
        assert_eq!(
            told["target"].as_str(),
            Some(&*model::Work(chain::work::target(header.bits).unwrap()).to_string())
        );
        check_numbers(
            place.height as usize,
            told,
            &[
                ("height", i64::from(place.height)),
                ("version", i64::from(header.version)),
                ("time", i64::from(header.time)),
                ("mediantime", i64::from(place.median_time)),
                ("nonce", i64::from(header.nonce)),
            ],
        );
        let printed: f64 = told["difficulty"].as_f64().unwrap();
        assert!((printed / header.difficulty() - 1.0).abs() < 1e-15);
        assert!(chain::work::is_mined(&header));
        assert_eq!(chain::header_bytes(&header), blocks[place.height as usize][..80]);
    }
}

#[test]
fn every_form_of_spent_outputs_gives_the_sums_that_node_and_reference_say() {
    let blocks = data::regtest_blocks();
    let places = regtest_places(&blocks);
    let told = data::lines("regtest/getblockstats.jsonl.zst");
    let references = data::lines("regtest/ref_primitives.jsonl.zst");
    let rest = data::lines("regtest/spenttxouts.jsonl.zst");
    let verbose = data::lines("regtest/getblock_v3.jsonl.zst");
    let undo = crate::files::regtest_undos();
    for (height, block) in blocks.iter().enumerate() {
        let place = &places[height];
        let by_rest = data::spent_of_rest_json(&rest[height]);
        let by_verbose = data::spent_of_verbose(&verbose[height]);
        let by_undo = undo.get(&place.header.hash).cloned().unwrap_or_else(Spent::nothing);
        let with_heights = sums(block, by_undo.view()).unwrap();
        assert_eq!(sums(block, by_verbose.view()).unwrap(), with_heights, "{height}");
        let without = sums(block, by_rest.view()).unwrap();
        assert_eq!(BlockSums { spent: None, ..with_heights.clone() }, without, "{height}");
        check_ages(height, &verbose[height], &with_heights);
        check_full_reference(&references[height], place, &without);
        let lengths = script_bytes(by_rest.view());
        assert_eq!(lengths, script_bytes(by_undo.view()));
        assert_eq!(stats(Network::Regtest, place, block, &without, &lengths), told[height], "{height}");
        check_block_answer(&verbose[height], &without);
    }
}

/// Coins spent by height, added up from the verbose answer.
fn check_ages(height: usize, verbose: &Value, sums: &BlockSums) {
    let mut by_height = std::collections::BTreeMap::<u32, i64>::new();
    for transaction in &verbose["tx"].as_array().unwrap()[1..] {
        for input in transaction["vin"].as_array().unwrap() {
            let coin = &input["prevout"];
            *by_height.entry(coin["height"].as_u64().unwrap() as u32).or_default() +=
                data::sat(&coin["value"]);
        }
    }
    let own: Vec<(u32, i64)> = sums.spent.iter().flatten().map(|age| (age.height, age.sat)).collect();
    assert_eq!(own, by_height.into_iter().collect::<Vec<_>>(), "{height}");
}

fn check_block_answer(verbose: &Value, sums: &BlockSums) {
    check_numbers(
        verbose["height"].as_u64().unwrap() as usize,
        verbose,
        &[
            ("size", sums.size_bytes),
            ("strippedsize", sums.stripped_size_bytes),
            ("weight", sums.weight_wu),
            ("nTx", sums.tx_count),
        ],
    );
}

#[test]
fn the_supply_is_that_of_the_utxo_set_at_every_height() {
    let blocks = data::regtest_blocks();
    let places = regtest_places(&blocks);
    let rest = data::lines("regtest/spenttxouts.jsonl.zst");
    let told = data::lines("regtest/gettxoutsetinfo_muhash.jsonl.zst");
    let references = data::lines("regtest/ref_primitives.jsonl.zst");
    let mut supply = 0;
    for (height, block) in blocks.iter().enumerate() {
        let sums = sums(block, data::spent_of_rest_json(&rest[height]).view()).unwrap();
        supply += supply_change(Network::Regtest, height as u32, places[height].header.hash, &sums);
        assert_eq!(supply, data::sat(&told[height]["total_amount"]), "{height}");
        assert_eq!(references[height]["supply_total_sat"].as_i64(), Some(supply));
    }
}

#[test]
fn the_branch_that_lost_has_the_numbers_that_the_node_said() {
    let blocks = data::regtest_blocks();
    let mut places = regtest_places(&blocks[..315]);
    let references = data::lines("regtest/ref_primitives_branchA.jsonl");
    for (number, reference) in references.iter().enumerate() {
        let name = |end: &str| format!("regtest/stale/A{number}_{end}");
        let block = data::bytes(&name("block.bin"));
        let spent = Spent { form: chain::SpentForm::Rest, bytes: data::bytes(&name("spenttxouts.bin")) };
        let times: Vec<u32> = places.iter().map(|place| place.header.time).collect();
        places.push(place(places.last().unwrap(), &times, header(&block[..80]).unwrap()).unwrap());
        let place = places.last().unwrap();
        let by_rest = sums(&block, spent.view()).unwrap();
        let verbose = data::json(&name("getblock_v3.json"));
        let by_verbose = sums(&block, data::spent_of_verbose(&verbose).view()).unwrap();
        assert_eq!(by_rest, BlockSums { spent: None, ..by_verbose });
        check_reference(reference, place, &by_rest);
        let told = data::json(&name("getblockstats.json"));
        assert_eq!(stats(Network::Regtest, place, &block, &by_rest, &script_bytes(spent.view())), told);
        assert_eq!(data::json(&name("getblockheader.json"))["chainwork"], place.chainwork.to_string());
    }
    assert_eq!(places.len(), 318);
}

#[test]
fn transactions_are_named_and_joined_as_the_node_says() {
    let mut coins = std::collections::HashMap::new();
    let told = data::lines("regtest/gettxoutsetinfo_muhash.jsonl.zst");
    let verbose = data::lines("regtest/getblock_v2.jsonl.zst");
    for (height, block) in data::regtest_blocks().iter().enumerate() {
        let names = verbose[height]["tx"].as_array().unwrap();
        for (transaction, name) in chain::Block::read(block).unwrap().zip(names) {
            let transaction = transaction.unwrap();
            let txid = transaction.txid();
            assert_eq!(name["txid"], txid.to_string());
            for point in transaction.spent() {
                assert!(coins.remove(&point).is_some(), "{point:?} at {height}");
            }
            let made = transaction.created().filter(|output| height > 0 && !output.is_unspendable());
            coins.extend(made.map(|output| (chain::OutPoint { txid, vout: output.vout }, output.sat)));
        }
        let sum: i64 = coins.values().sum();
        assert_eq!(coins.len() as u64, told[height]["txouts"].as_u64().unwrap(), "{height}");
        assert_eq!(sum, data::sat(&told[height]["total_amount"]), "{height}");
    }
}

#[test]
fn outputs_made_and_spent_are_those_that_the_node_lists() {
    let verbose = data::lines("regtest/getblock_v3.jsonl.zst");
    for (block, verbose) in data::regtest_blocks().iter().zip(&verbose) {
        let moves = chain::coin_moves(block).unwrap();
        let transactions = verbose["tx"].as_array().unwrap();
        let lists = |name: &'static str| {
            transactions.iter().flat_map(move |transaction| {
                transaction[name].as_array().unwrap().iter().map(move |entry| (transaction, entry))
            })
        };
        let spent: Vec<(String, u64)> = lists("vin")
            .filter(|(_, input)| input.get("coinbase").is_none())
            .map(|(_, input)| (input["txid"].as_str().unwrap().to_owned(), input["vout"].as_u64().unwrap()))
            .collect();
        let own: Vec<(String, u64)> =
            moves.spent.iter().map(|output| (output.txid.to_string(), u64::from(output.vout))).collect();
        assert_eq!(own, spent);
        let created: Vec<(String, u64, i64)> = lists("vout")
            .filter(|(_, output)| {
                let script = output["scriptPubKey"]["hex"].as_str().unwrap();
                !script.starts_with("6a") && script.len() <= 20_000
            })
            .map(|(transaction, output)| {
                let txid = transaction["txid"].as_str().unwrap().to_owned();
                (txid, output["n"].as_u64().unwrap(), data::sat(&output["value"]))
            })
            .collect();
        let own: Vec<(String, u64, i64)> = moves
            .created
            .iter()
            .map(|(output, sat)| (output.txid.to_string(), u64::from(output.vout), *sat))
            .collect();
        assert_eq!(own, created);
    }
}

//! Bytes that are not what they should be: refused with words, or read to the end, but never the end of the program.

use std::sync::LazyLock;

use chain::{Block, Error, Spent, SpentForm, sums};
use model::{BlockSums, Network};
use proptest::prelude::*;

use crate::data;

/// A block with much in it, and its spent outputs in both forms.
fn rich() -> (Vec<u8>, Spent, Spent) {
    static RICH: LazyLock<(Vec<u8>, Spent, Spent)> = LazyLock::new(read_rich);
    RICH.clone()
}

fn read_rich() -> (Vec<u8>, Spent, Spent) {
    let block = data::regtest_blocks().swap_remove(160);
    let rest = data::spent_of_rest_json(&data::lines("regtest/spenttxouts.jsonl.zst")[160]);
    let undo = data::spent_of_verbose(&data::lines("regtest/getblock_v3.jsonl.zst")[160]);
    (block, rest, undo)
}

fn words(block: &[u8], spent: &Spent) -> String {
    sums(block, spent.view()).unwrap_err().to_string()
}

#[test]
fn every_cut_of_a_block_is_refused_and_says_where() {
    let (block, rest, undo) = rich();
    assert!(sums(&block, rest.view()).is_ok() && sums(&block, undo.view()).is_ok());
    for length in 0..block.len() {
        let error = sums(&block[..length], rest.view()).unwrap_err();
        assert!(matches!(error, Error::Malformed(_)), "{length}: {error}");
        assert!(error.to_string().starts_with("block, byte "), "{error}");
    }
    for spent in [rest, undo] {
        for length in 0..spent.bytes.len() {
            let cut = Spent { form: spent.form, bytes: spent.bytes[..length].to_vec() };
            let error = sums(&block, cut.view()).unwrap_err();
            assert!(matches!(error, Error::Malformed(_)), "{length}: {error}");
            assert!(error.to_string().starts_with("spent outputs, byte "), "{error}");
        }
    }
}

#[test]
fn bytes_that_follow_are_refused() {
    let (mut block, mut rest, mut undo) = rich();
    rest.bytes.push(0);
    undo.bytes.push(0);
    assert!(words(&block, &rest).contains("last list is followed by bytes"), "{}", words(&block, &rest));
    assert!(words(&block, &undo).contains("last list is followed by bytes"));
    rest.bytes.pop();
    block.push(0);
    assert!(words(&block, &rest).contains("block is followed by bytes"), "{}", words(&block, &rest));
    assert!(Block::read(&block).unwrap().any(|transaction| transaction.is_err()));
}

#[test]
fn spent_outputs_of_another_block_are_refused() {
    let blocks = data::regtest_blocks();
    let rest = data::lines("regtest/spenttxouts.jsonl.zst");
    let of = |height: usize| data::spent_of_rest_json(&rest[height]);
    assert!(
        words(&blocks[164], &of(163)).contains("the block has 270 beside the coinbase"),
        "{}",
        words(&blocks[164], &of(163))
    );
    assert!(words(&blocks[152], &of(151)).contains("transaction 1 spends 270 outputs, they are 1"));
    let mut less = of(151);
    // The amount of the one output.
    let at = 3;
    less.bytes[at..at + 8].copy_from_slice(&1_i64.to_le_bytes());
    assert!(
        words(&blocks[151], &less).contains("would spend 1 sat and make"),
        "{}",
        words(&blocks[151], &less)
    );
    let undo = Spent { form: SpentForm::Undo, ..of(164) };
    assert!(sums(&blocks[164], undo.view()).is_err());
}

#[test]
fn an_amount_that_flipped_is_no_block_of_its_header() {
    let (mut block, _, _) = rich();
    assert!(chain::coin_moves(&block).is_ok());
    let output = Block::read(&block).unwrap().next().unwrap().unwrap().created().next().unwrap();
    let amount = output.sat.to_le_bytes();
    let at = block.windows(8).position(|some| some == amount).unwrap();
    block[at] ^= 1;
    let error = chain::coin_moves(&block).unwrap_err();
    assert!(error.to_string().contains("merkle root is not that of the transactions"), "{error}");
}

#[test]
fn a_miner_takes_no_more_than_subsidy_and_fees() {
    let sums = |coinbase_sat| BlockSums { coinbase_sat, fees: vec![5, 2], ..BlockSums::default() };
    let check = |height, coinbase_sat| chain::check_claim(Network::Regtest, height, &sums(coinbase_sat));
    assert_eq!(check(149, 5_000_000_007), Ok(()));
    assert_eq!(check(149, 0), Ok(()));
    assert!(check(149, 5_000_000_008).unwrap_err().to_string().contains("take 1 sat more"));
    assert!(check(150, 5_000_000_007).unwrap_err().to_string().contains("take 2500000000 sat more"));
}

#[test]
fn a_first_transaction_must_be_a_coinbase_and_others_must_not() {
    let (mut block, rest, _) = rich();
    // Behind the header, the count, the version and the mark stands the count of inputs, then what the first one spends.
    block[80 + 1 + 4 + 2 + 1] = 7;
    assert!(
        words(&block, &rest).contains("transaction 0: first transaction is no coinbase"),
        "{}",
        words(&block, &rest)
    );
}

#[test]
fn a_flipped_bit_anywhere_is_told_or_harmless() {
    let (block, rest, undo) = rich();
    for at in 0..block.len() {
        let mut flipped = block.clone();
        flipped[at] ^= 1 << (at % 8);
        // The walk through all of it must end by itself; what it says depends on the place.
        let by_rest = sums(&flipped, rest.view());
        let by_undo = sums(&flipped, undo.view());
        assert_eq!(by_rest.is_ok(), by_undo.is_ok(), "{at}");
        let read = Block::read(&flipped).map(|block| block.filter_map(Result::ok).count());
        assert!(by_rest.is_err() || read.is_ok(), "{at}");
    }
}

proptest! {
    #[test]
    fn whatever_bytes_come_the_walk_ends(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        spent in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let (good, rest, undo) = rich();
        for form in SpentForm::ALL {
            let spent = Spent { form, bytes: spent.clone() };
            prop_assert!(sums(&bytes, spent.view()).is_err());
            prop_assert!(sums(&good, spent.view()).is_err());
        }
        prop_assert!(sums(&bytes, rest.view()).is_err() && sums(&bytes, undo.view()).is_err());
    }

    #[test]
    fn whatever_is_written_over_a_block_the_walk_ends(
        at in 0_usize..5_000,
        patch in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let (block, mut rest, undo) = rich();
        let mut patched = block.clone();
        let at = at % block.len();
        let end = (at + patch.len()).min(block.len());
        patched[at..end].copy_from_slice(&patch[..end - at]);
        let (by_rest, by_undo) = (sums(&patched, rest.view()), sums(&patched, undo.view()));
        prop_assert_eq!(by_rest.is_ok(), by_undo.is_ok());
        let at = at % rest.bytes.len();
        let end = (at + patch.len()).min(rest.bytes.len());
        rest.bytes[at..end].copy_from_slice(&patch[..end - at]);
        if let Ok(sums) = sums(&block, rest.view()) {
            prop_assert_eq!(sums.size_bytes as usize, block.len());
        }
    }
}

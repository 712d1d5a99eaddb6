//! Cases for listings: forms with their validity, pages, delistings.

use super::{listed_words, run, told};
use crate::fakes::{self, Script};

#[test]
fn a_form_holds_until_it_is_replaced() {
    let script = Script::bare("binance")
        .at(1_000)
        .answer("listing", "list BTC ETH")
        .at(2_000)
        .answer("listing", "list BTC:halted ETH SOL")
        .at(3_000)
        .answer("listing", "list BTC:halted SOL");
    assert_eq!(
        listed_words(&told(&script).instruments.rows),
        [
            "BTC trading 0..",
            "ETH trading 0..",
            "BTC trading 0..2000",
            "BTC halted 2000..",
            "SOL trading 2000..",
            "ETH trading 0..3000",
            "ETH delisted 3000..",
        ]
    );
}

#[test]
fn instruments_that_the_tables_know_are_not_listed_twice() {
    let script = Script::bare("binance").at(1_000).answer("listing", "list BTC ETH SOL");
    let mut rows = told(&script).instruments.rows;
    assert_eq!(listed_words(&rows)[2..], ["SOL trading 1000.."]);
    rows.retain(|row| &*row.instrument.base != "ETH");
    for row in &mut rows {
        row.valid_from = model::Time(500_000);
    }
    let script = script.at(2_000).answer("listing", "list BTC:halted ETH SOL");
    let mut house = fakes::house();
    house.know(rows.clone());
    let out = run(&mut house, &script);
    assert_eq!(
        listed_words(&out.instruments.rows),
        ["ETH trading 0..", "BTC trading 500..2000", "BTC halted 2000.."]
    );
    assert_eq!(out.listed.first(), Some(&0), "readers see what the tables knew");
    // Records from before what the tables know tell nothing new.
    rows[0].valid_from = model::Time(9_000_000);
    let mut house = fakes::house();
    house.know(rows);
    assert_eq!(listed_words(&run(&mut house, &script).instruments.rows), ["ETH trading 0.."]);
}

#[test]
fn pages_delist_only_once_they_are_complete() {
    let script = Script::bare("binance")
        .at(1_000)
        .answer("listing", "list page BTC more")
        .answer("listing", "list page BTC more")
        .answer("listing", "list page SOL last");
    assert_eq!(
        listed_words(&told(&script).instruments.rows)[2..],
        ["SOL trading 1000..", "ETH trading 0..1000", "ETH delisted 1000.."]
    );
}

#[test]
fn a_listing_that_lacks_most_is_not_believed() {
    let many: Vec<String> = (0..30).map(|number| format!("C{number}")).collect();
    let script = Script::bare("binance")
        .answer("listing", &format!("list BTC ETH {}", many.join(" ")))
        .at(1_000)
        .answer("listing", "list BTC");
    assert!(listed_words(&told(&script).instruments.rows).iter().all(|row| !row.contains("delisted")));
}

#[test]
fn streams_named_before_their_listing_are_understood_later() {
    let script = Script::bare("binance")
        .open(1, &["SOL@trades"])
        .answer("listing", "list BTC ETH SOL")
        .say("trade SOL 1 0 100 1");
    let mut house = fakes::house();
    run(&mut house, &script);
    assert_eq!(house.tracks[0].ledger.carriers, 1);
}

#[test]
fn two_symbols_under_one_id_do_not_replace_each_other_forever() {
    let mut script = Script::bare("binance");
    for round in 1..5 {
        script = script.at(round * 1_000).answer("listing", "list BTC BTC:halted ETH");
    }
    assert_eq!(listed_words(&told(&script).instruments.rows).len(), 2);
}

#[test]
fn of_streams_over_all_instruments_only_named_ones_are_kept() {
    let marks = |script: Script| {
        let out = told(&script.say("mark BTC 1000 5").say("mark ETH 1000 6"));
        out.mark_prices.rows.iter().map(|mark| mark.instrument.to_string()).collect::<Vec<_>>()
    };
    let bare = Script::bare("binance");
    assert_eq!(marks(bare.clone().open(1, &["!mark"])).len(), 2, "nothing tells which are wanted");
    assert_eq!(marks(bare.open(1, &["!mark", "BTC@trades"])), ["binance:BTC-USDT"]);
}

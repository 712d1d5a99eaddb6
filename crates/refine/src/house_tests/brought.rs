//! Cases for holes that stayed, and that a file of the archive filled later.

use super::{gap_words, run, told};
use crate::fakes::{self, Script};

#[test]
fn a_hole_that_stayed_is_filled_by_what_the_archive_brought() {
    let script = Script::started("binance").trades([1, 10], 0).pass(750).outcome(
        "binance:BTC-USDT",
        Some((2, 9)),
        0,
        "done",
    );
    let mut house = fakes::house();
    run(&mut house, &script);
    let script = script.outcome("binance:BTC-USDT", Some((4, 7)), 0, "archive");
    let out = run(&mut house, &script);
    assert_eq!(
        gap_words(&out.gaps.rows),
        ["missing 2..3 not_at_venue", "missing 8..9 not_at_venue", "filled 4..7 not_at_venue archive"]
    );
    assert_eq!(out.reload.len(), 1, "readers see the bars that came with it");
    let again = script.outcome("binance:BTC-USDT", Some((4, 7)), 0, "archive");
    let out = run(&mut house, &again);
    assert!(out.gaps.rows.is_empty() && out.reload.is_empty(), "it is filled once");
    let rest = again.outcome("binance:BTC-USDT", Some((2, 9)), 0, "archive");
    let out = run(&mut house, &rest);
    assert_eq!(
        gap_words(&out.gaps.rows),
        ["filled 2..3 not_at_venue archive", "filled 8..9 not_at_venue archive"]
    );
    assert_eq!(house.tracks[0].ledger.hole_counts(), (0, 0));
}

#[test]
fn a_span_without_numbers_is_filled_whole() {
    let script = super::gaps::cut().outcome("bybit-linear:BTC-USDT", None, 104_000, "done");
    let mut house = fakes::house();
    run(&mut house, &script);
    let other = script.outcome("bybit-linear:BTC-USDT", None, 103_000, "archive");
    assert!(run(&mut house, &other).gaps.rows.is_empty(), "no such hole");
    let out = run(&mut house, &other.outcome("bybit-linear:BTC-USDT", None, 104_000, "archive"));
    assert_eq!(gap_words(&out.gaps.rows), ["filled @104000..115000 beyond_history archive"]);
    assert_eq!(house.tracks[0].ledger.hole_counts(), (0, 0));
}

#[test]
fn what_is_still_asked_for_is_left_to_the_asking() {
    let script = Script::started("binance").trades([1, 10], 0).pass(750).outcome(
        "binance:BTC-USDT",
        Some((2, 9)),
        0,
        "archive",
    );
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open 2..9 dropped"]);
}

//! Cases for answers that are none of the log's business.

use super::{gap_words, run, trade_ids};
use crate::fakes::{self, Script};

#[test]
fn answers_about_the_past_are_left_to_who_asked() {
    let script = Script::started("binance")
        .trades([100, 101], 0)
        .answer("history trades BTC", "trade BTC 3 1 100 1\ntrade BTC 4 1 100 1")
        .answer("history klines BTC 60m", "no such words")
        .pass(1_000);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(trade_ids(&out.trades.rows), ["100", "101"]);
    assert_eq!((gap_words(&out.gaps.rows), house.counts.undecodable_total), (Vec::new(), 0));
}

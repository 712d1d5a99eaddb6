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

#[test]
fn trades_of_an_outage_stayed_unknown_until_a_quiet_market_traded_again() {
    let outage = || {
        let script = Script::started("binance").trades([1, 2], 0).at(5_000).closed(1);
        script.at(65_000).open(2, &["BTC@trades"]).at(75_000)
    };
    // Nobody else traded since: what the venue tells is new, and the stream goes on behind it.
    let script = outage()
        .answer("trades BTC", "trade BTC 2 1 100 1\ntrade BTC 3 30000 100 1\ntrade BTC 4 40000 100 1");
    let out = run(&mut fakes::house(), &script.frame(2, "trade BTC 5 76000 100 1").pass(1_000));
    assert_eq!(trade_ids(&out.trades.rows), ["1", "2", "3r", "4r", "5"]);
    assert_eq!(gap_words(&out.gaps.rows), Vec::<String>::new());
    // An answer that does not reach back leaves a hole.
    let script = outage().answer("trades BTC", "trade BTC 6 30000 100 1\ntrade BTC 7 40000 100 1");
    let out = run(&mut fakes::house(), &script.pass(1_000));
    assert_eq!(trade_ids(&out.trades.rows), ["1", "2", "6r", "7r"]);
    assert_eq!(gap_words(&out.gaps.rows), ["open 3..5 disconnected"]);
    // Once the stream has spoken again, it brings what is new itself.
    let script = outage().frame(2, "trade BTC 3 76000 100 1");
    let script = script.answer("trades BTC", "trade BTC 3 76000 100 1\ntrade BTC 4 76001 100 1");
    let out = run(&mut fakes::house(), &script.pass(1_000));
    assert_eq!(trade_ids(&out.trades.rows), ["1", "2", "3"]);
}

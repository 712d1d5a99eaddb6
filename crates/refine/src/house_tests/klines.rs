//! Cases for klines as evidence: minutes that lack theirs, and trades that lack some.

use model::Channel;

use super::{fill_wishes, gap_words_of, run, told, trade_ids};
use crate::fakes::{self, BYBIT, Script};

const MINUTE: i64 = 60_000;

/// Trades and klines of BTC without numbers; `a` of volume 1 in minute 1, `b` of volume 2 in minute 2.
fn watched() -> Script {
    Script::bare(BYBIT)
        .at(MINUTE - 5_000)
        .say("mark ETH 55000 1")
        .open(1, &["BTC@trades", "BTC@klines"])
        .at(MINUTE + 10_000)
        .say("trade BTC a 70000 100 1")
        .at(2 * MINUTE + 10_000)
        .say("trade BTC b 130000 100 2")
        .at(3 * MINUTE + 500)
        .say("bar BTC 0 100 0 closed\nbar BTC 60000 100 1 closed")
}

#[test]
fn a_frame_that_never_came_is_noticed_by_the_minutes_kline_and_fetched() {
    let script = watched().say("bar BTC 120000 100 3.5 closed").pass(5_000);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(gap_words_of(&out, Channel::Trades), ["open @120000..179999 dropped"]);
    assert_eq!(fill_wishes(&out), ["open @120000..179999 dropped"]);
    let body = "trade BTC b 130000 100 2\ntrade BTC lost 140000 100 1.5\ntrade BTC a 70000 100 1";
    let script = script
        .answer("trades BTC", body)
        .outcome("bybit-linear:BTC-USDT", None, 2 * MINUTE, "done")
        .pass(60_000);
    let out = run(&mut house, &script);
    assert_eq!(trade_ids(&out.trades.rows), ["lostr"]);
    assert_eq!(gap_words_of(&out, Channel::Trades), ["filled @120000..179999 dropped rest"]);
    assert_eq!(house.tracks[0].klines.checks.len(), 0);
}

#[test]
fn what_the_venue_no_longer_lists_of_a_short_minute_is_missing() {
    let script = watched()
        .say("bar BTC 120000 100 3.5 closed")
        .pass(5_000)
        .answer("trades BTC", "trade BTC c 150000 100 0.5")
        .outcome("bybit-linear:BTC-USDT", None, 2 * MINUTE, "done")
        .pass(60_000);
    assert_eq!(
        gap_words_of(&told(&script), Channel::Trades),
        [
            "open @120000..179999 dropped",
            "missing @120000..150000 beyond_history",
            "filled @150000..179999 dropped rest"
        ]
    );
}

#[test]
fn a_kline_that_agrees_or_counts_less_opens_no_hole() {
    for volume in ["2", "2.0", "1.5", "0"] {
        let script = watched().say(&format!("bar BTC 120000 100 {volume} closed")).pass(90_000);
        assert_eq!(gap_words_of(&told(&script), Channel::Trades), Vec::<String>::new(), "{volume}");
    }
}

#[test]
fn prints_apart_from_the_market_may_be_counted_by_the_kline() {
    let script = watched().say("fund BTC f 140000 100 4").say("bar BTC 120000 100 6 closed").pass(5_000);
    assert_eq!(gap_words_of(&told(&script), Channel::Trades), Vec::<String>::new());
}

#[test]
fn trades_still_on_their_way_when_the_kline_comes_are_waited_for() {
    let script = watched()
        .say("bar BTC 120000 100 3 closed")
        .pass(1_000)
        .say("trade BTC late 179000 100 1")
        .pass(10_000);
    assert_eq!(gap_words_of(&told(&script), Channel::Trades), Vec::<String>::new());
}

#[test]
fn klines_that_the_venues_own_trades_contradict_are_not_believed() {
    let mut house = fakes::house();
    let mut script = watched();
    let mut opened = 0;
    for minute in 2..9 {
        let at = minute * MINUTE;
        script = script
            .at(at + MINUTE + 500)
            .say(&format!("bar BTC {at} 100 9 closed"))
            .pass(4_000)
            .answer("trades BTC", "trade BTC b 130000 100 2\ntrade BTC a 70000 100 1")
            .outcome("bybit-linear:BTC-USDT", None, at, "done")
            .pass(12_000);
    }
    let out = run(&mut house, &script);
    for words in gap_words_of(&out, Channel::Trades) {
        assert!(!words.starts_with("missing"), "{words}");
        opened += usize::from(words.starts_with("open"));
    }
    assert_eq!(opened, 3, "three times contradicted, then unchecked");
}

#[test]
fn a_minute_torn_by_a_known_hole_is_doubted_in_the_rest_only() {
    let script = Script::bare(BYBIT)
        .at(MINUTE - 5_000)
        .say("mark ETH 55000 1")
        .open(1, &["BTC@trades", "BTC@klines"])
        .at(MINUTE + 10_000)
        .say("trade BTC a 70000 100 1")
        .at(MINUTE + 20_000)
        .closed(1)
        .at(MINUTE + 30_000)
        .open(2, &["BTC@trades", "BTC@klines"])
        .outcome("bybit-linear:BTC-USDT", None, 69_000, "refused")
        .at(2 * MINUTE + 500)
        .frame(2, "mark ETH 120500 1\nbar BTC 60000 100 5 closed")
        .pass(5_000);
    assert_eq!(
        gap_words_of(&told(&script), Channel::Trades),
        [
            "open @69000..90000 disconnected",
            "missing @69000..90000 refused",
            "open @60000..69000 dropped",
            "open @90000..119999 dropped"
        ]
    );
}

#[test]
fn the_kline_of_a_minute_that_did_not_come_is_asked_for() {
    let script = watched().pass(20_000);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(gap_words_of(&out, Channel::Klines), ["open @120000..180000 dropped"]);
    assert_eq!(fill_wishes(&out), ["open @120000..180000 dropped"]);
    let script = script.answer("klines BTC", "bar BTC 120000 100 2 closed").pass(5_000);
    let out = run(&mut house, &script);
    assert_eq!(gap_words_of(&out, Channel::Klines), ["filled @120000..180000 dropped rest"]);
}

#[test]
fn klines_of_an_outage_are_asked_for_at_once_and_split_by_what_came() {
    let script = watched()
        .closed(1)
        .at(7 * MINUTE)
        .open(2, &["BTC@trades", "BTC@klines"])
        .frame(2, "mark ETH 420000 1")
        .pass(20_000)
        .answer("klines BTC", "bar BTC 120000 100 2 closed\nbar BTC 300000 100 2 closed")
        .klines_outcome(120_000, "done");
    assert_eq!(
        gap_words_of(&told(&script), Channel::Klines),
        [
            "open @120000..360000 disconnected",
            "open @360000..420000 disconnected",
            "filled @120000..180000 disconnected rest",
            "missing @180000..300000 not_at_venue",
            "filled @300000..360000 disconnected rest"
        ]
    );
}

#[test]
fn a_numbered_stream_that_proves_a_minute_empty_needs_no_kline() {
    let script = Script::bare("binance")
        .at(MINUTE)
        .say("mark ETH 60000 1")
        .open(1, &["BTC@trades", "BTC@klines"])
        .trades([1], MINUTE)
        .say("bar BTC 60000 100 1 closed")
        .pass(5 * MINUTE);
    assert_eq!(gap_words_of(&told(&script), Channel::Klines), Vec::<String>::new());
}

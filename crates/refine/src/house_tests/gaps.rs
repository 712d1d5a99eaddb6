//! Cases for holes: found, filled, split, given up.

use super::{fill_wishes, gap_words, run, told, trade_ids};
use crate::fakes::{self, BYBIT, Script};

#[test]
fn disorder_within_half_a_second_is_no_hole() {
    let script = Script::started("binance").trades([1, 4, 2, 3, 5], 0).pass(1_000);
    let out = told(&script);
    assert_eq!(trade_ids(&out.trades.rows), ["1", "4", "2", "3", "5"]);
    assert_eq!(gap_words(&out.gaps.rows), Vec::<String>::new());
}

#[test]
fn a_jump_that_lasts_is_a_hole_and_an_answer_fills_it() {
    let script = Script::started("binance").trades([1, 2, 6], 0).pass(750);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(gap_words(&out.gaps.rows), ["open 3..5 dropped"]);
    assert_eq!(fill_wishes(&out), ["open 3..5 dropped"]);
    let script = script.answer(
        "trades BTC",
        "trade BTC 3 1 100 1\ntrade BTC 4 1 100 1\ntrade BTC 5 1 100 1\ntrade BTC 6 2 100 1\ntrade BTC 7 3 100 1",
    );
    let out = run(&mut house, &script);
    assert_eq!(trade_ids(&out.trades.rows), ["3r", "4r", "5r"], "6 is known, the stream will bring 7");
    assert_eq!(gap_words(&out.gaps.rows), ["filled 3..5 dropped rest"]);
    assert_eq!(house.counts.duplicates_total, 1);
}

#[test]
fn what_the_venue_does_not_give_is_missing_and_split_exactly() {
    let script = Script::started("binance")
        .trades([1, 21], 0)
        .pass(750)
        .answer("trades BTC", &words([2, 3, 6, 7, 8, 12, 20]))
        .outcome("binance:BTC-USDT", Some((2, 20)), 0, "done");
    let out = told(&script);
    assert_eq!(
        gap_words(&out.gaps.rows),
        [
            "open 2..20 dropped",
            "filled 2..3 dropped rest",
            "missing 4..5 not_at_venue",
            "filled 6..8 dropped rest",
            "missing 9..11 not_at_venue",
            "filled 12..12 dropped rest",
            "missing 13..19 not_at_venue",
            "filled 20..20 dropped rest",
        ]
    );
    assert_eq!(
        out.gaps.rows[0].first_time, out.gaps.rows[1].first_time,
        "the first stretch replaces the open row"
    );
}

fn words(ids: impl IntoIterator<Item = i64>) -> String {
    ids.into_iter().map(|id| format!("trade BTC {id} 1 100 1")).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_outcome_for_a_part_leaves_the_rest_open() {
    let script = Script::started("binance")
        .trades([1, 11], 0)
        .pass(750)
        .answer("trades BTC", &words([2, 3]))
        .outcome("binance:BTC-USDT", Some((2, 5)), 0, "refused");
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(
        gap_words(&out.gaps.rows),
        ["open 2..10 dropped", "filled 2..3 dropped rest", "missing 4..5 refused", "open 6..10 dropped"]
    );
    assert_eq!(house.tracks[0].ledger.hole_counts(), (1, 1));
}

#[test]
fn a_trade_that_comes_after_all_splits_the_missing_hole() {
    let script = Script::started("binance")
        .trades([1, 6], 0)
        .pass(750)
        .outcome("binance:BTC-USDT", Some((2, 5)), 0, "beyond_history")
        .say("trade BTC 3 1 100 1");
    let out = told(&script);
    assert_eq!(
        gap_words(&out.gaps.rows),
        [
            "open 2..5 dropped",
            "missing 2..5 beyond_history",
            "missing 2..2 beyond_history",
            "filled 3..3 beyond_history stream",
            "missing 4..5 beyond_history"
        ]
    );
}

#[test]
fn a_wish_without_outcome_is_made_again_after_a_minute() {
    let script = Script::started("binance").trades([1, 3], 0).pass(61_000);
    assert_eq!(fill_wishes(&told(&script)).len(), 2);
}

#[test]
fn history_and_other_ids_outside_holes_are_left_out() {
    let script = Script::started("binance")
        .trades([100], 0)
        .pass(750)
        .answer("trades BTC", &words([98, 99, 100, 101]))
        .say("trade BTC 50 1 100 1");
    assert_eq!(trade_ids(&told(&script).trades.rows), ["100"]);
}

#[test]
fn what_was_asked_about_a_silence_is_not_recorded() {
    let script = Script::started("binance").trades([1, 4], 0).pass(750).answer("newest BTC", &words([2, 3]));
    let out = told(&script);
    assert_eq!(trade_ids(&out.trades.rows), ["1", "4"]);
    assert_eq!(gap_words(&out.gaps.rows), ["open 2..3 dropped"]);
}

#[test]
fn a_stream_may_begin_in_disorder() {
    let script = Script::started("binance").trades([100, 97, 98, 101], 0).pass(750);
    let out = told(&script);
    assert_eq!(trade_ids(&out.trades.rows), ["100", "97", "98", "101"]);
    assert_eq!(gap_words(&out.gaps.rows), ["open 99..99 dropped"]);
}

#[test]
fn a_venue_that_numbers_anew_is_followed() {
    let script = Script::started("binance").trades([1_000, 1_005], 0).pass(750).trades([1, 2], 100_000);
    let out = told(&script);
    assert_eq!(trade_ids(&out.trades.rows), ["1000", "1005", "1", "2"]);
    assert_eq!(gap_words(&out.gaps.rows), ["open 1001..1004 dropped", "missing 1001..1004 dropped"]);
}

#[test]
fn the_cause_tells_what_befell_the_stream() {
    let hole = |script: Script| gap_words(&told(&script.trades([5], 10).pass(750)).gaps.rows);
    let start = || Script::started("binance").trades([1], 0);
    let again = ["BTC@trades"];
    assert_eq!(hole(start().closed(1).open(1, &again)), ["open 2..4 disconnected"]);
    assert_eq!(hole(start().session().open(1, &again)), ["open 2..4 stopped"]);
    assert_eq!(hole(start().closed(1).session().open(1, &again)), ["open 2..4 stopped"]);
    assert_eq!(hole(start().mute("BTC@trades")), ["open 2..4 silent"]);
    assert_eq!(hole(start().resumed()), ["open 2..4 disk_full"]);
    assert_eq!(hole(start().say("garbage BTC")), ["open 2..4 undecodable"]);
    let other = start().open(2, &again).closed(1);
    assert_eq!(hole(other), ["open 2..4 dropped"], "the second connection stood");
}

#[test]
fn two_connections_bring_one_stream_once() {
    let mut script = Script::started("binance").open(2, &["BTC@trades"]);
    for id in 1..=50 {
        let words = format!("trade BTC {id} {id} 100 1");
        script = if id % 7 == 0 { script } else { script.say(&words) };
        script = if id % 5 == 0 { script } else { script.frame(2, &words) };
    }
    let mut house = fakes::house();
    let out = run(&mut house, &script.pass(1_000));
    let mut ids: Vec<i64> = out.trades.rows.iter().filter_map(|trade| trade.trade_id).collect();
    ids.sort_unstable();
    let lost: Vec<i64> = (1..=50).filter(|id| id % 35 == 0).collect();
    assert_eq!(ids, (1..=50).filter(|id| !lost.contains(id)).collect::<Vec<_>>());
    assert_eq!(gap_words(&out.gaps.rows), ["open 35..35 dropped"]);
}

#[test]
fn an_answer_that_cannot_be_decoded_is_the_cause() {
    let script = Script::started("binance")
        .trades([1, 3], 0)
        .pass(750)
        .answer("trades BTC", "gibberish BTC")
        .outcome("binance:BTC-USDT", Some((2, 2)), 0, "done");
    assert_eq!(gap_words(&told(&script).gaps.rows)[1], "missing 2..2 undecodable");
}

fn named(id: &str, ms: i64) -> String {
    format!("trade BTC {id} {ms} 100 1\n")
}

/// Two named trades, then the connection dies and another one follows 10 s later.
pub(super) fn cut() -> Script {
    Script::started(BYBIT)
        .at(100_000)
        .say(&named("a", 100_000))
        .at(105_000)
        .say(&named("b", 105_000))
        .closed(1)
        .at(115_000)
        .open(2, &["BTC@trades"])
}

#[test]
fn without_numbers_the_time_between_connections_is_a_hole() {
    let out = told(&cut());
    // A frame that "b" overtook may have been on its way.
    assert_eq!(gap_words(&out.gaps.rows), ["open @104000..115000 disconnected"]);
    assert_eq!(fill_wishes(&out).len(), 1);
}

#[test]
fn an_answer_that_overlaps_what_was_there_fills_the_hole() {
    let body = [named("c", 109_000), named("b", 105_000), named("a", 100_000)].concat();
    let out = told(&cut().answer("trades BTC", &body));
    assert_eq!(trade_ids(&out.trades.rows), ["a", "b", "cr"]);
    assert_eq!(gap_words(&out.gaps.rows)[1], "filled @104000..115000 disconnected rest");
}

#[test]
fn an_answer_that_falls_short_leaves_the_rest_missing() {
    let body = [named("e", 112_000), named("d", 109_000)].concat();
    let script = cut().answer("trades BTC", &body).outcome("bybit-linear:BTC-USDT", None, 104_000, "done");
    let out = told(&script);
    assert_eq!(trade_ids(&out.trades.rows), ["a", "b", "er", "dr"]);
    assert_eq!(
        gap_words(&out.gaps.rows)[1..],
        ["missing @104000..109000 beyond_history", "filled @109000..115000 disconnected rest"]
    );
}

#[test]
fn trades_of_the_hole_that_the_stream_brings_too_are_kept_once() {
    let body = [named("c", 115_500), named("b", 105_000)].concat();
    let script =
        cut().frame(2, &named("d", 115_400)).answer("trades BTC", &body).frame(2, &named("c", 115_500));
    assert_eq!(trade_ids(&told(&script).trades.rows), ["a", "b", "d", "cr"]);
}

#[test]
fn make_before_break_leaves_no_hole() {
    let script = Script::started(BYBIT)
        .at(100_000)
        .say(&named("a", 100_000))
        .open(2, &["BTC@trades", "ETH@trades"])
        .frame(2, &named("a", 100_000))
        .closed(1)
        .frame(2, &named("b", 100_100));
    assert_eq!(gap_words(&told(&script).gaps.rows), Vec::<String>::new());
}

#[test]
fn a_stream_lost_on_a_wrong_route_when_its_connection_died_was_taken_for_observed() {
    // The connection spoke of ETH until 200 s, which says nothing of BTC: it may have been mute since 100 s.
    let script = Script::started(BYBIT)
        .at(100_000)
        .say(&named("a", 100_000))
        .at(200_000)
        .say("trade ETH x 200000 7 1")
        .at(230_000)
        .closed(1)
        .open(2, &["BTC@trades"]);
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open @100000..230000 disconnected"]);
    // What a row tells of already is not told again, but for the second in which clocks may differ.
    let script = script.at(240_000).closed(2).at(250_000).open(3, &["BTC@trades"]);
    assert_eq!(
        gap_words(&told(&script).gaps.rows),
        ["open @100000..230000 disconnected", "open @229000..250000 disconnected"]
    );
}

#[test]
fn what_a_wrong_route_lost_was_hidden_by_the_connection_that_followed() {
    let until_the_third = |heard: &str| {
        Script::started(BYBIT)
            .at(100_000)
            .say(&named("a", 100_000))
            .open(2, &["BTC@trades"])
            .closed(1)
            .at(110_000)
            .frame(2, heard)
            .at(130_000)
            .open(3, &["BTC@trades"])
            .at(131_000)
            .frame(3, &named("c", 131_000))
            .closed(2)
    };
    let silent = until_the_third("trade ETH x 110000 7 1\n");
    let words = ["open @100000..130000 silent", "open @129000..131000 silent"];
    assert_eq!(gap_words(&told(&silent).gaps.rows), words);
    let heard = until_the_third(&named("b", 110_000));
    assert_eq!(gap_words(&told(&heard).gaps.rows), ["open @100000..110000 silent"]);
}

#[test]
fn a_wrong_route_hid_behind_trades_that_came_before_they_were_said_to_be_carried() {
    let script = Script::started(BYBIT)
        .at(100_000)
        .say(&named("a", 100_000))
        .open(2, &["BTC@trades"])
        .at(105_000)
        .say(&named("b", 105_000))
        .closed(1)
        .at(120_000)
        // What is carried is written down a little after it begins.
        .frame(3, &named("c", 120_000))
        .open(3, &["BTC@trades"]);
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open @104000..120000 silent"]);
    // While one of them is known to bring it, the others may be what they like.
    let script = script.open(4, &["BTC@trades"]).at(121_000).frame(4, &named("d", 121_000)).closed(3);
    let script = script.at(122_000).frame(4, &named("e", 122_000));
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open @104000..120000 silent"]);
}

#[test]
fn what_a_new_connection_kept_back_before_its_first_trade_was_taken_for_observed() {
    let script = cut().frame(2, "trade ETH x 115100 7 1\n").at(118_000).frame(2, &named("c", 117_900));
    let words = ["open @104000..115000 disconnected", "open @114000..117900 silent"];
    assert_eq!(gap_words(&told(&script).gaps.rows), words);
    assert_eq!(fill_wishes(&told(&script)), words);
    // It is asked about once: the trades behind prove themselves.
    let script = script.at(119_000).frame(2, &named("d", 118_900));
    assert_eq!(gap_words(&told(&script).gaps.rows), words);
}

#[test]
fn a_stop_and_a_full_disk_leave_holes_too() {
    let script = Script::started(BYBIT)
        .at(100_000)
        .say(&named("a", 100_000))
        .at(160_000)
        .session()
        .open(1, &["BTC@trades"]);
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open @100000..160000 stopped"]);
    let script =
        Script::started(BYBIT).at(100_000).say(&named("a", 100_000)).at(101_000).tick().at(150_000).resumed();
    assert_eq!(gap_words(&told(&script).gaps.rows)[0], "open @101000..150000 disk_full");
}

#[test]
fn a_mute_stream_that_speaks_again_has_a_hole() {
    let script = Script::started(BYBIT)
        .at(100_000)
        .say(&named("a", 100_000))
        .at(110_000)
        .mute("BTC@trades")
        .at(120_000)
        .say(&named("b", 120_000));
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open @100000..120000 silent"]);
}

#[test]
fn a_cut_frame_hid_that_the_stream_was_mute_before() {
    // Mute since 100 s, which nobody knows yet when a frame of whatever stream arrives cut at 105 s.
    let script = Script::started(BYBIT)
        .at(99_000)
        .say("trade ETH y 99000 7 1")
        .at(100_000)
        .say(&named("a", 100_000))
        .at(105_000)
        .say("trade ETH x 105000 7 1")
        .say("broken")
        .at(110_000)
        .mute("BTC@trades")
        .at(120_000)
        .say(&named("b", 120_000));
    let out = told(&script);
    let bitcoin: Vec<_> =
        out.gaps.rows.iter().filter(|gap| gap.instrument.as_str().contains("BTC")).cloned().collect();
    assert_eq!(gap_words(&bitcoin), ["open @104000..105000 undecodable", "open @100000..120000 silent"]);
}

#[test]
fn what_a_mute_stream_missed_after_it_was_asked_for_anew_was_lost() {
    let script = Script::started(BYBIT)
        .at(100_000)
        .say(&named("a", 100_000))
        .at(105_000)
        .mute("BTC@trades")
        .closed(1)
        .open(2, &["BTC@trades"])
        .mute("BTC@trades")
        .at(120_000)
        .frame(2, &named("b", 120_000));
    assert_eq!(
        gap_words(&told(&script).gaps.rows),
        ["open @100000..105000 silent", "open @104000..120000 silent"]
    );
}

#[test]
fn records_that_the_log_lost_are_a_hole_in_what_was_carried() {
    let mut script =
        Script::started(BYBIT).at(100_000).say(&named("a", 100_000)).at(101_000).tick().at(150_000).tick();
    script.records.last_mut().unwrap().position.0 += 10;
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open @101000..150000 undecodable"]);
}

#[test]
fn a_cut_frame_of_a_venue_without_numbers_is_a_hole() {
    let script =
        Script::started(BYBIT).at(100_000).say(&named("a", 100_000)).at(105_000).say("trade BTC b 105");
    assert_eq!(gap_words(&told(&script).gaps.rows), ["open @104000..105000 undecodable"]);
}

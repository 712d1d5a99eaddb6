//! Cases for streams other than trades: observed while carried and fresh, missing otherwise, with the cause.

use model::{Channel, Time};
use tables::TimeRange;

use super::{gap_words_of, run, told};
use crate::board::Covered;
use crate::fakes::{self, BYBIT, Script};
use crate::house::House;
use crate::presence;
use crate::views;

const KEYS: [&str; 4] = ["BTC@quotes", "BTC@book", "BTC@mark_prices", "BTC@klines"];

fn started() -> Script {
    Script::bare("binance").at(1_000).say("mark ETH 1000 1").open(1, &KEYS)
}

/// `complete`, `partial` or `unknown` from 2 s to that moment, in milliseconds.
fn quality(house: &House, channel: Channel, end_ms: i64) -> &'static str {
    let slot = presence::place(channel).unwrap();
    let at = house.tracks.iter().position(|track| track.instrument().pair() == "BTC-USDT").unwrap();
    let covered = Covered::of_other(&house.tracks[at], slot);
    let time = |ms: i64| Time::from_millis(ms).unwrap();
    let range = TimeRange { start: time(2_000), end: time(end_ms) };
    views::answer(&covered, range, Some(time(end_ms))).quality.as_str()
}

#[test]
fn quotes_are_observed_while_a_connection_carries_them_even_if_quiet() {
    let mut house = fakes::house();
    run(&mut house, &started().pass(30_000));
    assert_eq!(quality(&house, Channel::Quotes, 31_000), "complete");
    assert_eq!(quality(&house, Channel::MarkPrices, 31_000), "complete");
    assert_eq!(quality(&house, Channel::Book, 31_000), "unknown", "no snapshot came");
}

#[test]
fn quotes_are_missing_between_connections() {
    let script =
        started().at(5_000).say("quote BTC 1 5000 99 101").closed(1).at(9_000).open(2, &KEYS).pass(1_000);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(gap_words_of(&out, Channel::Quotes), ["missing @5000..9000 disconnected"]);
    let marks = gap_words_of(&out, Channel::MarkPrices);
    assert_eq!(
        marks,
        ["missing @1000..9000 disconnected"],
        "quotes prove nothing of marks, which never came"
    );
    assert_eq!(quality(&house, Channel::Quotes, 10_000), "partial");
}

#[test]
fn a_second_connection_keeps_the_stream_observed() {
    let script = started().at(5_000).open(2, &KEYS).at(6_000).closed(1).pass(1_000);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(gap_words_of(&out, Channel::Quotes), Vec::<String>::new());
    assert_eq!(quality(&house, Channel::Quotes, 7_000), "complete");
}

#[test]
fn a_mute_stream_is_missing_until_it_speaks_again() {
    let script = started()
        .at(4_000)
        .say("quote BTC 1 4000 99 101")
        .at(8_000)
        .mute("BTC@quotes")
        .at(12_000)
        .say("quote BTC 2 12000 99 101");
    assert_eq!(gap_words_of(&told(&script), Channel::Quotes), ["missing @4000..12000 silent"]);
    let mut house = fakes::house();
    run(&mut house, &started().at(4_000).say("quote BTC 1 4000 99 101").at(8_000).mute("BTC@quotes"));
    assert_eq!(quality(&house, Channel::Quotes, 9_000), "partial");
}

#[test]
fn a_restart_and_a_full_disk_are_named() {
    let script = started().at(5_000).say("quote BTC 1 5000 99 101").session().at(9_000).open(1, &KEYS);
    assert_eq!(gap_words_of(&told(&script), Channel::Quotes), ["missing @5000..9000 stopped"]);
    let script = started().at(5_000).say("quote BTC 1 5000 99 101").at(7_000).resumed();
    assert_eq!(gap_words_of(&told(&script), Channel::Quotes), ["missing @5000..7000 disk_full"]);
}

#[test]
fn a_book_is_missing_from_its_break_to_its_next_snapshot() {
    let snapshot = |script: Script, at: i64, id: i64| {
        script.at(at).answer("book BTC", &format!("snap BTC {id} {id} - {at} 90x1 102x1")).say(&format!(
            "book BTC {} {} - {at} 91x1 -",
            id + 1,
            id + 1
        ))
    };
    let script = snapshot(started(), 2_000, 4).at(3_000).say("book BTC 9 9 - 3000 92x1 -");
    let script = snapshot(script, 6_000, 20).pass(500);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(gap_words_of(&out, Channel::Book), ["missing @2000..6000 dropped"]);
    assert_eq!(quality(&house, Channel::Book, 6_500), "partial");
}

#[test]
fn a_snapshot_that_comes_after_the_connection_died_is_not_served_as_fresh() {
    let script = started()
        .say("book BTC 3 4 - 1001 99x1 101x1")
        .answer("book BTC", "snap BTC 3 3 - 0 90x1,99x9 102x1")
        .closed(1)
        .answer("book BTC", "snap BTC 4 4 - 0 90x1,99x9 102x1");
    let mut house = fakes::house();
    run(&mut house, &script);
    let track = house.tracks.iter().find(|track| track.book.is_some()).unwrap();
    assert!(crate::books::lock(track.book.as_ref().unwrap()).is_stale());
}

#[test]
fn polled_open_interest_is_observed_as_long_as_answers_come() {
    let mut script = started();
    for minute in 1..=5 {
        script = script
            .at(minute * 60_000)
            .answer("open_interest BTC", &format!("interest BTC {} 5", minute * 60_000));
    }
    let script = script.at(1_200_000).answer("open_interest BTC", "interest BTC 1200000 5");
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(gap_words_of(&out, Channel::OpenInterest), ["missing @600000..1200000 silent"]);
}

#[test]
fn presence_outlives_a_restart_from_a_saved_state() {
    let script = Script::bare(BYBIT)
        .at(1_000)
        .say("mark ETH 1000 1")
        .open(1, &KEYS)
        .at(5_000)
        .say("quote BTC 1 5000 99 101")
        .closed(1);
    let mut house = fakes::house();
    run(&mut house, &script);
    let saved = crate::state::save(&house);
    let mut restored = crate::state::restore(fakes::rules(), &saved).unwrap();
    let script = script.at(9_000).open(2, &KEYS);
    let (one, two) = (run(&mut house, &script), run(&mut restored, &script));
    assert_eq!(gap_words_of(&one, Channel::Quotes), ["missing @5000..9000 disconnected"]);
    assert_eq!(gap_words_of(&two, Channel::Quotes), gap_words_of(&one, Channel::Quotes));
}

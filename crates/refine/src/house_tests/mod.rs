//! Cases for the house: what records lead to, in plain words.

mod answers;
mod books;
mod brought;
mod gaps;
mod klines;
mod listings;
mod presence;
mod resuming;

use model::{Bar, Gap, LogPosition, Trade, Wish};
use tables::{InstrumentRow, News};

use super::House;
use crate::fakes::{self, Script};
use crate::output::Output;

/// Takes all records and returns what they brought forth.
fn run(house: &mut House, script: &Script) -> Output {
    let mut out = Output::default();
    let after = house.position;
    for record in script.records.iter().filter(|record| record.position > after) {
        house.take(record, &mut out);
    }
    out
}

fn told(script: &Script) -> Output {
    run(&mut fakes::house(), script)
}

fn gap_words_of(out: &Output, channel: model::Channel) -> Vec<String> {
    let rows: Vec<Gap> = out.gaps.rows.iter().filter(|gap| gap.channel == channel).cloned().collect();
    gap_words(&rows)
}

fn trade_ids(trades: &[Trade]) -> Vec<String> {
    let id = |trade: &Trade| match &trade.venue_trade_id {
        Some(text) => text.to_string(),
        None => trade.trade_id.unwrap().to_string(),
    };
    let source = |trade: &Trade| if trade.source == model::Source::Rest { "r" } else { "" };
    trades.iter().map(|trade| format!("{}{}", id(trade), source(trade))).collect()
}

/// `open 5..7 dropped`, times in milliseconds for holes without ids.
fn gap_words(gaps: &[Gap]) -> Vec<String> {
    let one = |gap: &Gap| {
        let span = match (gap.first_id, gap.last_id) {
            (Some(first), Some(last)) => format!("{first}..{last}"),
            _ => format!("@{}..{}", gap.first_time.millis(), gap.last_time.millis()),
        };
        let source = gap.source.map(|source| format!(" {}", source.as_str())).unwrap_or_default();
        format!("{} {span} {}{source}", gap.state.as_str(), gap.cause)
    };
    gaps.iter().map(one).collect()
}

fn bar_words(bars: &[Bar]) -> Vec<String> {
    let one = |bar: &Bar| {
        format!(
            "{} {} {} c{} v{} r{}",
            bar.open_time.0 / model::time::MINUTE,
            bar.source.as_str(),
            bar.state.as_str(),
            bar.close,
            bar.volume,
            bar.revision
        )
    };
    bars.iter().map(one).collect()
}

fn listed_words(rows: &[InstrumentRow]) -> Vec<String> {
    let end = |row: &InstrumentRow| row.valid_to.map(|time| time.millis().to_string()).unwrap_or_default();
    rows.iter()
        .map(|row| {
            let (base, status) = (&row.instrument.base, row.instrument.status.as_str());
            format!("{base} {status} {}..{}", row.valid_from.millis(), end(row))
        })
        .collect()
}

fn fill_wishes(out: &Output) -> Vec<String> {
    let gap = |wish: &Wish| match wish {
        Wish::Fill(gap) => Some(gap.clone()),
        _ => None,
    };
    gap_words(&out.wishes.iter().filter_map(gap).collect::<Vec<_>>())
}

#[test]
fn minutes_close_by_the_venues_clock_and_not_by_ours() {
    // The recording is of 1970, received a day later; the grace of 1.5 s runs on the venue's clock.
    let day = 86_400_000;
    let script = Script::started("binance")
        .at(day)
        .say("trade BTC 1 30000 100 1")
        .pass(31_250)
        .say("trade ETH 1 61250 7 1")
        .pass(250);
    let mut house = fakes::house();
    let out = run(&mut house, &script);
    assert_eq!(bar_words(&out.bars.rows), ["0 trades closed c100 v1 r0"]);
    let quiet = script.pass(60_000);
    let out = run(&mut house, &quiet);
    assert_eq!(
        bar_words(&out.bars.rows),
        ["1 trades closed c7 v1 r0"],
        "receipt time goes on without events"
    );
}

#[test]
fn an_event_that_shows_the_minute_is_over_closes_it_at_once() {
    let script = Script::started("binance").at(10).say("trade BTC 1 1000 100 1").say("trade ETH 1 61600 7 1");
    assert_eq!(bar_words(&told(&script).bars.rows), ["0 trades closed c100 v1 r0"]);
}

#[test]
fn a_late_trade_revises_its_bar_once_per_record() {
    let script = Script::started("binance")
        .trades([1, 2], 1_000)
        .say("trade BTC 5 130000 101 1")
        .say("trade BTC 3 2000 99 1\ntrade BTC 4 2001 98 1");
    let out = told(&script);
    assert_eq!(bar_words(&out.bars.rows), ["0 trades closed c100 v2 r0", "0 trades revised c98 v4 r1"]);
}

#[test]
fn prints_that_are_no_market_trades_are_rows_but_not_in_bars() {
    let script = Script::started("binance")
        .say("trade BTC 1 1000 100 1")
        .say("fund BTC 2 2000 50 9")
        .say("trade BTC 3 70000 100 1");
    let out = told(&script);
    assert_eq!(
        (out.trades.rows.len(), bar_words(&out.bars.rows)),
        (3, vec!["0 trades closed c100 v1 r0".into()])
    );
}

#[test]
fn an_undecodable_frame_is_counted_and_nothing_else_stops() {
    let mut house = fakes::house();
    let script = Script::started("binance").trades([1], 0).say("nonsense BTC").trades([2], 5);
    let out = run(&mut house, &script);
    assert_eq!((house.counts.undecodable_total, out.trades.rows.len()), (1, 2));
    assert_eq!(house.desks[0].undecodable_total, 1);
}

#[test]
fn the_same_bar_of_the_venue_is_kept_once() {
    let script = Script::started("binance")
        .say("bar BTC 0 100 5 forming")
        .say("bar BTC 0 100 5 closed")
        .frame(2, "bar BTC 0 100 5 closed")
        .answer("klines BTC", "bar BTC 0 100 6 closed");
    let out = told(&script);
    assert_eq!(bar_words(&out.bars.rows), ["0 venue closed c100 v5 r0", "0 venue closed c100 v6 r0"]);
}

#[test]
fn forming_bars_are_told_on_change_at_most_four_times_a_second() {
    let mut script = Script::started("binance").at(1_000);
    for id in 1..=100 {
        script = script.at(1_000 + id * 10).say(&format!("trade BTC {id} {} 100 1", 1_000 + id * 10));
        if id % 25 == 0 {
            script = script.tick();
        }
    }
    let out = told(&script.pass(2_000));
    let forming: Vec<_> = out
        .news
        .iter()
        .filter_map(|item| match &item.news {
            News::Bar(bar) => Some((item.received.0 / 1_000_000, bar.trade_count.unwrap())),
            _ => None,
        })
        .collect();
    assert!(forming.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 250), "{forming:?}");
    assert_eq!(forming.last().unwrap().1, 100, "the last change is told too");
}

#[test]
fn older_quotes_of_a_second_connection_are_left_out() {
    let script = Script::started("binance")
        .say("quote BTC 5 1000 99 101")
        .frame(2, "quote BTC 4 1001 98 101\nquote BTC 5 1001 99 101\nquote BTC 6 1002 99 102")
        .at(200_000)
        .say("quote BTC 2 200000 1 2");
    let sequences: Vec<_> = told(&script).quotes.rows.iter().map(|quote| quote.sequence).collect();
    assert_eq!(sequences, [5, 6, 2], "a number that is much later began anew");
}

#[test]
fn news_carry_the_place_of_their_record() {
    let script = Script::started("binance").say("trade BTC 1 0 100 1\ntrade BTC 2 1 100 1");
    let out = told(&script);
    let places: Vec<_> = out
        .news
        .iter()
        .filter(|item| matches!(item.news, News::Trade(_)))
        .map(|item| (item.position, item.index))
        .collect();
    assert_eq!(places[0].0, LogPosition(5));
    assert!(places[0].1 < places[1].1);
}

//! Cases for bars: order of arrival, pieces, saved states, rollups.

use model::time::{MINUTE, SECOND};
use model::{
    Bar, BarSource, BarState, Condition, Decimal, InstrumentId, Side, Source, Time, Timeframe, Trade,
};
use proptest::prelude::*;

use super::{BarSum, MinuteBars, MinuteInput, MinuteNews, Rollup, Taken};
use crate::fold::{Error, Fold};

fn instrument() -> InstrumentId {
    "binance:BTC-USDT".parse().unwrap()
}

fn number(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn trade(micros: i64, id: i64, price: &str, quantity: &str) -> Trade {
    Trade {
        instrument: instrument(),
        venue_time: Time(micros),
        trade_id: Some(id),
        venue_trade_id: None,
        price: number(price),
        quantity: number(quantity),
        taker_side: if id % 3 == 0 { Side::Sell } else { Side::Buy },
        first_trade_id: None,
        last_trade_id: None,
        condition: Condition::Market,
        received_time: Time(micros + 20_000),
        source: Source::Stream,
    }
}

fn edge(minutes: i64) -> MinuteInput {
    MinuteInput::Edge { edge: Time(minutes * MINUTE), received_time: Time(minutes * MINUTE + 2 * SECOND) }
}

fn run(bars: &mut MinuteBars, inputs: &[MinuteInput]) -> Vec<MinuteNews> {
    let mut news = Vec::new();
    for input in inputs {
        bars.take(input, &mut |item| news.push(item));
    }
    news
}

fn words(news: &[MinuteNews]) -> Vec<String> {
    let one = |item: &MinuteNews| match item {
        MinuteNews::TooOld(minute) => format!("too old {}", minute.0 / MINUTE),
        MinuteNews::Bar(bar) => format!(
            "{} {} o{} h{} l{} c{} v{} q{} n{} b{} r{}",
            bar.open_time.0 / MINUTE,
            bar.state.as_str(),
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            bar.quote_volume,
            bar.trade_count.unwrap(),
            bar.taker_buy_volume.unwrap(),
            bar.revision
        ),
    };
    news.iter().map(one).collect()
}

#[test]
fn a_minute_closes_once_and_is_revised_by_a_late_trade() {
    let mut bars = MinuteBars::new(instrument(), 60);
    let news = run(
        &mut bars,
        &[
            MinuteInput::Trade(trade(10 * SECOND, 1, "100.5", "2")),
            MinuteInput::Trade(trade(59 * SECOND, 2, "99", "1.5")),
            MinuteInput::Trade(trade(61 * SECOND, 5, "101", "1")),
            edge(1),
            MinuteInput::Trade(trade(59 * SECOND, 3, "98", "0.5")),
            MinuteInput::Trade(trade(9 * SECOND, 0, "97", "0.5")),
            MinuteInput::Settled { received_time: Time(63 * SECOND) },
            edge(2),
        ],
    );
    assert_eq!(
        words(&news),
        [
            "0 closed o100.5 h100.5 l99 c99 v3.5 q349.5 n2 b3.5 r0",
            "0 revised o97 h100.5 l97 c98 v4.5 q447.0 n4 b3.5 r1",
            "1 closed o101 h101 l101 c101 v1 q101 n1 b1 r0",
        ]
    );
    let MinuteNews::Bar(revised) = &news[1] else { panic!("a bar was expected") };
    assert_eq!(revised.available_time, Time(63 * SECOND));
}

#[test]
fn a_minute_that_was_empty_and_then_filled_starts_with_revision_0() {
    let mut bars = MinuteBars::new(instrument(), 60);
    let news = run(
        &mut bars,
        &[
            MinuteInput::Trade(trade(SECOND, 1, "1", "1")),
            edge(3),
            MinuteInput::Trade(trade(MINUTE + 1, 2, "2", "1")),
            MinuteInput::Settled { received_time: Time(4 * MINUTE) },
        ],
    );
    assert_eq!(words(&news)[1], "1 closed o2 h2 l2 c2 v1 q2 n1 b1 r0");
}

#[test]
fn a_trade_older_than_what_is_held_asks_for_a_fold_of_its_minute() {
    let mut bars = MinuteBars::new(instrument(), 2);
    let mut inputs: Vec<_> =
        (0..5).map(|minute| MinuteInput::Trade(trade(minute * MINUTE, minute + 10, "1", "1"))).collect();
    inputs.push(edge(5));
    run(&mut bars, &inputs);
    assert_eq!(bars.take_trade(&trade(2 * MINUTE + 1, 1, "1", "1")), Taken::TooOld(Time(2 * MINUTE)));
    assert_eq!(bars.take_trade(&trade(3 * MINUTE + 1, 2, "1", "1")), Taken::Late);
    assert_eq!(bars.take_trade(&trade(-MINUTE, 3, "1", "1")), Taken::TooOld(Time(-MINUTE)));
    assert_eq!(bars.take_fresh(&trade(-MINUTE, 3, "1", "1")), Taken::Late);
    assert_eq!(bars.take_trade(&trade(-MINUTE + 5, 4, "1", "1")), Taken::Late, "held once it was begun");
}

#[test]
fn minutes_of_a_hole_being_filled_stay_held() {
    let mut bars = MinuteBars::new(instrument(), 1);
    for minute in 0..4 {
        bars.take_trade(&trade(minute * MINUTE, minute, "1", "1"));
    }
    bars.close_through(Time(4 * MINUTE), Time(0), &mut |_| {});
    bars.let_go(&[(Time(MINUTE + 5), Time(MINUTE + 7))]);
    let held: Vec<_> = (0..4).filter(|minute| bars.bar(Time(minute * MINUTE)).is_some()).collect();
    assert_eq!(held, [1, 3]);
}

#[test]
fn prints_that_are_no_market_trades_stay_out() {
    let mut bars = MinuteBars::new(instrument(), 60);
    let mut fund = trade(0, 1, "1", "1");
    fund.condition = Condition::InsuranceFund;
    assert_eq!(bars.take_trade(&fund), Taken::Apart);
    assert_eq!(bars.forming(Time(0)), None);
}

#[test]
fn numbers_that_do_not_fit_are_refused_and_change_nothing() {
    let mut bars = MinuteBars::new(instrument(), 60);
    let huge = "99999999999999999999999999999999999999";
    assert_eq!(bars.take_trade(&trade(0, 1, huge, huge)), Taken::Refused);
    assert_eq!(bars.take_trade(&trade(0, 2, "1", "1")), Taken::Open);
    let before = bars.forming(Time(0));
    for id in 3..5 {
        bars.take_trade(&trade(1, id, "1", huge));
    }
    assert_eq!(bars.take_trade(&trade(1, 5, "1", huge)), Taken::Refused);
    assert_ne!(bars.forming(Time(0)), None);
    assert_eq!(before.unwrap().trade_count, Some(1));
}

#[test]
fn a_wild_venue_clock_does_not_fill_the_memory() {
    let mut bars = MinuteBars::new(instrument(), 60);
    let refused =
        (0..2_000).filter(|id| bars.take_trade(&trade(id * MINUTE, *id, "1", "1")) == Taken::Refused).count();
    assert_eq!(refused, 2_000 - 512);
}

#[test]
fn saved_states_of_foreign_form_are_refused() {
    let mut bars = MinuteBars::new(instrument(), 60);
    assert_eq!(bars.restore(&[]), Err(Error::Version { fold: "minute bars", found: None }));
    assert_eq!(bars.restore(&[9, 1, 2]), Err(Error::Version { fold: "minute bars", found: Some(9) }));
    assert!(matches!(bars.restore(&[1, 255, 255]), Err(Error::Damaged { .. })));
}

/// What version 1 of the saved forms looks like. A binary that cannot read these breaks every house it is put in.
#[test]
fn the_golden_states_are_still_read_and_written() {
    let mut bars = MinuteBars::new(instrument(), 60);
    bars.take_trade(&trade(10 * SECOND, 1, "100.5", "2"));
    bars.close_through(Time(MINUTE), Time(62 * SECOND), &mut |_| {});
    let mut text = trade(61 * SECOND, 2, "99.99", "0.001");
    (text.trade_id, text.venue_trade_id) = (None, Some("20f43950-d8dd".into()));
    bars.take_trade(&text);
    check_golden("minute_bars_v1.bin", &bars.save());
    let mut rollup = Rollup::new(Timeframe::Minutes(5));
    rollup.take(&bars.bar(Time(0)).unwrap(), &mut |_| {});
    check_golden("rollup_v1.bin", &rollup.save());
    let mut restored = MinuteBars::new(instrument(), 60);
    restored.restore(&std::fs::read(golden("minute_bars_v1.bin")).unwrap()).unwrap();
    assert_eq!(restored.bar(Time(0)), bars.bar(Time(0)));
    assert_eq!(restored.forming(Time(0)), bars.forming(Time(0)));
}

fn golden(name: &str) -> std::path::PathBuf {
    std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo"))
        .join("tests/golden")
        .join(name)
}

fn check_golden(name: &str, bytes: &[u8]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden(name), bytes).unwrap();
    }
    assert_eq!(std::fs::read(golden(name)).unwrap(), bytes, "{name} differs; UPDATE_GOLDEN=1 renews it");
}

#[test]
fn empty_parts_add_no_prices() {
    let part = |minute: i64, price: &str, count: i64| Bar {
        instrument: instrument(),
        timeframe: Timeframe::MINUTE,
        open_time: Time(minute * MINUTE),
        open: number(price),
        high: number(price),
        low: number(price),
        close: number(price),
        volume: Decimal::from(count),
        quote_volume: Decimal::from(count),
        trade_count: Some(count),
        taker_buy_volume: Some(Decimal::ZERO),
        source: BarSource::Trades,
        state: BarState::Closed,
        revision: 0,
        available_time: Time(minute),
    };
    let bars = Rollup::fold(Timeframe::Minutes(3), &[part(0, "5", 0), part(1, "7", 2), part(2, "9", 0)]);
    assert_eq!((bars[0].open, bars[0].high, bars[0].close), (number("7"), number("7"), number("7")));
    let flat = Rollup::fold(Timeframe::Minutes(3), &[part(0, "5", 0), part(2, "5", 0)]);
    assert_eq!((flat[0].open, flat[0].close, flat[0].trade_count), (number("5"), number("5"), Some(0)));
}

/// Trades of some minutes: seconds, price in cents, quantity in thousandths, by id.
fn trades() -> impl Strategy<Value = Vec<Trade>> {
    prop::collection::vec((0..600_i64, 1..2_000_i64, 1..5_000_i64, 0..3_u32), 1..120).prop_map(|rows| {
        let one = |(id, (second, cents, thousandths, zeros)): (usize, (i64, i64, i64, u32))| {
            let mut trade = trade(second * SECOND, id as i64, "1", "1");
            // The same price with more zeros behind is the same price.
            trade.price = Decimal::new(i128::from(cents) * 10_i128.pow(zeros), 2 + zeros as u8);
            trade.quantity = Decimal::new(i128::from(thousandths), 3);
            trade
        };
        rows.into_iter().enumerate().map(one).collect()
    })
}

fn closed(trades: &[Trade]) -> Vec<String> {
    let mut bars = MinuteBars::new(instrument(), 60);
    // The earliest trade decides from where on minutes are held.
    bars.held_from = Some(Time(0));
    let mut inputs: Vec<_> = trades.iter().cloned().map(MinuteInput::Trade).collect();
    inputs.push(edge(20));
    words(&run(&mut bars, &inputs))
}

proptest! {
    #[test]
    fn any_order_of_arrival_gives_the_same_bars(
        (sorted, shuffled) in trades().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
    ) {
        prop_assert_eq!(closed(&sorted), closed(&shuffled));
    }

    #[test]
    fn trades_late_or_in_time_give_the_same_final_bars(rows in trades(), edges in prop::collection::vec(0..10_i64, 0..6)) {
        let mut inputs: Vec<_> = rows.iter().cloned().map(MinuteInput::Trade).collect();
        for (index, minute) in edges.iter().enumerate() {
            let at = (index * 17 + 3) % (inputs.len() + 1);
            inputs.insert(at, edge(*minute));
            inputs.insert(at, MinuteInput::Settled { received_time: Time(5) });
        }
        inputs.push(MinuteInput::Settled { received_time: Time(6) });
        inputs.push(edge(20));
        let mut bars = MinuteBars::new(instrument(), 60);
        bars.held_from = Some(Time(0));
        let mut last = std::collections::BTreeMap::new();
        for item in run(&mut bars, &inputs) {
            let MinuteNews::Bar(mut bar) = item else { panic!("everything is held") };
            (bar.revision, bar.state) = (0, BarState::Closed);
            last.insert(bar.open_time, bar);
        }
        let last: Vec<_> = last.into_values().map(MinuteNews::Bar).collect();
        prop_assert_eq!(words(&last), closed(&rows));
    }

    #[test]
    fn whole_in_pieces_and_restored_agree(rows in trades(), cut in 0..140_usize) {
        let mut inputs: Vec<_> = rows.iter().cloned().map(MinuteInput::Trade).collect();
        for (index, minute) in [2, 5, 7].into_iter().enumerate() {
            let at = inputs.len() * (index + 1) / 4;
            inputs.insert(at, edge(minute));
            inputs.insert(at + 1, MinuteInput::Settled { received_time: Time(minute) });
        }
        inputs.push(edge(20));
        let mut whole = MinuteBars::new(instrument(), 2);
        let expect = run(&mut whole, &inputs);
        let cut = cut.min(inputs.len());
        let mut first = MinuteBars::new(instrument(), 2);
        let mut news = run(&mut first, &inputs[..cut]);
        let mut second = MinuteBars::new(instrument(), 2);
        second.restore(&Fold::save(&first)).unwrap();
        news.extend(run(&mut second, &inputs[cut..]));
        prop_assert_eq!(&news, &expect);
        prop_assert_eq!(Fold::save(&second), Fold::save(&whole));
    }

    #[test]
    fn a_rollup_of_rollups_is_the_rollup(rows in trades(), cut in 0..12_usize) {
        let mut bars = MinuteBars::new(instrument(), 60);
        bars.held_from = Some(Time(0));
        let mut inputs: Vec<_> = rows.into_iter().map(MinuteInput::Trade).collect();
        inputs.push(edge(20));
        let minutes: Vec<Bar> = run(&mut bars, &inputs)
            .into_iter()
            .map(|item| match item { MinuteNews::Bar(bar) => bar, MinuteNews::TooOld(_) => panic!("everything is held") })
            .collect();
        let (two, six) = (Timeframe::Minutes(2), Timeframe::Minutes(6));
        let direct = Rollup::fold(six, &minutes);
        prop_assert_eq!(&Rollup::fold(six, &Rollup::fold(two, &minutes)), &direct);

        let cut = cut.min(minutes.len());
        let mut first = Rollup::new(six);
        let mut pieces = Vec::new();
        minutes[..cut].iter().for_each(|bar| first.take(bar, &mut |bar| pieces.push(bar)));
        let mut second = Rollup::new(six);
        second.restore(&first.save()).unwrap();
        minutes[cut..].iter().for_each(|bar| second.take(bar, &mut |bar| pieces.push(bar)));
        pieces.extend(second.newest());
        prop_assert_eq!(&pieces, &direct);

        for bucket in &direct {
            let inside = minutes.iter().rev().filter(|bar| six.bucket_start(bar.open_time) == bucket.open_time);
            let mut parts = inside.clone();
            let mut sum = BarSum::of(parts.next().unwrap(), six);
            parts.for_each(|bar| sum.add(bar));
            prop_assert_eq!(sum.bar(), bucket);
        }
    }
}

//! Cases for candles: against a fold over minutes that knows nothing of buckets, sums or memory.

use std::sync::Arc;

use model::time::MINUTE;
use model::{
    Bar, BarSource, BarState, Channel, Decimal, Gap, GapCause, GapState, InstrumentId, Nanos, Time, Timeframe,
};
use tables::{Candle, DataQuality, TimeRange};

use super::{Live, Picture, candles};
use crate::board::{Covered, Tile, VenueTile};
use crate::clock::VenueClock;
use crate::series::{Before, Series, blank};

/// 2024-01-01 in minutes since the epoch.
const NEW_YEAR: i64 = 28_401_120;
const DAY_MINUTES: i64 = 1_440;

/// What is known of one minute: price and volume of ours and of the venue's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Minute {
    is_observed: bool,
    ours: Option<(i64, i64)>,
    venue: Option<(i64, i64)>,
}

/// Numbers that look random and are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// Days with trades, quiet hours, outages with and without the venue's bars.
fn world(count: i64, seed: u64) -> Vec<Minute> {
    let mut dice = Dice(seed);
    let (mut is_observed, mut is_told, mut is_quiet) = (true, false, false);
    let minute = |index: i64| {
        if dice.roll(400) == 0 {
            is_observed = !is_observed;
            is_told = dice.roll(2) == 0;
        }
        if dice.roll(300) == 0 {
            is_quiet = !is_quiet;
        }
        // A month in which a whole week is quiet, and one in which days are missing.
        let day = index / DAY_MINUTES;
        is_observed = (is_observed || (14..22).contains(&day)) && !(40..44).contains(&day);
        let has_trade = !is_quiet && !(14..22).contains(&day) && dice.roll(3) > 0;
        let price = 1_000 + index % 977 + dice.roll(50) as i64;
        let volume = 1 + dice.roll(9) as i64;
        // A minute in which capture broke off holds some trades of ours and is not observed.
        let has_part = dice.roll(20) == 0;
        Minute {
            is_observed,
            ours: (has_trade && (is_observed || has_part)).then_some((price, volume)),
            venue: (dice.roll(4) == 0 || (!is_observed && is_told)).then_some((price + 1, volume + 1)),
        }
    };
    (0..count).map(minute).collect()
}

fn at(minute: i64) -> Time {
    Time((NEW_YEAR + minute) * MINUTE)
}

fn instrument() -> InstrumentId {
    "binance:BTC-USDT".parse().unwrap()
}

fn bar(minute: i64, (price, volume): (i64, i64), source: BarSource, revision: i32) -> Bar {
    let price = |offset: i64| Decimal::new(i128::from(price + offset), 1);
    Bar {
        open_time: at(minute),
        open: price(0),
        high: price(7),
        low: price(-5),
        close: price(2),
        volume: Decimal::new(i128::from(volume), 2),
        quote_volume: Decimal::new(i128::from(volume * 3), 2),
        trade_count: Some(volume),
        taker_buy_volume: Some(Decimal::ZERO),
        source,
        state: if revision > 0 { BarState::Revised } else { BarState::Closed },
        revision,
        ..blank(&instrument())
    }
}

fn series(minutes: &[Minute]) -> Series {
    let mut series = Series { complete_from: at(0), ..Series::default() };
    for (index, minute) in (0..).zip(minutes) {
        if let Some(ours) = minute.ours {
            series.insert(&bar(index, ours, BarSource::Trades, 0));
        }
        if let Some(venue) = minute.venue {
            series.insert(&bar(index, venue, BarSource::Venue, 0));
        }
    }
    series
}

fn observed(minutes: &[Minute]) -> Vec<TimeRange> {
    let mut spans: Vec<TimeRange> = Vec::new();
    for (index, _) in (0..).zip(minutes).filter(|(_, minute)| minute.is_observed) {
        match spans.last_mut() {
            Some(last) if last.end == at(index) => last.end = at(index + 1),
            _ => spans.push(TimeRange { start: at(index), end: at(index + 1) }),
        }
    }
    spans
}

/// Start of the bucket of a minute since the epoch, and of the next, by plain arithmetic.
fn bucket(timeframe: &str, minute: i64) -> (i64, i64) {
    // Of 2024, in days since new year.
    const MONTHS: [i64; 5] = [0, 31, 60, 91, 121];
    let days = (minute - NEW_YEAR).div_euclid(DAY_MINUTES);
    match timeframe {
        // 2024 began on a Monday.
        "1w" => {
            let start = NEW_YEAR + days.div_euclid(7) * 7 * DAY_MINUTES;
            (start, start + 7 * DAY_MINUTES)
        }
        "1M" => {
            let month = MONTHS.windows(2).find(|pair| days < pair[1]).unwrap();
            (NEW_YEAR + month[0] * DAY_MINUTES, NEW_YEAR + month[1] * DAY_MINUTES)
        }
        minutes => {
            let length: i64 = minutes.parse().unwrap();
            (minute / length * length, minute / length * length + length)
        }
    }
}

/// `open minute, o h l c, volume, count, is_empty, is_complete`.
type Line = (i64, [i64; 4], i64, i64, bool, bool);

fn line(candle: &Candle) -> Line {
    let tenths = |value: Decimal| i64::try_from(value.mantissa_at(1).unwrap()).unwrap();
    let bar = &candle.bar;
    let volume = i64::try_from(bar.volume.mantissa_at(2).unwrap()).unwrap();
    (
        bar.open_time.0 / MINUTE - NEW_YEAR,
        [bar.open, bar.high, bar.low, bar.close].map(tenths),
        volume,
        bar.trade_count.unwrap(),
        candle.is_empty,
        candle.is_complete,
    )
}

/// Candles minute by minute: ours where it was observed, else the venue's, else what ours has.
fn expected(timeframe: &str, minutes: &[Minute], first: i64) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut before: Option<i64> = None;
    let (mut start, mut end) = bucket(timeframe, NEW_YEAR + first);
    while start < NEW_YEAR + minutes.len() as i64 {
        let (from, until) = ((start - NEW_YEAR).max(0), (end - NEW_YEAR).min(minutes.len() as i64));
        let inside = &minutes[from as usize..until as usize];
        let chosen =
            |minute: &Minute| if minute.is_observed { minute.ours } else { minute.venue.or(minute.ours) };
        let parts: Vec<(i64, i64)> = inside.iter().filter_map(chosen).collect();
        // Nothing is known of minutes before the world began.
        let is_complete =
            start >= NEW_YEAR && inside.iter().all(|minute| minute.is_observed || minute.venue.is_some());
        let has_observed = inside.iter().any(|minute| minute.is_observed);
        let line = match (parts.first(), parts.last(), before) {
            (Some(open), Some(close), _) => {
                let high = parts.iter().map(|part| part.0 + 7).max().unwrap();
                let low = parts.iter().map(|part| part.0 - 5).min().unwrap();
                let volume: i64 = parts.iter().map(|part| part.1).sum();
                Some((start - NEW_YEAR, [open.0, high, low, close.0 + 2], volume, volume, false, is_complete))
            }
            (_, _, Some(close)) if has_observed => {
                Some((start - NEW_YEAR, [close; 4], 0, 0, true, is_complete))
            }
            _ => None,
        };
        if let Some(line) = line {
            before = Some(line.1[3]);
            lines.push(line);
        }
        (start, end) = bucket(timeframe, end);
    }
    lines
}

#[test]
fn candles_equal_a_fold_over_minutes_in_any_timeframe() {
    for seed in 1..=3 {
        let minutes = world(75 * DAY_MINUTES + 777, seed);
        let (series, observed) = (series(&minutes), observed(&minutes));
        let now = at(minutes.len() as i64);
        let instrument = instrument();
        let picture = Picture {
            instrument: &instrument,
            series: &series,
            open: &[],
            observed: &observed,
            gaps: &[],
            now,
            edge: now,
        };
        for name in ["1", "60", "173", "2850", "43200", "1w", "1M"] {
            let timeframe: Timeframe = match name {
                "1w" => Timeframe::Week,
                "1M" => Timeframe::Month,
                minutes => Timeframe::minutes(minutes.parse().unwrap()).unwrap(),
            };
            let first = timeframe.bucket_start(at(0));
            let made = candles(&picture, timeframe, (first, now), (usize::MAX, None));
            let made: Vec<Line> = made.iter().map(line).collect();
            let wanted = expected(name, &minutes, 0);
            for (made, wanted) in made.iter().zip(&wanted) {
                assert_eq!(made, wanted, "timeframe {name}, seed {seed}");
            }
            assert_eq!(made.len(), wanted.len(), "timeframe {name}, seed {seed}");
            let has_both = |flag: fn(&Line) -> bool| wanted.iter().any(flag) && !wanted.iter().all(flag);
            if name == "173" {
                assert!(
                    has_both(|line| line.4) && has_both(|line| line.5),
                    "the world has every kind of bucket"
                );
            }
        }
    }
}

fn tile() -> Tile {
    let instrument = instrument();
    let venue = Arc::new(VenueTile::new(instrument.venue()));
    Tile::new(instrument, venue)
}

/// Shows the tile that it is that minute now, everything observed but some spans.
fn show(tile: &Tile, now: i64, absent: &[TimeRange]) {
    let edge = Some(at(now));
    let newest = Some((at(now).plus_micros(20_000_000), Nanos(0)));
    *tile.venue.clock.lock().unwrap() = (VenueClock { newest, edge }, Nanos(0));
    let mut covered = Covered { start: Some(at(0)), absent: absent.to_vec(), ..Covered::default() };
    covered.spans = covered.observed(Time(i64::MAX));
    let mut shown = tile.shown();
    shown.covered = Arc::new(covered);
    shown.open =
        vec![Bar { state: BarState::Forming, ..bar(now, (5_000 + now % 7, 3), BarSource::Trades, 0) }];
}

/// The newest candle folded from all its minutes.
fn whole(tile: &Tile, timeframe: Timeframe) -> Option<Candle> {
    let live = Live::of(tile);
    let first = timeframe.bucket_start(live.now.unwrap());
    let end = timeframe.bucket_end(first);
    let series = tile.series();
    let before = series.close_before(first).close();
    candles(&live.picture(tile, &series, end), timeframe, (first, end), (1, before)).pop()
}

#[test]
fn the_newest_candle_equals_the_whole_fold_whatever_is_revised() {
    let tile = tile();
    tile.series_mut().complete_from = at(-40_000);
    let timeframes = [
        Timeframe::Minutes(1),
        Timeframe::Minutes(173),
        Timeframe::Minutes(2_850),
        Timeframe::Week,
        Timeframe::Month,
    ];
    let mut dice = Dice(7);
    let mut absent: Vec<TimeRange> = Vec::new();
    for minute in 0..4_000_i64 {
        if dice.roll(5) > 0 {
            tile.series_mut().insert(&bar(minute, (1_000 + minute % 31, 2), BarSource::Trades, 0));
        }
        // The venue's bar comes some seconds later, now and then an hour.
        let late = if dice.roll(50) == 0 { 60 } else { 1 };
        tile.series_mut().insert(&bar(minute - late, (900, 9), BarSource::Venue, minute as i32));
        let back = dice.roll(2_000) as i64;
        match dice.roll(40) {
            0 => tile.series_mut().insert(&bar(minute - back, (2_000, 1), BarSource::Trades, minute as i32)),
            1 => {
                absent.push(TimeRange { start: at(minute - back), end: at(minute - back + 3) });
                absent.sort_by_key(|range| range.start);
            }
            2 => drop(absent.pop()),
            3 => tile.series_mut().merge(&[bar(minute - back, (3_000, 4), BarSource::Venue, 9_000)]),
            _ => {}
        }
        show(&tile, minute + 1, &absent);
        if minute % 23 != 0 && dice.roll(8) > 0 {
            continue;
        }
        for timeframe in timeframes {
            assert_eq!(
                super::newest::newest(&tile, timeframe),
                whole(&tile, timeframe),
                "{minute} {timeframe:?}"
            );
        }
    }
    assert!(tile.settled()[&Timeframe::Month].reach() > at(3_900), "most of the bucket is folded once");
}

#[test]
fn what_may_not_be_in_memory_is_not_complete() {
    let tile = tile();
    tile.series_mut().complete_from = at(10);
    tile.series_mut().insert(&bar(10, (1_000, 1), BarSource::Trades, 0));
    show(&tile, 12, &[]);
    let newest = |timeframe| super::newest::newest(&tile, timeframe).unwrap();
    assert!(!newest(Timeframe::Month).is_complete);
    tile.series_mut().complete_from = at(0);
    assert!(newest(Timeframe::Month).is_complete);
}

#[test]
fn a_close_is_remembered_when_its_bar_is_let_go() {
    let mut series = Series { complete_from: at(0), ..Series::default() };
    series.insert(&bar(1, (500, 1), BarSource::Trades, 0));
    assert_eq!(series.close_before(at(1)), Before::Unasked, "the store may know");
    series.forget_before(at(5));
    let close = Before::Close(Decimal::new(502, 1));
    assert_eq!((series.close_before(at(9)), series.close_before(at(3))), (close, Before::Unasked));
    series.insert(&bar(4, (600, 1), BarSource::Trades, 1));
    assert_eq!(
        series.close_before(at(9)),
        Before::Unasked,
        "a revision from before makes the memory doubtful"
    );
}

#[test]
fn a_candle_tells_the_holes_of_its_own_range_only() {
    let tile = tile();
    tile.series_mut().complete_from = at(0);
    for minute in 0..20 {
        tile.series_mut().insert(&bar(minute, (1_000, 1), BarSource::Trades, 0));
    }
    show(&tile, 20, &[]);
    let hole = |minute: i64, state| Gap {
        instrument: instrument(),
        channel: Channel::Trades,
        first_id: Some(1),
        last_id: Some(2),
        first_time: at(minute),
        last_time: at(minute).plus_micros(1),
        state,
        cause: GapCause::Dropped,
        source: None,
        found_time: at(minute),
        closed_time: None,
    };
    let covered = Covered {
        gaps: vec![hole(3, GapState::Missing), hole(12, GapState::Open)],
        ..(*tile.shown().covered).clone()
    };
    tile.shown().covered = Arc::new(covered);
    let live = Live::of(&tile);
    let series = tile.series();
    let picture = live.picture(&tile, &series, at(20));
    let five = Timeframe::Minutes(5);
    let told: Vec<_> = candles(&picture, five, (at(0), at(20)), (usize::MAX, None))
        .iter()
        .map(|candle| (candle.quality, candle.is_repairing))
        .collect();
    let (complete, partial) = (DataQuality::Complete, DataQuality::Partial);
    assert_eq!(told, [(partial, false), (complete, false), (partial, true), (complete, false)]);
}

#[test]
fn where_history_begins_is_remembered_and_goes_back_with_older_bars() {
    let mut series = Series { complete_from: at(50), ..Series::default() };
    series.insert(&bar(50, (500, 1), BarSource::Trades, 0));
    assert_eq!(series.whole_from(), at(50), "the store may know more");
    series.begins = Some(at(50));
    assert_eq!((series.whole_from(), series.close_before(at(50))), (Time(i64::MIN), Before::Nothing));
    series.insert(&bar(10, (400, 1), BarSource::Venue, 0));
    assert_eq!((series.begins, series.whole_from()), (Some(at(10)), Time(i64::MIN)));
    assert_eq!(series.close_before(at(50)), Before::Close(Decimal::new(402, 1)));
    series.forget_before(at(20));
    assert_eq!(
        (series.begins, series.whole_from()),
        (Some(at(10)), at(20)),
        "what was let go is in the store"
    );
}

//! The saved form of minute bars and rollups. Version 1; a change of form needs a new version and a golden file.

use model::{Bar, BarSource, BarState, Decimal, InstrumentId, Time, Timeframe};
use serde::{Deserialize, Serialize};

use crate::bars::accumulator::{Minute, TradeKey};
use crate::bars::minutes::MinuteBars;
use crate::bars::rollup::Rollup;
use crate::fold::{Error, pack, unpack};

const VERSION: u8 = 1;
const MINUTES: &str = "minute bars";
const ROLLUP: &str = "rollup";

#[derive(Serialize, Deserialize)]
struct Number(i128, u8);

impl Number {
    fn of(value: Decimal) -> Self {
        Self(value.mantissa(), value.scale())
    }

    fn value(&self) -> Option<Decimal> {
        (self.1 <= model::decimal::SCALE_MAX).then(|| Decimal::new(self.0, self.1))
    }
}

#[derive(Serialize, Deserialize)]
struct KeyState(i64, Option<i64>, Option<Box<str>>);

impl KeyState {
    fn of(key: &TradeKey) -> Self {
        Self(key.venue_time.0, key.trade_id, key.venue_trade_id.clone())
    }

    fn value(self) -> TradeKey {
        TradeKey { venue_time: Time(self.0), trade_id: self.1, venue_trade_id: self.2 }
    }
}

#[derive(Serialize, Deserialize)]
struct MinuteState {
    open_time: i64,
    open: (Number, KeyState),
    close: (Number, KeyState),
    high: Number,
    low: Number,
    volume: Number,
    quote_volume: Number,
    taker_buy_volume: Number,
    trade_count: i64,
    revision: Option<i32>,
    available_time: i64,
    is_changed: bool,
}

#[derive(Serialize, Deserialize)]
struct MinutesState {
    minutes: Vec<MinuteState>,
    closed_through: i64,
    held_from: Option<i64>,
}

pub(super) fn save(bars: &MinuteBars) -> Vec<u8> {
    let minutes = bars.minutes.iter().map(|minute| MinuteState {
        open_time: minute.open_time.0,
        open: (Number::of(minute.open), KeyState::of(&minute.open_key)),
        close: (Number::of(minute.close), KeyState::of(&minute.close_key)),
        high: Number::of(minute.high),
        low: Number::of(minute.low),
        volume: Number::of(minute.volume),
        quote_volume: Number::of(minute.quote_volume),
        taker_buy_volume: Number::of(minute.taker_buy_volume),
        trade_count: minute.trade_count,
        revision: minute.revision,
        available_time: minute.available_time.0,
        is_changed: minute.is_changed,
    });
    let state = MinutesState {
        minutes: minutes.collect(),
        closed_through: bars.closed_through.0,
        held_from: bars.held_from.map(|time| time.0),
    };
    pack(VERSION, &state)
}

pub(super) fn restore(bars: &mut MinuteBars, bytes: &[u8]) -> Result<(), Error> {
    let state: MinutesState = unpack(MINUTES, VERSION, bytes)?;
    let minutes: Option<Vec<Minute>> = state.minutes.into_iter().map(minute).collect();
    let minutes = minutes.ok_or_else(|| damaged(MINUTES, "a number has more than 38 digits"))?;
    if !minutes.is_sorted_by_key(|minute| minute.open_time) {
        return Err(damaged(MINUTES, "minutes are out of order"));
    }
    bars.minutes = minutes;
    bars.closed_through = Time(state.closed_through);
    bars.held_from = state.held_from.map(Time);
    Ok(())
}

fn minute(state: MinuteState) -> Option<Minute> {
    Some(Minute {
        open_time: Time(state.open_time),
        open: state.open.0.value()?,
        open_key: state.open.1.value(),
        close: state.close.0.value()?,
        close_key: state.close.1.value(),
        high: state.high.value()?,
        low: state.low.value()?,
        volume: state.volume.value()?,
        quote_volume: state.quote_volume.value()?,
        taker_buy_volume: state.taker_buy_volume.value()?,
        trade_count: state.trade_count,
        revision: state.revision,
        available_time: Time(state.available_time),
        is_changed: state.is_changed,
    })
}

fn damaged(fold: &'static str, reason: &str) -> Error {
    Error::Damaged { fold, reason: reason.to_owned() }
}

#[derive(Serialize, Deserialize)]
struct PartState {
    instrument: String,
    timeframe: String,
    open_time: i64,
    prices: [Number; 4],
    volumes: [Number; 2],
    trade_count: Option<i64>,
    taker_buy_volume: Option<Number>,
    is_venue: bool,
    state: u8,
    revision: i32,
    available_time: i64,
}

const STATES: [BarState; 3] = [BarState::Forming, BarState::Closed, BarState::Revised];

pub(super) fn save_rollup(rollup: &Rollup) -> Vec<u8> {
    let parts: Vec<PartState> = rollup.parts.values().map(part_state).collect();
    pack(VERSION, &parts)
}

pub(super) fn restore_rollup(rollup: &mut Rollup, bytes: &[u8]) -> Result<(), Error> {
    let parts: Vec<PartState> = unpack(ROLLUP, VERSION, bytes)?;
    let parts: Option<Vec<Bar>> = parts.into_iter().map(part).collect();
    let parts = parts.ok_or_else(|| damaged(ROLLUP, "a part holds a value that cannot be"))?;
    rollup.parts = parts.into_iter().map(|bar| (bar.open_time, bar)).collect();
    Ok(())
}

fn part_state(bar: &Bar) -> PartState {
    PartState {
        instrument: bar.instrument.as_str().to_owned(),
        timeframe: bar.timeframe.to_string(),
        open_time: bar.open_time.0,
        prices: [bar.open, bar.high, bar.low, bar.close].map(Number::of),
        volumes: [bar.volume, bar.quote_volume].map(Number::of),
        trade_count: bar.trade_count,
        taker_buy_volume: bar.taker_buy_volume.map(Number::of),
        is_venue: bar.source == BarSource::Venue,
        state: STATES.iter().position(|state| *state == bar.state).unwrap_or(0) as u8,
        revision: bar.revision,
        available_time: bar.available_time.0,
    }
}

fn part(state: PartState) -> Option<Bar> {
    let [open, high, low, close] = state.prices;
    let [volume, quote_volume] = state.volumes;
    Some(Bar {
        instrument: state.instrument.parse::<InstrumentId>().ok()?,
        timeframe: state.timeframe.parse::<Timeframe>().ok()?,
        open_time: Time(state.open_time),
        open: open.value()?,
        high: high.value()?,
        low: low.value()?,
        close: close.value()?,
        volume: volume.value()?,
        quote_volume: quote_volume.value()?,
        trade_count: state.trade_count,
        taker_buy_volume: match state.taker_buy_volume {
            Some(number) => Some(number.value()?),
            None => None,
        },
        source: if state.is_venue { BarSource::Venue } else { BarSource::Trades },
        state: *STATES.get(usize::from(state.state))?,
        revision: state.revision,
        available_time: Time(state.available_time),
    })
}

//! The truth about the past: what happened on a day, as sums and trade by trade. What the archives make of it is theirs.

use std::sync::Arc;

use model::{Date, Decimal, Side, Time, VenueId};
use serde_json::{Value, json};

use crate::market::{MINUTE_MS, Market, Protocol, Tick};
use crate::world::{House, Source};

const DAY_MINUTES: i64 = 1_440;

/// What happened on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayTruth {
    /// The day.
    pub day: Date,
    /// Trades of the canonical feed, without those that the venue shows nowhere.
    pub trades: u64,
    /// First id, where ids are numbers.
    pub first_id: Option<i64>,
    /// Last id.
    pub last_id: Option<i64>,
    /// Sum of quantities.
    pub volume: Decimal,
    /// Sum of price times quantity.
    pub quote_volume: Decimal,
}

impl DayTruth {
    /// As reported.
    pub(crate) fn report(&self) -> Value {
        json!({
            "day": self.day.to_string(), "trades": self.trades, "first_id": self.first_id, "last_id": self.last_id,
            "volume": self.volume.normalized().to_string(),
            "quote_volume": self.quote_volume.normalized().to_string(),
        })
    }
}

/// A trade of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastTrade {
    /// Id, where ids are numbers.
    pub id: Option<i64>,
    /// Id, where they are texts.
    pub text_id: Option<String>,
    /// When.
    pub time: Time,
    /// Price.
    pub price: Decimal,
    /// Quantity.
    pub quantity: Decimal,
    /// Aggressor side.
    pub side: Side,
    /// First and last raw trade of an aggregate.
    pub raw: Option<(i64, i64)>,
}

fn market(house: &House, venue: VenueId, symbol: &str) -> Option<Arc<Market>> {
    let venue = house.venues.iter().find(|known| known.id == venue)?;
    let Source::Generated(listed) = &venue.source else { return None };
    let world = listed.now();
    world.by_symbol.get(symbol).map(|place| Arc::clone(&world.markets[*place]))
}

/// Trades of a day until now, in order.
fn ticks(house: &House, market: &Market, day: Date) -> impl Iterator<Item = Tick> {
    let until = house.time.market_ms().min(market.ended_ms());
    let first = i64::from(day.0) * DAY_MINUTES;
    let minutes = (first..first + DAY_MINUTES).take_while(move |minute| minute * MINUTE_MS <= until);
    minutes.flat_map(|minute| market.minute(minute)).filter(move |tick| tick.at_ms <= until)
}

/// Each day since the beginning of history.
pub(crate) fn days(house: &House, venue: VenueId, symbol: &str) -> Option<Vec<DayTruth>> {
    let market = market(house, venue, symbol)?;
    let first = market.first_minute.div_euclid(DAY_MINUTES) as i32;
    let last = house.time.market_ms().div_euclid(DAY_MINUTES * MINUTE_MS) as i32;
    Some((first..=last).map(|day| sum(house, &market, Date(day))).collect())
}

fn sum(house: &House, market: &Market, day: Date) -> DayTruth {
    let (mut trades, mut lots, mut value) = (0, 0_i128, 0_i128);
    let mut ends = None;
    for tick in ticks(house, market, day) {
        trades += 1;
        lots += i128::from(tick.lots);
        value += i128::from(tick.lots) * i128::from(tick.price);
        let (first, _) = ends.unwrap_or((tick.index, tick.index));
        ends = Some((first, tick.index));
    }
    let ends = ends.filter(|_| market.protocol != Protocol::BybitLinear);
    let lot = market.spec.lot.value;
    DayTruth {
        day,
        trades,
        first_id: ends.map(|(first, _)| market.trade_id(first)),
        last_id: ends.map(|(_, last)| market.trade_id(last)),
        volume: Decimal::new(lot.mantissa() * lots, lot.scale()),
        quote_volume: market.value(value),
    }
}

/// Hands out the trades of a day; false if there is no such market.
pub(crate) fn trades(
    house: &House,
    (venue, symbol): (VenueId, &str),
    day: Date,
    take: &mut dyn FnMut(PastTrade),
) -> bool {
    let Some(market) = market(house, venue, symbol) else { return false };
    let is_text = market.protocol == Protocol::BybitLinear;
    for tick in ticks(house, &market, day) {
        take(PastTrade {
            id: (!is_text).then(|| market.trade_id(tick.index)),
            text_id: is_text.then(|| market.trade_uuid(tick.index)),
            time: Time(tick.at_ms * 1_000),
            price: market.spec.tick.times(tick.price),
            quantity: market.spec.lot.times(tick.lots),
            side: tick.side(),
            raw: (!market.protocol.is_bybit())
                .then(|| (market.first_raw(tick.index), market.last_raw(tick.index))),
        });
    }
    true
}

//! Lets generated markets happen: sends what is due to those who want it, and writes the truth down.

mod cursor;
mod periodic;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::Time;
use runtime::tasks::Outcome;
use runtime::{Restart, Stop, Tasks};

use crate::hub::{Key, Kind};
use crate::listed::Listed;
use crate::market::{MINUTE_MS, Market, Protocol, STEP_MS, Tick};
use crate::truth::TrueTrade;
use crate::wire::{binance, bybit};
use crate::world::{Generated, House, Source, Venue};

use cursor::{Cursor, Due};
use periodic::{Minute, Periodic};

const TURN: Duration = Duration::from_millis(4);

/// Starts the market task of each generated venue.
pub(crate) fn start(house: &Arc<House>, tasks: &Tasks) {
    for venue in &house.venues {
        if matches!(venue.source, Source::Generated(_)) {
            let (venue, house) = (Arc::clone(venue), Arc::clone(house));
            // A restart would tell the truth twice.
            tasks.start(format!("sim.{}", venue.id), Restart::StopsTheHouse, move |stop| {
                run(Arc::clone(&venue), Arc::clone(&house), stop)
            });
        }
    }
}

async fn run(venue: Arc<Venue>, house: Arc<House>, stop: Stop) -> Outcome {
    let Source::Generated(listed) = &venue.source else { return Ok(()) };
    let mut driver = Driver::new(&venue, listed, &house, house.time.start_ms());
    loop {
        let now = house.time.market_ms();
        driver.advance(now, house.time.real_ms());
        venue.done_ms.store(now, Ordering::Release);
        if !stop.sleep(TURN).await {
            return Ok(());
        }
    }
}

/// Moves the markets of one venue through time.
struct Driver<'a> {
    venue: &'a Venue,
    listed: &'a Listed,
    world: Arc<Generated>,
    house: &'a House,
    cursors: Vec<Cursor>,
    due: BinaryHeap<Reverse<(i64, usize)>>,
    periodic: Periodic,
    /// Markets whose best bid and ask changed since they were last sent.
    restless: Vec<usize>,
    muted: Vec<String>,
    step: i64,
}

impl<'a> Driver<'a> {
    fn new(venue: &'a Venue, listed: &'a Listed, house: &'a House, start_ms: i64) -> Self {
        let mut driver = Self {
            venue,
            listed,
            world: listed.now(),
            house,
            cursors: Vec::new(),
            due: BinaryHeap::new(),
            periodic: Periodic::default(),
            restless: Vec::new(),
            muted: Vec::new(),
            step: start_ms / STEP_MS,
        };
        driver.follow_listing(start_ms);
        driver
    }

    /// Takes up markets that were listed since the last look.
    fn follow_listing(&mut self, start_ms: i64) {
        self.world = self.listed.now();
        for market in self.world.markets.iter().skip(self.cursors.len()) {
            let cursor = Cursor::starting(market, start_ms.max(market.opened_ms()));
            self.due.push(Reverse((cursor.next().0, self.cursors.len())));
            self.cursors.push(cursor);
        }
    }

    /// Lets everything happen up to a moment.
    fn advance(&mut self, now_ms: i64, real_ms: i64) {
        self.muted = self.venue.trouble.muted(real_ms);
        self.follow_listing(self.house.time.start_ms());
        while let Some(&Reverse((at, index))) = self.due.peek() {
            if at > now_ms {
                break;
            }
            self.due.pop();
            let end_ms = self.world.markets[index].ended_ms();
            self.market(index, now_ms.min(end_ms));
            let next_ms = self.cursors[index].next().0;
            if next_ms <= end_ms {
                self.due.push(Reverse((next_ms, index)));
            }
        }
        while self.step < now_ms / STEP_MS {
            self.step += 1;
            self.best();
            let quiet = self.muted.clone();
            let world = Arc::clone(&self.world);
            let minutes = |index: u32| {
                let cursor = &self.cursors[index as usize];
                Minute {
                    open_ms: cursor.minute * MINUTE_MS,
                    bar: cursor.bar,
                    last: cursor.told_price,
                    best: cursor.best,
                }
            };
            self.periodic.step((self.venue, &world), self.step, &quiet, &minutes);
        }
    }

    fn is_muted(&self, market: &Market) -> bool {
        self.muted.contains(&market.spec.symbol)
    }

    /// Everything of one market up to a moment.
    fn market(&mut self, index: usize, now_ms: i64) {
        let market = &*Arc::clone(&self.world.markets[index]);
        let mut ticks: Vec<Tick> = Vec::new();
        loop {
            let (at, due) = self.cursors[index].next();
            if at > now_ms {
                break;
            }
            match due {
                Due::Trade => {
                    let tick = self.cursors[index].take_trade(market);
                    ticks.push(tick);
                    if !market.protocol.is_bybit() {
                        self.binance_trade(index, &tick, now_ms);
                    }
                    self.quote(index, at, now_ms);
                }
                Due::Quote => {
                    self.cursors[index].take_quote();
                    self.quote(index, at, now_ms);
                }
                Due::MinuteEnd => {
                    self.tell(index, &mut ticks, now_ms);
                    let (minute, bar) = self.cursors[index].turn(market);
                    if !self.is_muted(market) {
                        periodic::close(self.venue, market, index as u32, (minute, bar), at);
                    }
                }
            }
        }
        self.tell(index, &mut ticks, now_ms);
    }

    /// Writes trades down, and sends Bybit's, which come many to a message.
    fn tell(&mut self, index: usize, ticks: &mut Vec<Tick>, now_ms: i64) {
        if ticks.is_empty() {
            return;
        }
        let market = &*Arc::clone(&self.world.markets[index]);
        if market.protocol.is_bybit() && !self.is_muted(market) {
            let key = Key::Market(index as u32, Kind::PublicTrade);
            for batch in ticks.chunks(1_024) {
                let before = self.cursors[index].told_price;
                self.venue.hub.publish(&key, || bybit::public_trade(market, batch, before, now_ms));
            }
        }
        let uuids: Vec<String> = match market.protocol {
            Protocol::BybitLinear => ticks.iter().map(|tick| market.trade_uuid(tick.index)).collect(),
            _ => Vec::new(),
        };
        let trades: Vec<TrueTrade<'_>> = ticks
            .iter()
            .enumerate()
            .map(|(place, tick)| truth(self.venue, market, tick, uuids.get(place).map(String::as_str)))
            .collect();
        self.house.truth.record(self.venue.id, &market.spec.symbol, &trades);
        self.cursors[index].told_price = ticks.last().map_or(0, |tick| tick.price);
        ticks.clear();
    }

    fn binance_trade(&self, index: usize, tick: &Tick, now_ms: i64) {
        let market = &*Arc::clone(&self.world.markets[index]);
        if self.is_muted(market) {
            return;
        }
        let hub = &self.venue.hub;
        hub.publish(&Key::Market(index as u32, Kind::AggTrade), || binance::agg_trade(market, tick, now_ms));
        let raw = Key::Market(index as u32, Kind::Trade);
        if hub.is_wanted(&raw) {
            for frame in binance::trades(market, tick, now_ms) {
                hub.publish(&raw, || frame);
            }
        }
    }

    fn quote(&mut self, index: usize, at_ms: i64, now_ms: i64) {
        let market = &*Arc::clone(&self.world.markets[index]);
        if self.is_muted(market) || self.cursors[index].quoted_ms == at_ms {
            return;
        }
        self.cursors[index].quoted_ms = at_ms;
        let number = index as u32;
        if !market.protocol.is_bybit() {
            let key = Key::Market(number, Kind::BookTicker);
            self.venue.hub.publish(&key, || binance::book_ticker(market, at_ms, now_ms));
            return;
        }
        if self.cursors[index].restless_ms.replace(at_ms).is_none() {
            self.restless.push(index);
        }
    }

    /// Sends Bybit's best bids and asks that changed: each at most once per step.
    fn best(&mut self) {
        let step_ms = self.step * STEP_MS;
        for index in std::mem::take(&mut self.restless) {
            let cursor = &mut self.cursors[index];
            match cursor.restless_ms {
                Some(at_ms) if at_ms <= step_ms => {
                    cursor.restless_ms = None;
                    cursor.best = (cursor.best.0 + 1, at_ms);
                    let market = &self.world.markets[index];
                    periodic::best(self.venue, market, index as u32, cursor.best, step_ms);
                }
                Some(_) => self.restless.push(index),
                None => {}
            }
        }
    }
}

fn truth<'a>(venue: &Venue, market: &'a Market, tick: &Tick, uuid: Option<&'a str>) -> TrueTrade<'a> {
    let at = Time(tick.at_ms * 1_000);
    let (price, quantity) = (market.spec.tick.times(tick.price), market.spec.lot.times(tick.lots));
    let mut trade = TrueTrade::new(venue.id, &market.spec.symbol, at.0).of(price, quantity, tick.side());
    trade.text_id = uuid;
    if uuid.is_none() {
        trade.id = Some(market.trade_id(tick.index));
    }
    if !market.protocol.is_bybit() {
        trade.first = Some(market.first_raw(tick.index));
        trade.last = Some(market.last_raw(tick.index));
    }
    trade
}

//! What a venue sends at its own pace: books, bars, marks, tickers.

use std::collections::HashMap;

use crate::hub::{Key, Kind};
use crate::market::{Bar, Book, Interval, MINUTE_MS, Market, ORIGIN_MS, Protocol, STEP_MS};
use crate::wire::binance::{self, Day};
use crate::wire::bybit::{self, BookPlace};
use crate::world::{Generated, Venue};

const DEPTH: usize = 1_000;
/// `orderbook.1` is sent again when nothing changed for so long.
const BEST_AGAIN_MS: i64 = 3_000;
/// How often that is looked after.
const BEST_LOOK_MS: i64 = 50;

/// A market's running minute.
pub(super) struct Minute {
    pub(super) open_ms: i64,
    pub(super) bar: Bar,
    /// Price of the last trade.
    pub(super) last: i64,
    /// Number and time of the last best bid and ask.
    pub(super) best: (i64, i64),
}

/// Which stream, and when.
#[derive(Clone, Copy)]
struct Place<'a> {
    venue: &'a Venue,
    market: &'a Market,
    key: &'a Key,
    at_ms: i64,
}

struct Ticker {
    day: Day,
    day_ms: i64,
    fields: Vec<(&'static str, String)>,
}

/// What was sent last.
#[derive(Default)]
pub(super) struct Periodic {
    books: HashMap<Key, (i64, Book)>,
    bars: HashMap<Key, (i64, i64)>,
    tickers: HashMap<Key, Ticker>,
}

impl Periodic {
    /// Sends what is due at a step.
    pub(super) fn step(
        &mut self,
        (venue, world): (&Venue, &Generated),
        step: i64,
        muted: &[String],
        minute: &dyn Fn(u32) -> Minute,
    ) {
        let at_ms = step * STEP_MS;
        for key in venue.hub.wanted(|key| is_due(key, at_ms, venue.protocol)) {
            let (index, kind) = match key {
                Key::Market(index, kind) => (index, kind),
                Key::All(_) => {
                    venue.hub.publish(&key, || all_marks(world, at_ms));
                    continue;
                }
                Key::Named(_) => continue,
            };
            let market = &world.markets[index as usize];
            if muted.contains(&market.spec.symbol) || market.is_over(at_ms) {
                // The book moves on while nobody hears of it.
                self.books.remove(&key);
                continue;
            }
            let place = Place { venue, market, key: &key, at_ms };
            match kind {
                Kind::Depth { every_ms } if world.with_books => {
                    self.depth(venue, market, &key, (step - steps(every_ms), step));
                }
                Kind::PartialDepth { levels, every_ms } if world.with_books => {
                    let book = || market.book(step, levels as usize);
                    venue.hub.publish(&key, || {
                        binance::partial_depth(market, &book(), (step - steps(every_ms), step))
                    });
                }
                Kind::Orderbook { levels: 1 } => best_again(venue, market, &key, minute(index).best, at_ms),
                Kind::Orderbook { levels } if world.with_books => {
                    self.orderbook(venue, market, &key, (levels, step));
                }
                Kind::Kline { interval } => {
                    self.kline(&place, interval, &minute(index));
                }
                Kind::MarkPrice { .. } => venue.hub.publish(&key, || binance::mark_price(market, at_ms)),
                Kind::MiniTicker => venue.hub.publish(&key, || binance::mini_ticker(market, at_ms)),
                Kind::Tickers => self.ticker(&place, minute(index).last),
                _ => {}
            }
        }
    }

    fn depth(&mut self, venue: &Venue, market: &Market, key: &Key, (from, to): (i64, i64)) {
        let before = self.books.remove(key).filter(|(step, _)| *step == from).map(|(_, book)| book);
        let before = before.unwrap_or_else(|| market.book(from, DEPTH));
        let book = market.book(to, DEPTH);
        venue.hub.publish(key, || {
            let changes = market.book_changes((from, &before), (to, &book));
            binance::depth(market, &changes, (from, to))
        });
        self.books.insert(key.clone(), (to, book));
    }

    fn orderbook(&mut self, venue: &Venue, market: &Market, key: &Key, (levels, step): (u32, i64)) {
        let at_ms = step * STEP_MS;
        let book = market.book(step, levels as usize);
        let (update, changes) = match self.books.get(key) {
            Some((update, before)) => (*update, book.changes_since(before)),
            None => ((at_ms - ORIGIN_MS) / 10, Book::default()),
        };
        let update = update + i64::from(!changes.is_empty());
        let place = |is_snapshot| BookPlace { levels, update, at_ms, is_snapshot };
        venue.hub.publish_change(
            key,
            || bybit::orderbook(market, &book, place(true), at_ms + 1),
            || (!changes.is_empty()).then(|| bybit::orderbook(market, &changes, place(false), at_ms + 1)),
        );
        self.books.insert(key.clone(), (update, book));
    }

    fn kline(&mut self, place: &Place<'_>, word: &'static str, minute: &Minute) {
        let Place { venue, market, key, at_ms } = *place;
        let Some((_, interval)) = Interval::named(market.protocol, word) else { return };
        if interval == Interval::Second {
            let open = at_ms - 1_000;
            let bar = market.bar(interval, open, at_ms);
            venue.hub.publish(key, || frame(market, word, (open, at_ms - 1), &bar, at_ms));
            return;
        }
        let open = interval.open_of(minute.open_ms);
        let bar =
            if interval == Interval::Minutes(1) { minute.bar } else { market.bar(interval, open, at_ms) };
        let state = (open, bar.last_raw);
        if self.bars.insert(key.clone(), state) != Some(state) && bar.first_raw >= 0 {
            let span = (open, interval.after(open) - 1);
            // The minute's last trades may not be told yet: only `close` says that it is over.
            let now = at_ms.clamp(span.0, span.1);
            venue.hub.publish(key, || frame(market, word, span, &bar, now));
        }
    }

    fn ticker(&mut self, place: &Place<'_>, last: i64) {
        let Place { venue, market, key, at_ms } = *place;
        let known = self.tickers.entry(key.clone()).or_insert_with(|| Ticker {
            day: binance::day(market, at_ms),
            day_ms: at_ms,
            fields: Vec::new(),
        });
        if at_ms - known.day_ms > 5_000 {
            (known.day, known.day_ms) = (binance::day(market, at_ms), at_ms);
        }
        known.day.last = last;
        let fields = bybit::ticker_fields(market, &known.day, at_ms);
        let is_whole = market.protocol == Protocol::Bybit;
        let changed: Vec<_> = fields
            .iter()
            .filter(|field| is_whole || field.0 == "symbol" || !known.fields.contains(field))
            .cloned()
            .collect();
        let has_changed = fields != known.fields;
        venue.hub.publish_change(
            key,
            || bybit::ticker(market, &fields, true, at_ms),
            || has_changed.then(|| bybit::ticker(market, &changed, is_whole, at_ms)),
        );
        known.fields = fields;
    }
}

const fn steps(every_ms: u32) -> i64 {
    let steps = every_ms as i64 / STEP_MS;
    if steps == 0 { 1 } else { steps }
}

fn is_due(key: &Key, at_ms: i64, protocol: Protocol) -> bool {
    let (Key::Market(_, kind) | Key::All(kind)) = key else { return false };
    let pace = match kind {
        Kind::Depth { every_ms } | Kind::PartialDepth { every_ms, .. } => steps(*every_ms) * STEP_MS,
        Kind::MarkPrice { every_ms } => i64::from(*every_ms),
        // Changes of the best go out with the step they come in, see `best`.
        Kind::Orderbook { levels: 1 } => BEST_LOOK_MS,
        Kind::Orderbook { levels: 50 } => 20,
        Kind::Orderbook { levels: 200 } => 100,
        Kind::Orderbook { .. } => 200,
        Kind::Tickers if protocol == Protocol::Bybit => 50,
        Kind::Tickers => 100,
        Kind::MiniTicker | Kind::Kline { interval: "1s" } => 1_000,
        Kind::Kline { .. } => match protocol {
            Protocol::Binance => 2_000,
            Protocol::BinanceFutures => 250,
            Protocol::Bybit | Protocol::BybitLinear => 1_000,
        },
        Kind::AggTrade | Kind::Trade | Kind::BookTicker | Kind::PublicTrade => return false,
    };
    at_ms % pace == 0
}

fn frame(market: &Market, word: &str, span: (i64, i64), bar: &Bar, now_ms: i64) -> String {
    if market.protocol.is_bybit() {
        bybit::kline(market, word, span, bar, now_ms)
    } else {
        binance::kline(market, word, span, bar, now_ms)
    }
}

/// Tells that bars are over, at the end of a minute.
pub(super) fn close(venue: &Venue, market: &Market, index: u32, (minute, bar): (i64, Bar), end_ms: i64) {
    for (word, interval) in Interval::all(market.protocol) {
        let key = Key::Market(index, Kind::Kline { interval: word });
        if *interval == Interval::Second || interval.open_of(end_ms) != end_ms || !venue.hub.is_wanted(&key) {
            continue;
        }
        let open = interval.before(end_ms);
        let is_minute = open == minute * MINUTE_MS;
        let bar = if is_minute { bar } else { market.bar(*interval, open, end_ms - 1) };
        venue.hub.publish(&key, || frame(market, word, (open, end_ms - 1), &bar, end_ms));
    }
}

/// Sends Bybit's best bid and ask after a change; always a snapshot.
pub(super) fn best(venue: &Venue, market: &Market, index: u32, (update, at_ms): (i64, i64), now_ms: i64) {
    let place = BookPlace { levels: 1, update, at_ms, is_snapshot: true };
    let render = || bybit::orderbook(market, &top(market, at_ms), place, now_ms);
    let key = Key::Market(index, Kind::Orderbook { levels: 1 });
    venue.hub.publish_change(&key, render, || Some(render()));
}

fn best_again(venue: &Venue, market: &Market, key: &Key, (update, at_ms): (i64, i64), now_ms: i64) {
    let place = BookPlace { levels: 1, update, at_ms, is_snapshot: true };
    let render = || bybit::orderbook(market, &top(market, at_ms), place, now_ms);
    let quiet_ms = now_ms - at_ms;
    let again = quiet_ms >= BEST_AGAIN_MS && quiet_ms % BEST_AGAIN_MS < BEST_LOOK_MS;
    venue.hub.publish_change(key, render, || again.then(render));
}

fn top(market: &Market, at_ms: i64) -> Book {
    let (bid, ask) = market.quote(at_ms);
    Book { bids: vec![bid], asks: vec![ask] }
}

fn all_marks(world: &Generated, at_ms: i64) -> String {
    let mut rows: Vec<String> =
        world.trading(at_ms).map(|market| binance::mark_price(market, at_ms)).collect();
    // Coin-margined symbols share this stream since 2026-06-30; readers must tell them apart by `st`.
    if let Some(row) = rows.first() {
        rows.push(row.replace("BTCUSDT", "BTCUSD_PERP").replace("\"st\":1", "\"st\":2"));
    }
    format!("[{}]", rows.join(","))
}

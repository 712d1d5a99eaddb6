//! Stream frames of Binance, spot and USD-M.

use super::levels;
use crate::market::{Bar, Book, MINUTE_MS, Market, Protocol, STEP_MS, Tick};

/// Eight hours, the interval of funding.
pub(crate) const FUNDING_MS: i64 = 8 * 3_600_000;

fn is_spot(market: &Market) -> bool {
    market.protocol == Protocol::Binance
}

/// `aggTrade`.
pub(crate) fn agg_trade(market: &Market, tick: &Tick, now_ms: i64) -> String {
    let (price, quantity) = (market.spec.tick.text(tick.price), market.spec.lot.text(tick.lots));
    let (id, first, last) =
        (market.trade_id(tick.index), market.first_raw(tick.index), market.last_raw(tick.index));
    let (symbol, at, is_maker) = (&market.spec.symbol, tick.at_ms, !tick.is_buy);
    if is_spot(market) {
        return format!(
            r#"{{"e":"aggTrade","E":{now_ms},"s":"{symbol}","a":{id},"p":"{price}","q":"{quantity}","f":{first},"l":{last},"T":{at},"m":{is_maker},"M":true}}"#
        );
    }
    format!(
        r#"{{"e":"aggTrade","E":{now_ms},"a":{id},"s":"{symbol}","p":"{price}","q":"{quantity}","nq":"{quantity}","f":{first},"l":{last},"T":{at},"m":{is_maker},"st":1}}"#
    )
}

/// `trade`, one for each raw trade of an aggregate.
pub(crate) fn trades(market: &Market, tick: &Tick, now_ms: i64) -> Vec<String> {
    let (symbol, at, is_maker) = (&market.spec.symbol, tick.at_ms, !tick.is_buy);
    let price = market.spec.tick.text(tick.price);
    let frames = market.raw_trades(tick).map(|(id, lots)| {
        let quantity = market.spec.lot.text(lots);
        if is_spot(market) {
            return format!(
                r#"{{"e":"trade","E":{now_ms},"s":"{symbol}","t":{id},"p":"{price}","q":"{quantity}","T":{at},"m":{is_maker},"M":true}}"#
            );
        }
        format!(
            r#"{{"e":"trade","E":{now_ms},"T":{at},"s":"{symbol}","t":{id},"p":"{price}","q":"{quantity}","X":"MARKET","m":{is_maker},"st":1}}"#
        )
    });
    frames.collect()
}

/// `bookTicker`.
pub(crate) fn book_ticker(market: &Market, at_ms: i64, now_ms: i64) -> String {
    let (bid, ask) = market.quote(at_ms);
    let (tick, lot, symbol) = (&market.spec.tick, &market.spec.lot, &market.spec.symbol);
    let id = market.update_id_at(at_ms);
    let sides = format!(
        r#""b":"{}","B":"{}","a":"{}","A":"{}""#,
        tick.text(bid.0),
        lot.text(bid.1),
        tick.text(ask.0),
        lot.text(ask.1)
    );
    if is_spot(market) {
        return format!(r#"{{"u":{id},"s":"{symbol}",{sides}}}"#);
    }
    format!(
        r#"{{"e":"bookTicker","u":{id},"s":"{symbol}","ps":"{symbol}",{sides},"T":{at_ms},"E":{now_ms},"st":1}}"#
    )
}

/// `depthUpdate` with the changes between two steps.
pub(crate) fn depth(market: &Market, changes: &Book, steps: (i64, i64)) -> String {
    let (previous, last) = (market.update_id(steps.0), market.update_id(steps.1));
    let (tick, lot, symbol, at) =
        (&market.spec.tick, &market.spec.lot, &market.spec.symbol, steps.1 * STEP_MS);
    let (bids, asks) = (levels(&changes.bids, tick, lot, None), levels(&changes.asks, tick, lot, None));
    if is_spot(market) {
        let first = previous + 1;
        return format!(
            r#"{{"e":"depthUpdate","E":{at},"s":"{symbol}","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}"#
        );
    }
    // Futures jump over ids of other events: only `pu` chains.
    let first = previous + 1 + steps.1.rem_euclid(2);
    format!(
        r#"{{"e":"depthUpdate","E":{},"T":{at},"s":"{symbol}","ps":"{symbol}","U":{first},"u":{last},"pu":{previous},"b":[{bids}],"a":[{asks}],"st":1}}"#,
        at + 2
    )
}

/// Partial depth: the whole top of the book each time.
pub(crate) fn partial_depth(market: &Market, book: &Book, steps: (i64, i64)) -> String {
    if !is_spot(market) {
        return depth(market, book, steps);
    }
    let (tick, lot) = (&market.spec.tick, &market.spec.lot);
    let (bids, asks) = (levels(&book.bids, tick, lot, None), levels(&book.asks, tick, lot, None));
    format!(r#"{{"lastUpdateId":{},"bids":[{bids}],"asks":[{asks}]}}"#, market.update_id(steps.1))
}

/// Times of a bar: open and last millisecond.
pub(crate) type Span = (i64, i64);

/// `kline`.
pub(crate) fn kline(market: &Market, interval: &str, span: Span, bar: &Bar, now_ms: i64) -> String {
    let (tick, symbol) = (&market.spec.tick, &market.spec.symbol);
    let is_closed = now_ms > span.1;
    format!(
        r#"{{"e":"kline","E":{now_ms},"s":"{symbol}","k":{{"t":{},"T":{},"s":"{symbol}","i":"{interval}","f":{},"L":{},"o":"{}","c":"{}","h":"{}","l":"{}","v":"{}","n":{},"x":{is_closed},"q":"{}","V":"{}","Q":"{}","B":"0"}}}}"#,
        span.0,
        span.1,
        bar.first_raw,
        bar.last_raw,
        tick.text(bar.open),
        tick.text(bar.close),
        tick.text(bar.high),
        tick.text(bar.low),
        market.volume_text(bar.lots),
        bar.count(),
        market.value_text(bar.value),
        market.volume_text(bar.taker_lots),
        market.value_text(bar.taker_value),
    )
}

/// `markPriceUpdate`.
pub(crate) fn mark_price(market: &Market, at_ms: i64) -> String {
    let mark = market.middle(at_ms) * market.spec.tick.size();
    let (index, rate) = (market.index_price(at_ms), market.funding_rate(at_ms, FUNDING_MS));
    format!(
        r#"{{"e":"markPriceUpdate","E":{at_ms},"s":"{}","p":"{mark:.8}","ap":"{mark:.8}","P":"{:.8}","i":"{index:.8}","r":"{rate:.8}","T":{},"st":1}}"#,
        market.spec.symbol,
        f64::midpoint(mark, index),
        (at_ms.div_euclid(FUNDING_MS) + 1) * FUNDING_MS,
    )
}

/// `24hrMiniTicker`, from prices a quarter of an hour apart.
pub(crate) fn mini_ticker(market: &Market, now_ms: i64) -> String {
    let day = day(market, now_ms);
    let (tick, symbol) = (&market.spec.tick, &market.spec.symbol);
    format!(
        r#"{{"e":"24hrMiniTicker","E":{now_ms},"s":"{symbol}","c":"{}","o":"{}","h":"{}","l":"{}","v":"{}","q":"{}"}}"#,
        tick.text(day.last),
        tick.text(day.open),
        tick.text(day.high),
        tick.text(day.low),
        market.volume_text(i128::from(day.lots)),
        market.value_text(i128::from(day.lots) * i128::from(day.last)),
    )
}

/// The last 24 hours, estimated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Day {
    pub(crate) open: i64,
    pub(crate) high: i64,
    pub(crate) low: i64,
    pub(crate) last: i64,
    pub(crate) lots: i64,
    pub(crate) first_index: i64,
    pub(crate) last_index: i64,
}

/// Estimates the last 24 hours from 97 prices: walking over a day of trades for each ticker would cost too much.
/// The last price and the ids are exact.
pub(crate) fn day(market: &Market, now_ms: i64) -> Day {
    let quarter = 15 * MINUTE_MS;
    let start = now_ms - 86_400_000;
    let prices = (0..=96).map(|at| market.middle(start + at * quarter) as i64);
    let (low, high) = prices.fold((i64::MAX, 0), |(low, high), price| (low.min(price), high.max(price)));
    let last = market.close_before(now_ms + 1);
    let first_index = market.trades_before((start / MINUTE_MS).max(market.first_minute));
    let last_index = market.latest(now_ms, 1).first().map_or(first_index, |tick| tick.index);
    Day {
        open: market.middle(start) as i64,
        high: high.max(last),
        low: low.min(last),
        last,
        lots: market.lots_expected(last_index - first_index + 1),
        first_index,
        last_index,
    }
}

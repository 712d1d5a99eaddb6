//! Stream frames of Bybit v5, spot and linear.

use super::binance::{Day, FUNDING_MS};
use super::levels;
use crate::market::{Bar, Book, Market, Protocol, Tick};

fn is_linear(market: &Market) -> bool {
    market.protocol == Protocol::BybitLinear
}

/// `publicTrade`: trades of one moment in one message. `before` is the price before the first, for the direction.
pub(crate) fn public_trade(market: &Market, ticks: &[Tick], before: i64, now_ms: i64) -> String {
    let symbol = &market.spec.symbol;
    let (mut last, mut direction) = (before, "ZeroPlusTick");
    let mut rows = Vec::with_capacity(ticks.len());
    for tick in ticks {
        direction = match (tick.price.cmp(&last), direction) {
            (std::cmp::Ordering::Greater, _) => "PlusTick",
            (std::cmp::Ordering::Less, _) => "MinusTick",
            (_, "PlusTick" | "ZeroPlusTick") => "ZeroPlusTick",
            _ => "ZeroMinusTick",
        };
        last = tick.price;
        let (price, quantity) = (market.spec.tick.text(tick.price), market.spec.lot.text(tick.lots));
        let (at, side, sequence) = (tick.at_ms, side(tick), market.trade_sequence(tick.index));
        let id = trade_id(market, tick.index);
        rows.push(if is_linear(market) {
            format!(
                r#"{{"T":{at},"s":"{symbol}","S":"{side}","v":"{quantity}","p":"{price}","L":"{direction}","i":"{id}","BT":false,"RPI":false,"seq":{sequence}}}"#
            )
        } else {
            format!(
                r#"{{"i":"{id}","T":{at},"p":"{price}","v":"{quantity}","S":"{side}","seq":{sequence},"s":"{symbol}","BT":false,"RPI":false}}"#
            )
        });
    }
    format!(
        r#"{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":{now_ms},"data":[{}]}}"#,
        rows.join(",")
    )
}

/// Aggressor side in Bybit's words.
pub(crate) const fn side(tick: &Tick) -> &'static str {
    if tick.is_buy { "Buy" } else { "Sell" }
}

/// A trade's id as text.
pub(crate) fn trade_id(market: &Market, index: i64) -> String {
    if is_linear(market) { market.trade_uuid(index) } else { market.trade_id(index).to_string() }
}

/// Place of an order book message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BookPlace {
    /// Levels of the topic.
    pub(crate) levels: u32,
    /// Number of the message.
    pub(crate) update: i64,
    /// When the book was so.
    pub(crate) at_ms: i64,
    /// Whether it is the whole book.
    pub(crate) is_snapshot: bool,
}

/// `orderbook.*`.
pub(crate) fn orderbook(market: &Market, book: &Book, place: BookPlace, now_ms: i64) -> String {
    let (tick, lot, symbol) = (&market.spec.tick, &market.spec.lot, &market.spec.symbol);
    let (bids, asks) = (levels(&book.bids, tick, lot, Some("0")), levels(&book.asks, tick, lot, Some("0")));
    let kind = if place.is_snapshot { "snapshot" } else { "delta" };
    format!(
        r#"{{"topic":"orderbook.{}.{symbol}","type":"{kind}","ts":{now_ms},"data":{{"s":"{symbol}","b":[{bids}],"a":[{asks}],"u":{},"seq":{}}},"cts":{}}}"#,
        place.levels,
        place.update,
        market.update_id_at(place.at_ms),
        place.at_ms,
    )
}

/// `kline.*`.
pub(crate) fn kline(market: &Market, interval: &str, span: (i64, i64), bar: &Bar, now_ms: i64) -> String {
    let plain = |ticks| market.spec.tick.times(ticks).normalized();
    let is_closed = now_ms > span.1;
    format!(
        r#"{{"topic":"kline.{interval}.{}","data":[{{"start":{},"end":{},"interval":"{interval}","open":"{}","close":"{}","high":"{}","low":"{}","volume":"{}","turnover":"{}","confirm":{is_closed},"timestamp":{now_ms}}}],"ts":{now_ms},"type":"snapshot"}}"#,
        market.spec.symbol,
        span.0,
        span.1,
        plain(bar.open),
        plain(bar.close),
        plain(bar.high),
        plain(bar.low),
        market.volume_text(bar.lots),
        market.value_text(bar.value),
    )
}

/// Fields of a ticker in the order of the venue.
pub(crate) fn ticker_fields(market: &Market, day: &Day, now_ms: i64) -> Vec<(&'static str, String)> {
    let tick = &market.spec.tick;
    let change = (day.last - day.open) as f64 / day.open as f64;
    let turnover = market.value_text(i128::from(day.lots) * i128::from(day.last));
    let volume = market.volume_text(i128::from(day.lots));
    let index = market.index_price(now_ms);
    if !is_linear(market) {
        return vec![
            ("symbol", market.spec.symbol.clone()),
            ("lastPrice", tick.text(day.last)),
            ("highPrice24h", tick.text(day.high)),
            ("lowPrice24h", tick.text(day.low)),
            ("prevPrice24h", tick.text(day.open)),
            ("volume24h", volume),
            ("turnover24h", turnover),
            ("price24hPcnt", format!("{change:.4}")),
            ("usdIndexPrice", format!("{index:.6}")),
        ];
    }
    let mark = market.middle(now_ms) * tick.size();
    let (bid, ask) = market.quote(now_ms);
    // Bybit counts both sides of a contract.
    let open = market.open_lots(now_ms);
    let lot = &market.spec.lot;
    vec![
        ("symbol", market.spec.symbol.clone()),
        ("tickDirection", "ZeroPlusTick".into()),
        ("price24hPcnt", format!("{change:.6}")),
        ("lastPrice", tick.text(day.last)),
        ("prevPrice24h", tick.text(day.open)),
        ("highPrice24h", tick.text(day.high)),
        ("lowPrice24h", tick.text(day.low)),
        ("prevPrice1h", tick.text(market.middle(now_ms - 3_600_000) as i64)),
        ("markPrice", tick.text((mark / tick.size()) as i64)),
        ("indexPrice", tick.text((index / tick.size()) as i64)),
        ("openInterest", lot.text(open * 2)),
        ("openInterestValue", format!("{:.2}", open as f64 * 2.0 * lot.size() * mark)),
        ("singleOpenInterest", lot.text(open)),
        ("singleOpenInterestValue", format!("{:.2}", open as f64 * lot.size() * mark)),
        ("turnover24h", turnover),
        ("volume24h", volume),
        ("fundingIntervalHour", "8".into()),
        ("fundingCap", "0.005".into()),
        ("nextFundingTime", ((now_ms.div_euclid(FUNDING_MS) + 1) * FUNDING_MS).to_string()),
        ("fundingRate", format!("{}", market.funding_rate(now_ms, FUNDING_MS))),
        ("bid1Price", tick.text(bid.0)),
        ("bid1Size", lot.text(bid.1)),
        ("ask1Price", tick.text(ask.0)),
        ("ask1Size", lot.text(ask.1)),
        ("preOpenPrice", String::new()),
        ("preQty", String::new()),
        ("curPreListingPhase", String::new()),
    ]
}

/// `tickers.*` with these fields.
pub(crate) fn ticker(
    market: &Market,
    fields: &[(&'static str, String)],
    is_snapshot: bool,
    now_ms: i64,
) -> String {
    let symbol = &market.spec.symbol;
    let body: Vec<String> = fields.iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
    let (kind, sequence) = (if is_snapshot { "snapshot" } else { "delta" }, market.update_id_at(now_ms));
    format!(
        r#"{{"topic":"tickers.{symbol}","type":"{kind}","data":{{{}}},"cs":{sequence},"ts":{now_ms}}}"#,
        body.join(",")
    )
}

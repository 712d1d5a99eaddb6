//! Binance's REST endpoints, spot and USD-M, over generated markets.

use super::binance_listing::exchange_info;
use super::binance_tickers as tickers;
use super::quota::Pool;
use super::{Ask, Reply};
use crate::hub::to_micros;
use crate::market::{Interval, Market, Protocol, STEP_MS, Tick};
use crate::wire::binance::FUNDING_MS;
use crate::world::Generated;

const HOUR_MS: i64 = 3_600_000;
const HOURS_48_MS: i64 = 48 * 3_600_000;

/// Status, code and words of a refusal.
pub(super) type Refusal = (u16, i32, String);

pub(super) fn refuse<T>(code: i32, words: impl Into<String>) -> Result<T, Refusal> {
    Err((400, code, words.into()))
}

/// What a question weighs, and the pool that counts it instead.
pub(crate) fn weight(protocol: Protocol, ask: &Ask) -> (u32, Option<Pool>) {
    let name = ask.path.rsplit('/').next().unwrap_or_default();
    let limit: u32 = ask.text("limit").and_then(|limit| limit.parse().ok()).unwrap_or(0);
    let has_symbol = ask.text("symbol").is_some();
    if protocol == Protocol::Binance {
        let symbols = ask.text("symbols").map_or(0, |list| list.matches(',').count() + 1);
        let weight = match name {
            "klines" | "uiKlines" | "avgPrice" => 2,
            "trades" | "historicalTrades" => 25,
            "aggTrades" => 4,
            "depth" => match limit {
                0..=100 => 5,
                101..=500 => 25,
                501..=1_000 => 50,
                _ => 250,
            },
            "exchangeInfo" => 20,
            "24hr" if has_symbol || (1..=20).contains(&symbols) => 2,
            "24hr" if (21..=100).contains(&symbols) => 40,
            "24hr" => 80,
            "price" | "bookTicker" => 2 + 2 * u32::from(!has_symbol),
            _ => 1,
        };
        return (weight, None);
    }
    match name {
        "klines" | "continuousKlines" | "markPriceKlines" | "indexPriceKlines" | "premiumIndexKlines" => {
            let weight = match limit {
                0 | 501..=1_000 => 5,
                1..=100 => 1,
                101..=500 => 2,
                _ => 10,
            };
            (weight, None)
        }
        "aggTrades" => (20, None),
        "trades" => (5, None),
        "historicalTrades" => (200, None),
        "depth" => match limit {
            0 => (1, None),
            1..=50 => (2, None),
            51..=100 => (5, None),
            101..=500 => (10, None),
            _ => (20, None),
        },
        "premiumIndex" => (if has_symbol { 1 } else { 10 }, None),
        "24hr" => (if has_symbol { 1 } else { 40 }, None),
        "price" | "bookTicker" => (if has_symbol { 1 } else { 2 }, None),
        "fundingRate" | "fundingInfo" => (0, Some(Pool::Funding)),
        "openInterestHist" => (0, Some(Pool::OpenInterest)),
        _ => (1, None),
    }
}

/// Answers a question.
pub(crate) fn answer(protocol: Protocol, world: &Generated, mut ask: Ask) -> Reply {
    // A delisted market stands still where it ended; its history stays.
    if let Some(market) = ask.text("symbol").and_then(|symbol| world.market(symbol))
        && !ask.path.ends_with("exchangeInfo")
    {
        ask.now_ms = ask.now_ms.min(market.ended_ms());
    }
    let ask = &ask;
    let prefix = if protocol == Protocol::Binance { "/api/v3/" } else { "/fapi/v1/" };
    let result = match ask.path.strip_prefix(prefix) {
        Some(name) => endpoint(protocol, world, name, ask),
        None if protocol == Protocol::BinanceFutures && ask.path == "/futures/data/openInterestHist" => {
            tickers::open_interest_history(world, ask)
        }
        // Client libraries ask the coin-margined host too; nothing is listed there.
        None if ask.path == "/dapi/v1/exchangeInfo" => {
            Ok(r#"{"timezone":"UTC","exchangeFilters":[],"rateLimits":[],"symbols":[]}"#.into())
        }
        None => Err((404, 0, String::new())),
    };
    match result {
        Ok(body) if ask.is_micros => Reply::of(200, to_micros(&body)),
        Ok(body) => Reply::of(200, body),
        Err((404, ..)) => Reply::of(404, "<html><body><h2>404 Not found</h2></body></html>".into()),
        Err((status, code, words)) => {
            Reply::of(status, format!(r#"{{"code":{code},"msg":{}}}"#, crate::wire::quoted(&words)))
        }
    }
}

fn endpoint(protocol: Protocol, world: &Generated, name: &str, ask: &Ask) -> Result<String, Refusal> {
    let is_spot = protocol == Protocol::Binance;
    match name {
        "ping" => Ok("{}".into()),
        "time" => Ok(format!(r#"{{"serverTime":{}}}"#, ask.now_ms)),
        "exchangeInfo" => exchange_info(protocol, world, ask),
        "klines" => klines(protocol, symbol(world, ask)?, ask),
        "uiKlines" if is_spot => klines(protocol, symbol(world, ask)?, ask),
        "continuousKlines" if !is_spot => {
            let pair = ask.text("pair").and_then(|pair| world.market(pair));
            klines(protocol, pair.map_or_else(|| refuse(-1121, "Invalid symbol."), Ok)?, ask)
        }
        "aggTrades" => agg_trades(protocol, symbol(world, ask)?, ask),
        "trades" => raw_trades(symbol(world, ask)?, ask, None),
        "historicalTrades" => {
            if !is_spot && !ask.has_key {
                return Err((401, -2014, "API-key format invalid.".into()));
            }
            let most = if is_spot { 1_000 } else { 500 };
            let limit = limit(protocol, ask, 500, most)?;
            raw_trades(symbol(world, ask)?, ask, Some((number(ask, "fromId")?, limit)))
        }
        "depth" => depth(protocol, symbol(world, ask)?, ask),
        "ticker/24hr" | "ticker/price" | "ticker/bookTicker" => tickers::ticker(protocol, world, name, ask),
        "avgPrice" if is_spot => {
            let market = symbol(world, ask)?;
            let price = market.spec.tick.text(market.middle(ask.now_ms) as i64);
            Ok(format!(r#"{{"mins":5,"price":"{price}","closeTime":{}}}"#, ask.now_ms))
        }
        "premiumIndex" if !is_spot => tickers::premium_index(world, ask),
        "fundingRate" if !is_spot => tickers::funding_rates(world, ask),
        "fundingInfo" if !is_spot => Ok("[]".into()),
        "openInterest" if !is_spot => {
            let market = symbol(world, ask)?;
            Ok(format!(
                r#"{{"symbol":"{}","openInterest":"{}","time":{}}}"#,
                market.spec.symbol,
                market.spec.lot.text(market.open_lots(ask.now_ms)),
                ask.now_ms
            ))
        }
        _ => Err((404, 0, String::new())),
    }
}

/// The market that is asked about.
pub(super) fn symbol<'a>(world: &'a Generated, ask: &Ask) -> Result<&'a Market, Refusal> {
    let Some(symbol) = ask.text("symbol") else {
        let words = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.";
        return refuse(-1102, words);
    };
    // Only upper case, digits and what is no ASCII.
    if symbol
        .bytes()
        .any(|byte| byte.is_ascii() && !byte.is_ascii_uppercase() && !byte.is_ascii_digit() && byte != b'_')
    {
        return refuse(
            -1100,
            "Illegal characters found in parameter 'symbol'; legal range is '^[A-Z0-9-_.]{1,20}$'.",
        );
    }
    let market = world.market(symbol).filter(|market| !market.is_gone());
    market.map_or_else(|| refuse(-1121, "Invalid symbol."), Ok)
}

/// A whole number among the parameters.
pub(super) fn number(ask: &Ask, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = ask.text(name) else { return Ok(None) };
    if text.len() > 20 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return refuse(
            -1100,
            format!("Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."),
        );
    }
    let value =
        text.parse().map_or_else(|_| refuse(-1100, format!("Parameter '{name}' is too large.")), Ok)?;
    Ok(Some(value))
}

/// A time among the parameters; microseconds are understood too.
pub(super) fn time(ask: &Ask, name: &str) -> Result<Option<i64>, Refusal> {
    Ok(number(ask, name)?.map(|value| if value > 99_999_999_999_999 { value / 1_000 } else { value }))
}

/// How many rows; spot cuts what is too much, futures refuse it.
pub(super) fn limit(protocol: Protocol, ask: &Ask, usual: i64, most: i64) -> Result<usize, Refusal> {
    let limit = number(ask, "limit")?.unwrap_or(usual);
    if limit < 1 || (limit > most && protocol == Protocol::BinanceFutures) {
        return refuse(-1130, "Data sent for parameter 'limit' is not valid.");
    }
    Ok(limit.min(most) as usize)
}

/// One bar as a row.
fn kline_row(market: &Market, interval: Interval, open: i64, now_ms: i64) -> String {
    let bar = market.bar(interval, open, now_ms);
    let tick = &market.spec.tick;
    format!(
        r#"[{open},"{}","{}","{}","{}","{}",{},"{}",{},"{}","{}","0"]"#,
        tick.text(bar.open),
        tick.text(bar.high),
        tick.text(bar.low),
        tick.text(bar.close),
        market.volume_text(bar.lots),
        interval.after(open) - 1,
        market.value_text(bar.value),
        bar.count(),
        market.volume_text(bar.taker_lots),
        market.value_text(bar.taker_value),
    )
}

fn klines(protocol: Protocol, market: &Market, ask: &Ask) -> Result<String, Refusal> {
    let Some(word) = ask.text("interval") else {
        let words = "Mandatory parameter 'interval' was not sent, was empty/null, or malformed.";
        return refuse(-1102, words);
    };
    let Some((_, interval)) = Interval::named(protocol, word) else {
        return refuse(-1120, "Invalid interval.");
    };
    let most = if protocol == Protocol::Binance { 1_000 } else { 1_500 };
    let count = limit(protocol, ask, 500, most)?;
    let opens =
        opens(market, interval, (time(ask, "startTime")?, time(ask, "endTime")?), (count, ask.now_ms));
    let rows: Vec<String> =
        opens.into_iter().map(|open| kline_row(market, interval, open, ask.now_ms)).collect();
    Ok(format!("[{}]", rows.join(",")))
}

/// Open times within bounds, both included; from the end backwards if there is no start. Ascending.
pub(super) fn opens(
    market: &Market,
    interval: Interval,
    (start, end): (Option<i64>, Option<i64>),
    (count, now_ms): (usize, i64),
) -> Vec<i64> {
    let first = interval.open_of(market.first_minute * crate::market::MINUTE_MS);
    let last = interval.open_of(end.unwrap_or(now_ms).min(now_ms));
    let mut opens = Vec::new();
    if let Some(start) = start {
        let aligned = interval.open_of(start);
        let mut open = if aligned < start { interval.after(aligned) } else { aligned }.max(first);
        while open <= last && opens.len() < count {
            opens.push(open);
            open = interval.after(open);
        }
        return opens;
    }
    let mut open = last;
    while open >= first && opens.len() < count {
        opens.push(open);
        open = interval.before(open);
    }
    opens.reverse();
    opens
}

fn agg_trades(protocol: Protocol, market: &Market, ask: &Ask) -> Result<String, Refusal> {
    let count = limit(protocol, ask, 500, 1_000)?;
    let from_id = number(ask, "fromId")?;
    let (start, end) = (time(ask, "startTime")?, time(ask, "endTime")?);
    if from_id.is_some() && (start.is_some() || end.is_some()) && protocol == Protocol::BinanceFutures {
        return refuse(-1128, "Combination of optional parameters invalid.");
    }
    if let (Some(start), Some(end)) = (start, end)
        && end - start > HOUR_MS
        && protocol == Protocol::BinanceFutures
    {
        return refuse(-1127, "More than 1 hours between startTime and endTime.");
    }
    let oldest = ask.now_ms - HOURS_48_MS;
    let is_limited = protocol == Protocol::BinanceFutures;
    let ticks = match (from_id, start, end) {
        (Some(id), ..) => market.since_index(market.index_of_id(id), ask.now_ms, count),
        (None, None, None) => market.latest(ask.now_ms, count),
        (None, None, Some(end)) => market.latest(end.min(ask.now_ms), count),
        (None, Some(start), end) => market.within(start, end.unwrap_or(ask.now_ms).min(ask.now_ms), count),
    };
    let is_too_old = start.or(end).is_some_and(|at| at < oldest)
        || (from_id.is_some() && ticks.first().is_some_and(|tick| tick.at_ms < oldest));
    if is_limited && is_too_old {
        return refuse(-4166, "Search window is restricted to recent 48 hours.");
    }
    let rows: Vec<String> = ticks.iter().map(|tick| agg_row(protocol, market, tick)).collect();
    Ok(format!("[{}]", rows.join(",")))
}

fn agg_row(protocol: Protocol, market: &Market, tick: &Tick) -> String {
    let quantity = market.spec.lot.text(tick.lots);
    let (extra, tail) = match protocol {
        Protocol::Binance => (String::new(), r#","M":true"#),
        _ => (format!(r#""nq":"{quantity}","#), ""),
    };
    format!(
        r#"{{"a":{},"p":"{}","q":"{quantity}",{extra}"f":{},"l":{},"T":{},"m":{}{tail}}}"#,
        market.trade_id(tick.index),
        market.spec.tick.text(tick.price),
        market.first_raw(tick.index),
        market.last_raw(tick.index),
        tick.at_ms,
        !tick.is_buy,
    )
}

/// Raw trades: the newest, or from an id on.
fn raw_trades(market: &Market, ask: &Ask, from: Option<(Option<i64>, usize)>) -> Result<String, Refusal> {
    let (from_id, count) = match from {
        Some((from_id, count)) => (from_id, count),
        None => (None, limit(market.protocol, ask, 500, 1_000)?),
    };
    // No aggregate holds more than a few raw trades, and none holds fewer than one.
    let ticks = match from_id {
        Some(id) => market.since_index(market.index_of_raw(id), ask.now_ms, count + 1),
        None => market.latest(ask.now_ms, count),
    };
    let mut rows: Vec<String> = Vec::new();
    for tick in &ticks {
        for (id, lots) in market.raw_trades(tick) {
            if from_id.is_some_and(|from| id < from) {
                continue;
            }
            rows.push(raw_row(market, tick, (id, lots)));
        }
    }
    if from_id.is_some() {
        rows.truncate(count);
    } else {
        rows.drain(..rows.len().saturating_sub(count));
    }
    Ok(format!("[{}]", rows.join(",")))
}

fn raw_row(market: &Market, tick: &Tick, (id, lots): (i64, i64)) -> String {
    let tail = if market.protocol == Protocol::Binance { r#","isBestMatch":true"# } else { "" };
    format!(
        r#"{{"id":{id},"price":"{}","qty":"{}","quoteQty":"{}","time":{},"isBuyerMaker":{}{tail}}}"#,
        market.spec.tick.text(tick.price),
        market.spec.lot.text(lots),
        market.value_text(i128::from(lots) * i128::from(tick.price)),
        tick.at_ms,
        !tick.is_buy,
    )
}

fn depth(protocol: Protocol, market: &Market, ask: &Ask) -> Result<String, Refusal> {
    let levels = if protocol == Protocol::Binance {
        limit(protocol, ask, 100, 5_000)?
    } else {
        let levels = number(ask, "limit")?.unwrap_or(500);
        if ![5, 10, 20, 50, 100, 500, 1_000].contains(&levels) {
            return refuse(-4021, format!("'{levels}' is not valid depth limit."));
        }
        levels as usize
    };
    let step = ask.now_ms / STEP_MS;
    let book = market.book(step, levels);
    let side = |levels: &[(i64, i64)]| {
        let rows: Vec<String> = levels
            .iter()
            .map(|(price, lots)| {
                format!(r#"["{}","{}"]"#, market.spec.tick.text(*price), market.spec.lot.text(*lots))
            })
            .collect();
        rows.join(",")
    };
    let times = match protocol {
        Protocol::Binance => String::new(),
        _ => format!(r#""E":{},"T":{},"#, ask.now_ms, step * STEP_MS),
    };
    Ok(format!(
        r#"{{"lastUpdateId":{},{times}"bids":[{}],"asks":[{}]}}"#,
        market.update_id(step),
        side(&book.bids),
        side(&book.asks)
    ))
}

/// Times of settled funding until a moment, ascending.
pub(super) fn settlements((from, to): (i64, i64)) -> impl Iterator<Item = i64> {
    let first = from.div_euclid(FUNDING_MS) + i64::from(from.rem_euclid(FUNDING_MS) != 0);
    (first..=to.div_euclid(FUNDING_MS)).map(|at| at * FUNDING_MS)
}

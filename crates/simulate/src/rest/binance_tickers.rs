//! Binance's tickers, marks, funding and open interest.

use super::Ask;
use super::binance::{Refusal, limit, number, refuse, settlements, symbol, time};
use crate::market::{MINUTE_MS, Market, Protocol};
use crate::wire::binance::{FUNDING_MS, day};
use crate::world::Generated;

/// One row for one symbol, a list for many.
fn rows(world: &Generated, ask: &Ask, row: impl Fn(&Market) -> String) -> Result<String, Refusal> {
    if ask.text("symbol").is_some() {
        return Ok(row(symbol(world, ask)?));
    }
    let markets: Vec<&Market> = match ask.text("symbols") {
        None => world.trading(ask.now_ms).collect(),
        Some(list) => {
            let symbols: Vec<String> = serde_json::from_str(list)
                .map_or_else(|_| refuse(-1100, "Illegal characters found in parameter 'symbols'."), Ok)?;
            let found: Option<Vec<&Market>> = symbols.iter().map(|symbol| world.market(symbol)).collect();
            found.map_or_else(|| refuse(-1121, "Invalid symbol."), Ok)?
        }
    };
    let rows: Vec<String> = markets.into_iter().map(row).collect();
    Ok(format!("[{}]", rows.join(",")))
}

/// `ticker/24hr`, `ticker/price`, `ticker/bookTicker`.
pub(super) fn ticker(
    protocol: Protocol,
    world: &Generated,
    name: &str,
    ask: &Ask,
) -> Result<String, Refusal> {
    let now = ask.now_ms;
    let stamp = if protocol == Protocol::Binance { String::new() } else { format!(r#","time":{now}"#) };
    rows(world, ask, |market| {
        let (tick, lot, symbol) = (&market.spec.tick, &market.spec.lot, &market.spec.symbol);
        match name {
            "ticker/price" => {
                format!(
                    r#"{{"symbol":"{symbol}","price":"{}"{stamp}}}"#,
                    tick.text(market.close_before(now + 1))
                )
            }
            "ticker/bookTicker" => {
                let (bid, ask) = market.quote(now);
                format!(
                    r#"{{"symbol":"{symbol}","bidPrice":"{}","bidQty":"{}","askPrice":"{}","askQty":"{}"{stamp}}}"#,
                    tick.text(bid.0),
                    lot.text(bid.1),
                    tick.text(ask.0),
                    lot.text(ask.1)
                )
            }
            _ => day_row(protocol, market, now),
        }
    })
}

fn day_row(protocol: Protocol, market: &Market, now: i64) -> String {
    let day = day(market, now);
    let (tick, lot, symbol) = (&market.spec.tick, &market.spec.lot, &market.spec.symbol);
    let (bid, ask) = market.quote(now);
    let best = if protocol == Protocol::Binance {
        format!(
            r#""prevClosePrice":"{}","bidPrice":"{}","bidQty":"{}","askPrice":"{}","askQty":"{}","#,
            tick.text(day.open),
            tick.text(bid.0),
            lot.text(bid.1),
            tick.text(ask.0),
            lot.text(ask.1)
        )
    } else {
        String::new()
    };
    let (first, last) = (market.first_raw(day.first_index), market.last_raw(day.last_index));
    format!(
        r#"{{"symbol":"{symbol}","priceChange":"{}","priceChangePercent":"{:.3}","weightedAvgPrice":"{}",{best}"lastPrice":"{}","lastQty":"{}","openPrice":"{}","highPrice":"{}","lowPrice":"{}","volume":"{}","quoteVolume":"{}","openTime":{},"closeTime":{now},"firstId":{first},"lastId":{last},"count":{}}}"#,
        tick.text(day.last - day.open),
        (day.last - day.open) as f64 / day.open as f64 * 100.0,
        tick.text(i64::midpoint(day.high, day.low)),
        tick.text(day.last),
        lot.text(bid.1),
        tick.text(day.open),
        tick.text(day.high),
        tick.text(day.low),
        market.volume_text(i128::from(day.lots)),
        market.value_text(i128::from(day.lots) * i128::from(day.last)),
        now - 86_400_000,
        last - first + 1,
    )
}

/// `premiumIndex`.
pub(super) fn premium_index(world: &Generated, ask: &Ask) -> Result<String, Refusal> {
    let now = ask.now_ms;
    rows(world, ask, |market| {
        let (mark, index) = (market.middle(now) * market.spec.tick.size(), market.index_price(now));
        format!(
            r#"{{"symbol":"{}","markPrice":"{mark:.8}","indexPrice":"{index:.8}","estimatedSettlePrice":"{:.8}","lastFundingRate":"{:.8}","interestRate":"0.00010000","nextFundingTime":{},"time":{now}}}"#,
            market.spec.symbol,
            f64::midpoint(mark, index),
            market.funding_rate(now, FUNDING_MS),
            (now.div_euclid(FUNDING_MS) + 1) * FUNDING_MS,
        )
    })
}

/// `fundingRate`: settled rates, ascending; without times the newest.
pub(super) fn funding_rates(world: &Generated, ask: &Ask) -> Result<String, Refusal> {
    let count = limit(Protocol::BinanceFutures, ask, 100, 1_000)?;
    let (start, end) = (time(ask, "startTime")?, time(ask, "endTime")?);
    let markets: Vec<&Market> = match ask.text("symbol") {
        Some(_) => vec![symbol(world, ask)?],
        None => world.trading(ask.now_ms).collect(),
    };
    let mut rows = Vec::new();
    for market in markets {
        let from = start.unwrap_or(0).max(market.first_minute * MINUTE_MS);
        rows.extend(settlements((from, end.unwrap_or(ask.now_ms).min(ask.now_ms))).map(|at| (at, market)));
    }
    rows.sort_by_key(|(at, _)| *at);
    if start.is_some() {
        rows.truncate(count);
    } else {
        rows.drain(..rows.len().saturating_sub(count));
    }
    let rows: Vec<String> = rows
        .into_iter()
        .map(|(at, market)| {
            let mark = market.middle(at) * market.spec.tick.size();
            // The real ones come a few milliseconds late as well.
            format!(
                r#"{{"symbol":"{}","fundingTime":{},"fundingRate":"{:.8}","markPrice":"{mark:.8}","rateType":"Regular"}}"#,
                market.spec.symbol,
                at + (at / FUNDING_MS) % 5,
                market.funding_rate(at - 1, FUNDING_MS),
            )
        })
        .collect();
    Ok(format!("[{}]", rows.join(",")))
}

/// `openInterestHist`.
pub(super) fn open_interest_history(world: &Generated, ask: &Ask) -> Result<String, Refusal> {
    let market = symbol(world, ask)?;
    let minutes = match ask.text("period") {
        Some("5m") => 5,
        Some("15m") => 15,
        Some("30m") => 30,
        Some("1h") => 60,
        Some("2h") => 120,
        Some("4h") => 240,
        Some("6h") => 360,
        Some("12h") => 720,
        Some("1d") => 1_440,
        _ => return refuse(-1130, "Data sent for parameter 'period' is not valid."),
    };
    let count = number(ask, "limit")?.unwrap_or(30).clamp(1, 500);
    let period = minutes * MINUTE_MS;
    let last = time(ask, "endTime")?.unwrap_or(ask.now_ms).min(ask.now_ms).div_euclid(period);
    let first = match time(ask, "startTime")? {
        Some(start) => (start + period - 1).div_euclid(period),
        None => last - count + 1,
    };
    let oldest = (ask.now_ms - 30 * 86_400_000).max(market.first_minute * MINUTE_MS).div_euclid(period) + 1;
    let rows: Vec<String> = (first.max(oldest)..=last)
        .take(count as usize)
        .map(|at| {
            let at = at * period;
            let lots = market.open_lots(at);
            format!(
                r#"{{"symbol":"{}","sumOpenInterest":"{}","sumOpenInterestValue":"{:.8}","timestamp":{at}}}"#,
                market.spec.symbol,
                market.spec.lot.text(lots),
                lots as f64 * market.spec.lot.size() * market.middle(at) * market.spec.tick.size(),
            )
        })
        .collect();
    Ok(format!("[{}]", rows.join(",")))
}

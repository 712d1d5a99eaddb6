//! What each of Bybit's market endpoints answers. Lists are newest first.

use super::binance::{opens, settlements};
use super::bybit::{Category, Refusal, launch_ms, limit, number, refuse};
use super::{Ask, unescaped};
use crate::market::{Interval, MINUTE_MS, Market, Protocol, STEP_MS};
use crate::wire::binance::{FUNDING_MS, day};
use crate::wire::bybit::{side, ticker_fields, trade_id};

/// Rows of open times within the bounds of the question, newest first.
fn bar_opens(category: &Category<'_>, ask: &Ask) -> Result<(Interval, Vec<i64>), Refusal> {
    let market = category.symbol(ask)?;
    let word = ask.text("interval").unwrap_or_default();
    let Some((_, interval)) = Interval::named(Protocol::Bybit, word) else {
        return refuse("params error: Invalid period!");
    };
    let count = limit(ask, 200, 1_000)?;
    // The candle that contains the start counts too.
    let start = number(ask, "start")?.map(|start| interval.open_of(start));
    let end = number(ask, "end")?;
    let mut list = match (start, end) {
        // Both bounds: the newest rows within.
        (Some(start), _) => {
            let all = opens(market, interval, (None, end), (count, ask.now_ms));
            all.into_iter().filter(|open| *open >= start).collect()
        }
        (None, end) => opens(market, interval, (None, end), (count, ask.now_ms)),
    };
    if let (Some(start), None) = (start, end) {
        list = opens(market, interval, (Some(start), None), (count, ask.now_ms));
    }
    list.reverse();
    Ok((interval, list))
}

/// `kline`.
pub(super) fn kline(category: &Category<'_>, ask: &Ask) -> Result<String, Refusal> {
    let market = category.symbol(ask)?;
    let (interval, opens) = bar_opens(category, ask)?;
    let plain = |ticks| market.spec.tick.times(ticks).normalized();
    let rows: Vec<String> = opens
        .into_iter()
        .map(|open| {
            let bar = market.bar(interval, open, ask.now_ms);
            format!(
                r#"["{open}","{}","{}","{}","{}","{}","{}"]"#,
                plain(bar.open),
                plain(bar.high),
                plain(bar.low),
                plain(bar.close),
                market.volume_text(bar.lots),
                market.value_text(bar.value)
            )
        })
        .collect();
    Ok(listed(category, market, &rows))
}

/// Bars of mark, index or premium: four prices at quarters of each bar.
pub(super) fn price_kline(category: &Category<'_>, name: &str, ask: &Ask) -> Result<String, Refusal> {
    let market = category.symbol(ask)?;
    let (interval, opens) = bar_opens(category, ask)?;
    let price = |at: i64| {
        let (mark, index) = (market.middle(at) * market.spec.tick.size(), market.index_price(at));
        match name {
            "mark-price-kline" => mark,
            "index-price-kline" => index,
            _ => mark / index - 1.0,
        }
    };
    let rows: Vec<String> = opens
        .into_iter()
        .map(|open| {
            let length = (interval.after(open) - 1).min(ask.now_ms) - open;
            let prices: Vec<f64> = (0..=4).map(|part| price(open + length * part / 4)).collect();
            let high = prices.iter().copied().fold(f64::MIN, f64::max);
            let low = prices.iter().copied().fold(f64::MAX, f64::min);
            format!(r#"["{open}","{:.6}","{high:.6}","{low:.6}","{:.6}"]"#, prices[0], prices[4])
        })
        .collect();
    Ok(listed(category, market, &rows))
}

fn listed(category: &Category<'_>, market: &Market, rows: &[String]) -> String {
    format!(
        r#"{{"symbol":"{}","category":"{}","list":[{}]}}"#,
        market.spec.symbol,
        category.name,
        rows.join(",")
    )
}

/// `recent-trade`: no paging, no time filter.
pub(super) fn recent_trades(category: &Category<'_>, ask: &Ask) -> Result<String, Refusal> {
    let market = category.symbol(ask)?;
    let (usual, most) = if category.is_spot { (60, 60) } else { (500, 1_000) };
    // What is too much is cut here, not refused.
    let count = number(ask, "limit")?.unwrap_or(usual).clamp(1, most) as usize;
    let rows: Vec<String> = market
        .latest(ask.now_ms, count)
        .iter()
        .rev()
        .map(|tick| {
            format!(
                r#"{{"execId":"{}","symbol":"{}","price":"{}","size":"{}","side":"{}","time":"{}","isBlockTrade":false,"isRPITrade":false,"seq":"{}"}}"#,
                trade_id(market, tick.index),
                market.spec.symbol,
                market.spec.tick.text(tick.price),
                market.spec.lot.text(tick.lots),
                side(tick),
                tick.at_ms,
                market.trade_sequence(tick.index),
            )
        })
        .collect();
    Ok(format!(r#"{{"category":"{}","list":[{}]}}"#, category.name, rows.join(",")))
}

/// `orderbook`: its `u` counts in the numbers of the deepest stream only.
pub(super) fn orderbook(category: &Category<'_>, ask: &Ask) -> Result<String, Refusal> {
    let market = category.symbol(ask)?;
    let levels = limit(ask, if category.is_spot { 1 } else { 25 }, 1_000)?;
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
    Ok(format!(
        r#"{{"s":"{}","b":[{}],"a":[{}],"ts":{},"u":{},"seq":{},"cts":{}}}"#,
        market.spec.symbol,
        side(&book.bids),
        side(&book.asks),
        ask.now_ms,
        step,
        market.update_id(step),
        step * STEP_MS,
    ))
}

/// `instruments-info`: linear pages, spot does not.
pub(super) fn instruments(category: &Category<'_>, ask: &Ask) -> Result<String, Refusal> {
    // What is closed is named on request only, and on spot not even then.
    let is_asked = |market: &Market| match ask.text("status").unwrap_or("Trading") {
        "Trading" => !market.is_delisted(),
        "Closed" => market.is_delisted() && !market.is_gone() && !category.is_spot,
        _ => false,
    };
    let markets: Vec<(usize, &Market)> = category
        .markets()
        .iter()
        .map(|market| &**market)
        .enumerate()
        .filter(|(_, market)| is_asked(market))
        .filter(|(_, market)| ask.text("symbol").is_none_or(|symbol| market.spec.symbol == symbol))
        .collect();
    if category.is_spot {
        let rows: Vec<String> = markets.into_iter().map(spot_row).collect();
        return Ok(format!(r#"{{"category":"spot","list":[{}]}}"#, rows.join(",")));
    }
    let count = limit(ask, 500, 1_000)?;
    let first = match ask.text("cursor") {
        None => 0,
        Some(cursor) => unescaped(cursor)
            .strip_prefix("first=")
            .and_then(|at| at.parse().ok())
            .map_or_else(|| refuse("params error: cursor invalid"), Ok)?,
    };
    let rows: Vec<String> = markets.iter().copied().skip(first).take(count).map(linear_row).collect();
    let next =
        if first + count < markets.len() { format!("first%3D{}", first + count) } else { String::new() };
    Ok(format!(r#"{{"category":"{}","list":[{}],"nextPageCursor":"{next}"}}"#, category.name, rows.join(",")))
}

fn spot_row((at, market): (usize, &Market)) -> String {
    let spec = &market.spec;
    let (tick, lot) = (spec.tick.text(1), spec.lot.text(1));
    format!(
        r#"{{"symbolId":{},"symbol":"{}","baseCoin":"{}","quoteCoin":"{}","innovation":"0","status":"Trading","marginTrading":"none","stTag":"0","lotSizeFilter":{{"basePrecision":"{lot}","quotePrecision":"0.0000001","minOrderQty":"{lot}","maxOrderQty":"1000000","minOrderAmt":"5","maxOrderAmt":"8000000","maxLimitOrderQty":"1000000","maxMarketOrderQty":"500000","postOnlyMaxLimitOrderSize":"5000000"}},"priceFilter":{{"tickSize":"{tick}"}},"riskParameters":{{"priceLimitRatioX":"0.005","priceLimitRatioY":"0.01"}},"symbolType":"","xstockMultiplier":"1"}}"#,
        at + 9,
        spec.symbol,
        spec.base,
        spec.quote,
    )
}

fn linear_row((at, market): (usize, &Market)) -> String {
    let spec = &market.spec;
    let (tick, lot) = (spec.tick.text(1), spec.lot.text(1));
    let scale = tick.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    format!(
        r#"{{"symbol":"{}","contractType":"LinearPerpetual","status":"{}","baseCoin":"{}","quoteCoin":"{}","launchTime":"{}","deliveryTime":"0","deliveryFeeRate":"","priceScale":"{scale}","leverageFilter":{{"minLeverage":"1","maxLeverage":"50.00","leverageStep":"0.01"}},"priceFilter":{{"minPrice":"{tick}","maxPrice":"1999999.80","tickSize":"{tick}"}},"lotSizeFilter":{{"maxOrderQty":"1000000","minOrderQty":"{lot}","qtyStep":"{lot}","postOnlyMaxOrderQty":"1000000","maxMktOrderQty":"100000","minNotionalValue":"5"}},"unifiedMarginTrade":true,"fundingInterval":480,"settleCoin":"{}","copyTrading":"none","upperFundingRate":"0.005","lowerFundingRate":"-0.005","isPreListing":false,"preListingInfo":null,"riskParameters":{{"priceLimitRatioX":"0.01","priceLimitRatioY":"0.02"}},"displayName":"","symbolType":"","forbidUplWithdrawal":false,"symbolId":{}}}"#,
        spec.symbol,
        if market.is_delisted() { "Closed" } else { "Trading" },
        spec.base,
        spec.quote,
        launch_ms(market),
        spec.quote,
        at + 5,
    )
}

/// `tickers`: one or all.
pub(super) fn tickers(category: &Category<'_>, ask: &Ask) -> Result<String, Refusal> {
    let one;
    let markets = match ask.text("symbol") {
        Some(_) => {
            one = [category.symbol(ask)?];
            one.to_vec()
        }
        None => {
            category.markets().iter().map(|market| &**market).filter(|market| !market.is_delisted()).collect()
        }
    };
    let rows: Vec<String> = markets
        .into_iter()
        .map(|market| {
            let mut fields = ticker_fields(market, &day(market, ask.now_ms), ask.now_ms);
            if category.is_spot {
                let (bid, ask) = market.quote(ask.now_ms);
                let (tick, lot) = (&market.spec.tick, &market.spec.lot);
                fields.push(("bid1Price", tick.text(bid.0)));
                fields.push(("bid1Size", lot.text(bid.1)));
                fields.push(("ask1Price", tick.text(ask.0)));
                fields.push(("ask1Size", lot.text(ask.1)));
            }
            let body: Vec<String> =
                fields.iter().map(|(name, value)| format!(r#""{name}":"{value}""#)).collect();
            format!("{{{}}}", body.join(","))
        })
        .collect();
    Ok(format!(r#"{{"category":"{}","list":[{}]}}"#, category.name, rows.join(",")))
}

/// `funding/history`.
pub(super) fn funding(category: &Category<'_>, ask: &Ask) -> Result<String, Refusal> {
    let market = category.symbol(ask)?;
    let count = limit(ask, 200, 200)?;
    let (start, end) = (number(ask, "startTime")?, number(ask, "endTime")?);
    if start.is_some() && end.is_none() {
        return refuse("params error: endTime is required with startTime");
    }
    if category.is_spot {
        return refuse("params error: category invalid");
    }
    let from = start.unwrap_or(0).max(launch_ms(market));
    let mut times: Vec<i64> = settlements((from, end.unwrap_or(ask.now_ms).min(ask.now_ms))).collect();
    times.reverse();
    times.truncate(count);
    let rows: Vec<String> = times
        .into_iter()
        .map(|at| {
            format!(
                r#"{{"symbol":"{}","fundingRate":"{}","fundingRateTimestamp":"{at}"}}"#,
                market.spec.symbol,
                market.funding_rate(at - 1, FUNDING_MS)
            )
        })
        .collect();
    Ok(format!(r#"{{"category":"{}","list":[{}]}}"#, category.name, rows.join(",")))
}

/// `open-interest`.
pub(super) fn open_interest(category: &Category<'_>, ask: &Ask) -> Result<String, Refusal> {
    let market = category.symbol(ask)?;
    let minutes = match ask.text("intervalTime") {
        Some("5min") => 5,
        Some("15min") => 15,
        Some("30min") => 30,
        Some("1h") => 60,
        Some("4h") => 240,
        Some("1d") => 1_440,
        _ => return refuse("params error: intervalTime invalid"),
    };
    let (count, period) = (limit(ask, 50, 200)?, minutes * MINUTE_MS);
    let cursor = ask.text("cursor").map(unescaped);
    let end = match cursor.as_deref().and_then(|cursor| cursor.strip_prefix("lasttime=")) {
        Some(last) => {
            last.parse::<i64>().map_or_else(|_| refuse("params error: cursor invalid"), |at| Ok(at - 1))?
        }
        None => number(ask, "endTime")?.unwrap_or(ask.now_ms).min(ask.now_ms),
    };
    let start = number(ask, "startTime")?.unwrap_or(0).max(launch_ms(market));
    let mut rows = Vec::new();
    let mut at = end.div_euclid(period) * period;
    while at >= start && rows.len() < count {
        let lots = market.open_lots(at);
        let text = |lots| market.spec.lot.text(lots);
        rows.push(format!(
            r#"{{"openInterest":"{}","singleOpenInterest":"{}","timestamp":"{at}"}}"#,
            text(lots * 2),
            text(lots)
        ));
        at -= period;
    }
    let next = if at >= start { format!("lasttime%3D{}", at + period) } else { String::new() };
    Ok(format!(
        r#"{{"symbol":"{}","category":"{}","list":[{}],"nextPageCursor":"{next}"}}"#,
        market.spec.symbol,
        category.name,
        rows.join(",")
    ))
}

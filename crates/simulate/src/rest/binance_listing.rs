//! What Binance lists: `exchangeInfo`.

use super::Ask;
use super::binance::{Refusal, refuse};
use crate::market::{Market, Protocol};
use crate::world::Generated;

/// `exchangeInfo`, for some symbols or all.
pub(super) fn exchange_info(protocol: Protocol, world: &Generated, ask: &Ask) -> Result<String, Refusal> {
    let (wanted, now) = (wanted(ask)?, ask.now_ms);
    let markets: Vec<&Market> = match &wanted {
        None => world.markets.iter().map(|market| &**market).filter(|market| !market.is_gone()).collect(),
        Some(symbols) => {
            let named = |symbol: &String| world.market(symbol).filter(|market| !market.is_gone());
            let found: Option<Vec<&Market>> = symbols.iter().map(named).collect();
            found.map_or_else(|| refuse(-1121, "Invalid symbol."), Ok)?
        }
    };
    let mut rows: Vec<String> = markets.iter().map(|market| row(protocol, market)).collect();
    if wanted.is_none() {
        rows.push(gone(protocol));
    }
    if let Some(status) = ask.text("symbolStatus").filter(|_| protocol == Protocol::Binance) {
        let wanted = format!(r#""status":"{status}""#);
        rows.retain(|row| row.contains(&wanted));
    }
    let rows = rows.join(",");
    Ok(if protocol == Protocol::Binance {
        format!(
            r#"{{"timezone":"UTC","serverTime":{now},"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}},{{"rateLimitType":"RAW_REQUESTS","interval":"MINUTE","intervalNum":5,"limit":300000}}],"exchangeFilters":[],"symbols":[{rows}]}}"#
        )
    } else {
        format!(
            r#"{{"timezone":"UTC","serverTime":{now},"futuresType":"U_MARGINED","rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":2400}}],"exchangeFilters":[],"assets":[{{"asset":"USDT","marginAvailable":true,"autoAssetExchange":"-10000"}}],"symbols":[{rows}]}}"#
        )
    })
}

fn wanted(ask: &Ask) -> Result<Option<Vec<String>>, Refusal> {
    if let Some(symbol) = ask.text("symbol") {
        return Ok(Some(vec![symbol.to_owned()]));
    }
    let Some(list) = ask.text("symbols") else { return Ok(None) };
    let symbols = serde_json::from_str(list).map_or_else(
        |_| refuse(-1100, "Illegal characters found in parameter 'symbols'; legal range is a JSON list."),
        Ok,
    )?;
    Ok(Some(symbols))
}

fn row(protocol: Protocol, market: &Market) -> String {
    let spec = &market.spec;
    let (symbol, base, quote) = (&spec.symbol, &spec.base, &spec.quote);
    let (tick, lot) = (spec.tick.text(1), spec.lot.text(1));
    if protocol == Protocol::Binance {
        return spot_row(
            symbol,
            if market.is_delisted() { "BREAK" } else { "TRADING" },
            (base, quote),
            (&tick, &lot),
        );
    }
    let status = if market.is_delisted() { "SETTLING" } else { "TRADING" };
    let onboard = market.opened_ms() + 1;
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    format!(
        r#"{{"symbol":"{symbol}","pair":"{symbol}","contractType":"PERPETUAL","deliveryDate":4133404800000,"onboardDate":{onboard},"status":"{status}","maintMarginPercent":"2.5000","requiredMarginPercent":"5.0000","baseAsset":"{base}","quoteAsset":"{quote}","marginAsset":"{quote}","pricePrecision":{},"quantityPrecision":{},"baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"COIN","underlyingSubType":[],"filters":[{{"filterType":"PRICE_FILTER","tickSize":"{tick}","minPrice":"{tick}","maxPrice":"4529764"}},{{"filterType":"LOT_SIZE","stepSize":"{lot}","minQty":"{lot}","maxQty":"1000000"}},{{"filterType":"MIN_NOTIONAL","notional":"5"}}],"orderTypes":["LIMIT","MARKET"],"timeInForce":["GTC","IOC","FOK","GTX"]}}"#,
        digits(&tick),
        digits(&lot),
    )
}

fn spot_row(symbol: &str, status: &str, (base, quote): (&str, &str), (tick, lot): (&str, &str)) -> String {
    format!(
        r#"{{"symbol":"{symbol}","status":"{status}","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"{quote}","quotePrecision":8,"quoteAssetPrecision":8,"baseCommissionPrecision":8,"quoteCommissionPrecision":8,"orderTypes":["LIMIT","LIMIT_MAKER","MARKET"],"icebergAllowed":true,"ocoAllowed":true,"isSpotTradingAllowed":true,"isMarginTradingAllowed":false,"filters":[{{"filterType":"PRICE_FILTER","minPrice":"{tick}","maxPrice":"1000000.00000000","tickSize":"{tick}"}},{{"filterType":"LOT_SIZE","minQty":"{lot}","maxQty":"9000.00000000","stepSize":"{lot}"}},{{"filterType":"NOTIONAL","minNotional":"5.00000000","applyMinToMarket":true,"maxNotional":"9000000.00000000","applyMaxToMarket":false,"avgPriceMins":5}}],"permissions":[],"permissionSets":[["SPOT"]],"defaultSelfTradePreventionMode":"NONE","allowedSelfTradePreventionModes":["NONE"]}}"#
    )
}

/// An instrument that is listed and cannot be traded any more: real listings are full of them.
fn gone(protocol: Protocol) -> String {
    if protocol == Protocol::Binance {
        return spot_row("LUNAUSDT", "BREAK", ("LUNA", "USDT"), ("0.00010000", "0.01000000"));
    }
    r#"{"symbol":"LUNAUSDT","pair":"LUNAUSDT","contractType":"PERPETUAL","deliveryDate":1652338800000,"onboardDate":1600300800000,"status":"SETTLING","maintMarginPercent":"2.5000","requiredMarginPercent":"5.0000","baseAsset":"LUNA","quoteAsset":"USDT","marginAsset":"USDT","pricePrecision":4,"quantityPrecision":0,"baseAssetPrecision":8,"quotePrecision":8,"underlyingType":"COIN","underlyingSubType":[],"filters":[{"filterType":"PRICE_FILTER","tickSize":"0.0010","minPrice":"0.0010","maxPrice":"1000"},{"filterType":"LOT_SIZE","stepSize":"1","minQty":"1","maxQty":"1000000"},{"filterType":"MIN_NOTIONAL","notional":"5"}],"orderTypes":["LIMIT","MARKET"],"timeInForce":["GTC","IOC","FOK","GTX"]}"#.into()
}

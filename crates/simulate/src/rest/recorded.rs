//! Questions about recordings: answered with what was recorded, and with the trades that had their turn.

use std::sync::atomic::Ordering;

use super::{Ask, Reply};
use crate::hub::to_micros;
use crate::market::Protocol;
use crate::recording::{Recorded, RecordedTrade, assets};
use crate::world::Venue;

/// Answers a question.
pub(super) fn answer(venue: &Venue, recorded: &Recorded, ask: &Ask) -> Reply {
    let name = ask.path.rsplit('/').next().unwrap_or_default();
    let now = recorded.now_ms();
    if venue.protocol.is_bybit() {
        return match name {
            "time" => enveloped(
                &format!(r#"{{"timeSecond":"{}","timeNano":"{}"}}"#, now / 1_000, now * 1_000_000),
                now,
            ),
            "recent-trade" => enveloped(&recent_trades(venue, recorded, ask), now),
            _ => match body(recorded, name, ask) {
                Some(body) => Reply::of(200, body.to_owned()),
                None if name == "instruments-info" => enveloped(&instruments(venue, recorded), now),
                None => enveloped(r#"{"list":[]}"#, now),
            },
        };
    }
    let found = match name {
        "time" => format!(r#"{{"serverTime":{now}}}"#),
        "ping" => "{}".into(),
        "aggTrades" => trades(venue, recorded, ask, false),
        "trades" | "historicalTrades" => trades(venue, recorded, ask, true),
        "exchangeInfo" => body(recorded, name, ask)
            .map_or_else(|| exchange_info(venue.protocol, recorded, now), str::to_owned),
        "depth" => match body(recorded, name, ask) {
            Some(body) => body.to_owned(),
            None => return Reply::of(400, r#"{"code":-1121,"msg":"Invalid symbol."}"#.into()),
        },
        "klines" | "premiumIndex" | "fundingRate" | "fundingInfo" | "24hr" | "openInterest" => {
            body(recorded, name, ask).unwrap_or("[]").to_owned()
        }
        _ => return Reply::of(404, "<html><body><h2>404 Not found</h2></body></html>".into()),
    };
    Reply::of(200, if ask.is_micros { to_micros(&found) } else { found })
}

fn enveloped(result: &str, now: i64) -> Reply {
    Reply::of(
        200,
        format!(r#"{{"retCode":0,"retMsg":"OK","result":{result},"retExtInfo":{{}},"time":{now}}}"#),
    )
}

/// The recorded body whose place was reached last; before that, the first to come, so that what follows bridges it.
fn body<'a>(recorded: &'a Recorded, name: &str, ask: &Ask) -> Option<&'a str> {
    let position = recorded.position.load(Ordering::Acquire);
    let same = |name: &str, theirs: &std::collections::HashMap<String, String>| {
        theirs.get(name).is_none_or(|value| ask.text(name).is_none_or(|wanted| wanted == value))
    };
    let fitting = recorded.answers.iter().filter(|answer| {
        answer.name == name && same("symbol", &answer.parameters) && same("category", &answer.parameters)
    });
    let (mut reached, mut coming) = (None, None);
    for answer in fitting {
        if answer.place <= position {
            reached = Some(answer);
        } else if coming.is_none() {
            coming = Some(answer);
        }
    }
    reached.or(coming).map(|answer| &*answer.body)
}

/// Trades of a symbol that had their turn.
fn seen<'a>(recorded: &'a Recorded, ask: &Ask, is_raw: bool) -> Vec<&'a RecordedTrade> {
    let position = recorded.position.load(Ordering::Acquire);
    let until = recorded.frames.get(position).map_or(recorded.trades.len(), |frame| frame.trades_before);
    let symbol = ask.text("symbol").unwrap_or_default();
    recorded.trades[..until]
        .iter()
        .filter(|trade| trade.is_raw == is_raw && *trade.symbol == *symbol)
        .collect()
}

fn trades(venue: &Venue, recorded: &Recorded, ask: &Ask, is_raw: bool) -> String {
    let number = |name: &str| ask.text(name).and_then(|text| text.parse::<i64>().ok());
    let (from_id, start, end) = (number("fromId"), number("startTime"), number("endTime"));
    let count = number("limit").unwrap_or(500).clamp(1, 1_000) as usize;
    let mut found = seen(recorded, ask, is_raw);
    found.retain(|trade| {
        from_id.is_none_or(|id| trade.id >= Some(id))
            && start.is_none_or(|start| trade.time_ms >= start)
            && end.is_none_or(|end| trade.time_ms <= end)
    });
    if from_id.is_some() || start.is_some() {
        found.truncate(count);
    } else {
        found.drain(..found.len().saturating_sub(count));
    }
    let is_spot = venue.protocol == Protocol::Binance;
    let rows: Vec<String> = found
        .into_iter()
        .map(|trade| if is_raw { raw_row(trade, is_spot) } else { agg_row(trade, is_spot) })
        .collect();
    format!("[{}]", rows.join(","))
}

fn raw_row(trade: &RecordedTrade, is_spot: bool) -> String {
    let value = |text: &str| text.parse::<model::Decimal>().unwrap_or_default();
    let turnover = value(&trade.price).checked_mul(value(&trade.quantity)).unwrap_or_default();
    format!(
        r#"{{"id":{},"price":"{}","qty":"{}","quoteQty":"{turnover}","time":{},"isBuyerMaker":{}{}}}"#,
        trade.id.unwrap_or(0),
        trade.price,
        trade.quantity,
        trade.time_ms,
        trade.side == model::Side::Sell,
        if is_spot { r#","isBestMatch":true"# } else { "" },
    )
}

fn agg_row(trade: &RecordedTrade, is_spot: bool) -> String {
    format!(
        r#"{{"a":{},"p":"{}","q":"{}","f":{},"l":{},"T":{},"m":{}{}}}"#,
        trade.id.unwrap_or(0),
        trade.price,
        trade.quantity,
        trade.first.unwrap_or(0),
        trade.last.unwrap_or(0),
        trade.time_ms,
        trade.side == model::Side::Sell,
        if is_spot { r#","M":true"# } else { "" },
    )
}

fn recent_trades(venue: &Venue, recorded: &Recorded, ask: &Ask) -> String {
    let (category, most) = if venue.protocol == Protocol::Bybit { ("spot", 60) } else { ("linear", 1_000) };
    let rows: Vec<String> = seen(recorded, ask, false)
        .into_iter()
        .rev()
        .take(most)
        .map(|trade| {
            let id = trade.id.map_or_else(
                || trade.text_id.clone().unwrap_or_default().into_string(),
                |id| id.to_string(),
            );
            let side = if trade.side == model::Side::Buy { "Buy" } else { "Sell" };
            format!(
                r#"{{"execId":"{id}","symbol":"{}","price":"{}","size":"{}","side":"{side}","time":"{}","isBlockTrade":false,"isRPITrade":false,"seq":"{}"}}"#,
                trade.symbol, trade.price, trade.quantity, trade.time_ms, trade.sequence
            )
        })
        .collect();
    format!(r#"{{"category":"{category}","list":[{}]}}"#, rows.join(","))
}

fn exchange_info(protocol: Protocol, recorded: &Recorded, now: i64) -> String {
    let rows: Vec<String> = recorded
        .symbols
        .iter()
        .map(|symbol| {
            let (base, quote) = assets(symbol);
            let contract = if protocol == Protocol::Binance {
                r#""isSpotTradingAllowed":true,"permissions":[],"permissionSets":[["SPOT"]],"#.to_owned()
            } else {
                format!(
                    r#""pair":"{symbol}","contractType":"PERPETUAL","deliveryDate":4133404800000,"onboardDate":1567965300000,"marginAsset":"{quote}","underlyingType":"COIN","#
                )
            };
            format!(
                r#"{{"symbol":"{symbol}","status":"TRADING","baseAsset":"{base}","baseAssetPrecision":8,"quoteAsset":"{quote}","quoteAssetPrecision":8,"quotePrecision":8,{contract}"filters":[]}}"#
            )
        })
        .collect();
    format!(
        r#"{{"timezone":"UTC","serverTime":{now},"rateLimits":[],"exchangeFilters":[],"symbols":[{}]}}"#,
        rows.join(",")
    )
}

fn instruments(venue: &Venue, recorded: &Recorded) -> String {
    let is_spot = venue.protocol == Protocol::Bybit;
    let rows: Vec<String> = recorded
        .symbols
        .iter()
        .map(|symbol| {
            let (base, quote) = assets(symbol);
            let contract = if is_spot {
                String::new()
            } else {
                format!(r#""contractType":"LinearPerpetual","settleCoin":"{quote}","launchTime":"1584230400000","deliveryTime":"0","fundingInterval":480,"#)
            };
            format!(
                r#"{{"symbol":"{symbol}","status":"Trading","baseCoin":"{base}","quoteCoin":"{quote}",{contract}"lotSizeFilter":{{}},"priceFilter":{{}}}}"#
            )
        })
        .collect();
    let category = if is_spot { "spot" } else { "linear" };
    format!(r#"{{"category":"{category}","list":[{}],"nextPageCursor":""}}"#, rows.join(","))
}

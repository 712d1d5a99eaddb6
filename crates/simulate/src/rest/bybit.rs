//! Bybit's REST endpoints for spot and linear, over generated markets. Inverse contracts and options exist and are empty.

use std::sync::Arc;

use super::bybit_market as endpoints;
use super::{Ask, Reply};
use crate::market::{MINUTE_MS, Market, Protocol};
use crate::world::Generated;

/// Code and words of a refusal.
pub(super) type Refusal = (i32, String);

pub(super) fn refuse<T>(words: impl Into<String>) -> Result<T, Refusal> {
    Err((10_001, words.into()))
}

/// Which markets a question means.
pub(super) struct Category<'a> {
    pub(super) name: &'a str,
    /// `None` where nothing is listed.
    pub(super) world: Option<Arc<Generated>>,
    pub(super) is_spot: bool,
}

impl Category<'_> {
    /// All markets, delisted ones too.
    pub(super) fn markets(&self) -> &[Arc<Market>] {
        self.world.as_ref().map_or(&[], |world| &world.markets)
    }

    /// The market that is asked about; of delisted ones nothing is known.
    pub(super) fn symbol(&self, ask: &Ask) -> Result<&Market, Refusal> {
        let Some(symbol) = ask.text("symbol") else { return refuse("params error: symbol is required") };
        let found = self.world.as_ref().and_then(|world| world.market(symbol));
        let found = found.filter(|market| !market.is_over(ask.now_ms));
        found.map_or_else(|| refuse("params error: Symbol Invalid"), Ok)
    }
}

/// Answers a question about markets that are found by their protocol.
pub(crate) fn answer(markets: impl Fn(Protocol) -> Option<Arc<Generated>>, ask: &Ask) -> Reply {
    let Some(name) = ask.path.strip_prefix("/v5/market/") else {
        // Client libraries look at announcements and the like; there are none.
        return Reply::of(404, r#"{"retCode":404,"retMsg":"not found"}"#.into());
    };
    let usual = if name == "kline" { "linear" } else { "" };
    let result = if name == "time" {
        let now = ask.now_ms;
        Ok(format!(r#"{{"timeSecond":"{}","timeNano":"{}"}}"#, now / 1_000, now * 1_000_000))
    } else {
        category(markets, ask, usual).and_then(|category| endpoint(&category, name, ask))
    };
    let (code, words, result) = match result {
        Ok(result) => (0, "OK".to_owned(), result),
        Err((404, _)) => return Reply::of(404, r#"{"retCode":404,"retMsg":"not found"}"#.into()),
        Err((code, words)) => (code, words, "{}".to_owned()),
    };
    Reply::of(
        200,
        format!(
            r#"{{"retCode":{code},"retMsg":{},"result":{result},"retExtInfo":{{}},"time":{}}}"#,
            crate::wire::quoted(&words),
            ask.now_ms
        ),
    )
}

fn endpoint(category: &Category<'_>, name: &str, ask: &Ask) -> Result<String, Refusal> {
    match name {
        "kline" => endpoints::kline(category, ask),
        "mark-price-kline" | "index-price-kline" | "premium-index-price-kline" => {
            endpoints::price_kline(category, name, ask)
        }
        "recent-trade" => endpoints::recent_trades(category, ask),
        "orderbook" => endpoints::orderbook(category, ask),
        "instruments-info" => endpoints::instruments(category, ask),
        "tickers" => endpoints::tickers(category, ask),
        "funding/history" => endpoints::funding(category, ask),
        "open-interest" => endpoints::open_interest(category, ask),
        _ => Err((404, String::new())),
    }
}

fn category<'a>(
    markets: impl Fn(Protocol) -> Option<Arc<Generated>>,
    ask: &'a Ask,
    usual: &'a str,
) -> Result<Category<'a>, Refusal> {
    let name = ask.text("category").unwrap_or(usual);
    let protocol = match name {
        "spot" => Some(Protocol::Bybit),
        "linear" => Some(Protocol::BybitLinear),
        "inverse" | "option" => None,
        "" => return refuse("params error: category is required"),
        other => return refuse(format!("params error: Illegal category {other}")),
    };
    Ok(Category { name, world: protocol.and_then(markets), is_spot: name == "spot" })
}

/// A whole number among the parameters.
pub(super) fn number(ask: &Ask, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(text) = ask.text(name) else { return Ok(None) };
    text.parse().map_or_else(|_| refuse(format!("params error: {name} invalid")), |value| Ok(Some(value)))
}

/// How many rows; what is too much is refused.
pub(super) fn limit(ask: &Ask, usual: i64, most: i64) -> Result<usize, Refusal> {
    let limit = number(ask, "limit")?.unwrap_or(usual);
    if !(1..=most).contains(&limit) {
        return refuse(format!("params error: limit must be 1 to {most}"));
    }
    Ok(limit as usize)
}

/// When a market was opened.
pub(super) const fn launch_ms(market: &Market) -> i64 {
    market.first_minute * MINUTE_MS
}

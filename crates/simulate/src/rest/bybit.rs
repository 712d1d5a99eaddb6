//! Bybit's REST endpoints for spot and linear, over generated markets. Inverse contracts and options exist and are empty.

use super::bybit_market as endpoints;
use super::{Ask, Reply};
use crate::market::{MINUTE_MS, Market, Protocol};
use crate::world::{Generated, House, Source};

/// Code and words of a refusal.
pub(super) type Refusal = (i32, String);

pub(super) fn refuse<T>(words: impl Into<String>) -> Result<T, Refusal> {
    Err((10_001, words.into()))
}

/// Which markets a question means.
pub(super) struct Category<'a> {
    pub(super) name: &'a str,
    /// `None` where nothing is listed.
    pub(super) world: Option<&'a Generated>,
    pub(super) is_spot: bool,
}

impl<'a> Category<'a> {
    /// All markets.
    pub(super) fn markets(&self) -> &'a [Market] {
        self.world.map_or(&[], |world| &world.markets)
    }

    /// The market that is asked about.
    pub(super) fn symbol(&self, ask: &Ask) -> Result<&'a Market, Refusal> {
        let Some(symbol) = ask.text("symbol") else { return refuse("params error: symbol is required") };
        let found = self.world.and_then(|world| world.market(symbol));
        found.map_or_else(|| refuse("params error: Symbol Invalid"), Ok)
    }
}

/// Answers a question.
pub(super) fn answer(house: &House, ask: &Ask) -> Reply {
    let Some(name) = ask.path.strip_prefix("/v5/market/") else {
        // Client libraries look at announcements and the like; there are none.
        return Reply::of(404, r#"{"retCode":404,"retMsg":"not found"}"#.into());
    };
    let usual = if name == "kline" { "linear" } else { "" };
    let result = if name == "time" {
        let now = ask.now_ms;
        Ok(format!(r#"{{"timeSecond":"{}","timeNano":"{}"}}"#, now / 1_000, now * 1_000_000))
    } else {
        category(house, ask, usual).and_then(|category| endpoint(&category, name, ask))
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

fn category<'a>(house: &'a House, ask: &'a Ask, usual: &'a str) -> Result<Category<'a>, Refusal> {
    let name = ask.text("category").unwrap_or(usual);
    let protocol = match name {
        "spot" => Some(Protocol::Bybit),
        "linear" => Some(Protocol::BybitLinear),
        "inverse" | "option" => None,
        "" => return refuse("params error: category is required"),
        other => return refuse(format!("params error: Illegal category {other}")),
    };
    let world =
        protocol.and_then(|protocol| house.speaking(protocol)).and_then(|venue| match &venue.source {
            Source::Generated(world) => Some(world),
            Source::Recorded(_) => None,
        });
    Ok(Category { name, world, is_spot: name == "spot" })
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

//! Questions over HTTP and what is common to their answers: parameters, weights, refusals. The endpoints are in the rooms
//! below.

pub(crate) mod binance;
mod binance_listing;
mod binance_tickers;
pub(crate) mod bybit;
mod bybit_market;
pub(crate) mod quota;
mod recorded;

use std::collections::HashMap;
use std::sync::Arc;

use crate::archive::http_date;
use crate::market::Protocol;
use crate::prices;
use crate::world::{House, Source, Venue};

/// A question.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) path: String,
    pub(crate) parameters: HashMap<String, String>,
    /// Whether times are wanted in microseconds.
    pub(crate) is_micros: bool,
    pub(crate) has_key: bool,
    /// World time, not later than when markets stood still.
    pub(crate) now_ms: i64,
}

impl Ask {
    /// A parameter that is there and not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Reply {
    /// With this status.
    pub(crate) const fn of(status: u16, body: String) -> Self {
        Self { status, body, headers: Vec::new() }
    }
}

/// Reads a query string.
pub(crate) fn parameters(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescaped(name), unescaped(value))
    });
    pairs.collect()
}

/// Undoes percent-encoding; what is no valid text stays as it is.
pub(crate) fn unescaped(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        match (bytes[at], digits.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (b'+', _) => {
                out.push(b' ');
                at += 1;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Answers a question to a venue.
pub(crate) async fn answer(venue: Arc<Venue>, house: Arc<House>, ask: Ask) -> Reply {
    let real_ms = house.time.real_ms();
    let price = if venue.protocol.is_bybit() { (0, None) } else { binance::weight(venue.protocol, &ask) };
    let trouble_ms = venue.trouble.banned_ms(real_ms);
    let admitted = venue.quota.admit(venue.protocol, &house.limits, price, (real_ms, trouble_ms));
    venue.quota.note(&ask.path, price.0, admitted.as_ref().err().map(|refusal| refusal.status));
    let mut headers = match admitted {
        Ok(headers) => headers,
        Err(refusal) => return refusal,
    };
    headers.push(("date", http_date(ask.now_ms)));
    // Long bars walk over many trades: that is no work for the threads that wait.
    let computed = runtime::tasks::blocking(move || match &venue.source {
        Source::Recorded(recorded) => recorded::answer(&venue, recorded, &ask),
        Source::Generated(listed) => {
            let reply = match venue.protocol {
                Protocol::Binance | Protocol::BinanceFutures => {
                    binance::answer(venue.protocol, &listed.now(), ask.clone())
                }
                Protocol::Bybit | Protocol::BybitLinear => {
                    bybit::answer(|speaking| house.markets(speaking), &ask)
                }
            };
            prices::spoiled(&house, venue.protocol, &ask, reply)
        }
    });
    let mut reply = computed.await.unwrap_or_else(|error| Reply::of(500, error));
    reply.headers.extend(headers);
    reply
}

#[cfg(test)]
mod tests {
    //! Cases for query strings.
    use super::*;

    #[test]
    fn query_strings_are_read() {
        let read = parameters("symbol=%E5%B8%81USDT&limit=5&x&y=a%2Fb+c%zz");
        assert_eq!(read["symbol"], "币USDT");
        assert_eq!((read["limit"].as_str(), read["x"].as_str(), read["y"].as_str()), ("5", "", "a/b c%zz"));
    }
}

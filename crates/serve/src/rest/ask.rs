//! What readers ask: path words, query parameters and their checks, each refused with a remedy.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use model::Time;
use serde::de::DeserializeOwned;
use tables::TimeRange;
use utoipa::IntoParams;

use crate::house::cut;
use crate::refusal::Refusal;

/// 2200-01-01: later times are mistakes of unit.
pub(crate) const TIME_MAX: Time = Time(7_258_118_400_000_000);

/// Query parameters.
pub(crate) struct Ask<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Ask<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Refusal> {
        // Percent escapes that are no UTF-8 arrive as replacement characters.
        let is_readable = parts.uri.query().is_none_or(|query| !holds_broken_text(query));
        if !is_readable {
            return Err(Refusal::bad(
                "bad_parameter",
                "the query is not UTF-8",
                "percent-encode it as UTF-8",
            ));
        }
        Query::<T>::try_from_uri(&parts.uri).map(|Query(ask)| Self(ask)).map_err(|error| {
            let reason =
                std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            Refusal::bad("bad_parameter", reason, "see /docs for the parameters of this address")
        })
    }
}

fn holds_broken_text(query: &str) -> bool {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let pair =
            (first == b'%').then(|| after.get(..2)).flatten().and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some(byte) = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    std::str::from_utf8(&bytes).is_err()
}

/// Whose data, as the OpenAPI document tells it.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct SymbolPath {
    /// Symbol of the venue, or a full instrument id.
    #[param(example = "BTCUSDT", pattern = r"^\S+$")]
    #[expect(dead_code, reason = "the document is made from it, the word itself is read by Words")]
    symbol: String,
}

/// The last part of the path.
pub(crate) struct Words(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Words {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        Path::<String>::from_request_parts(parts, state).await.map(|Path(words)| Self(words)).map_err(
            |error| {
                Refusal::bad(
                    "bad_symbol",
                    error.body_text(),
                    "percent-encode the symbol as UTF-8, such as BTC%2FUSDT",
                )
            },
        )
    }
}

/// Reads a moment: milliseconds since the epoch, or an ISO date or time.
pub(crate) fn time(name: &str, text: Option<&str>) -> Result<Option<Time>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    let is_near = |time: &Time| (Time(0)..TIME_MAX).contains(time);
    // Small numbers are taken for seconds, as long as they lead to a time that can be.
    let as_millis = || text.trim().parse().ok().and_then(Time::from_millis).filter(is_near);
    Time::parse(text).filter(is_near).or_else(as_millis).map(Some).ok_or_else(|| {
        Refusal::bad(
            "bad_time",
            format!("{name} is no time: {:?}", cut(text)),
            "write milliseconds since 1970 (1723161255342) or 2024-08-08T23:54:15Z",
        )
    })
}

/// Bounds of a question in time, both inclusive as readers mean them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    pub(crate) start: Option<Time>,
    /// First moment after.
    pub(crate) end: Option<Time>,
}

impl Bounds {
    /// Reads both bounds and refuses a reversed range.
    pub(crate) fn read(start: Option<&str>, end: Option<&str>) -> Result<Self, Refusal> {
        let (start, last) = (time("start_time", start)?, time("end_time", end)?);
        if let (Some(first), Some(last)) = (start, last)
            && first > last
        {
            return Err(Refusal::bad(
                "reversed_range",
                format!("start_time {first} lies after end_time {last}"),
                "swap start_time and end_time",
            ));
        }
        // A millisecond names everything inside it.
        Ok(Self { start, end: last.map(|last| Time(last.0 - last.0.rem_euclid(1_000)).plus_micros(1_000)) })
    }

    /// The range; `None` if there is no bound at all.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        (self.start.is_some() || self.end.is_some())
            .then(|| TimeRange { start: self.start.unwrap_or(Time(0)), end: self.end.unwrap_or(TIME_MAX) })
    }
}

/// Reads a count between 1 and `max`.
pub(crate) fn limit(text: Option<&str>, default: usize, max: usize) -> Result<usize, Refusal> {
    count("limit", text, default, max)
}

/// Reads a named count between 1 and `max`.
pub(crate) fn count(name: &str, text: Option<&str>, default: usize, max: usize) -> Result<usize, Refusal> {
    let Some(text) = text else { return Ok(default) };
    text.parse().ok().filter(|count| (1..=max).contains(count)).ok_or_else(|| {
        Refusal::bad(
            "bad_limit",
            format!("{name} is no count from 1 to {max}: {:?}", cut(text)),
            format!("ask for at most {max}, and for the rest with further questions"),
        )
    })
}

/// Reads an id.
pub(crate) fn id(name: &str, text: Option<&str>) -> Result<Option<i64>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    text.parse().ok().filter(|id| *id >= 0).map(Some).ok_or_else(|| {
        Refusal::bad("bad_id", format!("{name} is no id: {:?}", cut(text)), "write a whole number, 0 or more")
    })
}

#[cfg(test)]
mod tests {
    //! Cases for bounds and broken text.
    use super::*;

    #[test]
    fn broken_escapes_are_seen() {
        for (query, expect) in [("a=%ff", true), ("a=%E2%82%AC", false), ("a=%", false), ("a=%zz", false)] {
            assert_eq!(holds_broken_text(query), expect, "{query}");
        }
    }

    #[test]
    fn both_bounds_are_inclusive() {
        let bounds = Bounds::read(Some("1000000000000"), Some("1000000000000")).unwrap();
        assert_eq!(bounds.end.unwrap().0 - bounds.start.unwrap().0, 1_000);
        assert_eq!(Bounds::read(Some("2024-01-02"), Some("2024-01-01")).unwrap_err().code, "reversed_range");
        assert_eq!(Bounds::read(Some("-5"), None).unwrap_err().code, "bad_time");
        assert!(Bounds::read(None, None).unwrap().range().is_none());
    }

    #[test]
    fn every_number_of_milliseconds_until_2200_is_a_time() {
        for (text, expect) in [
            ("0", 0),
            ("1723161255", 1_723_161_255_000),
            ("8857415947", 8_857_415_947),
            ("99999999999", 99_999_999_999),
            ("1723161255342", 1_723_161_255_342),
            ("7258118399999", 7_258_118_399_999),
        ] {
            assert_eq!(time("end_time", Some(text)).unwrap().unwrap().millis(), expect, "{text}");
        }
        for text in ["-1", "7258118400000", "9223372036854775807", "99999999999999999999", "", "now"] {
            assert_eq!(time("end_time", Some(text)).unwrap_err().code, "bad_time", "{text}");
        }
    }

    #[test]
    fn counts_are_bounded() {
        assert_eq!(limit(None, 7, 10).unwrap(), 7);
        for text in ["0", "11", "-1", "x", ""] {
            assert_eq!(limit(Some(text), 7, 10).unwrap_err().code, "bad_limit", "{text}");
        }
    }
}

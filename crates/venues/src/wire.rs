//! Pieces of answers read with serde: exact decimals, and errors that say where.

use std::fmt;

use model::{Decimal, InstrumentId, Time, time::DAY};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use crate::contract::DecodeError;
use crate::scan::Scan;

/// An exact decimal, quoted or bare.
pub(crate) struct Exact(pub(crate) Decimal);

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        exact_if_any(deserializer)?.ok_or_else(|| D::Error::custom("an empty text is no number"))
    }
}

/// An exact decimal; `None` for an empty text or `null`.
pub(crate) fn exact_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Exact>, D::Error> {
    struct Digits;
    impl Visitor<'_> for Digits {
        type Value = Option<Exact>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal number")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            if text.is_empty() {
                return Ok(None);
            }
            Decimal::parse(text.as_bytes()).map(|value| Some(Exact(value))).map_err(E::custom)
        }
        fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
            Ok(Some(Exact(Decimal::from(value))))
        }
        fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
            Ok(Some(Exact(Decimal::new(i128::from(value), 0))))
        }
        fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
            // No venue writes bare fractions here today; the shortest text of the double is what was written.
            Decimal::from_f64(value).map(|value| Some(Exact(value))).ok_or_else(|| E::custom("not finite"))
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
    }
    deserializer.deserialize_any(Digits)
}

/// Reads a whole answer; `what` names it in the error.
pub(crate) fn parse<'de, T: Deserialize<'de>>(body: &'de [u8], what: &str) -> Scan<T> {
    serde_json::from_slice(body).map_err(|error| DecodeError::Malformed(format!("{what}: {error}")))
}

/// Length of a funding interval from two settlements that follow one another; `None` if one is missing between them.
pub(crate) fn hours_between(before: Time, after: Time) -> Option<i32> {
    const HOUR: i64 = DAY / 24;
    let hours = (after.0 - before.0) / HOUR;
    i32::try_from(hours).ok().filter(|hours| matches!(hours, 1 | 2 | 4 | 8))
}

/// An asset's name as it may stand in an instrument id: the venue's spelling, with `_` for what an id may not hold.
pub(crate) fn asset(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            '-' | '/' | ':' | '.' | '*' | '>' => '_',
            c if c.is_whitespace() || c.is_control() => '_',
            c => c,
        })
        .collect()
}

/// Keeps one instrument per id: of a delisted and a listed one that share it, the listed.
pub(crate) fn one_per_id(instruments: &mut Vec<model::Instrument>) {
    let mut seen: std::collections::HashMap<InstrumentId, usize> = std::collections::HashMap::new();
    let mut kept: Vec<model::Instrument> = Vec::with_capacity(instruments.len());
    for instrument in instruments.drain(..) {
        let Some(&index) = seen.get(&instrument.id) else {
            seen.insert(instrument.id.clone(), kept.len());
            kept.push(instrument);
            continue;
        };
        if kept[index].status == model::InstrumentStatus::Delisted {
            kept[index] = instrument;
        }
    }
    *instruments = kept;
}

//! The statistics of a data file as the log holds them: JSON, of which only whole numbers and texts are wanted. A lake has them
//! by the thousand, and reads them all when it is opened.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Statistics of one file; what is not known of it is absent.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Stats<'a> {
    #[serde(rename = "numRecords", default)]
    pub(super) rows: u64,
    #[serde(rename = "minValues", default, borrow)]
    pub(super) low: HashMap<Cow<'a, str>, Cell<'a>>,
    #[serde(rename = "maxValues", default, borrow)]
    pub(super) high: HashMap<Cow<'a, str>, Cell<'a>>,
}

/// One value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Int(i64),
    Text(Cow<'a, str>),
    /// A kind without bounds here.
    Other,
}

impl<'a, 'de: 'a> Deserialize<'de> for Cell<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Cells)
    }
}

struct Cells;

impl<'de> Visitor<'de> for Cells {
    type Value = Cell<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Cell::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Cell::Other, Cell::Int))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Cell::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Cell::Other)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Cell::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cell::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        while values.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for values of all kinds.
    use super::*;

    #[test]
    fn other_writers_statistics_do_no_harm() {
        let text = r#"{"numRecords":7,"minValues":{"a":-3,"b":"x\"y","c":1.5,"d":{"e":[1]},"f":null,"g":18446744073709551615},
                       "nullCount":{"a":0},"tightBounds":true}"#;
        let stats: Stats<'_> = serde_json::from_str(text).unwrap();
        assert_eq!((stats.rows, stats.low.len(), stats.high.len()), (7, 6, 0));
        assert_eq!(stats.low["a"], Cell::Int(-3));
        assert_eq!(stats.low["b"], Cell::Text("x\"y".into()));
        assert!(["c", "d", "f", "g"].iter().all(|name| stats.low[*name] == Cell::Other));
    }
}

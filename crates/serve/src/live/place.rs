//! A reader's place in the feed: log position and index within the record, written `123.4`.

use std::fmt;
use std::str::FromStr;

use tables::FeedItem;

/// A place in the feed. It only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) position: u64,
    pub(crate) index: u32,
}

impl Place {
    pub(crate) fn of(item: &FeedItem) -> Self {
        Self { position: item.position.0, index: item.index }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.index)
    }
}

impl serde::Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The text is no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;
    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (position, index) = text.split_once('.').ok_or(NoPlace)?;
        let position = position.parse().map_err(|_| NoPlace)?;
        Ok(Self { position, index: index.parse().map_err(|_| NoPlace)? })
    }
}

#[cfg(test)]
mod tests {
    //! Cases for places.
    use super::*;

    #[test]
    fn places_print_and_read_back() {
        let place = Place { position: 12_345, index: 7 };
        assert_eq!(place.to_string(), "12345.7");
        assert_eq!("12345.7".parse(), Ok(place));
        for text in ["", "5", "5.", ".5", "a.b", "-1.0", "1.2.3"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text}");
        }
    }
}

//! Names of venues, instruments, channels and places in the raw log.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::market::InstrumentKind;
use crate::time::Date;

/// Every venue the house knows, sorted by name, each with its number on disk. Numbers never change: they stand in every
/// record of the raw log. A new venue takes the next free one.
const VENUES: &[(&str, u8)] = &[
    ("alpaca", 1),
    ("binance", 2),
    ("binance-futures", 3),
    ("bitfinex", 4),
    ("bitget", 5),
    ("bitstamp", 6),
    ("bybit", 7),
    ("bybit-linear", 8),
    ("coinbase", 9),
    ("mexc", 10),
    ("okx", 11),
    ("okx-swap", 12),
];

/// A venue, such as `binance-futures`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VenueId(&'static str);

impl VenueId {
    /// The venue of that name; `None` if the house does not know it.
    pub fn known(name: &str) -> Option<Self> {
        Self::all().find(|venue| venue.0 == name)
    }

    /// Every venue, sorted by name.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        VENUES.iter().map(|(name, _)| Self(name))
    }

    /// The names of all, for messages.
    pub fn names() -> String {
        Self::all().map(Self::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The venue's number on disk, from 1.
    pub fn number(self) -> u8 {
        let own = VENUES.iter().find(|(name, _)| *name == self.0);
        own.expect("a venue id is only made from the list").1
    }

    /// The venue of a number; `None` if it was never given.
    pub fn of_number(number: u8) -> Option<Self> {
        VENUES.iter().find(|(_, known)| *known == number).map(|(name, _)| Self(name))
    }
}

impl fmt::Display for VenueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An instrument of one venue: `venue:BASE-QUOTE`, `venue:BASE-QUOTE-PERP` or `venue:BASE-QUOTE-YYYYMMDD`.
///
/// Cheap to clone. Ordered bytewise by its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentId(Arc<str>);

/// Why a text is no instrument id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentIdError {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InstrumentIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an instrument id: {:?}: {}; write it as binance:BTC-USDT", self.text, self.reason)
    }
}

impl std::error::Error for InstrumentIdError {}

impl InstrumentId {
    /// Builds the id from its parts. Base and quote are taken as the venue spells them.
    pub fn new(venue: VenueId, base: &str, quote: &str, kind: InstrumentKind) -> Self {
        let text = match kind {
            InstrumentKind::Spot => format!("{venue}:{base}-{quote}"),
            InstrumentKind::Perpetual => format!("{venue}:{base}-{quote}-PERP"),
            InstrumentKind::Future { expiry } => {
                let (year, month, day) = expiry.civil();
                format!("{venue}:{base}-{quote}-{year:04}{month:02}{day:02}")
            }
        };
        Self(text.into())
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The venue part.
    pub fn venue(&self) -> VenueId {
        let name = self.0.split(':').next().unwrap_or_default();
        VenueId::known(name).expect("an instrument id is only built for a known venue")
    }

    /// The part behind the venue, `BTC-USDT-PERP`.
    pub fn pair(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, pair)| pair)
    }

    /// What kind of instrument the id names.
    pub fn kind(&self) -> InstrumentKind {
        match self.pair().rsplit_once('-') {
            Some((_, "PERP")) => InstrumentKind::Perpetual,
            Some((front, digits)) if front.contains('-') && digits.len() == 8 => match parse_expiry(digits) {
                Some(expiry) => InstrumentKind::Future { expiry },
                None => InstrumentKind::Spot,
            },
            _ => InstrumentKind::Spot,
        }
    }
}

fn parse_expiry(digits: &str) -> Option<Date> {
    let number: u32 = digits.parse().ok()?;
    Date::from_civil(i32::try_from(number / 10_000).ok()?, number / 100 % 100, number % 100)
}

impl FromStr for InstrumentId {
    type Err = InstrumentIdError;
    fn from_str(text: &str) -> Result<Self, InstrumentIdError> {
        let refuse = |reason| InstrumentIdError { text: text.chars().take(80).collect(), reason };
        let (venue, pair) = text.split_once(':').ok_or_else(|| refuse("no colon between venue and pair"))?;
        if VenueId::known(venue).is_none() {
            return Err(refuse("unknown venue"));
        }
        let parts: Vec<&str> = pair.split('-').collect();
        if !(2..=3).contains(&parts.len()) || parts.iter().any(|part| part.is_empty()) {
            return Err(refuse("a pair is BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYYYMMDD"));
        }
        if pair
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '.' | '*' | '>'))
        {
            return Err(refuse("a pair has no spaces, slashes, dots or wildcards"));
        }
        if let [_, _, tail] = parts[..]
            && tail != "PERP"
            && (tail.len() != 8 || parse_expiry(tail).is_none())
        {
            return Err(refuse("the third part is PERP or an expiry YYYYMMDD"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstrumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of news a stream or table row carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// The canonical trade feed of the venue (Binance: aggregated trades).
    Trades,
    /// Raw single trades where the venue also sends aggregated ones.
    RawTrades,
    /// Best bid and ask.
    Quotes,
    /// The level-2 book: snapshots and differences.
    Book,
    /// Bars as the venue publishes them.
    Klines,
    /// Mark and index price, with the current funding rate.
    MarkPrices,
    /// Settled funding rates.
    Funding,
    /// Open interest.
    OpenInterest,
    /// The venue's list of instruments.
    Instruments,
}

impl Channel {
    /// Every channel with its name in configuration, tables and metrics.
    pub const ALL: &[(Self, &str)] = &[
        (Self::Trades, "trades"),
        (Self::RawTrades, "raw_trades"),
        (Self::Quotes, "quotes"),
        (Self::Book, "book"),
        (Self::Klines, "klines"),
        (Self::MarkPrices, "mark_prices"),
        (Self::Funding, "funding"),
        (Self::OpenInterest, "open_interest"),
        (Self::Instruments, "instruments"),
    ];

    /// The channel's name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(channel, _)| *channel == self).map_or("", |(_, name)| name)
    }

    /// The channel of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(channel, _)| *channel)
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A place in the raw log: the number of a record, counted from 1. It only grows. Zero is before the first record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(pub u64);

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for names.
    use super::*;

    #[test]
    fn every_venue_has_one_number_for_good() {
        let numbers: std::collections::BTreeSet<u8> = VenueId::all().map(VenueId::number).collect();
        assert!(numbers.iter().copied().eq(1..=VENUES.len() as u8), "{numbers:?}");
        for venue in VenueId::all() {
            assert_eq!(VenueId::of_number(venue.number()), Some(venue));
            assert_eq!(VenueId::known(venue.as_str()), Some(venue));
        }
        assert_eq!((VenueId::of_number(0), VenueId::of_number(VENUES.len() as u8 + 1)), (None, None));
    }

    #[test]
    fn ids_tell_their_kind() {
        let kind = |text: &str| text.parse::<InstrumentId>().unwrap().kind();
        assert_eq!(kind("binance:BTC-USDT"), InstrumentKind::Spot);
        assert_eq!(kind("binance-futures:BTC-USDT-PERP"), InstrumentKind::Perpetual);
        let expiry = Date::from_civil(2026, 12, 25).unwrap();
        assert_eq!(kind("binance-futures:BTC-USDT-20261225"), InstrumentKind::Future { expiry });
    }

    #[test]
    fn ids_are_refused_with_the_reason() {
        for (text, reason) in [
            ("BTCUSDT", "no colon"),
            ("nyse:BTC-USDT", "unknown venue"),
            ("binance:BTC", "a pair is"),
            ("binance:BTC-USDT-SWAP", "third part"),
            ("binance:BTC-USDT-20261340", "third part"),
            ("binance:BTC/X-USDT", "slashes"),
        ] {
            let error = text.parse::<InstrumentId>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn parts_build_the_id_that_parses() {
        let venue = VenueId::known("binance-futures").unwrap();
        let id = InstrumentId::new(venue, "1000PEPE", "USDT", InstrumentKind::Perpetual);
        assert_eq!(id.as_str().parse::<InstrumentId>().unwrap(), id);
        assert_eq!((id.venue(), id.pair()), (venue, "1000PEPE-USDT-PERP"));
    }

    #[test]
    fn channels_are_found_by_name() {
        for (channel, name) in Channel::ALL {
            assert_eq!(Channel::named(name), Some(*channel));
        }
        assert_eq!(Channel::named("tape"), None);
    }
}

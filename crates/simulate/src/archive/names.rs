//! Which files the archives have, what they are called, and in which folders they lie.

use model::Date;

use crate::market::{Interval, Protocol};

use super::pack::Packing;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Data {
    /// Trades of the canonical feed.
    Trades,
    /// Single trades.
    RawTrades,
    /// Bars: place among [`intervals`].
    Klines(usize),
    /// Settled funding.
    Funding,
}

/// The time that a file covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Span {
    Day(Date),
    Month(Date),
}

impl Span {
    /// First day, and the first day after.
    pub(crate) fn days(self) -> (Date, Date) {
        match self {
            Self::Day(date) => (date, Date(date.0 + 1)),
            Self::Month(date) => (date, date.next_month_start()),
        }
    }

    /// When its file appears: at the end of the day, and on the first Monday after the month.
    pub(crate) fn published(self) -> Date {
        let (_, end) = self.days();
        match self {
            Self::Day(_) => end,
            // 1970-01-05 was a Monday.
            Self::Month(_) => Date(end.0 + (4 - end.0).rem_euclid(7)),
        }
    }

    fn text(self) -> String {
        let text = self.days().0.to_string();
        match self {
            Self::Day(_) => text,
            Self::Month(_) => text[..7].to_owned(),
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Day(_) => "daily",
            Self::Month(_) => "monthly",
        }
    }
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileKey {
    pub(crate) protocol: Protocol,
    pub(crate) data: Data,
    pub(crate) symbol: String,
    pub(crate) span: Span,
}

/// Bar lengths that have files, with the word for it: not `1M`, which some file systems take for `1m`.
pub(super) fn intervals(protocol: Protocol) -> Vec<(&'static str, Interval)> {
    let all = Interval::all(protocol).iter().copied();
    all.filter(|(_, interval)| *interval != Interval::Second)
        .map(|(word, interval)| (if word == "1M" { "1mo" } else { word }, interval))
        .collect()
}

/// Whether bars of that length have files of a day.
pub(super) fn has_days(interval: Interval) -> bool {
    matches!(interval, Interval::Minutes(..=1_440))
}

impl FileKey {
    /// How it is packed.
    pub(super) const fn packing(&self) -> Packing {
        if self.protocol.is_bybit() { Packing::Gzip } else { Packing::Zip }
    }

    /// Name without folders.
    pub(super) fn name(&self) -> String {
        let (symbol, when) = (&self.symbol, self.span.text());
        match self.protocol {
            Protocol::BybitLinear => format!("{symbol}{when}.csv.gz"),
            Protocol::Bybit => format!("{symbol}_{when}.csv.gz"),
            _ => format!("{symbol}-{}-{when}.zip", self.word()),
        }
    }

    /// Name of the rows inside.
    pub(super) fn entry(&self) -> String {
        let name = self.name();
        format!("{}.csv", name.strip_suffix(".zip").unwrap_or(&name))
    }

    /// Folders and name.
    pub(crate) fn path(&self) -> String {
        format!("{}{}", self.folder(), self.name())
    }

    /// Folders, ending with a slash.
    pub(super) fn folder(&self) -> String {
        let symbol = &self.symbol;
        match self.protocol {
            Protocol::BybitLinear => format!("trading/{symbol}/"),
            Protocol::Bybit => format!("spot/{symbol}/"),
            _ => {
                let above = data_folder(self.protocol, self.data, self.span.folder());
                match self.data {
                    Data::Klines(_) => format!("{above}{symbol}/{}/", self.word()),
                    _ => format!("{above}{symbol}/"),
                }
            }
        }
    }

    fn word(&self) -> &'static str {
        match self.data {
            Data::Trades => "aggTrades",
            Data::RawTrades => "trades",
            Data::Funding => "fundingRate",
            Data::Klines(place) => intervals(self.protocol).get(place).map_or("", |(word, _)| word),
        }
    }
}

/// Binance's folder of a kind of file.
pub(super) fn data_folder(protocol: Protocol, data: Data, span: &str) -> String {
    let market = if protocol == Protocol::Binance { "spot" } else { "futures/um" };
    let kind = match data {
        Data::Trades => "aggTrades",
        Data::RawTrades => "trades",
        Data::Klines(_) => "klines",
        Data::Funding => "fundingRate",
    };
    format!("data/{market}/{span}/{kind}/")
}

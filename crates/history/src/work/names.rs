//! Which instruments are meant: those that the venue lists, and those that only its archive still has.

use std::collections::BTreeSet;
use std::sync::Arc;

use collect::archive::{ArchiveSite, FetchError};
use model::{Channel, Date, Instrument, InstrumentId, InstrumentKind, InstrumentStatus, VenueId};
use runtime::Stop;
use venues::archive::{ArchiveAsk, ArchiveData, ArchiveFile, Period, Span};

use crate::plan::channel;
use crate::work::Work;
use crate::{Doors, Error};

/// Assets that were quoted in once, and may be in nothing that is listed now.
const QUOTES: &[&str] = &[
    "USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USDP", "PAX", "USDS", "DAI", "UST", "USD", "BTC", "ETH", "BNB",
    "EUR", "GBP", "AUD", "TRY", "BRL", "RUB", "UAH", "NGN", "TRX", "XRP", "DOGE", "VAI", "BIDR", "IDRT",
];

/// An instrument that is meant.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    pub(super) instrument: Arc<Instrument>,
    /// First and last day of its files, if it is not listed any more.
    pub(super) days: Option<(Date, Date)>,
}

impl Work<'_> {
    /// The instruments of these names.
    pub(super) async fn meant(
        &self,
        (venue, names): (VenueId, &[String]),
        (site, data): (Option<&ArchiveSite>, ArchiveData),
        stop: &Stop,
    ) -> Result<Vec<Meant>, Error> {
        let listed = self.outside.listed(venue).await?;
        let (mut meant, mut unknown) = (Vec::<Meant>::new(), Vec::new());
        for name in names {
            let found = match (collect::named(&listed, name), site) {
                (Some(instrument), _) => Some(Meant { instrument: Arc::new(instrument.clone()), days: None }),
                (None, Some(site)) => self.delisted((venue, name), (site, data), (&listed, stop)).await?,
                (None, None) => None,
            };
            match found {
                Some(found) if meant.iter().any(|other| other.instrument.id == found.instrument.id) => {}
                Some(found) => meant.push(found),
                None => unknown.push(name.as_str()),
            }
        }
        if unknown.is_empty() {
            return Ok(meant);
        }
        let archive = if site.is_some() { ", and its archive has no files of it" } else { "" };
        let names = unknown.join(", ");
        Err(Error::Wrong(format!(
            "{venue} does not list {names}{archive}: check the spelling, or leave it out"
        )))
    }

    /// An instrument that only the archive knows.
    async fn delisted(
        &self,
        (venue, name): (VenueId, &str),
        (site, data): (&ArchiveSite, ArchiveData),
        (listed, stop): (&[Instrument], &Stop),
    ) -> Result<Option<Meant>, Error> {
        let symbol = symbol_of(name);
        if symbol.is_empty() {
            return Ok(None);
        }
        let files = all_files(site, data, &symbol, stop).await?;
        let first = files.iter().map(|file| file.period.first()).min();
        let last = files.iter().map(|file| Date(file.period.end().0 - 1)).max();
        let Some(days) = first.zip(last) else { return Ok(None) };
        let Some(instrument) = named_by_archive(venue, &symbol, listed) else {
            return Err(Error::Wrong(format!(
                "{venue} does not list {symbol} any more, and its assets cannot be told apart: name it as {venue}:BASE-QUOTE"
            )));
        };
        self.say(format!(
            "{} is not listed any more: the archive has files from {} to {}",
            instrument.id, days.0, days.1
        ));
        Ok(Some(Meant { instrument: Arc::new(instrument), days: Some(days) }))
    }
}

/// The venue's symbol of what was named.
fn symbol_of(name: &str) -> String {
    let pair = name.split_once(':').map_or(name, |(_, pair)| pair);
    let pair = pair.strip_suffix("-PERP").unwrap_or(pair);
    let is_part = |c: &char| !matches!(c, '-' | '/' | ' ');
    pair.chars().filter(is_part).flat_map(char::to_uppercase).collect()
}

/// An instrument, as far as its symbol tells. Assets are told apart by what others are quoted in.
fn named_by_archive(venue: VenueId, symbol: &str, listed: &[Instrument]) -> Option<Instrument> {
    let own: BTreeSet<&str> = listed.iter().map(|instrument| &*instrument.quote).collect();
    let mut quotes: Vec<&str> = own.into_iter().chain(QUOTES.iter().copied()).collect();
    quotes.sort_by_key(|quote| std::cmp::Reverse(quote.len()));
    let quote = quotes.into_iter().find(|quote| symbol.len() > quote.len() && symbol.ends_with(quote))?;
    let base = symbol.strip_suffix(quote)?;
    let is_perpetual = listed.iter().any(|instrument| instrument.kind == InstrumentKind::Perpetual);
    let kind = if is_perpetual { InstrumentKind::Perpetual } else { InstrumentKind::Spot };
    let id = InstrumentId::new(venue, base, quote, kind);
    Some(Instrument { status: InstrumentStatus::Delisted, ..Instrument::named(id, symbol) })
}

async fn all_files(
    site: &ArchiveSite,
    data: ArchiveData,
    symbol: &str,
    stop: &Stop,
) -> Result<Vec<ArchiveFile>, Error> {
    let mut files = Vec::new();
    for span in [Span::Month, Span::Day] {
        let ask = ArchiveAsk { data, symbol, span, from: None };
        match site.list(&ask, stop).await {
            Ok(listed) => files.extend(listed),
            // A folder for each symbol: there is none.
            Err(FetchError::Absent) => {}
            Err(FetchError::Stopped) => return Err(Error::Stopped),
            Err(error) => return Err(Error::Venue(format!("list the archive of {symbol}: {error}"))),
        }
    }
    Ok(files)
}

impl Doors {
    /// The first day of which the archive has a file of an instrument; `None` if it has none. It is asked once.
    pub(crate) async fn oldest_file(
        &self,
        site: &ArchiveSite,
        (instrument, data): (&Instrument, ArchiveData),
        stop: &Stop,
    ) -> Result<Option<Date>, Error> {
        let channel: Channel = channel(data);
        if let Some(day) = self.control.oldest_file(&instrument.id, channel)? {
            return Ok(Some(day));
        }
        let files = all_files(site, data, &instrument.symbol, stop).await?;
        let found = oldest(files.iter().map(|file| file.period));
        if let Some(day) = found {
            self.control.keep_oldest_file(&instrument.id, channel, day)?;
        }
        Ok(found)
    }
}

/// The first day of these periods: where days of the first month are listed, the first of them.
fn oldest(periods: impl Iterator<Item = Period>) -> Option<Date> {
    let (months, days): (Vec<Period>, Vec<Period>) = periods.partition(|period| period.span() == Span::Month);
    let month = months.iter().min_by_key(|period| period.first());
    let day = days.iter().map(|period| period.first()).min();
    match (month, day) {
        (Some(month), Some(day)) if day >= month.first() && day < month.end() => Some(day),
        (Some(month), Some(day)) => Some(day.min(month.first())),
        (month, day) => day.or(month.map(|month| month.first())),
    }
}

#[cfg(test)]
mod tests {
    //! Cases for symbols that nobody lists, and for the first of many files.
    use super::*;

    #[test]
    fn assets_are_told_apart_by_what_others_are_quoted_in() {
        let venue = VenueId::known("binance").expect("a venue");
        let listed = [Instrument::named("binance:BTC-XUSD".parse().expect("an id"), "BTCXUSD")];
        for (name, expected) in [
            ("LUNAUSDT", Some("binance:LUNA-USDT")),
            ("binance:LUNA-USDT", Some("binance:LUNA-USDT")),
            ("ETHBTC", Some("binance:ETH-BTC")),
            ("ABCXUSD", Some("binance:ABC-XUSD")),
            ("USDT", None),
            ("NOSUCH", None),
        ] {
            let found = named_by_archive(venue, &symbol_of(name), &listed);
            assert_eq!(found.as_ref().map(|found| found.id.as_str()), expected, "{name}");
            assert!(found.is_none_or(|found| found.status == InstrumentStatus::Delisted));
        }
        let futures = VenueId::known("binance-futures").expect("a venue");
        let listed = [Instrument::named("binance-futures:BTC-USDT-PERP".parse().expect("an id"), "BTCUSDT")];
        let found = named_by_archive(futures, "LUNAUSDT", &listed).expect("it is told apart");
        assert_eq!(found.id.as_str(), "binance-futures:LUNA-USDT-PERP");
    }

    #[test]
    fn a_month_begins_with_its_first_day_that_has_a_file() {
        let day = |text: &str| Period::day(Date::parse(text).expect("a day"));
        let month = |text: &str| Period::holding(Span::Month, Date::parse(text).expect("a day"));
        for (periods, expected) in [
            (vec![month("2017-08-01"), day("2017-08-17"), day("2017-08-18")], Some("2017-08-17")),
            (vec![month("2017-09-01"), month("2017-08-01"), day("2020-01-01")], Some("2017-08-01")),
            (vec![day("2020-01-02"), day("2020-01-01")], Some("2020-01-01")),
            (vec![month("2020-02-01"), day("2020-01-31")], Some("2020-01-31")),
            (vec![], None),
        ] {
            let found = oldest(periods.into_iter()).map(|day| day.to_string());
            assert_eq!(found.as_deref(), expected);
        }
    }
}

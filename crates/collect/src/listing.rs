//! Fetches a venue's listing and chooses what is wanted from it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{Channel, Event, Instrument, InstrumentId, InstrumentStatus, Listing};
use venues::{Purpose, Stream, Venue};

use crate::answer;
use crate::rest::{Desk, Priority};
use crate::settings::{VenueSettings, Wanted};

/// More pages than this are a mistake of the venue or of ours.
const PAGES_MAX: usize = 100;
/// How long one page may take, its turn included.
const PAGE_MAX: Duration = Duration::from_mins(2);

/// What is collected from a venue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Everything the venue lists.
    pub(crate) listed: BTreeMap<InstrumentId, Instrument>,
    /// What was chosen of it.
    pub(crate) chosen: Vec<Instrument>,
    /// The streams that bring it.
    pub(crate) streams: Vec<Stream>,
    /// Wanted symbols that are not listed, or listed without being traded.
    pub(crate) unknown: Vec<String>,
    /// Whether the venue has not said so yet since we started: it is what it said before.
    pub(crate) is_remembered: bool,
}

/// Asks for the whole listing.
pub(crate) async fn fetch(venue: &dyn Venue, desk: &Desk) -> Result<Listing, String> {
    let mut pages = Vec::new();
    let mut cursor: Option<Box<str>> = None;
    while pages.len() < PAGES_MAX {
        let request = venue.listing(cursor.as_deref());
        let reply = desk
            .ask(venue.facts().id, request, Priority::Poll, PAGE_MAX)
            .await
            .map_err(|error| format!("ask for the listing: {error}"))?;
        let mut page = None;
        answer::read(venue, &[], &Purpose::Listing, &reply, |event| {
            if let Event::Listing(listing) = event {
                page = Some(listing);
            }
        })
        .map_err(|error| format!("read the listing: {error}"))?;
        let page = page.ok_or("read the listing: the answer holds none")?;
        cursor.clone_from(&page.next_page);
        pages.push(page);
        if cursor.is_none() {
            break;
        }
    }
    let listing = venues::contract::gather(pages).filter(|listing| !listing.instruments.is_empty());
    listing.ok_or_else(|| "read the listing: it is empty".into())
}

/// Chooses what is wanted, and the streams that bring it. What is not traded now is not chosen: venues go on naming what they
/// delisted, and its silence must alarm nobody.
pub(crate) fn choose(venue: &dyn Venue, settings: &VenueSettings, listing: Listing) -> Selection {
    let tradable: Vec<&Instrument> = listing
        .instruments
        .iter()
        .filter(|instrument| instrument.status == InstrumentStatus::Trading)
        .collect();
    let (chosen, mut unknown) = pick(&settings.instruments, &tradable);
    let books_of: Vec<&Instrument> = chosen.iter().collect();
    let (books, unknown_books) = pick(&settings.books, &books_of);
    unknown.extend(unknown_books);
    unknown.sort();
    unknown.dedup();
    let (book, other) = channels(settings);
    let mut streams = venue.streams(&chosen, &other);
    streams.extend(venue.streams(&books, &book));
    let mut keys = BTreeSet::new();
    streams.retain(|stream| keys.insert(stream.key.clone()));
    let listed =
        listing.instruments.into_iter().map(|instrument| (instrument.id.clone(), instrument)).collect();
    Selection { listed, chosen, streams, unknown, is_remembered: false }
}

/// The channels wanted, the book apart, with the venue's canonical trades.
pub(crate) fn channels(settings: &VenueSettings) -> (Vec<Channel>, Vec<Channel>) {
    let (mut book, mut other) = (Vec::new(), Vec::new());
    for channel in &settings.channels {
        let channel = match channel {
            Channel::Trades | Channel::RawTrades if settings.raw_trades => Channel::RawTrades,
            Channel::Trades | Channel::RawTrades => Channel::Trades,
            other => *other,
        };
        let list = if channel == Channel::Book { &mut book } else { &mut other };
        if !list.contains(&channel) {
            list.push(channel);
        }
    }
    (book, other)
}

/// Whether most of what was chosen before is gone. One odd answer must not close everything.
pub(crate) fn is_landslide(before: &Selection, after: &Selection) -> bool {
    let left: BTreeSet<&InstrumentId> = after.chosen.iter().map(|instrument| &instrument.id).collect();
    let gone = before.chosen.iter().filter(|instrument| !left.contains(&instrument.id)).count();
    gone > 1 && gone * 2 > before.chosen.len()
}

fn pick(wanted: &Wanted, from: &[&Instrument]) -> (Vec<Instrument>, Vec<String>) {
    let clone = |instrument: &&Instrument| (*instrument).clone();
    match wanted {
        Wanted::None => (Vec::new(), Vec::new()),
        Wanted::All => (from.iter().map(clone).collect(), Vec::new()),
        Wanted::Quotes(quotes) => {
            let is_wanted = |instrument: &&&Instrument| {
                quotes.iter().any(|quote| quote.to_uppercase() == instrument.quote.to_uppercase())
            };
            (from.iter().filter(is_wanted).map(clone).collect(), Vec::new())
        }
        Wanted::Symbols(symbols) => {
            let mut unknown = Vec::new();
            let mut ids = BTreeSet::new();
            for symbol in symbols {
                let found = from.iter().filter(|instrument| is_named(instrument, symbol));
                let count = ids.len();
                let mut is_known = false;
                for instrument in found {
                    is_known = true;
                    ids.insert(&instrument.id);
                }
                debug_assert!(ids.len() >= count);
                if !is_known {
                    unknown.push(symbol.clone());
                }
            }
            (from.iter().filter(|instrument| ids.contains(&instrument.id)).map(clone).collect(), unknown)
        }
    }
}

/// The instrument of a listing that a text means: its id, its pair, or the venue's symbol however it is punctuated. One that
/// is traded before one that is not.
pub fn named<'a>(listed: &'a [Instrument], text: &str) -> Option<&'a Instrument> {
    let mut meant: Vec<&Instrument> = listed.iter().filter(|instrument| is_named(instrument, text)).collect();
    meant.sort_by_key(|instrument| instrument.status != InstrumentStatus::Trading);
    meant.first().copied()
}

/// Whether a text means this instrument: its id, its pair, or the venue's symbol however it is punctuated.
fn is_named(instrument: &Instrument, text: &str) -> bool {
    if text.contains(':') {
        return instrument.id.as_str().eq_ignore_ascii_case(text);
    }
    let plain = plain(text);
    plain == self::plain(&instrument.symbol) || plain == self::plain(instrument.id.pair())
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, '-' | '/' | '_' | ' ')).flat_map(char::to_uppercase).collect()
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;

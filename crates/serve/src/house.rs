//! What every answer needs: settings, doors, clock, and the words of readers turned into instruments.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Instrument, InstrumentId, VenueId};
use runtime::Clock;
use runtime::clock::Stopwatch;
use tables::HouseStatus;

use crate::live::LiveCounts;
use crate::refusal::Refusal;
use crate::settings::{Doors, ServeSettings};

/// Putting the whole status together costs some work, so it is kept for a moment.
const STATUS_AGE_MAX: Duration = Duration::from_millis(200);

/// Most near matches named in a refusal.
const MATCHES_MAX: usize = 5;

/// Shared by all answers.
pub(crate) struct House {
    pub(crate) settings: ServeSettings,
    pub(crate) doors: Doors,
    pub(crate) clock: Arc<dyn Clock>,
    /// The address really listened on.
    pub(crate) address: SocketAddr,
    /// Counts of the live side.
    pub(crate) counts: Arc<LiveCounts>,
    status: Mutex<Option<(Stopwatch, Arc<HouseStatus>)>>,
}

impl House {
    pub(crate) fn new(
        settings: ServeSettings,
        doors: Doors,
        clock: Arc<dyn Clock>,
        address: SocketAddr,
    ) -> Self {
        Self { settings, doors, clock, address, counts: Arc::default(), status: Mutex::default() }
    }

    /// The state of the house, at most a moment old.
    pub(crate) fn status(&self) -> Arc<HouseStatus> {
        let kept = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match kept {
            Some((watch, status)) if watch.elapsed() < STATUS_AGE_MAX => status,
            _ => {
                let status = Arc::new(self.doors.status.status());
                *self.status.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Stopwatch::start(), Arc::clone(&status)));
                status
            }
        }
    }

    /// The venue a reader names, or the default one.
    pub(crate) fn venue(&self, name: Option<&str>) -> Result<VenueId, Refusal> {
        let Some(name) = name else { return Ok(self.settings.default_venue) };
        VenueId::known(name).ok_or_else(|| {
            let status = self.status();
            let mut names: Vec<&str> = status.venues.iter().map(|venue| venue.venue.as_str()).collect();
            names.sort_unstable();
            let remedy = if names.is_empty() {
                "no venue is recorded; enable one in tickhouse.toml".to_owned()
            } else {
                format!("recorded here: {}", names.join(", "))
            };
            Refusal::unknown("unknown_venue", format!("unknown venue {:?}", cut(name)), remedy)
        })
    }

    /// The instrument a reader means by a symbol of the venue, or by a full id.
    pub(crate) fn instrument(&self, words: &str, venue: Option<&str>) -> Result<Instrument, Refusal> {
        let words = words.trim();
        let named = venue.map(|name| self.venue(Some(name))).transpose()?;
        if words.is_empty() {
            return Err(Refusal::bad("bad_symbol", "the symbol is empty", "name one, such as BTCUSDT"));
        }
        if let Ok(id) = words.parse::<InstrumentId>() {
            if let Some(named) = named
                && named != id.venue()
            {
                return Err(Refusal::bad(
                    "bad_symbol",
                    format!("{id} belongs to {}, not to {named}", id.venue()),
                    "leave out the venue, or name the instrument by its symbol",
                ));
            }
            return self.doors.market.instrument(&id).ok_or_else(|| self.unknown(words, id.venue()));
        }
        let venue = named.unwrap_or(self.settings.default_venue);
        self.doors.market.resolve(words, venue).ok_or_else(|| self.unknown(words, venue))
    }

    fn unknown(&self, words: &str, venue: VenueId) -> Refusal {
        let instruments = self.doors.market.instruments();
        let near = near_matches(words, venue, &instruments);
        let remedy = if instruments.is_empty() {
            "no instrument is known yet; wait for the venues' listings, see /api/v1/status".to_owned()
        } else if near.is_empty() {
            "see /api/v1/data/instruments for what is recorded".to_owned()
        } else {
            format!("did you mean {}? /api/v1/data/instruments lists all", near.join(", "))
        };
        Refusal::unknown("unknown_symbol", format!("unknown symbol {:?} at {venue}", cut(words)), remedy)
    }
}

/// A reader's words, short enough to be repeated.
pub(crate) fn cut(words: &str) -> String {
    words.chars().take(60).collect()
}

fn letters(words: &str) -> String {
    words
        .chars()
        .take(40)
        .filter(char::is_ascii_alphanumeric)
        .map(|letter| letter.to_ascii_uppercase())
        .collect()
}

fn near_matches(words: &str, venue: VenueId, instruments: &[Instrument]) -> Vec<String> {
    let wanted = letters(
        words.rsplit_once(':').map_or(
            words,
            |(front, pair)| {
                if VenueId::known(front).is_some() { pair } else { words }
            },
        ),
    );
    let mut ranked: Vec<(usize, &Instrument)> = instruments
        .iter()
        .filter_map(|instrument| {
            let symbol = letters(&instrument.symbol);
            let far = distance(&wanted, &symbol);
            let is_part = wanted.len() >= 2 && (symbol.contains(&wanted) || symbol.starts_with(&wanted));
            let rank = if symbol == wanted {
                0
            } else if is_part {
                1
            } else {
                far
            };
            let is_near = rank <= 2 || rank * 3 <= wanted.len();
            is_near.then_some((rank * 2 + usize::from(instrument.id.venue() != venue), instrument))
        })
        .collect();
    ranked.sort_by(|left, right| left.0.cmp(&right.0).then_with(|| left.1.id.cmp(&right.1.id)));
    ranked
        .into_iter()
        .take(MATCHES_MAX)
        .map(|(_, instrument)| {
            if instrument.id.venue() == venue {
                instrument.symbol.to_string()
            } else {
                instrument.id.as_str().to_owned()
            }
        })
        .collect()
}

/// How many letters must be changed, added or taken away to turn one text into the other.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<u8> = right.bytes().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    //! Cases for near matches.
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (left, right, expect) in
            [("BTCUSDT", "BTCUSDT", 0), ("BTCUSD", "BTCUSDT", 1), ("BTSUSDT", "BTCUSDT", 1), ("", "ETH", 3)]
        {
            assert_eq!(distance(left, right), expect, "{left} {right}");
        }
    }
}

//! How filling the past goes on, counted per venue and told now and then. Hearing of it is left to the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::{InstrumentId, Time, VenueId};

use crate::message::{Kind, Message, Severity};

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    files: u64,
    rows: u64,
    spoilt: u64,
    filled: u64,
    staying: u64,
}

/// One venue's recovery.
#[derive(Debug, Default)]
struct Going {
    instruments: BTreeSet<InstrumentId>,
    tally: Tally,
    /// What was told last, and when.
    told: Tally,
    told_at: Duration,
    /// Whether its beginning was told.
    is_told: bool,
    /// When something was last being done.
    busy_at: Duration,
}

/// Between two instruments nothing is done for a moment.
const QUIET_MIN: Duration = Duration::from_secs(10);

/// Counts what is done about the past.
#[derive(Debug)]
pub struct RecoveryWatch {
    every: Duration,
    venues: BTreeMap<VenueId, Going>,
}

impl RecoveryWatch {
    /// Told so often while something is done.
    pub fn new(every: Duration) -> Self {
        Self { every, venues: BTreeMap::new() }
    }

    /// Something is begun about an instrument's past.
    pub fn begin(&mut self, instrument: &InstrumentId) {
        self.going(instrument.venue()).instruments.insert(instrument.clone());
    }

    /// A file was taken in, with so many rows.
    pub fn file(&mut self, venue: VenueId, rows: u64) {
        let tally = &mut self.going(venue).tally;
        tally.files += 1;
        tally.rows += rows;
    }

    /// A file is not what it claims.
    pub fn spoilt(&mut self, venue: VenueId) {
        self.going(venue).tally.spoilt += 1;
    }

    /// The venue was asked for a hole.
    pub fn hole(&mut self, venue: VenueId, is_filled: bool) {
        let tally = &mut self.going(venue).tally;
        *(if is_filled { &mut tally.filled } else { &mut tally.staying }) += 1;
    }

    fn going(&mut self, venue: VenueId) -> &mut Going {
        self.venues.entry(venue).or_default()
    }

    /// What there is to tell at `now`, which only goes forward; `is_busy` tells the venues about whose past something is done.
    pub fn due(&mut self, now: Duration, time: Time, is_busy: impl Fn(VenueId) -> bool) -> Vec<Message> {
        let mut messages = Vec::new();
        self.venues.retain(|venue, going| {
            if is_busy(*venue) {
                going.busy_at = now;
            }
            let is_busy = now < going.busy_at + QUIET_MIN;
            let is_due = now >= going.told_at + self.every && going.tally != going.told;
            let title = match (going.is_told, is_busy) {
                (false, true) => format!("the past of {venue} is being filled"),
                (true, true) if is_due => format!("filling the past of {venue} goes on"),
                (_, true) => return true,
                (false, false) if going.tally == Tally::default() => return false,
                (_, false) => format!("what could be done about the past of {venue} is done for now"),
            };
            messages.push(going.tell(title, *venue, time));
            (going.is_told, going.told, going.told_at) = (true, going.tally, now);
            is_busy
        });
        messages
    }
}

impl Going {
    fn tell(&self, title: String, venue: VenueId, time: Time) -> Message {
        let Tally { files, rows, spoilt, filled, staying } = self.tally;
        let severity = if spoilt + staying > 0 { Severity::Warning } else { Severity::Info };
        let instruments = self.instruments.len() as u64;
        let mut text =
            format!("{instruments} instruments, {files} files, {rows} rows, {filled} holes filled");
        for (count, words) in [(staying, "holes stay"), (spoilt, "files were set aside")] {
            if count > 0 {
                text = format!("{text}, {count} {words}");
            }
        }
        Message::new(Kind::Recovery, severity, title, time)
            .of_venue(venue)
            .with_text(text)
            .with("instruments", instruments)
            .with("files", files)
            .with("rows", rows)
            .with("holes_filled", filled)
            .with("holes_staying", staying)
            .with("files_spoilt", spoilt)
    }
}

#[cfg(test)]
mod tests {
    //! Cases for what is told of a recovery.
    use super::*;

    #[test]
    fn a_recovery_is_told_when_it_begins_now_and_then_and_when_it_ends() {
        let venue = VenueId::known("binance").expect("a venue");
        let mut watch = RecoveryWatch::new(Duration::from_mins(10));
        let due = |watch: &mut RecoveryWatch, minute: u64, is_busy: bool| {
            let told = watch.due(Duration::from_mins(minute), Time(0), |_| is_busy);
            told.into_iter().map(|message| (message.title, message.text)).collect::<Vec<_>>()
        };
        assert_eq!(due(&mut watch, 0, true), []);
        watch.begin(&"binance:BTC-USDT".parse().expect("an id"));
        assert_eq!(due(&mut watch, 1, true)[0].0, "the past of binance is being filled");
        watch.file(venue, 1_000);
        watch.hole(venue, true);
        assert_eq!(due(&mut watch, 10, true), []);
        let told = due(&mut watch, 11, true);
        assert_eq!(told[0].0, "filling the past of binance goes on");
        assert_eq!(told[0].1, "1 instruments, 1 files, 1000 rows, 1 holes filled");
        assert_eq!(due(&mut watch, 40, true), [], "nothing new");
        watch.spoilt(venue);
        watch.hole(venue, false);
        let told = due(&mut watch, 41, false);
        assert_eq!(told[0].0, "what could be done about the past of binance is done for now");
        assert!(told[0].1.ends_with("1 holes stay, 1 files were set aside"), "{}", told[0].1);
        assert_eq!(due(&mut watch, 42, false), []);
    }

    #[test]
    fn a_look_that_found_all_well_is_not_told() {
        let mut watch = RecoveryWatch::new(Duration::from_mins(10));
        watch.begin(&"binance:BTC-USDT".parse().expect("an id"));
        assert_eq!(watch.due(Duration::from_mins(1), Time(0), |_| false), []);
        assert!(watch.venues.is_empty());
    }
}

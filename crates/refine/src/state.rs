//! The house as bytes and back. A change of form needs a new version and a golden file of the old: each version is the
//! one before with more about each track behind it.

mod book_forms;
mod forms;
mod presence_forms;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::Counts;
use crate::books;
use crate::desk::{Desk, Listed};
use crate::house::{Connection, House, Rules};
use crate::ledger::{Kind, Ledger};
use crate::track::Track;
use book_forms::{BookForm, BookFormError};
use forms::{HoleForm, InstrumentForm, KindForm, ListingForm, QuoteForm, TimeframeForm};
use model::{Channel, GapCause, LogPosition, Nanos, Time, VenueId};
use presence_forms::TrackExtra;

const VERSION: u8 = 3;
/// Without the connections over which trades came.
const VERSION_2: u8 = 2;
/// And without what [`TrackExtra`] holds.
const VERSION_1: u8 = 1;

/// Why a state cannot be taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StateError(pub(crate) String);

impl From<BookFormError> for StateError {
    fn from(error: BookFormError) -> Self {
        Self(error.0)
    }
}

fn wrong(what: impl std::fmt::Display) -> StateError {
    StateError(what.to_string())
}

#[derive(Serialize, Deserialize)]
struct HouseForm {
    position: u64,
    now: i64,
    desks: Vec<DeskForm>,
    tracks: Vec<TrackForm>,
    connections: Vec<ConnectionForm>,
    counts: [u64; 4],
}

#[derive(Serialize, Deserialize)]
struct DeskForm {
    venue: String,
    channel: String,
    decoder: Vec<u8>,
    clock: Option<(i64, i64)>,
    edge: Option<i64>,
    instruments: Vec<(InstrumentForm, i64)>,
    named: Vec<String>,
    pages: Vec<ListingForm>,
    undecodable: Option<i64>,
    undecodable_total: u64,
}

#[derive(Serialize, Deserialize)]
struct TrackForm {
    instrument: String,
    desk: u32,
    channel: String,
    kind: KindForm,
    holes: Vec<HoleForm>,
    start: Option<i64>,
    newest: Option<(i64, Option<i64>, i64)>,
    carriers: u32,
    trouble: Option<String>,
    has_bad_answer: bool,
    bars: Vec<u8>,
    is_forming_changed: bool,
    forming_told: i64,
    trades_total: u64,
    quote: Option<QuoteForm>,
    mark_time: Option<i64>,
    interest_time: Option<i64>,
    fundings: Vec<i64>,
    venue_bars: Vec<(TimeframeForm, i64, u64)>,
    book: Option<BookForm>,
    book_carriers: u32,
}

#[derive(Serialize, Deserialize)]
struct ConnectionForm {
    desk: u32,
    id: u32,
    keys: Vec<Box<str>>,
    streams: Vec<(String, u32)>,
    /// Once the receipt of the last frame; the form keeps its place.
    unused: i64,
}

/// The house as bytes, with a version.
pub(crate) fn save(house: &House) -> Vec<u8> {
    let counts = house.counts;
    let form = HouseForm {
        position: house.position.0,
        now: house.now.0,
        desks: house.desks.iter().map(desk_form).collect(),
        tracks: house.tracks.iter().map(track_form).collect(),
        connections: house.connections.iter().map(connection_form).collect(),
        counts: [
            counts.trades_total,
            counts.duplicates_total,
            counts.undecodable_total,
            counts.inexact_total,
        ],
    };
    let always = "plain values always serialise into memory";
    let bytes = postcard::to_extend(&form, vec![VERSION]).expect(always);
    let extras: Vec<TrackExtra> = house.tracks.iter().map(TrackExtra::of).collect();
    let bytes = postcard::to_extend(&extras, bytes).expect(always);
    let proven: Vec<ProvenForm> = house.tracks.iter().map(proven_form).collect();
    postcard::to_extend(&proven, bytes).expect(always)
}

/// The house that was saved, by today's rules.
pub(crate) fn restore(rules: Rules, bytes: &[u8]) -> Result<House, StateError> {
    let (form, extras, proven): (HouseForm, Vec<TrackExtra>, Vec<ProvenForm>) = match bytes.split_first() {
        Some((&VERSION_1, rest)) => (postcard::from_bytes(rest).map_err(wrong)?, Vec::new(), Vec::new()),
        Some((&VERSION_2, rest)) => {
            let (form, rest) = postcard::take_from_bytes(rest).map_err(wrong)?;
            (form, postcard::from_bytes(rest).map_err(wrong)?, Vec::new())
        }
        Some((&VERSION, rest)) => {
            let (form, rest) = postcard::take_from_bytes(rest).map_err(wrong)?;
            let (extras, rest) = postcard::take_from_bytes(rest).map_err(wrong)?;
            (form, extras, postcard::from_bytes(rest).map_err(wrong)?)
        }
        Some((version, _)) => return Err(wrong(format!("version {version} is not known"))),
        None => return Err(wrong("it is empty")),
    };
    let mut house = House::new(rules);
    house.position = LogPosition(form.position);
    house.now = Nanos(form.now);
    for desk in form.desks {
        let desk = restore_desk(&house, desk)?;
        house.desks.push(desk);
    }
    let mut extras = extras.into_iter();
    for track in form.tracks {
        let mut track = restore_track(&house, track)?;
        if let Some(extra) = extras.next() {
            extra.restore(&mut track).ok_or_else(|| wrong("a stream holds a value that cannot be"))?;
        }
        house.push_track(track);
    }
    for (track, connections) in house.tracks.iter_mut().zip(proven) {
        if let Kind::Timed(timed) = &mut track.ledger.kind {
            timed.proven = connections;
        }
    }
    for connection in form.connections {
        let streams =
            connection.streams.iter().map(|(name, track)| Some((Channel::named(name)?, *track as usize)));
        let streams: Option<_> = streams.collect();
        let restored = Connection {
            keys: connection.keys,
            streams: streams.ok_or_else(|| wrong("a connection carries an unknown channel"))?,
        };
        if restored.streams.iter().any(|(_, track)| *track >= house.tracks.len()) {
            return Err(wrong("a connection carries an unknown instrument"));
        }
        house.connections.insert((connection.desk as usize, connection.id), restored);
    }
    let [trades_total, duplicates_total, undecodable_total, inexact_total] = form.counts;
    house.counts = Counts { trades_total, duplicates_total, undecodable_total, inexact_total };
    Ok(house)
}

/// What version 3 adds to each track: the connections over which a trade came.
type ProvenForm = Vec<u32>;

fn proven_form(track: &Track) -> ProvenForm {
    match &track.ledger.kind {
        Kind::Timed(timed) => timed.proven.clone(),
        Kind::Numbered(_) => Vec::new(),
    }
}

fn desk_form(desk: &Desk) -> DeskForm {
    DeskForm {
        venue: desk.id().as_str().to_owned(),
        channel: desk.channel.as_str().to_owned(),
        decoder: desk.decoder.as_ref().map(|decoder| decoder.save()).unwrap_or_default(),
        clock: desk.clock.newest.map(|(time, received)| (time.0, received.0)),
        edge: desk.clock.edge.map(|time| time.0),
        instruments: desk
            .instruments
            .values()
            .map(|listed| (InstrumentForm::of(&listed.instrument), listed.valid_from.0))
            .collect(),
        named: desk.named.iter().map(|id| id.as_str().to_owned()).collect(),
        pages: desk.pages.iter().map(ListingForm::of).collect(),
        undecodable: desk.undecodable.map(|when| when.0),
        undecodable_total: desk.undecodable_total,
    }
}

fn restore_desk(house: &House, form: DeskForm) -> Result<Desk, StateError> {
    let venue = VenueId::known(&form.venue).and_then(house.rules.lookup);
    let venue = venue.ok_or_else(|| wrong(format!("venue {} is not known", form.venue)))?;
    let channel = house.channel_of(venue.facts().id);
    if channel.as_str() != form.channel {
        // Ids of the two feeds have nothing to do with each other.
        return Err(wrong(format!(
            "the trade feed of {} was {}, now it is {channel}",
            form.venue, form.channel
        )));
    }
    let mut desk = Desk::new(venue, channel, house.now);
    desk.clock.newest = form.clock.map(|(time, received)| (Time(time), Nanos(received)));
    desk.clock.edge = form.edge.map(Time);
    for (instrument, valid_from) in form.instruments {
        let instrument =
            instrument.value().ok_or_else(|| wrong("an instrument holds a value that cannot be"))?;
        desk.instruments.insert(instrument.id.clone(), Listed { instrument, valid_from: Time(valid_from) });
    }
    let named: Result<_, _> = form.named.iter().map(|id| id.parse()).collect();
    desk.named = named.map_err(wrong)?;
    let pages: Option<Vec<_>> = form.pages.into_iter().map(ListingForm::value).collect();
    desk.pages = pages.ok_or_else(|| wrong("a listing holds a value that cannot be"))?;
    desk.undecodable = form.undecodable.map(Nanos);
    desk.undecodable_total = form.undecodable_total;
    desk.learn();
    if let Some(decoder) = &mut desk.decoder {
        decoder
            .restore(&form.decoder)
            .map_err(|error| wrong(format!("decoder of {}: {error}", form.venue)))?;
    }
    Ok(desk)
}

fn track_form(track: &Track) -> TrackForm {
    let ledger = &track.ledger;
    TrackForm {
        instrument: ledger.instrument.as_str().to_owned(),
        desk: track.desk as u32,
        channel: ledger.channel.as_str().to_owned(),
        kind: KindForm::of(&ledger.kind),
        holes: ledger.holes.iter().map(HoleForm::of).collect(),
        start: ledger.start.map(|time| time.0),
        newest: ledger.newest.map(|newest| (newest.venue_time.0, newest.id, newest.received.0)),
        carriers: ledger.carriers,
        trouble: ledger.trouble.map(|cause| cause.as_str().to_owned()),
        has_bad_answer: ledger.has_bad_answer,
        bars: track.bars.save(),
        is_forming_changed: track.is_forming_changed,
        forming_told: track.forming_told.0,
        trades_total: track.trades_total,
        quote: track.quote.as_ref().map(QuoteForm::of),
        mark_time: track.mark_time.map(|time| time.0),
        interest_time: track.interest_time.map(|time| time.0),
        fundings: track.fundings.iter().map(|time| time.0).collect(),
        venue_bars: track
            .venue_bars
            .iter()
            .map(|(timeframe, open_time, print)| (TimeframeForm::of(*timeframe), open_time.0, *print))
            .collect(),
        book: track.book.as_ref().map(|book| BookForm::of(&books::lock(book))),
        book_carriers: track.book_carriers,
    }
}

fn restore_track(house: &House, form: TrackForm) -> Result<Track, StateError> {
    let instrument: model::InstrumentId = form.instrument.parse().map_err(wrong)?;
    let desk = form.desk as usize;
    let at = house.desks.get(desk).ok_or_else(|| wrong("a track names an unknown venue"))?;
    let channel = Channel::named(&form.channel).ok_or_else(|| wrong("a track names an unknown channel"))?;
    let mut track = Track::new(instrument.clone(), desk, channel, at.venue.facts().trade_ids);
    let kind: Kind = form.kind.value();
    if std::mem::discriminant(&kind) != std::mem::discriminant(&track.ledger.kind) {
        return Err(wrong(format!("ids of {instrument} were of another kind")));
    }
    let holes: Option<Vec<_>> = form.holes.into_iter().map(HoleForm::value).collect();
    let trouble =
        form.trouble.as_deref().map(|name| GapCause::named(name).ok_or_else(|| wrong("unknown cause")));
    track.ledger = Ledger {
        holes: holes.ok_or_else(|| wrong("a hole holds a value that cannot be"))?,
        start: form.start.map(Time),
        newest: form.newest.map(|(time, id, received)| crate::ledger::Newest {
            venue_time: Time(time),
            id,
            received: Nanos(received),
        }),
        carriers: form.carriers,
        trouble: trouble.transpose()?,
        has_bad_answer: form.has_bad_answer,
        ..Ledger::new(instrument, channel, kind)
    };
    track.bars.restore(&form.bars).map_err(wrong)?;
    track.is_forming_changed = form.is_forming_changed;
    track.forming_told = Nanos(form.forming_told);
    track.trades_total = form.trades_total;
    track.quote = form
        .quote
        .map(|quote| quote.value(track.instrument()).ok_or_else(|| wrong("bad quote")))
        .transpose()?;
    track.mark_time = form.mark_time.map(Time);
    track.interest_time = form.interest_time.map(Time);
    track.fundings = form.fundings.into_iter().map(Time).collect();
    for (timeframe, open_time, print) in form.venue_bars {
        let timeframe = timeframe.value().ok_or_else(|| wrong("a venue bar has an unknown timeframe"))?;
        track.venue_bars.push_back((timeframe, Time(open_time), print));
    }
    if let Some(book) = form.book {
        let book = book.value(track.instrument())?;
        track.book = Some(std::sync::Arc::new(book.into()));
    }
    track.book_carriers = form.book_carriers;
    Ok(track)
}

fn connection_form((place, connection): (&(usize, u32), &Connection)) -> ConnectionForm {
    ConnectionForm {
        desk: place.0 as u32,
        id: place.1,
        keys: connection.keys.clone(),
        streams: connection
            .streams
            .iter()
            .map(|(channel, track)| (channel.as_str().to_owned(), *track as u32))
            .collect(),
        unused: 0,
    }
}

//! Everything refine knows of one venue: its decoder, clock and instruments.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::{Channel, Instrument, InstrumentId, Listing, Nanos, Time, VenueId};
use venues::{Decoder, Venue};

use crate::clock::VenueClock;

/// An instrument as listed, since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) instrument: Instrument,
    pub(crate) valid_from: Time,
}

/// One venue.
pub(crate) struct Desk {
    pub(crate) venue: &'static dyn Venue,
    /// The canonical trade feed.
    pub(crate) channel: Channel,
    /// Away only while it decodes.
    pub(crate) decoder: Option<Box<dyn Decoder>>,
    pub(crate) clock: VenueClock,
    pub(crate) instruments: BTreeMap<InstrumentId, Listed>,
    /// What stream keys mean; follows from the instruments.
    pub(crate) keys: HashMap<Box<str>, (Channel, InstrumentId)>,
    /// Keys of streams over all instruments.
    pub(crate) keys_of_all: HashMap<Box<str>, Channel>,
    /// Whether the stream of mark prices brings open interest too.
    pub(crate) marks_bring_interest: bool,
    /// Instruments that streams of this session name. Streams and answers over all instruments bring more than was
    /// asked for; of those rows only the named ones are kept, or all of them where no stream names any.
    pub(crate) named: BTreeSet<InstrumentId>,
    /// Instruments by symbol; follows from the instruments.
    pub(crate) symbols: HashMap<Box<str>, InstrumentId>,
    /// Pages of a listing that is not complete yet, and when the newest came.
    pub(crate) pages: Vec<Listing>,
    /// When something undecodable came last.
    pub(crate) undecodable: Option<Nanos>,
    pub(crate) undecodable_total: u64,
    /// Up to which minute klines were looked for; not part of the state.
    pub(crate) klines_edge: Option<Time>,
    /// From the venue's clock to our receipt, microseconds, of the newest live trade not yet measured.
    pub(crate) latency: Option<i64>,
}

impl Desk {
    pub(crate) fn new(venue: &'static dyn Venue, channel: Channel, received: Nanos) -> Self {
        Self {
            venue,
            channel,
            decoder: Some(venue.decoder(received)),
            clock: VenueClock::default(),
            instruments: BTreeMap::new(),
            keys: HashMap::new(),
            keys_of_all: HashMap::new(),
            marks_bring_interest: false,
            klines_edge: None,
            named: BTreeSet::new(),
            symbols: HashMap::new(),
            pages: Vec::new(),
            undecodable: None,
            undecodable_total: 0,
            latency: None,
        }
    }

    pub(crate) fn id(&self) -> VenueId {
        self.venue.facts().id
    }

    /// Whether rows of an instrument are wanted, though nothing but a stream or answer over all of them may bring it.
    pub(crate) fn wants(&self, instrument: &InstrumentId) -> bool {
        self.named.is_empty() || self.named.contains(instrument)
    }

    /// The instruments changed: what follows from them is made anew.
    pub(crate) fn learn(&mut self) {
        let instruments: Vec<Instrument> =
            self.instruments.values().map(|listed| listed.instrument.clone()).collect();
        if let Some(decoder) = &mut self.decoder {
            decoder.learn(&instruments);
        }
        let is_other_feed = |channel: &Channel| {
            matches!(channel, Channel::Trades | Channel::RawTrades) && *channel != self.channel
        };
        let channels = self.venue.facts().channels.iter().copied();
        let channels: Vec<Channel> = channels.filter(|channel| !is_other_feed(channel)).collect();
        let streams = self.venue.streams(&instruments, &channels);
        let of_all = streams.iter().filter(|stream| stream.instrument.is_none());
        self.keys_of_all = of_all.map(|stream| (stream.key.clone(), stream.channel)).collect();
        // One by one: asked for many at once, a venue may name the stream over all of them only.
        let each =
            instruments.iter().flat_map(|one| self.venue.streams(std::slice::from_ref(one), &channels));
        let known = each.chain(streams);
        let known = known.filter_map(|stream| Some((stream.key, (stream.channel, stream.instrument?))));
        self.keys = known.collect();
        self.marks_bring_interest = instruments.first().is_some_and(|one| {
            let keys = |channel| {
                let streams = self.venue.streams(std::slice::from_ref(one), &[channel]);
                streams.into_iter().map(|stream| stream.key).collect::<Vec<_>>()
            };
            let marks = keys(Channel::MarkPrices);
            !marks.is_empty() && marks == keys(Channel::OpenInterest)
        });
        self.symbols = instruments.into_iter().map(|instrument| (instrument.symbol, instrument.id)).collect();
    }

    /// A session begins: the decoder of that time takes over what the old one knew.
    pub(crate) fn renew_decoder(&mut self, received: Nanos) {
        let state = self.decoder.as_ref().map(|decoder| decoder.save());
        let mut decoder = self.venue.decoder(received);
        if let Some(Err(error)) = state.map(|state| decoder.restore(&state)) {
            tracing::warn!(venue = %self.id(), %error, "decoder starts without the state of the session before");
        }
        self.decoder = Some(decoder);
        self.learn();
    }
}

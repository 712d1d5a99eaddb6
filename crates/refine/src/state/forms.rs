//! The words of the house in a form that can be written. The order of fields is the form on disk.

use model::{
    Date, Decimal, GapCause, Instrument, InstrumentId, InstrumentKind, InstrumentStatus, Listing, Nanos,
    Quote, Source, Time, Timeframe, VenueId,
};
use serde::{Deserialize, Serialize};

use crate::ledger::Down;
use crate::ledger::{Hole, HoleState, Kind, Numbered, Part, RecentIds, Timed};

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Number(i128, u8);

impl Number {
    pub(super) fn of(value: Decimal) -> Self {
        Self(value.mantissa(), value.scale())
    }

    pub(super) fn value(self) -> Option<Decimal> {
        (self.1 <= model::decimal::SCALE_MAX).then(|| Decimal::new(self.0, self.1))
    }
}

/// A number that may be absent: the outer `None` is a value that cannot be.
#[expect(clippy::option_option, reason = "absent and impossible are two things here")]
fn number(value: Option<Number>) -> Option<Option<Decimal>> {
    match value {
        None => Some(None),
        Some(value) => value.value().map(Some),
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum TimeframeForm {
    Minutes(u16),
    Week,
    Month,
}

impl TimeframeForm {
    pub(super) fn of(timeframe: Timeframe) -> Self {
        match timeframe {
            Timeframe::Minutes(count) => Self::Minutes(count),
            Timeframe::Week => Self::Week,
            Timeframe::Month => Self::Month,
        }
    }

    pub(super) fn value(&self) -> Option<Timeframe> {
        match self {
            Self::Minutes(count) => Timeframe::minutes(i64::from(*count)),
            Self::Week => Some(Timeframe::Week),
            Self::Month => Some(Timeframe::Month),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct InstrumentForm {
    id: String,
    symbol: Box<str>,
    base: Box<str>,
    quote: Box<str>,
    settle: Box<str>,
    /// 0 spot, 1 perpetual, 2 future.
    kind: u8,
    expiry: i32,
    status: u8,
    steps: [Option<Number>; 4],
    contract_size: Number,
    listed_time: Option<i64>,
}

const STATUSES: [InstrumentStatus; 4] = [
    InstrumentStatus::Announced,
    InstrumentStatus::Trading,
    InstrumentStatus::Halted,
    InstrumentStatus::Delisted,
];

impl InstrumentForm {
    pub(super) fn of(instrument: &Instrument) -> Self {
        let (kind, expiry) = match instrument.kind {
            InstrumentKind::Spot => (0, 0),
            InstrumentKind::Perpetual => (1, 0),
            InstrumentKind::Future { expiry } => (2, expiry.0),
        };
        let steps =
            [instrument.tick_size, instrument.lot_size, instrument.quantity_min, instrument.notional_min];
        Self {
            id: instrument.id.as_str().to_owned(),
            symbol: instrument.symbol.clone(),
            base: instrument.base.clone(),
            quote: instrument.quote.clone(),
            settle: instrument.settle.clone(),
            kind,
            expiry,
            status: place(&STATUSES, &instrument.status),
            steps: steps.map(|step| step.map(Number::of)),
            contract_size: Number::of(instrument.contract_size),
            listed_time: instrument.listed_time.map(|time| time.0),
        }
    }

    pub(super) fn value(self) -> Option<Instrument> {
        let [tick_size, lot_size, quantity_min, notional_min] = self.steps.map(number);
        Some(Instrument {
            id: self.id.parse().ok()?,
            symbol: self.symbol,
            base: self.base,
            quote: self.quote,
            settle: self.settle,
            kind: match self.kind {
                0 => InstrumentKind::Spot,
                1 => InstrumentKind::Perpetual,
                2 => InstrumentKind::Future { expiry: Date(self.expiry) },
                _ => return None,
            },
            status: *STATUSES.get(usize::from(self.status))?,
            tick_size: tick_size?,
            lot_size: lot_size?,
            quantity_min: quantity_min?,
            notional_min: notional_min?,
            contract_size: self.contract_size.value()?,
            listed_time: self.listed_time.map(Time),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ListingForm {
    venue: String,
    instruments: Vec<InstrumentForm>,
    is_complete: bool,
    next_page: Option<Box<str>>,
    received_time: i64,
}

impl ListingForm {
    pub(super) fn of(listing: &Listing) -> Self {
        Self {
            venue: listing.venue.as_str().to_owned(),
            instruments: listing.instruments.iter().map(InstrumentForm::of).collect(),
            is_complete: listing.is_complete,
            next_page: listing.next_page.clone(),
            received_time: listing.received_time.0,
        }
    }

    pub(super) fn value(self) -> Option<Listing> {
        Some(Listing {
            venue: VenueId::known(&self.venue)?,
            instruments: self.instruments.into_iter().map(InstrumentForm::value).collect::<Option<_>>()?,
            is_complete: self.is_complete,
            next_page: self.next_page,
            received_time: Time(self.received_time),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct QuoteForm {
    venue_time: i64,
    sequence: i64,
    numbers: [Number; 4],
    received_time: i64,
}

impl QuoteForm {
    pub(super) fn of(quote: &Quote) -> Self {
        let numbers = [quote.bid_price, quote.bid_quantity, quote.ask_price, quote.ask_quantity];
        Self {
            venue_time: quote.venue_time.0,
            sequence: quote.sequence,
            numbers: numbers.map(Number::of),
            received_time: quote.received_time.0,
        }
    }

    pub(super) fn value(self, instrument: &InstrumentId) -> Option<Quote> {
        let [bid_price, bid_quantity, ask_price, ask_quantity] = self.numbers.map(Number::value);
        Some(Quote {
            instrument: instrument.clone(),
            venue_time: Time(self.venue_time),
            sequence: self.sequence,
            bid_price: bid_price?,
            bid_quantity: bid_quantity?,
            ask_price: ask_price?,
            ask_quantity: ask_quantity?,
            received_time: Time(self.received_time),
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct HoleForm {
    has_ids: bool,
    ids: (i64, i64),
    times: (i64, i64),
    state: u8,
    cause: String,
    source: Option<u8>,
    found: i64,
    closed_time: Option<i64>,
    wished: i64,
    parts: Vec<(i64, i64, i64, i64)>,
    is_changed: bool,
}

const HOLE_STATES: [HoleState; 3] = [HoleState::Pending, HoleState::Open, HoleState::Missing];
pub(super) const SOURCES: [Source; 3] = [Source::Stream, Source::Rest, Source::Archive];

impl HoleForm {
    pub(super) fn of(hole: &Hole) -> Self {
        Self {
            has_ids: hole.has_ids,
            ids: (hole.first_id, hole.last_id),
            times: (hole.first_time.0, hole.last_time.0),
            state: place(&HOLE_STATES, &hole.state),
            cause: hole.cause.as_str().to_owned(),
            source: hole.source.map(|source| place(&SOURCES, &source)),
            found: hole.found.0,
            closed_time: hole.closed_time.map(|time| time.0),
            wished: hole.wished.0,
            parts: hole
                .parts
                .iter()
                .map(|part| (part.first, part.last, part.before.0, part.after.0))
                .collect(),
            is_changed: hole.is_changed,
        }
    }

    pub(super) fn value(self) -> Option<Hole> {
        let source = match self.source {
            None => None,
            Some(number) => Some(*SOURCES.get(usize::from(number))?),
        };
        let part =
            |(first, last, before, after)| Part { first, last, before: Time(before), after: Time(after) };
        Some(Hole {
            has_ids: self.has_ids,
            first_id: self.ids.0,
            last_id: self.ids.1,
            first_time: Time(self.times.0),
            last_time: Time(self.times.1),
            state: *HOLE_STATES.get(usize::from(self.state))?,
            cause: GapCause::named(&self.cause)?,
            source,
            found: Nanos(self.found),
            closed_time: self.closed_time.map(Time),
            wished: Nanos(self.wished),
            parts: self.parts.into_iter().map(part).collect(),
            is_changed: self.is_changed,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) enum KindForm {
    Numbered { first: Option<i64>, last: i64, first_time: i64, last_time: i64, began: i64 },
    Timed { recent: Vec<(i64, u128)>, down: Option<(i64, String)>, told: Option<i64> },
}

impl KindForm {
    pub(super) fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Numbered(numbered) => Self::Numbered {
                first: numbered.first,
                last: numbered.last,
                first_time: numbered.first_time.0,
                last_time: numbered.last_time.0,
                began: numbered.began.0,
            },
            Kind::Timed(timed) => Self::Timed {
                recent: timed.recent.iter().map(|(time, id)| (time.0, id)).collect(),
                down: timed.down.map(|down| (down.since.0, down.cause.as_str().to_owned())),
                told: timed.told.map(|time| time.0),
            },
        }
    }

    pub(super) fn value(self) -> Kind {
        match self {
            Self::Numbered { first, last, first_time, last_time, began } => Kind::Numbered(Numbered {
                first,
                last,
                first_time: Time(first_time),
                last_time: Time(last_time),
                began: Nanos(began),
            }),
            Self::Timed { recent, down, told } => {
                let mut ids = RecentIds::default();
                for (time, id) in recent {
                    ids.insert(Time(time), id);
                }
                let down = down.map(|(since, cause)| Down {
                    since: Time(since),
                    cause: GapCause::named(&cause).unwrap_or(GapCause::Disconnected),
                });
                Kind::Timed(Timed { recent: ids, down, told: told.map(Time), proven: Vec::new() })
            }
        }
    }
}

pub(super) fn place<T: PartialEq>(all: &[T], value: &T) -> u8 {
    all.iter().position(|known| known == value).unwrap_or(usize::from(u8::MAX)) as u8
}

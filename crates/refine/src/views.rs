//! Coverage and the market as readers ask for them, from the board alone.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use model::{Channel, Instrument, InstrumentId, InstrumentKind, InstrumentStatus, Quote, Time, VenueId};
use tables::{
    BookView, Coverage, CoverageAnswer, CoverageLedger, DataQuality, MarketView, StoreError, TableStore,
    TimeRange,
};

use crate::board::{Board, Covered};
use crate::{books, covering, import, presence};

/// Tells what is there.
pub(crate) struct CoverageView {
    pub(crate) board: Arc<Board>,
    pub(crate) store: Arc<dyn TableStore>,
}

/// The answer for a range, given what is known of the stream.
pub(crate) fn answer(covered: &Covered, range: TimeRange, now: Option<Time>) -> CoverageAnswer {
    let now = now.unwrap_or(range.end);
    let range = TimeRange { start: range.start, end: range.end.min(now).max(range.start) };
    let observed: Vec<TimeRange> =
        covered.observed(now).iter().filter_map(|span| span.overlap(&range)).collect();
    let is_near = |first: Time, last: Time| first < range.end && range.start <= last;
    let gaps: Vec<_> =
        covered.gaps.iter().filter(|gap| is_near(gap.first_time, gap.last_time)).cloned().collect();
    let whole = covered.observed(now).iter().any(|span| span.start <= range.start && range.end <= span.end);
    let quality = match (whole && gaps.is_empty(), observed.is_empty()) {
        (true, false) => DataQuality::Complete,
        (_, true) => DataQuality::Unknown,
        (false, false) => DataQuality::Partial,
    };
    CoverageAnswer { range, quality, observed, gaps, is_repairing: covered.open_count > 0 }
}

impl Coverage for CoverageView {
    fn coverage(
        &self,
        instrument: &InstrumentId,
        channel: Channel,
        range: TimeRange,
    ) -> BoxFuture<'_, CoverageAnswer> {
        let covered = self.board.tile(instrument).and_then(|tile| {
            let covered = match channel {
                Channel::Trades | Channel::RawTrades => tile.covered(),
                _ => Arc::clone(&tile.shown().others[presence::place(channel)?].1),
            };
            Some((covered, tile.venue.time().0))
        });
        let answer = match covered {
            Some((covered, now)) => answer(&covered, range, now),
            None => answer(&Covered::default(), range, None),
        };
        async move { answer }.boxed()
    }

    fn ledger(
        &self,
        instrument: &InstrumentId,
        channel: Channel,
        range: TimeRange,
    ) -> BoxFuture<'_, Result<CoverageLedger, StoreError>> {
        let instrument = instrument.clone();
        async move {
            let gaps = import::gaps(self.store.as_ref(), &instrument, channel, None).await?;
            let Some(tile) = self.board.tile(&instrument) else {
                return Ok(covering::ledger((&Covered::default(), None), &gaps, (range, range.end)));
            };
            let is_trades = matches!(channel, Channel::Trades | Channel::RawTrades);
            let live = {
                let shown = tile.shown();
                let other = presence::place(channel).map(|slot| Arc::clone(&shown.others[slot].1));
                if is_trades { Arc::clone(&shown.covered) } else { other.unwrap_or_default() }
            };
            let past = tile.behind.past().filter(|_| is_trades);
            let now = tile.venue.time().0.unwrap_or(range.end);
            Ok(covering::ledger((&live, past.as_deref()), &gaps, (range, now)))
        }
        .boxed()
    }

    fn instruments(&self) -> Vec<InstrumentId> {
        self.board.tiles().iter().map(|tile| tile.instrument.clone()).collect()
    }

    fn newest_trade(&self, instrument: &InstrumentId) -> Option<(i64, Time)> {
        let newest = self.board.tile(instrument)?.shown().newest?;
        Some((newest.id?, newest.venue_time))
    }
}

/// Shows the market as it stands.
pub(crate) struct Market(pub(crate) Arc<Board>);

impl MarketView for Market {
    fn instruments(&self) -> Vec<Instrument> {
        let venues = self.0.venues();
        let mut all: Vec<Instrument> =
            venues.iter().flat_map(|venue| venue.instruments().iter().cloned().collect::<Vec<_>>()).collect();
        all.sort_by(|left, right| left.id.cmp(&right.id));
        all
    }

    fn instrument(&self, id: &InstrumentId) -> Option<Instrument> {
        let listed = self.0.venue(id.venue())?.instruments();
        let at = listed.binary_search_by(|known| known.id.cmp(id)).ok()?;
        Some(listed[at].clone())
    }

    fn resolve(&self, words: &str, venue: VenueId) -> Option<Instrument> {
        let words = words.trim();
        if let Ok(id) = words.parse::<InstrumentId>() {
            return self.instrument(&id);
        }
        let listed = self.0.venue(venue)?.instruments();
        best_match(&listed, words).cloned()
    }

    fn quote(&self, id: &InstrumentId) -> Option<Quote> {
        self.0.tile(id)?.shown().quote.clone()
    }

    fn book(&self, id: &InstrumentId, depth: usize) -> Option<BookView> {
        let book = self.0.tile(id)?.shown().book.clone()?;
        books::lock(&book).view(id, depth)
    }
}

/// The instrument that a reader's spelling means: the symbol itself, else base and quote, else our pair.
pub(crate) fn best_match<'a>(listed: &'a [Instrument], words: &str) -> Option<&'a Instrument> {
    let upper = words.to_uppercase();
    let (pair, settle) =
        upper.split_once(':').map_or((upper.as_str(), None), |(pair, end)| (pair, Some(end)));
    let letters: String = pair.chars().filter(|c| !matches!(c, '/' | '-' | '_' | ' ')).collect();
    let rank = |instrument: &Instrument| {
        let symbol = instrument.symbol.to_uppercase();
        let joined = format!("{}{}", instrument.base, instrument.quote).to_uppercase();
        let is_dated = matches!(instrument.kind, InstrumentKind::Future { .. });
        if settle.is_some_and(|settle| is_dated || instrument.settle.to_uppercase() != settle) {
            return None;
        }
        let closeness = if symbol == upper {
            0
        } else if instrument.id.pair().to_uppercase() == upper {
            1
        } else if joined == letters && !is_dated {
            2
        } else if symbol.chars().filter(|c| !matches!(c, '-' | '_')).eq(letters.chars()) {
            3
        } else {
            return None;
        };
        Some((closeness, instrument.status != InstrumentStatus::Trading))
    };
    let ranked = listed.iter().filter_map(|instrument| Some((rank(instrument)?, instrument)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, instrument)| instrument)
}

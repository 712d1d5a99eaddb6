//! Everything refine knows of one instrument.

use std::collections::{BTreeSet, VecDeque};

use derivations::MinuteBars;
use model::time::SECOND;
use model::{Bar, Channel, InstrumentId, Nanos, Quote, Time, Timeframe};
use venues::TradeIds;

use crate::books::SharedBook;
use crate::klines::KlineWatch;
use crate::ledger::{Kind, Ledger, Numbered, Timed};
use crate::presence::{CHANNELS, Presence};

/// Closed minutes with trades that stay at hand for late trades.
const MINUTES_KEPT: usize = 60;
/// Venue bars remembered, to leave out what two connections or two answers bring again.
const VENUE_BARS_KEPT: usize = 24;
/// Funding times remembered, for the same reason.
const FUNDINGS_KEPT: usize = 512;

/// One instrument.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    /// Index of its venue's desk.
    pub(crate) desk: usize,
    pub(crate) ledger: Ledger,
    pub(crate) bars: MinuteBars,
    /// Whether open minutes changed since they were last told.
    pub(crate) is_forming_changed: bool,
    pub(crate) forming_told: Nanos,
    pub(crate) trades_total: u64,
    pub(crate) quote: Option<Quote>,
    pub(crate) mark_time: Option<Time>,
    pub(crate) interest_time: Option<Time>,
    pub(crate) fundings: BTreeSet<Time>,
    pub(crate) venue_bars: VecDeque<(Timeframe, Time, u64)>,
    pub(crate) book: Option<SharedBook>,
    /// Connections that carry its book.
    pub(crate) book_carriers: u32,
    /// Streams other than trades, in the order of `presence::CHANNELS`.
    pub(crate) presences: [Presence; CHANNELS.len()],
    pub(crate) klines: KlineWatch,
    /// Generation of the output that lists it as touched; not part of the state.
    pub(crate) touched: u64,
}

impl Track {
    pub(crate) fn new(instrument: InstrumentId, desk: usize, channel: Channel, ids: TradeIds) -> Self {
        let kind = match ids {
            TradeIds::Contiguous => Kind::Numbered(Numbered::default()),
            TradeIds::Distinct => Kind::Timed(Timed::default()),
        };
        Self {
            desk,
            bars: MinuteBars::new(instrument.clone(), MINUTES_KEPT),
            ledger: Ledger::new(instrument, channel, kind),
            is_forming_changed: false,
            forming_told: Nanos::default(),
            trades_total: 0,
            quote: None,
            mark_time: None,
            interest_time: None,
            fundings: BTreeSet::new(),
            venue_bars: VecDeque::new(),
            book: None,
            book_carriers: 0,
            presences: Default::default(),
            klines: KlineWatch::default(),
            touched: 0,
        }
    }

    pub(crate) fn instrument(&self) -> &InstrumentId {
        &self.ledger.instrument
    }

    /// Takes a quote if it is newer than the newest.
    pub(crate) fn take_quote(&mut self, quote: &Quote) -> bool {
        let is_newer = self.quote.as_ref().is_none_or(|newest| {
            let later = quote.venue_time.0 - newest.venue_time.0;
            quote.sequence > newest.sequence
                // Bybit counts anew from 1 when its service restarts; elsewhere a lower number that is much later.
                || (quote.sequence < newest.sequence && (later > 60 * SECOND || (quote.sequence == 1 && later > 0)))
        });
        if is_newer {
            self.quote = Some(quote.clone());
        }
        is_newer
    }

    /// Whether a closed venue bar is not yet known as it is.
    pub(crate) fn take_venue_bar(&mut self, bar: &Bar) -> bool {
        let known = (bar.timeframe, bar.open_time, fingerprint(bar));
        if self.venue_bars.contains(&known) {
            return false;
        }
        self.venue_bars.retain(|(timeframe, open_time, _)| (*timeframe, *open_time) != (known.0, known.1));
        if self.venue_bars.len() >= VENUE_BARS_KEPT {
            self.venue_bars.pop_front();
        }
        self.venue_bars.push_back(known);
        true
    }

    /// Whether the closed kline of a minute came lately.
    pub(crate) fn has_venue_minute(&self, minute: Time) -> bool {
        self.venue_bars
            .iter()
            .any(|(timeframe, open_time, _)| (*timeframe, *open_time) == (Timeframe::MINUTE, minute))
    }

    /// Whether a settled rate is not yet known.
    pub(crate) fn take_funding(&mut self, time: Time) -> bool {
        let is_new = self.fundings.insert(time);
        while self.fundings.len() > FUNDINGS_KEPT {
            self.fundings.pop_first();
        }
        is_new
    }
}

/// A number that differs when the bar's values differ, the same in every process.
fn fingerprint(bar: &Bar) -> u64 {
    let text = format!(
        "{} {} {} {} {} {} {:?} {:?}",
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.quote_volume,
        bar.trade_count,
        bar.taker_buy_volume
    );
    crate::checkpoint::checksum(text.as_bytes())
}

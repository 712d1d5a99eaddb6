//! Questions about the past: what can be asked for, and the rules of paging. Paging itself is left to `collect`.

use std::time::Duration;

use model::{Channel, Instrument, Time, Timeframe};

/// Which history.
#[derive(Clone, Copy, Debug)]
pub enum HistoryAsk<'a> {
    /// Trades from an id on, ascending, at most a page.
    TradesFromId {
        /// Instrument.
        instrument: &'a Instrument,
        /// `Trades` or `RawTrades`: which of the venue's two numberings.
        channel: Channel,
        /// First id wanted.
        first_id: i64,
        /// How many at most; the venue's page is the limit.
        count: u32,
    },
    /// Trades of a span, ascending, at most a page: those from its start on. The span is at most
    /// [`HistoryRules::trades_span_max`] long.
    TradesWithin {
        /// Instrument.
        instrument: &'a Instrument,
        /// `Trades` or `RawTrades`.
        channel: Channel,
        /// First moment wanted.
        start: Time,
        /// First moment no longer wanted.
        end: Time,
    },
    /// The most recent trades.
    RecentTrades {
        /// Instrument.
        instrument: &'a Instrument,
        /// `Trades` or `RawTrades`.
        channel: Channel,
    },
    /// A few of the newest trades of whichever numbering is cheapest, only to see when the market last moved.
    NewestTrades {
        /// Instrument.
        instrument: &'a Instrument,
    },
    /// A book snapshot.
    Book {
        /// Instrument.
        instrument: &'a Instrument,
    },
    /// Bars that open in a span of at most a page.
    Klines {
        /// Instrument.
        instrument: &'a Instrument,
        /// Length of the bars.
        timeframe: Timeframe,
        /// First open time wanted.
        start: Time,
        /// First open time no longer wanted.
        end: Time,
    },
    /// Settled funding rates of a span; where there are more than a page, some are left out.
    Funding {
        /// Instrument.
        instrument: &'a Instrument,
        /// First moment wanted.
        start: Time,
        /// First moment no longer wanted.
        end: Time,
    },
    /// Open interest, sampled, in a span of at most a page.
    OpenInterest {
        /// Instrument.
        instrument: &'a Instrument,
        /// How far apart the samples are.
        period: Timeframe,
        /// First moment wanted.
        start: Time,
        /// First moment no longer wanted.
        end: Time,
    },
}

/// Why the venue cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryRefusal {
    /// The venue has no such question.
    NotOffered,
    /// The venue no longer gives that range.
    TooOld,
}

/// How the past is asked for over REST. A page of 0 rows is a question that the venue does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRules {
    /// Trades on a page that is asked for by id or by time.
    pub trades_page: u32,
    /// Longest span of one question for trades by time.
    pub trades_span_max: Option<Duration>,
    /// How far back trades are given.
    pub trades_age_max: Option<Duration>,
    /// Bars on a page.
    pub klines_page: u32,
    /// Funding rates on a page.
    pub funding_page: u32,
    /// Samples of open interest on a page.
    pub interest_page: u32,
    /// How far back open interest is given.
    pub interest_age_max: Option<Duration>,
}

impl HistoryRules {
    /// A venue that tells nothing of the past.
    pub const NONE: Self = Self {
        trades_page: 0,
        trades_span_max: None,
        trades_age_max: None,
        klines_page: 0,
        funding_page: 0,
        interest_page: 0,
        interest_age_max: None,
    };
}

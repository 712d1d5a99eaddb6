//! What taking records brought forth: rows with their positions, news, wishes, and whom it touched.

use model::{
    Bar, Funding, Gap, InstrumentId, LogPosition, MarkPrice, Nanos, OpenInterest, Quote, Time, Trade, Wish,
};
use tables::store::commit_order;
use tables::{BookChange, FeedItem, InstrumentRow, News, RowBatch, Rows, TableName};

/// Most rows that room is made for before they come.
const CAPACITY_MAX: usize = 4_096;

/// Rows of one table with the record each came from.
#[derive(Debug)]
pub(crate) struct Batch<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) positions: Vec<LogPosition>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), positions: Vec::new() }
    }
}

impl<T> Batch<T> {
    fn push(&mut self, row: T, position: LogPosition) {
        self.rows.push(row);
        self.positions.push(position);
    }

    fn take(&mut self, table: TableName, wrap: impl FnOnce(Vec<T>) -> Rows) -> Option<RowBatch> {
        if self.rows.is_empty() {
            return None;
        }
        // What the next ones will need, but a burst is not planned for.
        let capacity = self.rows.len().min(CAPACITY_MAX);
        let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(capacity));
        let positions = std::mem::replace(&mut self.positions, Vec::with_capacity(capacity));
        Some(RowBatch { table, batch: wrap(rows).to_batch(), positions })
    }
}

/// A minute whose trades must be read back and folded anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recompute {
    pub(crate) position: LogPosition,
    pub(crate) instrument: InstrumentId,
    pub(crate) minute: Time,
    pub(crate) available_time: Time,
}

/// What was brought forth since it was last emptied.
#[derive(Debug)]
pub(crate) struct Output {
    /// Whether anybody listens to the feed.
    pub(crate) wants_news: bool,
    pub(crate) position: LogPosition,
    received: Nanos,
    index: u32,
    pub(crate) bars: Batch<Bar>,
    pub(crate) book_changes: Batch<BookChange>,
    pub(crate) funding: Batch<Funding>,
    pub(crate) gaps: Batch<Gap>,
    pub(crate) instruments: Batch<InstrumentRow>,
    pub(crate) mark_prices: Batch<MarkPrice>,
    pub(crate) open_interest: Batch<OpenInterest>,
    pub(crate) quotes: Batch<Quote>,
    pub(crate) trades: Batch<Trade>,
    pub(crate) news: Vec<FeedItem>,
    pub(crate) wishes: Vec<Wish>,
    pub(crate) recompute: Vec<Recompute>,
    /// Spans whose bars others wrote, to be shown as the store has them.
    pub(crate) reload: Vec<(InstrumentId, (Time, Time))>,
    /// Bars that closed or were revised, for the cache: ours and the venues'.
    pub(crate) closed: Vec<Bar>,
    /// Tracks that changed, in the order of their first change.
    pub(crate) touched: Vec<usize>,
    /// One more each time `touched` is emptied; never 0, which tracks begin with.
    pub(crate) generation: u64,
    /// Venues whose instruments changed.
    pub(crate) listed: Vec<usize>,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            wants_news: true,
            position: LogPosition::default(),
            received: Nanos::default(),
            index: 0,
            bars: Batch::default(),
            book_changes: Batch::default(),
            funding: Batch::default(),
            gaps: Batch::default(),
            instruments: Batch::default(),
            mark_prices: Batch::default(),
            open_interest: Batch::default(),
            quotes: Batch::default(),
            trades: Batch::default(),
            news: Vec::new(),
            wishes: Vec::new(),
            recompute: Vec::new(),
            reload: Vec::new(),
            closed: Vec::new(),
            touched: Vec::new(),
            generation: 1,
            listed: Vec::new(),
        }
    }
}

impl Output {
    /// Tracks that changed since the last call.
    pub(crate) fn take_touched(&mut self) -> Vec<usize> {
        self.generation += 1;
        std::mem::take(&mut self.touched)
    }

    /// A record begins.
    pub(crate) fn begin(&mut self, position: LogPosition, received: Nanos) {
        (self.position, self.received, self.index) = (position, received, 0);
    }

    /// Passes news on, if anybody listens.
    pub(crate) fn tell(&mut self, news: impl FnOnce() -> News) {
        if self.wants_news {
            let item = FeedItem {
                position: self.position,
                index: self.index,
                received: self.received,
                news: news(),
            };
            self.news.push(item);
        }
    }

    /// As [`Output::tell`], for what streams carry: it has a place of its own in the record, so that a place can be found
    /// again by reading the log.
    pub(crate) fn tell_placed(&mut self, news: impl FnOnce() -> News) {
        self.tell(news);
        self.index += 1;
    }

    pub(crate) fn trade(&mut self, trade: Trade) {
        self.tell_placed(|| News::Trade(trade.clone()));
        self.trades.push(trade, self.position);
    }

    pub(crate) fn quote(&mut self, quote: Quote, is_stored: bool) {
        self.tell_placed(|| News::Quote(quote.clone()));
        if is_stored {
            self.quotes.push(quote, self.position);
        }
    }

    pub(crate) fn mark_price(&mut self, mark: MarkPrice) {
        self.tell(|| News::MarkPrice(mark.clone()));
        self.mark_prices.push(mark, self.position);
    }

    pub(crate) fn funding(&mut self, funding: Funding) {
        self.tell(|| News::Funding(funding.clone()));
        self.funding.push(funding, self.position);
    }

    pub(crate) fn open_interest(&mut self, interest: OpenInterest) {
        self.tell(|| News::OpenInterest(interest.clone()));
        self.open_interest.push(interest, self.position);
    }

    pub(crate) fn gap(&mut self, gap: Gap) {
        self.tell(|| News::Gap(gap.clone()));
        self.gaps.push(gap, self.position);
    }

    /// A bar of ours that closed or was revised.
    pub(crate) fn bar(&mut self, bar: Bar) {
        self.tell(|| News::Bar(Box::new(bar.clone())));
        self.closed.push(bar.clone());
        self.bars.push(bar, self.position);
    }

    /// A closed bar as the venue publishes it.
    pub(crate) fn venue_bar(&mut self, bar: Bar) {
        self.closed.push(bar.clone());
        self.bars.push(bar, self.position);
    }

    pub(crate) fn book_change(&mut self, change: BookChange) {
        self.book_changes.push(change, self.position);
    }

    pub(crate) fn instrument(&mut self, row: InstrumentRow) {
        self.instruments.push(row, self.position);
    }

    pub(crate) fn recompute(&mut self, instrument: &InstrumentId, minute: Time) {
        let position = self.position;
        let is_known = |known: &Recompute| {
            known.position == position && known.minute == minute && known.instrument == *instrument
        };
        if !self.recompute.iter().any(is_known) {
            let available_time = self.received.to_time();
            self.recompute.push(Recompute {
                position,
                instrument: instrument.clone(),
                minute,
                available_time,
            });
        }
    }

    /// Rows that wait to be handed to the store.
    pub(crate) fn row_count(&self) -> usize {
        self.bars.rows.len()
            + self.book_changes.rows.len()
            + self.funding.rows.len()
            + self.gaps.rows.len()
            + self.instruments.rows.len()
            + self.mark_prices.rows.len()
            + self.open_interest.rows.len()
            + self.quotes.rows.len()
            + self.trades.rows.len()
    }

    /// All rows, table by table in the order of commits.
    pub(crate) fn take_rows(&mut self) -> Vec<RowBatch> {
        let take = |table: &TableName| match table {
            TableName::Bars => self.bars.take(*table, Rows::Bars),
            TableName::BookChanges => self.book_changes.take(*table, Rows::BookChanges),
            // The past and the chain are written by those who look after them.
            TableName::BtcBlocks
            | TableName::BtcBuckets
            | TableName::BtcCoinBlocks
            | TableName::BtcPrimitiveBlock
            | TableName::ComposedPrices
            | TableName::CoverageDays
            | TableName::Metrics
            | TableName::VenuePrices => None,
            TableName::Funding => self.funding.take(*table, Rows::Funding),
            TableName::Gaps => self.gaps.take(*table, Rows::Gaps),
            TableName::Instruments => self.instruments.take(*table, Rows::Instruments),
            TableName::MarkPrices => self.mark_prices.take(*table, Rows::MarkPrices),
            TableName::OpenInterest => self.open_interest.take(*table, Rows::OpenInterest),
            TableName::Quotes => self.quotes.take(*table, Rows::Quotes),
            TableName::Trades => self.trades.take(*table, Rows::Trades),
        };
        commit_order().iter().filter_map(take).collect()
    }
}

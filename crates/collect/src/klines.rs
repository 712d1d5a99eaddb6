//! Fetches past 1-minute klines of each instrument once, the newest first and all instruments side by side, so that
//! recent candles are there within seconds and older ones follow as the budget allows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use model::time::MINUTE;
use model::{Instrument, InstrumentId, Time};
use runtime::Stop;
use tokio::sync::watch;
use venues::HistoryAsk;

use crate::answer;
use crate::connection::Surroundings;
use crate::listing::Selection;
use crate::rest::{Desk, Priority};

/// Minutes asked for with one question.
const PAGE_MINUTES: i64 = 1_000;
/// Questions of one venue on their way at once.
const RUNNING_MAX: usize = 4;
/// A page is tried so many times, then left out: klines are a comfort, trades are the record.
const TRIES_MAX: u32 = 5;
/// A page may wait long for its turn.
const TURN_MAX: Duration = Duration::from_hours(6);
/// The minutes around our start are asked for once more when they are over.
const SEAM_AFTER: Duration = Duration::from_mins(3);

/// The kline history of one venue.
pub(crate) struct Klines {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) selection: watch::Receiver<Option<Arc<Selection>>>,
    pub(crate) history: Duration,
}

#[derive(Clone, Debug)]
struct Page {
    instrument: Arc<Instrument>,
    start: Time,
    end: Time,
    tries: u32,
}

/// Whose klines are being fetched, for those who want to know whether more will come.
#[derive(Debug, Default)]
pub(crate) struct KlineProgress(Mutex<Progress>);

#[derive(Debug, Default)]
struct Progress {
    /// Klines are wanted, and for which instruments is not known yet.
    is_unplanned: bool,
    /// Pages not fetched yet.
    pages: BTreeMap<InstrumentId, usize>,
}

impl KlineProgress {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Klines will be fetched once the instruments are known.
    pub(crate) fn expect(&self) {
        *self.lock() = Progress { is_unplanned: true, pages: BTreeMap::new() };
    }

    fn plan(&self, pages: &[Page]) {
        let mut progress = self.lock();
        progress.is_unplanned = false;
        for page in pages {
            *progress.pages.entry(page.instrument.id.clone()).or_default() += 1;
        }
    }

    /// A page is there or given up.
    fn finish(&self, page: &Page) {
        let mut progress = self.lock();
        if let Some(count) = progress.pages.get_mut(&page.instrument.id) {
            *count -= 1;
            if *count == 0 {
                progress.pages.remove(&page.instrument.id);
            }
        }
    }

    /// Whether klines of an instrument are on their way.
    pub(crate) fn is_fetching(&self, instrument: &InstrumentId) -> bool {
        let progress = self.lock();
        progress.is_unplanned || progress.pages.contains_key(instrument)
    }
}

impl Klines {
    /// Fetches for every instrument chosen now or later, until told to stop.
    pub(crate) async fn run(&self, stop: Stop) -> Result<(), String> {
        if self.history.is_zero() {
            return Ok(());
        }
        let progress = &self.around.board.klines;
        progress.expect();
        let mut selection = self.selection.clone();
        let mut served = BTreeSet::new();
        let mut pages: VecDeque<Page> = VecDeque::new();
        let mut seams: VecDeque<(Time, Vec<Page>)> = VecDeque::new();
        let mut running: FuturesUnordered<BoxFuture<'_, (Page, bool)>> = FuturesUnordered::new();
        selection.mark_changed();
        loop {
            let now = self.venue_time();
            if seams.front().is_some_and(|(time, _)| *time <= now) {
                let due: Vec<Page> = seams.pop_front().into_iter().flat_map(|(_, pages)| pages).collect();
                progress.plan(&due);
                pages.extend(due);
            }
            while running.len() < RUNNING_MAX
                && let Some(page) = pages.pop_front()
            {
                running.push(Box::pin(self.fetch(page)));
            }
            tokio::select! {
                () = stop.requested() => return Ok(()),
                changed = selection.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let Some(chosen) = selection.borrow_and_update().clone() else { continue };
                    let new: Vec<Arc<Instrument>> = chosen
                        .chosen
                        .iter()
                        .filter(|instrument| served.insert(instrument.id.clone()))
                        .map(|instrument| Arc::new(instrument.clone()))
                        .collect();
                    let now = self.venue_time().minute_start();
                    let planned = plan(&new, now, self.history);
                    progress.plan(&planned);
                    if !new.is_empty() {
                        pages.extend(planned);
                        seams.push_back((now.plus_micros(SEAM_AFTER.as_micros() as i64), seam(&new, now)));
                    }
                }
                Some((page, is_done)) = running.next() => {
                    if !is_done && page.tries < TRIES_MAX {
                        pages.push_back(Page { tries: page.tries + 1, ..page });
                    } else {
                        progress.finish(&page);
                    }
                }
                () = runtime::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn fetch(&self, page: Page) -> (Page, bool) {
        let ask = HistoryAsk::Klines { instrument: &page.instrument, start: page.start, end: page.end };
        let Ok(request) = self.around.venue.history(&ask) else { return (page, true) };
        let is_done =
            match self.desk.ask(self.around.id(), request.clone(), Priority::History, TURN_MAX).await {
                Ok(reply) => {
                    let instruments = std::slice::from_ref(&*page.instrument);
                    answer::read(&self.around, instruments, &request.purpose, &reply, |_| {}).is_ok()
                }
                Err(error) => {
                    tracing::debug!(instrument = page.instrument.id.as_str(), "no klines: {error}");
                    false
                }
            };
        if !is_done {
            runtime::sleep(Duration::from_secs(1)).await;
        }
        (page, is_done)
    }

    /// The venue's clock: a replayed market lives in its own time.
    fn venue_time(&self) -> Time {
        self.around.journal.clock().time().plus_micros(self.around.board.skew().unwrap_or(0))
    }
}

/// The newest page of each instrument, then the second newest of each, and so on. The running minute is left out.
fn plan(instruments: &[Arc<Instrument>], now: Time, history: Duration) -> Vec<Page> {
    let oldest = now.plus_micros(-(history.as_micros() as i64)).minute_start();
    let mut pages = Vec::new();
    let mut end = now;
    while end > oldest {
        let start = end.plus_micros(-PAGE_MINUTES * MINUTE).max(oldest);
        pages.extend(instruments.iter().map(|instrument| Page {
            instrument: Arc::clone(instrument),
            start,
            end,
            tries: 0,
        }));
        end = start;
    }
    pages
}

/// The minutes in which the streams were opened: our own trades cover them only in part.
fn seam(instruments: &[Arc<Instrument>], now: Time) -> Vec<Page> {
    let (start, end) = (now.plus_micros(-MINUTE), now.plus_micros(2 * MINUTE));
    instruments
        .iter()
        .map(|instrument| Page { instrument: Arc::clone(instrument), start, end, tries: 0 })
        .collect()
}

#[cfg(test)]
mod tests {
    //! Cases for pages.
    use super::*;
    use crate::testing::instrument;

    #[test]
    fn an_instrument_is_being_fetched_until_its_last_page_is_there() {
        let (btc, eth) = (Arc::new(instrument("BTC", "USDT")), Arc::new(instrument("ETH", "USDT")));
        let progress = KlineProgress::default();
        assert!(!progress.is_fetching(&btc.id), "nobody wants klines");
        progress.expect();
        assert!(progress.is_fetching(&btc.id), "which instruments are wanted is not known yet");
        let pages = plan(std::slice::from_ref(&btc), Time(2_000 * MINUTE), Duration::from_hours(25));
        progress.plan(&pages);
        assert!(progress.is_fetching(&btc.id) && !progress.is_fetching(&eth.id));
        progress.finish(&pages[0]);
        assert!(progress.is_fetching(&btc.id), "one page is left");
        progress.finish(&pages[1]);
        assert!(!progress.is_fetching(&btc.id));
    }

    #[test]
    fn the_newest_part_of_every_instrument_comes_first() {
        let both = [Arc::new(instrument("BTC", "USDT")), Arc::new(instrument("ETH", "USDT"))];
        let now = Time::parse("2024-08-08T12:00:00Z").unwrap();
        let pages = plan(&both, now, Duration::from_mins(2_500));
        let lines: Vec<String> = pages
            .iter()
            .map(|page| {
                let minutes = |time: Time| (now.0 - time.0) / MINUTE;
                format!("{} -{} -{}", page.instrument.symbol, minutes(page.start), minutes(page.end))
            })
            .collect();
        assert_eq!(
            lines,
            [
                "BTCUSDT -1000 -0",
                "ETHUSDT -1000 -0",
                "BTCUSDT -2000 -1000",
                "ETHUSDT -2000 -1000",
                "BTCUSDT -2500 -2000",
                "ETHUSDT -2500 -2000"
            ]
        );
    }
}

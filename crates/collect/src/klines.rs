//! Fetches past 1-minute klines of each instrument that are not stored yet, the newest first and all instruments side
//! by side, so that recent candles are there within seconds and older ones follow as the budget allows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use model::time::MINUTE;
use model::{Instrument, InstrumentId, Time, Timeframe};
use runtime::Stop;
use tokio::sync::watch;
use venues::HistoryAsk;

use crate::answer;
use crate::connection::Surroundings;
use crate::known::Known;
use crate::listing::Selection;
use crate::rest::{Desk, Priority};

/// Minutes asked for with one question.
const PAGE_MINUTES: i64 = 1_000;
/// Questions of one venue on their way at once.
const RUNNING_MAX: usize = 4;
/// A page is tried so many times, then left out, at once if the venue refuses it for good: klines are a comfort, trades
/// are the record.
const TRIES_MAX: u32 = 5;
/// A page may wait long for its turn.
const TURN_MAX: Duration = Duration::from_hours(6);
/// The minutes around our start are asked for once more when they are over.
const SEAM_AFTER: Duration = Duration::from_mins(3);

/// Instruments whose stored klines are looked up at once.
const LOOKS_MAX: usize = 2;

/// The kline history of one venue.
pub(crate) struct Klines {
    pub(crate) around: Arc<Surroundings>,
    pub(crate) desk: Arc<Desk>,
    pub(crate) selection: watch::Receiver<Option<Arc<Selection>>>,
    pub(crate) history: Duration,
    pub(crate) known: Arc<dyn Known>,
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
    /// Pages not fetched yet, and one more while it is not known which are.
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

    /// One more thing to do for each of these instruments.
    fn plan<'a>(&self, instruments: impl IntoIterator<Item = &'a Arc<Instrument>>) {
        let mut progress = self.lock();
        progress.is_unplanned = false;
        for instrument in instruments {
            *progress.pages.entry(instrument.id.clone()).or_default() += 1;
        }
    }

    /// A thing is done or given up.
    fn finish(&self, instrument: &Instrument) {
        let mut progress = self.lock();
        if let Some(count) = progress.pages.get_mut(&instrument.id) {
            *count -= 1;
            if *count == 0 {
                progress.pages.remove(&instrument.id);
            }
        }
    }

    /// Whether klines of an instrument are on their way.
    pub(crate) fn is_fetching(&self, instrument: &InstrumentId) -> bool {
        let progress = self.lock();
        progress.is_unplanned || progress.pages.contains_key(instrument)
    }
}

/// Pages that wait. Those tried less come first, then the newest of every instrument.
#[derive(Debug, Default)]
struct Pages(BTreeMap<(u32, Reverse<Time>, InstrumentId), Page>);

impl Pages {
    fn add(&mut self, pages: impl IntoIterator<Item = Page>) {
        let keyed = |page: Page| ((page.tries, Reverse(page.end), page.instrument.id.clone()), page);
        self.0.extend(pages.into_iter().map(keyed));
    }

    fn take(&mut self) -> Option<Page> {
        self.0.pop_first().map(|(_, page)| page)
    }
}

impl Klines {
    /// Fetches what is not stored yet, for every instrument chosen now or later, until told to stop.
    pub(crate) async fn run(&self, stop: Stop) -> Result<(), String> {
        if self.history.is_zero() {
            return Ok(());
        }
        let progress = &self.around.board.klines;
        progress.expect();
        let mut selection = self.selection.clone();
        let mut served = BTreeSet::new();
        let mut unseen: VecDeque<Arc<Instrument>> = VecDeque::new();
        let mut looks: FuturesUnordered<BoxFuture<'_, (Arc<Instrument>, Vec<Page>)>> =
            FuturesUnordered::new();
        let mut pages = Pages::default();
        let mut seams: VecDeque<(Time, Vec<Page>)> = VecDeque::new();
        let mut running: FuturesUnordered<BoxFuture<'_, (Page, bool)>> = FuturesUnordered::new();
        selection.mark_changed();
        loop {
            let now = self.venue_time();
            if seams.front().is_some_and(|(time, _)| *time <= now) {
                let due: Vec<Page> = seams.pop_front().into_iter().flat_map(|(_, pages)| pages).collect();
                progress.plan(due.iter().map(|page| &page.instrument));
                pages.add(due);
            }
            while looks.len() < LOOKS_MAX
                && let Some(instrument) = unseen.pop_front()
            {
                looks.push(Box::pin(self.look(instrument)));
            }
            while running.len() < RUNNING_MAX
                && let Some(page) = pages.take()
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
                    progress.plan(&new);
                    if !new.is_empty() {
                        let now = self.venue_time().minute_start();
                        seams.push_back((now.plus_micros(SEAM_AFTER.as_micros() as i64), seam(&new, now)));
                        unseen.extend(new);
                    }
                }
                Some((instrument, missing)) = looks.next() => {
                    progress.plan(missing.iter().map(|page| &page.instrument));
                    progress.finish(&instrument);
                    pages.add(missing);
                }
                Some((page, is_done)) = running.next() => {
                    if !is_done && page.tries < TRIES_MAX {
                        pages.add([Page { tries: page.tries + 1, ..page }]);
                    } else {
                        progress.finish(&page.instrument);
                    }
                }
                () = runtime::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// The pages of an instrument that are not stored yet.
    async fn look(&self, instrument: Arc<Instrument>) -> (Arc<Instrument>, Vec<Page>) {
        let now = self.venue_time().minute_start();
        let oldest = now.plus_micros(-(self.history.as_micros() as i64)).minute_start();
        let stored = self.known.klines(instrument.id.clone(), oldest, now).await;
        let missing = plan(&instrument, (oldest, now), &stored);
        (instrument, missing)
    }

    async fn fetch(&self, page: Page) -> (Page, bool) {
        let ask = HistoryAsk::Klines {
            instrument: &page.instrument,
            timeframe: Timeframe::MINUTE,
            start: page.start,
            end: page.end,
        };
        let Ok(request) = self.around.venue.history(&ask) else { return (page, true) };
        let is_done =
            match self.desk.ask(self.around.id(), request.clone(), Priority::History, TURN_MAX).await {
                Ok(reply) => {
                    let instruments = std::slice::from_ref(&*page.instrument);
                    let read = answer::read(self.around.venue, instruments, &request.purpose, &reply, |_| {});
                    if let Err(what) = &read {
                        tracing::debug!(instrument = page.instrument.id.as_str(), "no klines: {what}");
                    }
                    read.is_ok() || reply.is_final_refusal()
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

/// Pages over all minutes of the span that are not stored, the newest first. The running minute is left out.
fn plan(instrument: &Arc<Instrument>, (oldest, now): (Time, Time), stored: &[Time]) -> Vec<Page> {
    let stored: BTreeSet<Time> = stored.iter().copied().collect();
    let mut missing: Vec<Time> = Vec::new();
    let mut minute = now.plus_micros(-MINUTE);
    while minute >= oldest {
        if !stored.contains(&minute) {
            missing.push(minute);
        }
        minute = minute.plus_micros(-MINUTE);
    }
    let mut pages: Vec<Page> = Vec::new();
    for minute in missing {
        match pages.last_mut() {
            // One question brings what lies between as well: fewer questions are worth it.
            Some(page) if page.end.0 - minute.0 <= PAGE_MINUTES * MINUTE => page.start = minute,
            _ => pages.push(Page {
                instrument: Arc::clone(instrument),
                start: minute,
                end: minute.plus_micros(MINUTE),
                tries: 0,
            }),
        }
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

    const NOW: &str = "2024-08-08T12:00:00Z";

    /// Pages in the order they are asked for, in minutes before now.
    fn order(pages: Vec<Page>) -> Vec<String> {
        let now = Time::parse(NOW).unwrap();
        let mut waiting = Pages::default();
        waiting.add(pages);
        let minutes = |time: Time| (now.0 - time.0) / MINUTE;
        std::iter::from_fn(|| waiting.take())
            .map(|page| format!("{} -{} -{}", page.instrument.symbol, minutes(page.start), minutes(page.end)))
            .collect()
    }

    fn planned(base: &str, minutes: i64, stored: impl Fn(i64) -> bool) -> Vec<Page> {
        let now = Time::parse(NOW).unwrap();
        let before = |minute: i64| now.plus_micros(-minute * MINUTE);
        let stored: Vec<Time> = (1..=minutes).filter(|minute| stored(*minute)).map(before).collect();
        plan(&Arc::new(instrument(base, "USDT")), (before(minutes), now), &stored)
    }

    #[test]
    fn an_instrument_is_being_fetched_until_its_last_page_is_there() {
        let (btc, eth) = (Arc::new(instrument("BTC", "USDT")), Arc::new(instrument("ETH", "USDT")));
        let progress = KlineProgress::default();
        assert!(!progress.is_fetching(&btc.id), "nobody wants klines");
        progress.expect();
        assert!(progress.is_fetching(&btc.id), "which instruments are wanted is not known yet");
        progress.plan([&btc]);
        assert!(
            progress.is_fetching(&btc.id) && !progress.is_fetching(&eth.id),
            "what is stored is looked up"
        );
        let pages = planned("BTC", 1_500, |_| false);
        progress.plan(pages.iter().map(|page| &page.instrument));
        progress.finish(&btc);
        progress.finish(&pages[0].instrument);
        assert!(progress.is_fetching(&btc.id), "one page is left");
        progress.finish(&pages[1].instrument);
        assert!(!progress.is_fetching(&btc.id));
    }

    #[test]
    fn the_newest_part_of_every_instrument_comes_first() {
        let mut pages = planned("BTC", 2_500, |_| false);
        pages.extend(planned("ETH", 2_500, |_| false));
        assert_eq!(
            order(pages),
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

    #[test]
    fn a_restart_fetched_what_was_stored_all_over_again() {
        assert_eq!(order(planned("BTC", 2_500, |_| true)), [""; 0]);
        assert_eq!(order(planned("BTC", 2_500, |minute| minute > 30)), ["BTCUSDT -30 -0"]);
        // A hole in the past, and one minute long before it.
        let holes = planned("BTC", 5_000, |minute| !(700..800).contains(&minute) && minute != 2_000);
        assert_eq!(order(holes), ["BTCUSDT -799 -699", "BTCUSDT -2000 -1999"]);
    }

    #[test]
    fn a_page_that_failed_waits_behind_the_others() {
        let mut pages = planned("BTC", 1_500, |_| false);
        pages[0].tries = 1;
        assert_eq!(order(pages), ["BTCUSDT -1500 -1000", "BTCUSDT -1000 -0"]);
    }
}

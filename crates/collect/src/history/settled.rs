//! Settled funding rates: at full hours, but at which ones only the venue knows, and it may change. Windows are made so short
//! that an answer is no full page, so that none is cut, whichever end the venue begins with.

use std::ops::Range;

use model::time::MINUTE;
use model::{Event, Funding, GapCause, Time};
use venues::HistoryAsk as Question;

use super::HistoryWish;
use super::questions::{End, Fetching, Page};

/// The usual time between two rates; no venue has a longer one.
const INTERVAL: i64 = 8 * 60 * MINUTE;
/// Rates are written some milliseconds off the hour, before or behind.
const OFF_MAX: i64 = MINUTE;

impl Fetching<'_> {
    /// Which rates there should be nobody says, so nothing is missed here: what the venue has is handed over.
    pub(super) async fn funding(&mut self, range: Range<Time>) -> Result<(), End> {
        let page = self.post.venue.facts().history.funding_page as usize;
        let end = range.end.min(self.venue_time());
        let mut start = range.start;
        if page == 0 && start < end {
            self.lack_span((start, end), GapCause::Refused);
            start = end;
        }
        // One rate before the window tells the length of its first interval, and a page is never quite full.
        let most = INTERVAL * (page as i64 - 3).max(1);
        let mut span = most;
        while start < end {
            self.left(Some(HistoryWish::Funding { range: start..range.end }));
            let until = start.plus_micros(span).min(end);
            let instrument = self.instrument;
            let asked = (start.plus_micros(-INTERVAL - OFF_MAX), until.plus_micros(OFF_MAX));
            match self.ask(&Question::Funding { instrument, start: asked.0, end: asked.1 }).await? {
                Page::NotOffered => self.lack_span((start, until), GapCause::Refused),
                Page::TooOld => self.lack_span((start, until), GapCause::BeyondHistory),
                Page::Rows(rows) if rows.len() >= page && span > INTERVAL => {
                    span /= 2;
                    continue;
                }
                Page::Rows(rows) => {
                    let mut rates: Vec<Funding> = rows.into_iter().filter_map(funding).collect();
                    rates.retain(|rate| (start..until).contains(&rate.time));
                    rates.sort_by_key(|rate| rate.time);
                    rates.dedup_by_key(|rate| rate.time);
                    self.hand(rates.into_iter().map(Event::Funding).collect()).await?;
                }
            }
            start = until;
        }
        let later = end.max(range.start)..range.end;
        self.left((!later.is_empty()).then_some(HistoryWish::Funding { range: later }));
        Ok(())
    }
}

fn funding(event: Event) -> Option<Funding> {
    match event {
        Event::Funding(rate) => Some(rate),
        _ => None,
    }
}

//! Rows that come at fixed steps, bars and samples of open interest: asked for window by window, each as long as a page, so
//! that it does not matter which end a venue begins with; what is not there shows by its absence from the steps.

use std::ops::Range;

use model::{BarState, Event, GapCause, Time, Timeframe};
use venues::HistoryAsk as Question;

use super::HistoryWish;
use super::questions::{End, Fetching, Page};

/// Which rows.
#[derive(Clone, Copy)]
enum Rows {
    Klines,
    OpenInterest,
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Grid {
    rows: Rows,
    step: Timeframe,
    page: u32,
    /// First moment wanted, on a step.
    start: Time,
    /// First moment no longer wanted.
    end: Time,
}

impl Grid {
    fn wish(self, range: Range<Time>) -> HistoryWish {
        match self.rows {
            Rows::Klines => HistoryWish::Klines { timeframe: self.step, range },
            Rows::OpenInterest => HistoryWish::OpenInterest { period: self.step, range },
        }
    }

    /// When a row is for; `None` if it is no such row, or not final.
    fn time(self, event: &Event) -> Option<Time> {
        match (self.rows, event) {
            (Rows::Klines, Event::Bar(bar))
                if bar.timeframe == self.step && bar.state != BarState::Forming =>
            {
                Some(bar.open_time)
            }
            (Rows::OpenInterest, Event::OpenInterest(sample)) => Some(sample.time),
            _ => None,
        }
    }

    /// The steps from one moment up to another.
    fn steps(self, start: Time, end: Time) -> impl Iterator<Item = Time> {
        std::iter::successors(Some(start), move |time| Some(self.step.bucket_end(*time)))
            .take_while(move |time| *time < end)
    }
}

/// Whether we know where steps begin: where bars of several days do is the venue's matter.
const fn is_known(step: Timeframe) -> bool {
    !matches!(step, Timeframe::Minutes(1_441..))
}

impl Fetching<'_> {
    pub(super) async fn klines(&mut self, timeframe: Timeframe, range: Range<Time>) -> Result<(), End> {
        let page = self.post.venue.facts().history.klines_page;
        // The running bar is not over.
        let now = self.venue_time();
        let end = range.end.min(if is_known(timeframe) { timeframe.bucket_start(now) } else { now });
        self.grid((Rows::Klines, timeframe, page), (range, end)).await
    }

    pub(super) async fn open_interest(&mut self, period: Timeframe, range: Range<Time>) -> Result<(), End> {
        let rules = &self.post.venue.facts().history;
        let end = range.end.min(self.venue_time());
        let mut start = range.start;
        if let Some(age) = rules.interest_age_max {
            // The oldest samples leave while we ask.
            let oldest = self.venue_time().plus_micros(-(age.as_micros() as i64));
            let oldest = period.bucket_end(period.bucket_end(period.bucket_start(oldest)));
            if start < oldest {
                self.lack_span((start, oldest.min(range.end)), GapCause::BeyondHistory);
                start = oldest.min(range.end);
            }
        }
        self.grid((Rows::OpenInterest, period, rules.interest_page), (start..range.end, end)).await
    }

    async fn grid(
        &mut self,
        (rows, step, page): (Rows, Timeframe, u32),
        (range, end): (Range<Time>, Time),
    ) -> Result<(), End> {
        let bucket = step.bucket_start(range.start);
        let start =
            if bucket < range.start && is_known(step) { step.bucket_end(bucket) } else { range.start };
        let grid = Grid { rows, step, page, start, end };
        if page == 0 && start < end {
            self.lack_span((start, end), GapCause::Refused);
        } else if page > 0 {
            self.windows(grid, range.end).await?;
        }
        let later = end.max(range.start)..range.end;
        self.left((!later.is_empty()).then(|| grid.wish(later)));
        Ok(())
    }

    async fn windows(&mut self, grid: Grid, wanted: Time) -> Result<(), End> {
        let mut start = grid.start;
        while start < grid.end {
            self.left(Some(grid.wish(start..wanted)));
            let until = grid.steps(start, grid.end).take(grid.page as usize).last().unwrap_or(start);
            let until = grid.step.bucket_end(until).min(grid.end);
            let Some(mut rows) = self.window(grid, start..until).await? else {
                start = until;
                continue;
            };
            let mut absent = absences(grid, &rows, &(start..until));
            // A page that is shorter than we think looks like a hole: what is absent is asked for once more.
            if !rows.is_empty()
                && let (Some(first), Some(last)) = (absent.first(), absent.last())
                && let Some(more) = self.window(grid, first.start..last.end).await?
            {
                rows.extend(more);
                rows.sort_by_key(|(time, _)| *time);
                rows.dedup_by_key(|(time, _)| *time);
                absent = absences(grid, &rows, &(start..until));
            }
            self.hand(rows.into_iter().map(|(_, event)| event).collect()).await?;
            for hole in absent {
                self.lack_span((hole.start, hole.end), GapCause::NotAtVenue);
            }
            start = until;
        }
        Ok(())
    }

    /// The rows of one window, each with its time, in order; `None` if the venue has none, which is noted.
    async fn window(&mut self, grid: Grid, span: Range<Time>) -> Result<Option<Vec<(Time, Event)>>, End> {
        let (instrument, Range { start, end }) = (self.instrument, span.clone());
        let question = match grid.rows {
            Rows::Klines => Question::Klines { instrument, timeframe: grid.step, start, end },
            Rows::OpenInterest => Question::OpenInterest { instrument, period: grid.step, start, end },
        };
        match self.ask(&question).await? {
            Page::NotOffered => self.lack_span((start, end), GapCause::Refused),
            Page::TooOld => self.lack_span((start, end), GapCause::BeyondHistory),
            Page::Rows(rows) => {
                let timed = |event: Event| grid.time(&event).map(|time| (time, event));
                let mut rows: Vec<(Time, Event)> = rows.into_iter().filter_map(timed).collect();
                rows.retain(|(time, _)| span.contains(time));
                rows.sort_by_key(|(time, _)| *time);
                rows.dedup_by_key(|(time, _)| *time);
                return Ok(Some(rows));
            }
        }
        Ok(None)
    }
}

/// Spans of steps for which there is no row.
fn absences(grid: Grid, rows: &[(Time, Event)], span: &Range<Time>) -> Vec<Range<Time>> {
    let mut absent: Vec<Range<Time>> = Vec::new();
    if !is_known(grid.step) {
        return absent;
    }
    let mut rows = rows.iter().map(|(time, _)| *time).peekable();
    for step in grid.steps(span.start, span.end) {
        if rows.next_if(|time| *time <= step).is_some() {
            continue;
        }
        let end = grid.step.bucket_end(step).min(span.end);
        match absent.last_mut() {
            Some(hole) if hole.end == step => hole.end = end,
            _ => absent.push(step..end),
        }
    }
    absent
}

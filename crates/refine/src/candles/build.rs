//! The rule by which minutes become candles.
//!
//! Per minute: our bar if the minute was observed from end to end, else the venue's bar, else ours as far as it goes.
//! A minute observed without trades is empty; one neither observed nor told by the venue is missing.

use derivations::BarSum;
use model::time::MINUTE;
use model::{Bar, BarSource, BarState, Decimal, Gap, GapState, InstrumentId, Time, Timeframe};
use tables::{Candle, DataQuality, TimeRange};

use crate::series::{Series, blank, within};

/// Everything the rule looks at.
pub(crate) struct Picture<'a> {
    pub(crate) instrument: &'a InstrumentId,
    pub(crate) series: &'a Series,
    /// Open minutes, ascending.
    pub(crate) open: &'a [Bar],
    /// Spans observed from end to end, ascending.
    pub(crate) observed: &'a [TimeRange],
    /// Holes that are open or missing, ascending.
    pub(crate) gaps: &'a [Gap],
    /// The venue's time.
    pub(crate) now: Time,
    /// Minutes that end here or before are closed.
    pub(crate) edge: Time,
}

/// What the minutes of one bucket add up to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gathered {
    sum: Option<BarSum>,
    /// Minutes that were not observed but that the venue tells.
    told_count: i64,
}

impl Gathered {
    /// Adds the minutes from one moment to another.
    pub(crate) fn add(&mut self, picture: &Picture<'_>, timeframe: Timeframe, (from, until): (Time, Time)) {
        self.add_minutes(&mut Minutes::new(picture, from), timeframe, until);
    }

    fn add_minutes(&mut self, minutes: &mut Minutes<'_>, timeframe: Timeframe, until: Time) {
        while minutes.next_before(until) {
            self.told_count += i64::from(minutes.is_told);
            match &mut self.sum {
                Some(sum) => sum.add(&minutes.bar),
                None => self.sum = Some(BarSum::of(&minutes.bar, timeframe)),
            }
        }
    }
}

/// Candles of the buckets that start in the span, at most so many from its start; `before` is the close before it.
pub(crate) fn candles(
    picture: &Picture<'_>,
    timeframe: Timeframe,
    (first, end): (Time, Time),
    (limit, mut before): (usize, Option<Decimal>),
) -> Vec<Candle> {
    let mut candles = Vec::new();
    let mut open_time = first;
    let mut minutes = Minutes::new(picture, first);
    while open_time < end && candles.len() < limit {
        let bucket_end = timeframe.bucket_end(open_time);
        let mut gathered = Gathered::default();
        gathered.add_minutes(&mut minutes, timeframe, bucket_end);
        if let Some(candle) = finish(picture, timeframe, open_time, gathered, before) {
            before = Some(candle.bar.close);
            candles.push(candle);
        }
        open_time = bucket_end;
    }
    candles
}

/// The candle of the bucket that starts then, from all its minutes so far.
pub(crate) fn finish(
    picture: &Picture<'_>,
    timeframe: Timeframe,
    open_time: Time,
    gathered: Gathered,
    before: Option<Decimal>,
) -> Option<Candle> {
    let end = timeframe.bucket_end(open_time);
    let so_far = end.min(minute_end(picture.now));
    let (unobserved, has_observed) = unobserved_minutes(picture.observed, open_time, so_far);
    let is_complete = unobserved == gathered.told_count;
    let is_known = has_observed || gathered.told_count > 0;
    let (has_gap, is_repairing) = gaps_between(picture.gaps, open_time, end);
    let mut bar = match gathered.sum {
        Some(sum) => sum.into_bar(),
        None if has_observed => flat(picture, timeframe, (open_time, end), before?),
        None => return None,
    };
    if end > picture.edge {
        bar.state = BarState::Forming;
    }
    let is_empty = bar.volume.is_zero() && bar.trade_count.unwrap_or(0) == 0;
    let quality = match (is_complete && !has_gap, is_complete || is_known) {
        (true, _) => DataQuality::Complete,
        (false, true) => DataQuality::Partial,
        (false, false) => DataQuality::Unknown,
    };
    Some(Candle { bar, is_empty, is_complete, quality, is_repairing })
}

/// Whether a hole touches the span, and whether one of them may still be filled.
fn gaps_between(gaps: &[Gap], start: Time, end: Time) -> (bool, bool) {
    let mut near = gaps.iter().filter(|gap| gap.first_time < end && start <= gap.last_time);
    let Some(first) = near.next() else { return (false, false) };
    let is_open = |gap: &Gap| gap.state == GapState::Open;
    (true, is_open(first) || near.any(is_open))
}

fn flat(picture: &Picture<'_>, timeframe: Timeframe, (open_time, end): (Time, Time), close: Decimal) -> Bar {
    Bar {
        timeframe,
        open_time,
        open: close,
        high: close,
        low: close,
        close,
        available_time: end.min(picture.now),
        ..blank(picture.instrument)
    }
}

fn minute_end(time: Time) -> Time {
    let start = time.minute_start();
    if start == time { start } else { start.plus_micros(MINUTE) }
}

/// Minutes of a span that were not observed from end to end, and whether any of the span was.
fn unobserved_minutes(observed: &[TimeRange], start: Time, end: Time) -> (i64, bool) {
    let (mut count, mut from, mut has_observed) = (0, start, false);
    let begin = observed.partition_point(|span| span.end <= start);
    for span in observed[begin..].iter().take_while(|span| span.start < end) {
        has_observed = true;
        // The first minute that lies wholly inside, and the first after that does not.
        let (whole_from, whole_until) = (minute_end(span.start), span.end.minute_start());
        if whole_from < whole_until {
            count += (whole_from.0 - from.0).max(0) / MINUTE;
            from = from.max(whole_until);
        }
    }
    (count + (end.0 - from.0).max(0) / MINUTE, has_observed)
}

/// Walks over the minutes that have a bar, choosing one for each.
struct Minutes<'a> {
    picture: &'a Picture<'a>,
    ours: &'a [crate::series::Slim],
    open: &'a [Bar],
    venue: &'a [crate::series::Slim],
    observed: &'a [TimeRange],
    /// The bar chosen for the minute at hand.
    bar: Bar,
    /// Whether it stands in for a minute that was not observed.
    is_told: bool,
}

impl<'a> Minutes<'a> {
    fn new(picture: &'a Picture<'a>, first: Time) -> Self {
        let end = Time(i64::MAX);
        let open = picture.open.partition_point(|bar| bar.open_time < first);
        Self {
            picture,
            ours: within(&picture.series.ours, first, end),
            open: &picture.open[open..],
            venue: within(&picture.series.venue, first, end),
            observed: picture.observed,
            bar: blank(picture.instrument),
            is_told: false,
        }
    }

    /// Goes to the next minute before `end` that has a bar; false if there is none.
    fn next_before(&mut self, end: Time) -> bool {
        loop {
            let own = self.ours.first().map(|slim| slim.open_time);
            let open = self.open.first().map(|bar| bar.open_time);
            let venue = self.venue.first().map(|slim| slim.open_time);
            let Some(minute) = [own, open, venue].into_iter().flatten().min() else { return false };
            if minute >= end {
                return false;
            }
            let is_observed = self.is_observed(minute);
            let has_own = own == Some(minute) || open == Some(minute);
            let has_venue = venue == Some(minute);
            self.is_told = !is_observed && has_venue;
            let is_used = self.is_told || has_own;
            if self.is_told {
                self.bar.source = BarSource::Venue;
                self.venue[0].unpack(&mut self.bar);
            } else if own == Some(minute) {
                self.bar.source = BarSource::Trades;
                self.ours[0].unpack(&mut self.bar);
            } else if open == Some(minute) {
                self.bar.clone_from(&self.open[0]);
            }
            self.ours = &self.ours[usize::from(own == Some(minute))..];
            self.open = &self.open[usize::from(open == Some(minute))..];
            self.venue = &self.venue[usize::from(has_venue)..];
            if is_used {
                return true;
            }
        }
    }

    /// Whether the minute was observed from end to end, or, if it goes on, from its start until now.
    fn is_observed(&mut self, minute: Time) -> bool {
        let gone = self.observed.partition_point(|span| span.end <= minute);
        self.observed = &self.observed[gone..];
        let end = minute.plus_micros(MINUTE);
        let until = if self.picture.now < end { self.picture.now.max(minute.plus_micros(1)) } else { end };
        self.observed.first().is_some_and(|span| span.start <= minute && until <= span.end)
    }
}

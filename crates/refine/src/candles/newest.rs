//! The newest candle, cheap enough for every change: what lies some minutes back in a long bucket is folded once.

use model::{Time, Timeframe};
use tables::{Candle, DataQuality, TimeRange};

use super::Live;
use super::build::{Gathered, Picture, finish};
use crate::board::Tile;

/// Timeframes of one instrument whose settled part is kept.
const SETTLED_MAX: usize = 64;

/// The settled part of a bucket: its minutes from the start up to `through`, folded.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    first: Time,
    through: Time,
    gathered: Gathered,
    /// What else the fold looked at: the series' version and what was observed of the part.
    version: u64,
    observed: Vec<TimeRange>,
}

impl Settled {
    fn empty(picture: &Picture<'_>, first: Time) -> Self {
        Self {
            first,
            through: first,
            gathered: Gathered::default(),
            version: picture.series.version,
            observed: Vec::new(),
        }
    }

    /// Whether folding the part again would give the same.
    fn holds(&self, picture: &Picture<'_>, first: Time) -> bool {
        self.first == first
            && self.version == picture.series.version
            && observed_between(picture.observed, first, self.through).eq(self.observed.iter().copied())
    }

    #[cfg(test)]
    pub(crate) fn reach(&self) -> Time {
        self.through
    }

    /// Folds the minutes that settled since.
    fn advance(&mut self, picture: &Picture<'_>, timeframe: Timeframe, through: Time) {
        if through > self.through {
            self.gathered.add(picture, timeframe, (self.through, through));
            self.through = through;
            self.observed = observed_between(picture.observed, self.first, through).collect();
        }
    }
}

fn observed_between(observed: &[TimeRange], start: Time, end: Time) -> impl Iterator<Item = TimeRange> + '_ {
    let part = TimeRange { start, end };
    let begin = observed.partition_point(|span| span.end <= start);
    observed[begin..].iter().map_while(move |span| (span.start < end).then(|| span.overlap(&part))?)
}

/// The newest candle from memory. Where bars of its bucket may not be in memory, it is not complete.
pub(super) fn newest(tile: &Tile, timeframe: Timeframe) -> Option<Candle> {
    let live = Live::of(tile);
    let now = live.now?;
    tile.ask(now);
    let first = timeframe.bucket_start(now);
    let end = timeframe.bucket_end(first);
    let series = tile.series();
    let picture = live.picture(tile, &series, end);
    // Minutes are closed before they settle, so that what is open is never in the settled part.
    let through = series.settled_through().min(picture.edge).max(first);
    let (from, mut gathered) = {
        let mut all = tile.settled();
        if all.len() >= SETTLED_MAX && !all.contains_key(&timeframe) {
            all.clear();
        }
        let settled = all.entry(timeframe).or_insert_with(|| Settled::empty(&picture, first));
        if !settled.holds(&picture, first) {
            *settled = Settled::empty(&picture, first);
        }
        settled.advance(&picture, timeframe, through);
        (settled.through, settled.gathered.clone())
    };
    gathered.add(&picture, timeframe, (from, end));
    let before = series.close_before(first).close();
    let mut candle = finish(&picture, timeframe, first, gathered, before)?;
    if series.whole_from() > first {
        candle.is_complete = false;
        candle.quality = candle.quality.at_most(DataQuality::Partial);
    }
    Some(candle)
}

//! What is known of the time before the recording, put before what the recording knows of itself.

use std::sync::{Arc, Mutex, PoisonError};

use model::{Gap, Source};
use tables::{DayCover, TimeRange};

use crate::board::Covered;

/// What of an instrument's trades is there from before the recording began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastCover {
    /// Spans that are there apart from `gaps`, and where their rows came from; ascending, none overlaps another.
    pub spans: Vec<(TimeRange, Source)>,
    /// Holes that stay, ascending.
    pub gaps: Vec<Gap>,
    /// Days as they were last counted, ascending.
    pub days: Vec<DayCover>,
}

/// The past, and what it makes together with the recording's newest coverage.
#[derive(Debug, Default)]
pub(crate) struct Behind(Mutex<Joined>);

#[derive(Debug, Default)]
struct Joined {
    past: Option<Arc<PastCover>>,
    made: Option<(Arc<Covered>, Arc<Covered>)>,
}

impl Behind {
    /// Takes newer knowledge.
    pub(crate) fn set(&self, past: PastCover) {
        let mut joined = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        joined.past = Some(Arc::new(past));
        joined.made = None;
    }

    /// What is known.
    pub(crate) fn past(&self) -> Option<Arc<PastCover>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).past.clone()
    }

    /// The recording's coverage with the past before it.
    pub(crate) fn join(&self, live: &Arc<Covered>) -> Arc<Covered> {
        let mut joined = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(past) = &joined.past else { return Arc::clone(live) };
        match &joined.made {
            Some((of, made)) if Arc::ptr_eq(of, live) => Arc::clone(made),
            _ => {
                let made = Arc::new(live.with_past(past));
                joined.made = Some((Arc::clone(live), Arc::clone(&made)));
                made
            }
        }
    }
}

impl Covered {
    /// The same with the past before it. Where both meet, no seam is left.
    fn with_past(&self, past: &PastCover) -> Self {
        let mut spans: Vec<TimeRange> = Vec::new();
        let ends = self.start;
        let cut = past.spans.iter().filter_map(|(span, _)| {
            let end = ends.map_or(span.end, |end| span.end.min(end));
            (span.start < end).then_some(TimeRange { start: span.start, end })
        });
        for span in cut.chain(self.start.map(|start| TimeRange { start, end: start })) {
            match spans.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => spans.push(span),
            }
        }
        let Some(first) = spans.first().copied() else { return self.clone() };
        let between = spans.windows(2).map(|pair| TimeRange { start: pair[0].end, end: pair[1].start });
        let mut covered = Self {
            start: Some(first.start),
            until: if self.start.is_some() { self.until } else { spans.last().map(|span| span.end) },
            absent: between.chain(self.absent.iter().copied()).collect(),
            gaps: past.gaps.iter().chain(&self.gaps).cloned().collect(),
            open_count: self.open_count,
            missing_count: self.missing_count + past.gaps.len(),
            spans: Vec::new(),
        };
        covered.spans = covered.observed(model::Time(i64::MAX));
        covered
    }
}

#[cfg(test)]
mod tests {
    //! Cases for the seam.
    use super::*;
    use model::Time;

    fn span(start: i64, end: i64) -> TimeRange {
        TimeRange { start: Time(start), end: Time(end) }
    }

    fn live(start: i64) -> Arc<Covered> {
        let mut covered = Covered {
            start: Some(Time(start)),
            absent: vec![span(start + 10, start + 20)],
            ..Covered::default()
        };
        covered.spans = covered.observed(Time(i64::MAX));
        Arc::new(covered)
    }

    #[test]
    fn what_meets_leaves_no_seam() {
        let behind = Behind::default();
        let live = live(100);
        assert!(Arc::ptr_eq(&behind.join(&live), &live));
        let spans = vec![
            (span(0, 40), Source::Archive),
            (span(40, 60), Source::Rest),
            (span(70, 105), Source::Archive),
        ];
        behind.set(PastCover { spans, gaps: Vec::new(), days: Vec::new() });
        let joined = behind.join(&live);
        assert_eq!(joined.spans, [span(0, 60), span(70, 110), span(120, i64::MAX)]);
        assert!(Arc::ptr_eq(&behind.join(&live), &joined), "it is made once");
    }

    #[test]
    fn the_past_alone_ends_where_it_ends() {
        let behind = Behind::default();
        behind.set(PastCover {
            spans: vec![(span(0, 40), Source::Archive)],
            gaps: Vec::new(),
            days: Vec::new(),
        });
        let joined = behind.join(&Arc::default());
        assert_eq!(
            (joined.start, joined.until, &joined.spans[..]),
            (Some(Time(0)), Some(Time(40)), &[span(0, 40)][..])
        );
    }
}

//! What readers are told of the past.

use model::time::DAY;
use model::{Date, Source, Time};
use refine::PastCover;
use tables::{DayCondition, TimeRange};

use crate::Verdict;

impl Verdict {
    /// The spans that are there from before the recording began, and the holes in them.
    pub fn cover(&self) -> PastCover {
        let end = self.frontier.map_or(Time(i64::MAX), |frontier| frontier.time);
        let begin = self.head.map_or(Time(i64::MIN), |head| head.end);
        let is_there = |condition| matches!(condition, DayCondition::Complete | DayCondition::Degraded);
        let mut spans: Vec<(TimeRange, Source)> = Vec::new();
        for day in self.days.iter().filter(|day| is_there(day.condition) || day.rows > 0) {
            let whole = TimeRange { start: day.day.start(), end: day.day.start().plus_micros(DAY) };
            let Some(span) = whole.overlap(&TimeRange { start: begin, end }) else { continue };
            let source = if self.is_archived(day.day) { Source::Archive } else { Source::Rest };
            match spans.last_mut() {
                Some((last, from)) if last.end == span.start && *from == source => last.end = span.end,
                _ => spans.push((span, source)),
            }
        }
        let days = self.days.iter().filter(|day| day.day.start() < end).copied().collect();
        PastCover { spans, gaps: self.holes.clone(), days }
    }

    fn is_archived(&self, day: Date) -> bool {
        self.archived.iter().any(|(first, last)| *first <= day && day <= *last)
    }
}

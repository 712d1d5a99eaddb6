//! The span of time that a file's name claims.

use std::fmt;

use model::time::DAY;
use model::{Date, Time};

/// Lengths of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span {
    /// A file per UTC day.
    Day,
    /// A file per calendar month.
    Month,
}

/// A UTC day or a calendar month. Ordered by its first day, the day before the month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    first: Date,
    span: Span,
}

impl Period {
    /// A day.
    pub const fn day(date: Date) -> Self {
        Self { first: date, span: Span::Day }
    }

    /// The month that holds a day.
    pub fn month(date: Date) -> Self {
        Self { first: date.month_start(), span: Span::Month }
    }

    /// The day, or the month that holds it.
    pub fn holding(span: Span, date: Date) -> Self {
        match span {
            Span::Day => Self::day(date),
            Span::Month => Self::month(date),
        }
    }

    /// Whether it is a day or a month.
    pub const fn span(self) -> Span {
        self.span
    }

    /// Its first day.
    pub const fn first(self) -> Date {
        self.first
    }

    /// The first day after it.
    pub fn end(self) -> Date {
        match self.span {
            Span::Day => Date(self.first.0 + 1),
            Span::Month => self.first.next_month_start(),
        }
    }

    /// Its first moment.
    pub const fn start_time(self) -> Time {
        self.first.start()
    }

    /// The first moment after it.
    pub fn end_time(self) -> Time {
        self.end().start()
    }

    /// Whether a moment lies in it.
    pub fn contains(self, time: Time) -> bool {
        (self.start_time()..self.end_time()).contains(&time)
    }

    /// Its days.
    pub fn days(self) -> impl Iterator<Item = Date> {
        (self.first.0..self.end().0).map(Date)
    }

    /// Reads what `Display` prints; only spellings that venues use.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        match text.len() {
            _ if !is_plain => None,
            10 => Date::parse(text).map(Self::day),
            7 => Date::parse(&format!("{text}-01")).map(Self::month),
            _ => None,
        }
    }

    /// The first Monday of the month after the one that this ends in.
    pub(crate) fn first_monday_after(self) -> Time {
        let first = Date(self.end().0 - 1).next_month_start();
        // 1970-01-05 was a Monday.
        let days = (4 - first.0).rem_euclid(7);
        first.start().plus_micros(i64::from(days) * DAY)
    }
}

/// Prints `2024-08-08` or `2024-08`, as file names do.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.first.civil();
        match self.span {
            Span::Day => write!(f, "{year:04}-{month:02}-{day:02}"),
            Span::Month => write!(f, "{year:04}-{month:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for names and calendars.
    use super::*;

    #[test]
    fn names_are_read_back() {
        for text in ["2024-08-08", "2024-02", "2024-12", "2020-02-29"] {
            assert_eq!(Period::parse(text).map(|period| period.to_string()).as_deref(), Some(text));
        }
        for text in
            ["2023-02-29", "2024-13", "2024-8", "2024", "2024-08-0x", "2024-+8", "", "20240808", "2024-08-8"]
        {
            assert_eq!(Period::parse(text), None, "{text}");
        }
    }

    #[test]
    fn months_hold_their_days() {
        let month = Period::parse("2024-02").unwrap();
        assert_eq!((month.days().count(), month.end().to_string()), (29, "2024-03-01".into()));
        assert!(month.contains(Time::parse("2024-02-29T23:59:59.999999Z").unwrap()));
        assert!(!month.contains(Time::parse("2024-03-01").unwrap()));
        assert_eq!(Period::month(Date::parse("2024-02-29").unwrap()), month);
    }

    #[test]
    fn months_are_published_on_the_first_monday_after() {
        let due = |text: &str| Period::parse(text).unwrap().first_monday_after().date().to_string();
        assert_eq!(due("2026-10"), "2026-11-02");
        assert_eq!(due("2024-03"), "2024-04-01");
        assert_eq!(due("2024-12"), "2025-01-06");
    }
}

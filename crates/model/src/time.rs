//! Moments and days, all UTC. Reading a clock is left to `runtime`.

use std::fmt;

/// A moment: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i64);

/// A moment as the raw log keeps it: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub i64);

/// A UTC day: days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(pub i32);

/// Microseconds of one second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds of one minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds of one day.
pub const DAY: i64 = 86_400 * SECOND;

impl Nanos {
    /// The same moment, cut to microseconds.
    pub const fn to_time(self) -> Time {
        Time(self.0.div_euclid(1_000))
    }
}

impl Time {
    /// From milliseconds since the epoch; `None` past the range of microseconds.
    pub const fn from_millis(millis: i64) -> Option<Self> {
        match millis.checked_mul(1_000) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// From whole seconds since the epoch; `None` past the range of microseconds.
    pub const fn from_seconds(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(SECOND) {
            Some(micros) => Some(Self(micros)),
            None => None,
        }
    }

    /// Milliseconds since the epoch, cut.
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// The same moment in nanoseconds, saturating.
    pub const fn to_nanos(self) -> Nanos {
        Nanos(self.0.saturating_mul(1_000))
    }

    /// This moment shifted by microseconds, saturating.
    #[must_use]
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// The UTC day this moment lies in.
    pub const fn date(self) -> Date {
        Date(self.0.div_euclid(DAY) as i32)
    }

    /// Start of the minute this moment lies in.
    pub const fn minute_start(self) -> Self {
        Self(self.0 - self.0.rem_euclid(MINUTE))
    }

    /// Reads `2024-08-08`, `2024-08-08T12:34:56[.ffffff]Z` (a space for the `T` is accepted, UTC only), or an integer
    /// count of seconds, milliseconds, microseconds or nanoseconds since the epoch, told apart by magnitude.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if let Ok(number) = text.parse::<i64>() {
            return match number.unsigned_abs() {
                0..=99_999_999_999 => Self::from_seconds(number),
                100_000_000_000..=99_999_999_999_999 => Self::from_millis(number),
                100_000_000_000_000..=99_999_999_999_999_999 => Some(Self(number)),
                _ => Some(Self(number / 1_000)),
            };
        }
        let date = Date::parse(text.get(..10)?)?;
        let rest = text.get(10..)?;
        if rest.is_empty() {
            return Some(date.start());
        }
        let clock = rest.strip_prefix(['T', ' '])?;
        let clock = clock.strip_suffix('Z').or_else(|| clock.strip_suffix("+00:00")).unwrap_or(clock);
        let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut parts = whole.split(':');
        let mut part =
            |max: i64| parts.next().map_or(Some(0), |p| p.parse().ok().filter(|v| (0..max).contains(v)));
        let (hour, minute, second) = (part(24)?, part(60)?, part(60)?);
        if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        Some(Self(date.start().0 + ((hour * 60 + minute) * 60 + second) * SECOND + micros))
    }
}

impl Date {
    /// The first moment of the day.
    pub const fn start(self) -> Time {
        Time(self.0 as i64 * DAY)
    }

    /// Year, month (1..=12) and day (1..=31) in the proleptic Gregorian calendar.
    pub const fn civil(self) -> (i32, u32, u32) {
        // Days are counted in 400-year eras that start on 1 March, so leap days come last.
        let shifted = self.0 as i64 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        (year as i32, month, day)
    }

    /// The day of a calendar date; `None` if there is no such date.
    pub fn from_civil(year: i32, month: u32, day: u32) -> Option<Self> {
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let year_from_march = i64::from(year) - i64::from(month <= 2);
        let era = year_from_march.div_euclid(400);
        let year_of_era = year_from_march.rem_euclid(400);
        let month_from_march = (i64::from(month) + 9) % 12;
        let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let date = Self(i32::try_from(era * 146_097 + day_of_era - 719_468).ok()?);
        (date.civil() == (year, month, day)).then_some(date)
    }

    /// Reads `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 {
            return None;
        }
        Self::from_civil(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?)
    }

    /// The first day of this day's month.
    pub fn month_start(self) -> Self {
        let (_, _, day) = self.civil();
        Self(self.0 - day as i32 + 1)
    }

    /// The first day of the month after this day's month.
    pub fn next_month_start(self) -> Self {
        let (year, month, _) = self.civil();
        let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        Self::from_civil(year, month, 1).unwrap_or(self)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Prints `2024-08-08T12:34:56.789012Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = self.0.rem_euclid(DAY);
        let (seconds, micros) = (within / SECOND, within % SECOND);
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z", self.date())
    }
}

#[cfg(test)]
mod tests {
    //! Cases for calendar arithmetic.
    use super::*;

    #[test]
    fn prints_and_reads_back() {
        let time = Time(1_723_161_255_342_001);
        assert_eq!(time.to_string(), "2024-08-08T23:54:15.342001Z");
        assert_eq!(Time::parse("2024-08-08T23:54:15.342001Z"), Some(time));
        assert_eq!(Time::parse("2024-08-08 23:54"), Some(Time(1_723_161_240_000_000)));
        assert_eq!(Time::parse("2024-08-08"), Some(Date::parse("2024-08-08").unwrap().start()));
    }

    #[test]
    fn tells_units_apart_by_magnitude() {
        for text in ["1723161255", "1723161255000", "1723161255000000", "1723161255000000000"] {
            assert_eq!(Time::parse(text), Some(Time(1_723_161_255_000_000)), "{text}");
        }
    }

    #[test]
    fn refuses_dates_that_do_not_exist() {
        for text in ["2023-02-29", "2024-13-01", "2024-00-10", "24-01-01", "2024-1-1", "yesterday"] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }

    #[test]
    fn civil_dates_round_trip_over_four_centuries() {
        for day in (-146_097..146_097).step_by(13) {
            let (year, month, date) = Date(day).civil();
            assert_eq!(Date::from_civil(year, month, date), Some(Date(day)));
        }
    }

    #[test]
    fn months_start_on_their_first_day() {
        let day = Date::parse("2024-12-31").unwrap();
        assert_eq!(day.month_start().to_string(), "2024-12-01");
        assert_eq!(day.next_month_start().to_string(), "2025-01-01");
    }
}

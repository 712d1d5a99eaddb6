//! Times as venues write them: which unit, and whether they can be true.

use model::{Time, time::DAY};

use crate::contract::DecodeError;

/// Before this no venue existed: 2009-01-01.
const EARLIEST: Time = Time(1_230_768_000_000_000);
/// From here on a number counts microseconds: milliseconds would lie beyond the year 5138.
const MICROS_FROM: i64 = 100_000_000_000_000;

/// A moment written in milliseconds or microseconds, told apart by magnitude. What lies before 2009 or more than a year
/// after its receipt is refused.
pub(crate) fn moment(number: i64, field: &'static str, received: Time) -> Result<Time, DecodeError> {
    let time = if number >= MICROS_FROM { Some(Time(number)) } else { Time::from_millis(number) };
    match time {
        Some(time) if time >= EARLIEST && time <= received.plus_micros(366 * DAY) => Ok(time),
        _ => Err(DecodeError::Malformed(format!(
            "{field} is no time in milliseconds or microseconds that can be true: {number}"
        ))),
    }
}

/// The full hour nearest to a moment: venues settle funding on the hour and write it some milliseconds off.
pub(crate) fn nearest_hour(time: Time) -> Time {
    const HOUR: i64 = DAY / 24;
    Time((time.0 + HOUR / 2).div_euclid(HOUR) * HOUR)
}

#[cfg(test)]
mod tests {
    //! Cases for units and nonsense.
    use super::*;

    const RECEIVED: Time = Time(1_791_383_685_700_000);

    #[test]
    fn units_are_told_apart() {
        assert_eq!(moment(1_791_383_685_695, "T", RECEIVED), Ok(Time(1_791_383_685_695_000)));
        assert_eq!(moment(1_791_383_685_695_001, "T", RECEIVED), Ok(Time(1_791_383_685_695_001)));
    }

    #[test]
    fn nonsense_is_refused_and_named() {
        for number in [0, -1, i64::MIN, i64::MAX, 1_791_383_685, 1_791_383_685_695_000_000, 1_199_145_600_000]
        {
            let error = moment(number, "T", RECEIVED).unwrap_err().to_string();
            assert!(error.contains("T is no time") && error.contains(&number.to_string()), "{error}");
        }
        let ahead = RECEIVED.millis() + 367 * DAY / 1_000;
        assert!(moment(ahead, "E", RECEIVED).is_err());
    }

    #[test]
    fn funding_is_settled_on_the_hour() {
        assert_eq!(nearest_hour(Time(1_791_360_000_002_000)), Time(1_791_360_000_000_000));
        assert_eq!(nearest_hour(Time(1_791_359_999_998_000)), Time(1_791_360_000_000_000));
    }
}

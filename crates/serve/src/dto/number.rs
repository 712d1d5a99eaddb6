//! Numbers as readers see them: JSON numbers in plain notation, digit for digit.

use model::Decimal;
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A number that prints its own digits, without trailing zeros or exponents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    /// Exact, from memory.
    Exact(Decimal),
    /// From a table column that prints back the venue's digits.
    Stored(f64),
}

impl From<Decimal> for Number {
    fn from(value: Decimal) -> Self {
        Self::Exact(value)
    }
}

impl Number {
    /// The digits; `None` for what JSON has no number for.
    pub(crate) fn text(self) -> Option<String> {
        match self {
            Self::Exact(value) => Some(value.normalized().to_string()),
            // Display of a double is its shortest digits without an exponent.
            Self::Stored(value) => value.is_finite().then(|| value.to_string()),
        }
    }
}

// serde_json would print 1e-7 and 50000.0, and could not print 38 digits at all.
impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => RawValue::from_string(text).map_err(S::Error::custom)?.serialize(serializer),
            None => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for digits.
    use super::*;

    fn json(number: Number) -> String {
        serde_json::to_string(&number).unwrap()
    }

    #[test]
    fn prints_the_digits_of_the_venue() {
        for (text, expect) in [
            ("61837.63000000", "61837.63"),
            ("0.0000001", "0.0000001"),
            ("50000", "50000"),
            ("0.000", "0"),
            ("12345678901234567890.123456789", "12345678901234567890.123456789"),
        ] {
            assert_eq!(json(text.parse::<Decimal>().unwrap().into()), expect);
        }
    }

    #[test]
    fn stored_numbers_print_alike() {
        for (value, expect) in
            [(61_837.63, "61837.63"), (0.000_000_1, "0.0000001"), (50_000.0, "50000"), (f64::NAN, "null")]
        {
            assert_eq!(json(Number::Stored(value)), expect);
        }
    }
}

//! Cases for exact decimals.

use super::*;
use proptest::prelude::*;

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

#[test]
fn prints_the_digits_it_read() {
    for text in
        ["0", "1", "-1", "0.00000001", "61837.63000000", "-0.5", "123456789012345678901234567890.12345678"]
    {
        assert_eq!(decimal(text).to_string(), text);
    }
}

#[test]
fn reads_scientific_notation() {
    assert_eq!(decimal("1e-7"), decimal("0.0000001"));
    assert_eq!(decimal("2.5E3"), decimal("2500"));
}

#[test]
fn refuses_nonsense_and_names_it() {
    for text in [
        "",
        ".",
        "-",
        "1.2.3",
        "abc",
        "1,5",
        "NaN",
        "1e",
        "0x10",
        "99999999999999999999999999999999999999999",
    ] {
        let error = Decimal::parse(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn compares_by_value() {
    assert_eq!(decimal("1.50"), decimal("1.5"));
    assert!(decimal("-2") < decimal("0.1"));
    assert!(decimal("99999999999999999999") > decimal("0.00000000000000000000000000001"));
}

#[test]
fn divides_half_to_even() {
    assert_eq!(decimal("1").checked_div(decimal("8"), 2).unwrap(), decimal("0.12"));
    assert_eq!(decimal("3").checked_div(decimal("8"), 2).unwrap(), decimal("0.38"));
    assert_eq!(decimal("-1").checked_div(decimal("3"), 4).unwrap(), decimal("-0.3333"));
    assert_eq!(decimal("1").checked_div(Decimal::ZERO, 4), None);
}

#[test]
fn a_double_prints_back_the_venues_digits() {
    for text in ["61837.63000000", "0.02", "0.00000001", "1791383685.696", "99999999.99999999"] {
        let value = decimal(text);
        assert!(value.survives_f64(), "{text}");
        assert_eq!(value.to_f64().to_string(), value.normalized().to_string());
    }
    assert!(!decimal("12345678901234567.891").survives_f64());
}

proptest! {
    #[test]
    fn text_round_trips(mantissa in any::<i64>(), scale in 0_u8..20) {
        let value = Decimal::new(i128::from(mantissa), scale);
        prop_assert_eq!(decimal(&value.to_string()), value);
    }

    #[test]
    fn sums_do_not_depend_on_order(parts in prop::collection::vec((any::<i32>(), 0_u8..9), 1..40)) {
        let values: Vec<Decimal> = parts.iter().map(|&(m, s)| Decimal::new(i128::from(m), s)).collect();
        let sum = |all: &mut dyn Iterator<Item = &Decimal>| all.fold(Decimal::ZERO, |a, &b| a.checked_add(b).unwrap());
        prop_assert_eq!(sum(&mut values.iter()), sum(&mut values.iter().rev()));
    }

    #[test]
    fn doubles_are_nearest(mantissa in any::<i64>(), scale in 0_u8..25) {
        let value = Decimal::new(i128::from(mantissa), scale);
        prop_assert_eq!(value.to_f64().to_bits(), value.to_string().parse::<f64>().unwrap().to_bits());
    }
}

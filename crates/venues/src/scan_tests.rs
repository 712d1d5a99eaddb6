//! Cases for the reader itself.
use super::*;
use proptest::prelude::*;

fn decimal(text: &str) -> Result<Decimal, DecodeError> {
    let mut scanner = Scanner::new(text.as_bytes());
    let value = scanner.decimal("p")?;
    scanner.finish()?;
    Ok(value)
}

#[test]
fn decimals_keep_their_digits() {
    for text in ["0", "61837.63000000", "0.00000001", "123456789012345678.90123456789", "-1.5", "1e-7"] {
        assert_eq!(decimal(&format!("\"{text}\"")).unwrap(), text.parse().unwrap(), "{text}");
    }
    assert_eq!(decimal("\"1.50\"").unwrap().to_string(), "1.50");
    assert_eq!(Scanner::new(b"1.5,").decimal("p").unwrap().to_string(), "1.5");
    for text in ["\"\"", "\".\"", "\"1.2.3\"", "\"1,5\"", "true", "\"12", "\"1 \"", "NaN", "\"NaN\"", "[1]"] {
        assert!(decimal(text).is_err(), "{text}");
    }
}

#[test]
fn integers_stay_within_64_bits() {
    let integer = |text: &str| Scanner::new(text.as_bytes()).integer("t");
    assert_eq!(integer("9223372036854775807,"), Ok(i64::MAX));
    assert_eq!(integer("\"1786320000000\""), Ok(1_786_320_000_000));
    assert_eq!(integer("-1}"), Ok(-1));
    for text in ["9223372036854775808", "", "-", "1.5", "1e3", "\"12", "\"\"", "null"] {
        assert!(integer(text).is_err(), "{text}");
    }
}

#[test]
fn escapes_are_resolved_where_text_is_text() {
    assert_eq!(Scanner::new(br#""\u5e01USDT""#).text("s").unwrap(), "币USDT");
    assert!(Scanner::new(br#""\q""#).text("s").is_err());
    assert!(Scanner::new(b"\"a\\").text("s").is_err());
    assert!(Scanner::new(b"\"\xff\"").text("s").is_err());
}

#[test]
fn nesting_has_a_bound() {
    let deep = "[".repeat(10_000);
    assert!(Scanner::new(deep.as_bytes()).skip().is_err());
}

proptest! {
    #[test]
    fn skipping_accepts_what_serde_writes(text in "[ -~]{0,40}", number in any::<i64>(), flag in any::<bool>()) {
        let value = serde_json::json!({"a": [text, number, null, {"b": flag}], "c": {}, "d": []});
        let written = value.to_string();
        let mut scanner = Scanner::new(written.as_bytes());
        prop_assert_eq!(scanner.skip().unwrap(), written.as_bytes());
        prop_assert!(scanner.finish().is_ok());
    }

    #[test]
    fn decimals_agree_with_the_model(mantissa in any::<i64>(), scale in 0_u8..20) {
        let value = Decimal::new(i128::from(mantissa), scale);
        prop_assert_eq!(decimal(&format!("\"{value}\"")).unwrap(), value);
    }

    #[test]
    fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Scanner::new(&bytes).skip();
        let _ = Scanner::new(&bytes).decimal("p");
        let _ = Scanner::new(&bytes).levels("b");
    }
}

//! Numbers in rows, eight digits at a time: rows of archives come by the hundred million.

use model::Decimal;

/// A place in a line.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

const POWERS: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

impl<'a> Cursor<'a> {
    /// At a place of a text.
    pub(super) const fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// Where it stands.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// The byte that comes next; a line feed at the end.
    #[inline]
    pub(super) fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(b'\n')
    }

    /// Passes over a byte if it comes next.
    #[inline]
    pub(super) fn pass(&mut self, byte: u8) -> bool {
        let is_next = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Passes over a text if it comes next.
    #[inline]
    pub(super) fn pass_text(&mut self, text: &[u8]) -> bool {
        let is_next = self.text.get(self.at..).is_some_and(|rest| rest.starts_with(text));
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Passes over the end of a line, or stands at the end of the text.
    #[inline]
    pub(super) fn pass_line_end(&mut self) -> bool {
        self.pass(b'\r');
        self.pass(b'\n') || self.at == self.text.len()
    }

    /// Whether a field ends here.
    #[inline]
    fn is_field_end(&self) -> bool {
        matches!(self.byte(), b',' | b'\n' | b'\r')
    }

    /// A whole number that fits 64 bits.
    #[inline]
    pub(super) fn integer(&mut self) -> Option<i64> {
        let is_negative = self.pass(b'-');
        let (count, value) = digits(&self.text[self.at..], 0);
        self.at += count;
        // Nineteen digits fit 64 bits without a sign.
        if !(1..=19).contains(&count) || !self.is_field_end() {
            return None;
        }
        let value = i64::try_from(value).ok()?;
        Some(if is_negative { -value } else { value })
    }

    /// A decimal number, exactly as written; scientific notation too.
    #[inline]
    pub(super) fn decimal(&mut self) -> Option<Decimal> {
        let start = self.at;
        let (mut count, mut value) = digits(&self.text[start..], 0);
        let (mut at, mut scale) = (start + count, 0);
        if self.text.get(at) == Some(&b'.') {
            (scale, value) = digits(&self.text[at + 1..], value);
            at += 1 + scale;
            count += scale;
        }
        self.at = at;
        if (1..=18).contains(&count) && self.is_field_end() {
            return Some(Decimal::new(i128::from(value), scale as u8));
        }
        self.at = start;
        Decimal::parse(self.field()).ok()
    }

    /// Seconds with a fraction, as microseconds; finer digits are cut.
    #[inline]
    pub(super) fn seconds(&mut self) -> Option<i64> {
        let (count, whole) = digits(&self.text[self.at..], 0);
        self.at += count;
        if !(1..=11).contains(&count) {
            return None;
        }
        let mut micros = 0;
        if self.pass(b'.') {
            let (scale, fraction) = digits(&self.text[self.at..], 0);
            self.at += scale;
            micros = match scale {
                1..=6 => fraction * POWERS[6 - scale],
                7..=18 => fraction / 10_u64.pow(scale as u32 - 6),
                _ => return None,
            };
        }
        self.is_field_end().then_some((whole * 1_000_000 + micros) as i64)
    }

    /// The bytes up to the end of the field.
    #[inline]
    pub(super) fn field(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|byte| matches!(byte, b',' | b'\n' | b'\r')).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

/// How many digits come first, and the number they make behind `value`; wrong past 19 digits.
#[inline]
fn digits(text: &[u8], mut value: u64) -> (usize, u64) {
    let mut count = 0;
    while let Some(word) = text.get(count..count + 8).and_then(|word| word.try_into().ok()) {
        let word = u64::from_le_bytes(word) ^ 0x3030_3030_3030_3030;
        // The highest bit of each byte that is no digit; what is carried out of one only touches those behind it.
        let others = (word | word.wrapping_add(0x7676_7676_7676_7676)) & 0x8080_8080_8080_8080;
        if others == 0 {
            value = value.wrapping_mul(100_000_000).wrapping_add(eight(word));
            count += 8;
            continue;
        }
        let more = others.trailing_zeros() / 8;
        if more > 0 {
            let moved = word << (64 - 8 * more);
            value = value.wrapping_mul(POWERS[more as usize]).wrapping_add(eight(moved));
        }
        return (count + more as usize, value);
    }
    for byte in &text[count.min(text.len())..] {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (count, value)
}

/// The number of eight digits, the first in the lowest byte: pairs, then fours, then all.
#[inline]
const fn eight(word: u64) -> u64 {
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

#[cfg(test)]
mod tests {
    //! Cases for numbers, and the same numbers read slowly.
    use super::*;
    use proptest::prelude::*;

    fn integer(text: &str) -> Option<i64> {
        Cursor::new(text.as_bytes(), 0).integer()
    }

    fn decimal(text: &str) -> Option<String> {
        Cursor::new(text.as_bytes(), 0).decimal().map(|value| value.to_string())
    }

    #[test]
    fn whole_numbers_end_with_their_field() {
        assert_eq!(integer("5153673401,x"), Some(5_153_673_401));
        assert_eq!(integer("-1\r\n"), Some(-1));
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        for text in
            ["", "-", ",", "1.5", "1e5", "12x", "9223372036854775808", "18446744073709551616", "+1", " 1"]
        {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(decimal("83143.01000000,").as_deref(), Some("83143.01000000"));
        assert_eq!(decimal("1e-05\n").as_deref(), Some("0.00001"));
        assert_eq!(decimal("-0.5").as_deref(), Some("-0.5"));
        assert_eq!(decimal("123456789012345678901234.5,").as_deref(), Some("123456789012345678901234.5"));
        for text in ["", ",", ".", "1.2.3", "1,5x", "x", "0x10", "1 ", "NaN", "inf"] {
            assert_eq!(decimal(text), if text == "1,5x" { Some("1".into()) } else { None }, "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        let seconds = |text: &str| Cursor::new(text.as_bytes(), 0).seconds();
        assert_eq!(seconds("1585180700.0647,"), Some(1_585_180_700_064_700));
        assert_eq!(seconds("1585180700,"), Some(1_585_180_700_000_000));
        assert_eq!(seconds("1585180700.1234567"), Some(1_585_180_700_123_456));
        for text in ["", ".5", "1585180700.", "1.58e9", "15851807001234,", "-1"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn runs_of_digits_are_what_they_say(value in 0_u64..=999_999_999_999_999_999, tail in "[,.x:/]?[0-9a-z]{0,12}") {
            let text = format!("{value}{}", if tail.starts_with(|c: char| c.is_ascii_digit()) { ",1" } else { &tail });
            prop_assert_eq!(digits(text.as_bytes(), 0), (value.to_string().len(), value));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let at = |read: fn(&mut Cursor<'_>) -> bool| {
                let mut cursor = Cursor::new(&bytes, 0);
                let _ = read(&mut cursor);
                cursor.at() <= bytes.len()
            };
            prop_assert!(at(|cursor| cursor.integer().is_some()));
            prop_assert!(at(|cursor| cursor.decimal().is_some()));
            prop_assert!(at(|cursor| cursor.seconds().is_some()));
        }
    }
}

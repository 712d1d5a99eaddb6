//! How the ids of a file stand in its footer: a text of some twenty bytes for an instrument whose ids count up. What is
//! noted is left to `noted`.
//!
//! Version 1, before base64: the byte 1, then one entry per instrument, ascending by name: how many bytes of the name are
//! those of the name before, the length of the rest and the rest; the first time less that of the entry before; the last
//! time less the first; flags; by flags the counts of duplicates and of rows without an id; then either the count of
//! rows, if there were too many runs, or the count of runs and for each its first id less the last one of the run before
//! (less 0), and its last id less its first. Numbers are LEB128, those that may be negative in zigzag.

use model::{IdRuns, Time};

use super::noted::Noted;

const VERSION: u8 = 1;
const HAS_DUPLICATES: u64 = 1;
const HAS_ROWS_WITHOUT: u64 = 2;
const HAS_TOO_MANY: u64 = 4;

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The text under way.
#[derive(Debug)]
pub(super) struct Form {
    bytes: Vec<u8>,
    name: String,
    time: i64,
}

impl Form {
    pub(super) fn new() -> Self {
        Self { bytes: vec![VERSION], name: String::new(), time: 0 }
    }

    /// Adds an instrument; names come ascending.
    pub(super) fn push(&mut self, name: &str, noted: &Noted) {
        let shared = self.name.bytes().zip(name.bytes()).take_while(|(one, other)| one == other).count();
        let rest = &name.as_bytes()[shared..];
        self.number(shared as u64);
        self.number(rest.len() as u64);
        self.bytes.extend_from_slice(rest);
        self.signed(noted.first.0.wrapping_sub(self.time));
        self.number(noted.last.0.wrapping_sub(noted.first.0) as u64);
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        let flags = flag(noted.duplicates > 0, HAS_DUPLICATES)
            | flag(noted.rows_without_id > 0, HAS_ROWS_WITHOUT)
            | flag(noted.runs.is_none(), HAS_TOO_MANY);
        self.number(flags);
        for count in [noted.duplicates, noted.rows_without_id] {
            if count > 0 {
                self.number(count);
            }
        }
        match &noted.runs {
            Some(runs) => self.runs(runs),
            None => self.number(noted.rows),
        }
        name.clone_into(&mut self.name);
        self.time = noted.first.0;
    }

    fn runs(&mut self, runs: &IdRuns) {
        self.number(runs.runs().count() as u64);
        let mut before = 0_i64;
        for (first, last) in runs.runs() {
            self.signed(first.wrapping_sub(before));
            self.number(last.wrapping_sub(first) as u64);
            before = last;
        }
    }

    fn signed(&mut self, value: i64) {
        self.number(((value << 1) ^ (value >> 63)) as u64);
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// As the footer holds it.
    pub(super) fn into_text(self) -> String {
        let mut text = String::with_capacity(self.bytes.len().div_ceil(3) * 4);
        for chunk in self.bytes.chunks(3) {
            let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for place in 0..=chunk.len() {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * place)) as usize & 63]));
            }
        }
        text
    }
}

/// The bytes behind the text of a footer; `None` if it is not ours or of a later version.
pub(super) fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for chunk in text.as_bytes().chunks(4) {
        let mut bits = 0_u32;
        for digit in chunk {
            bits = bits << 6 | digit_value(*digit)?;
        }
        bits <<= 6 * (4 - chunk.len());
        bytes.extend_from_slice(bits.to_be_bytes().get(1..chunk.len())?);
    }
    (bytes.first() == Some(&VERSION)).then_some(bytes)
}

fn digit_value(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

/// What is noted of an instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// This.
    Noted(Noted),
    /// It has no row.
    Absent,
    /// There are no bytes, or not those we write.
    Unreadable,
}

/// Looks an instrument up.
pub(super) fn find(bytes: &[u8], instrument: &str) -> Found {
    let Some((_version, rest)) = bytes.split_first() else { return Found::Unreadable };
    let mut entries = Entries { rest, name: Vec::new(), time: 0 };
    while !entries.rest.is_empty() {
        match entries.next() {
            Some(noted) if entries.name == instrument.as_bytes() => return Found::Noted(noted),
            Some(_) => {}
            None => return Found::Unreadable,
        }
    }
    Found::Absent
}

struct Entries<'a> {
    rest: &'a [u8],
    name: Vec<u8>,
    time: i64,
}

impl Entries<'_> {
    /// Reads one entry and leaves its name; `None` if it is broken.
    fn next(&mut self) -> Option<Noted> {
        let shared = usize::try_from(self.number()?).ok()?;
        let length = usize::try_from(self.number()?).ok()?;
        let (rest, behind) = self.rest.split_at_checked(length)?;
        let mut name = self.name.get(..shared)?.to_vec();
        name.extend_from_slice(rest);
        // Two entries of one name could not be told from one that was cut.
        if name <= self.name {
            return None;
        }
        (self.rest, self.name) = (behind, name);
        let first = self.time.wrapping_add(self.signed()?);
        let last = first.wrapping_add_unsigned(self.number()?);
        let flags = self.number()?;
        let duplicates = if flags & HAS_DUPLICATES > 0 { self.number()? } else { 0 };
        let rows_without_id = if flags & HAS_ROWS_WITHOUT > 0 { self.number()? } else { 0 };
        let (rows, runs) = if flags & HAS_TOO_MANY > 0 {
            (self.number()?, None)
        } else {
            let runs = self.runs()?;
            (runs.count() + duplicates + rows_without_id, Some(runs))
        };
        self.time = first;
        Some(Noted { rows, runs, duplicates, rows_without_id, first: Time(first), last: Time(last) })
    }

    fn runs(&mut self) -> Option<IdRuns> {
        let mut runs = IdRuns::new();
        let mut before = 0_i64;
        for _ in 0..self.number()? {
            let first = before.wrapping_add(self.signed()?);
            let last = first.wrapping_add_unsigned(self.number()?);
            runs.insert_run(first, last);
            before = last;
        }
        Some(runs)
    }

    fn signed(&mut self) -> Option<i64> {
        let value = self.number()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    //! Cases for the form.
    use super::*;

    fn noted(runs: &[(i64, i64)], (first, last): (i64, i64)) -> Noted {
        let runs: IdRuns = runs.iter().copied().collect();
        Noted {
            rows: runs.count(),
            runs: Some(runs),
            duplicates: 0,
            rows_without_id: 0,
            first: Time(first),
            last: Time(last),
        }
    }

    /// Three instruments of one file.
    fn some() -> Vec<(&'static str, Noted)> {
        let day = 1_723_075_200_000_000;
        let mut doubled = noted(&[(-5, 7), (9, 9)], (day + 5, day + 5));
        (doubled.duplicates, doubled.rows_without_id, doubled.rows) = (2, 300, 316);
        let mut cut = noted(&[], (day - 1, day + 86_400_000_000));
        (cut.rows, cut.runs) = (1_000_000, None);
        let most = [(i64::MIN, i64::MIN + 1), (i64::MAX - 1, i64::MAX)];
        vec![
            ("binance-futures:BTC-USDT-PERP", noted(&[(2_000_000_001, 2_000_000_820)], (day, day + 77))),
            ("binance-futures:BTC-USDT-PERP2", doubled),
            ("binance-futures:ETH-USDT-PERP", cut),
            ("bybit:ETH-USDT", noted(&most, (i64::MIN, i64::MAX))),
        ]
    }

    fn text() -> String {
        let mut form = Form::new();
        for (name, noted) in some() {
            form.push(name, &noted);
        }
        form.into_text()
    }

    #[test]
    fn what_was_written_is_read() {
        let bytes = bytes_of(&text()).unwrap();
        for (name, noted) in some() {
            assert_eq!(find(&bytes, name), Found::Noted(noted));
        }
        for name in ["binance-futures:BTC-USDT", "", "zz"] {
            assert_eq!(find(&bytes, name), Found::Absent);
        }
    }

    #[test]
    fn version_1_stays_readable() {
        assert_eq!(text(), GOLDEN);
    }

    /// Version 1: never to be changed, footers hold it.
    const GOLDEN: &str = "AQAdYmluYW5jZS1mdXR1cmVzOkJUQy1VU0RULVBFUlCAgL3TlsiPBk0AAYLQrPMOswYdATIKAAMCrAICCQwE\
                          ABANRVRILVVTRFQtUEVSUAuBwN3uwQIEwIQ9AQ15Yml0OkVUSC1VU0RUgoDDrOm38Pn/Af///////////wEA\
                          Av///////////wEBBQE";

    #[test]
    fn broken_ones_are_told() {
        let whole = bytes_of(&text()).unwrap();
        for length in 2..whole.len() {
            let found = find(&whole[..length], "zz");
            assert!(matches!(found, Found::Unreadable | Found::Absent), "{found:?} of {length} bytes");
        }
        assert_eq!(find(&whole[..whole.len() - 1], "zz"), Found::Unreadable);
        let twice = [&whole[..], &whole[1..]].concat();
        assert_eq!(find(&twice, "zz"), Found::Unreadable);
        assert_eq!(bytes_of("AQ=="), None);
        assert_eq!(bytes_of("Ag"), None);
        assert_eq!(bytes_of(""), None);
    }

    #[test]
    fn seven_hundred_instruments_take_little() {
        let mut form = Form::new();
        for number in 0..700_i64 {
            let first = 1_000_000_000 + 7_919 * number;
            let start = 1_723_075_200_000_000 + 131_071 * number;
            let name =
                format!("binance-futures:{}{number:03}-USDT-PERP", ["A", "LONGER"][(number / 350) as usize]);
            form.push(&name, &noted(&[(first, first + 213)], (start, start + 29_000_000)));
        }
        let length = form.into_text().len();
        assert!(length < 32 << 10, "{length} bytes");
    }
}

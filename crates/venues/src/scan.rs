//! A pull reader over JSON text, for frames that come by the thousand: no allocation, no tree, exact decimals.
//! What the fields mean is left to the venues; answers that come seldom are read with serde.

use std::borrow::Cow;

use model::{BookLevel, Decimal};

use crate::contract::DecodeError;

/// Deepest nesting that is walked through; no venue comes near it.
const DEPTH_MAX: u32 = 32;

/// What reading a piece of a frame gives.
pub(crate) type Scan<T> = Result<T, DecodeError>;

/// A place in a frame.
#[derive(Clone, Copy)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// How far a list or an object has been read.
#[derive(Clone, Copy)]
pub(crate) struct Within {
    is_first: bool,
}

impl Within {
    /// Within an object whose first field has been read.
    pub(crate) const AFTER_FIRST: Self = Self { is_first: false };
}

impl<'a> Scanner<'a> {
    /// Begins at the first byte.
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// The first byte of the value that comes next; 0 at the end.
    #[inline]
    pub(crate) fn ahead(&mut self) -> u8 {
        self.blank();
        self.byte()
    }

    /// What has not been read yet.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Passes over `prefix` if it comes next, byte for byte.
    #[inline]
    pub(crate) fn pass(&mut self, prefix: &[u8]) -> bool {
        let is_next = self.rest().starts_with(prefix);
        if is_next {
            self.at += prefix.len();
        }
        is_next
    }

    /// Enters an object.
    #[inline]
    pub(crate) fn object(&mut self) -> Scan<Within> {
        self.expect(b'{', "an object")?;
        Ok(Within { is_first: true })
    }

    /// Enters a list.
    #[inline]
    pub(crate) fn list(&mut self) -> Scan<Within> {
        self.expect(b'[', "a list")?;
        Ok(Within { is_first: true })
    }

    /// The next key of the object, standing before its value then; `None` behind the closing brace.
    #[inline]
    pub(crate) fn key(&mut self, within: &mut Within) -> Scan<Option<&'a [u8]>> {
        if !self.next(within, b'}')? {
            return Ok(None);
        }
        self.blank();
        let (key, _) = self.raw_string("a key")?;
        self.expect(b':', "a colon")?;
        self.blank();
        Ok(Some(key))
    }

    /// Whether the list goes on, standing before the item then.
    #[inline]
    pub(crate) fn item(&mut self, within: &mut Within) -> Scan<bool> {
        let goes_on = self.next(within, b']')?;
        self.blank();
        Ok(goes_on)
    }

    /// A string as it stands between its quotes, which must hold no escapes: names, words.
    #[inline]
    pub(crate) fn word(&mut self, field: &'static str) -> Scan<&'a str> {
        let start = self.at;
        let (raw, is_escaped) = self.raw_string(field)?;
        if is_escaped {
            return Err(refuse(start, field, "holds escapes"));
        }
        std::str::from_utf8(raw).map_err(|_| refuse(start, field, "is no UTF-8 text"))
    }

    /// A string, escapes resolved.
    #[inline]
    pub(crate) fn text(&mut self, field: &'static str) -> Scan<Cow<'a, str>> {
        let start = self.at;
        let (raw, is_escaped) = self.raw_string(field)?;
        if is_escaped {
            let quoted = &self.text[start..self.at];
            let text =
                serde_json::from_slice(quoted).map_err(|_| refuse(start, field, "has a bad escape"))?;
            return Ok(Cow::Owned(text));
        }
        let text = std::str::from_utf8(raw).map_err(|_| refuse(start, field, "is no UTF-8 text"))?;
        Ok(Cow::Borrowed(text))
    }

    /// An integer, bare or quoted.
    #[inline]
    pub(crate) fn integer(&mut self, field: &'static str) -> Scan<i64> {
        let start = self.at;
        let is_quoted = self.byte() == b'"';
        self.at += usize::from(is_quoted);
        let is_negative = self.byte() == b'-';
        self.at += usize::from(is_negative);
        let first = self.at;
        let mut value: i64 = 0;
        while let digit @ 0..=9 = self.byte().wrapping_sub(b'0') {
            // Eighteen digits cannot overflow; the nineteenth may.
            value = match self.at - first {
                0..=17 => value * 10 + i64::from(digit),
                _ => value
                    .checked_mul(10)
                    .and_then(|value| value.checked_add(i64::from(digit)))
                    .ok_or_else(|| refuse(start, field, "does not fit 64 bits"))?,
            };
            self.at += 1;
        }
        let is_closed = !is_quoted || self.byte() == b'"';
        if self.at == first || !is_closed || (!is_quoted && matches!(self.byte(), b'.' | b'e' | b'E')) {
            return Err(refuse(start, field, "is no integer"));
        }
        self.at += usize::from(is_quoted);
        Ok(if is_negative { -value } else { value })
    }

    /// A decimal number, quoted or bare, exactly as written.
    #[inline]
    pub(crate) fn decimal(&mut self, field: &'static str) -> Scan<Decimal> {
        let start = self.at;
        let is_quoted = self.byte() == b'"';
        let first = start + usize::from(is_quoted);
        // Two runs of digits around a point, up to 18 of them: what nearly every number is.
        let text = self.text.get(first..).unwrap_or_default();
        let (whole, mut mantissa) = run_of_digits(text, 0);
        let (mut digits, mut scale, mut at) = (whole, 0, first + whole);
        if text.get(whole) == Some(&b'.') {
            (scale, mantissa) = run_of_digits(&text[whole + 1..], mantissa);
            digits += scale;
            at += 1 + scale;
        }
        let end = self.text.get(at).copied().unwrap_or(0);
        let is_plain =
            if is_quoted { end == b'"' } else { matches!(end, b',' | b'}' | b']' | b' ' | b'\n' | b'\r') };
        if is_plain && (1..=18).contains(&digits) {
            self.at = at + usize::from(is_quoted);
            return Ok(Decimal::new(i128::from(mantissa), scale as u8));
        }
        let text = if is_quoted { self.raw_string(field)?.0 } else { self.number(field)? };
        Decimal::parse(text).map_err(|error| refuse(start, field, &format!("is {error}")))
    }

    /// A decimal number; `None` for an empty string or `null`, which some venues write where there is nothing.
    pub(crate) fn decimal_if_any(&mut self, field: &'static str) -> Scan<Option<Decimal>> {
        if self.pass(b"\"\"") || self.pass(b"null") {
            return Ok(None);
        }
        self.decimal(field).map(Some)
    }

    /// `true` or `false`.
    #[inline]
    pub(crate) fn boolean(&mut self, field: &'static str) -> Scan<bool> {
        if self.pass(b"true") {
            Ok(true)
        } else if self.pass(b"false") {
            Ok(false)
        } else {
            Err(refuse(self.at, field, "is neither true nor false"))
        }
    }

    /// Price levels, `[["price","quantity"],…]`; what stands behind the quantity is passed over.
    pub(crate) fn levels(&mut self, field: &'static str) -> Scan<Vec<BookLevel>> {
        // Room for most differences at once; larger ones grow, and the surplus is given back below.
        let mut levels = Vec::with_capacity(32);
        let mut outer = self.list()?;
        while self.item(&mut outer)? {
            let start = self.at;
            let mut inner = self.list()?;
            if !self.item(&mut inner)? {
                return Err(refuse(start, field, "has a level without a price"));
            }
            let price = self.decimal(field)?;
            if !self.item(&mut inner)? {
                return Err(refuse(start, field, "has a level without a quantity"));
            }
            let quantity = self.decimal(field)?;
            if price.is_negative() || quantity.is_negative() {
                return Err(refuse(start, field, "has a level below zero"));
            }
            while self.item(&mut inner)? {
                self.skip()?;
            }
            levels.push(BookLevel { price, quantity });
        }
        levels.shrink_to_fit();
        Ok(levels)
    }

    /// Passes over any value and gives its text.
    #[inline]
    pub(crate) fn skip(&mut self) -> Scan<&'a [u8]> {
        self.blank();
        let start = self.at;
        self.skip_nested(0)?;
        Ok(&self.text[start..self.at])
    }

    /// Passes over what is left of an object.
    pub(crate) fn skip_fields(&mut self, mut within: Within) -> Scan<()> {
        while self.key(&mut within)?.is_some() {
            self.skip()?;
        }
        Ok(())
    }

    /// Nothing but blanks may follow.
    #[inline]
    pub(crate) fn finish(&mut self) -> Scan<()> {
        self.blank();
        if self.at < self.text.len() {
            return Err(self.refuse_here("something follows the frame"));
        }
        Ok(())
    }

    fn skip_nested(&mut self, depth: u32) -> Scan<()> {
        if depth > DEPTH_MAX {
            return Err(self.refuse_here("nested too deeply"));
        }
        match self.byte() {
            b'"' => self.raw_string("a string").map(drop),
            b'{' => {
                let mut within = self.object()?;
                while self.key(&mut within)?.is_some() {
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            b'[' => {
                let mut within = self.list()?;
                while self.item(&mut within)? {
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            b't' | b'f' => self.boolean("a value").map(drop),
            b'n' if self.pass(b"null") => Ok(()),
            _ => self.number("a value").map(drop),
        }
    }

    fn number(&mut self, field: &'static str) -> Scan<&'a [u8]> {
        let start = self.at;
        while matches!(self.byte(), b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E') {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        if !text.iter().any(u8::is_ascii_digit) {
            return Err(refuse(start, field, "is no number"));
        }
        Ok(text)
    }

    #[inline]
    fn next(&mut self, within: &mut Within, close: u8) -> Scan<bool> {
        self.blank();
        let byte = self.byte();
        if byte == close {
            self.at += 1;
            return Ok(false);
        }
        if within.is_first {
            within.is_first = false;
            if byte == 0 {
                return Err(self.refuse_here("the frame ends early"));
            }
            return Ok(true);
        }
        if byte != b',' {
            return Err(self.refuse_here("a comma or a closing bracket is due"));
        }
        self.at += 1;
        self.blank();
        if self.byte() == close {
            return Err(self.refuse_here("nothing follows a comma"));
        }
        Ok(true)
    }

    #[inline]
    fn raw_string(&mut self, field: &'static str) -> Scan<(&'a [u8], bool)> {
        if self.byte() != b'"' {
            return Err(refuse(self.at, field, "is no string"));
        }
        let start = self.at + 1;
        let mut is_escaped = false;
        let mut at = start;
        loop {
            match self.text.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_escaped = true;
                    at += 2;
                }
                Some(0..=0x1f) => return Err(refuse(at, field, "holds a control character")),
                Some(_) => at += 1,
                None => return Err(refuse(self.text.len(), field, "is cut off")),
            }
        }
        self.at = at + 1;
        Ok((&self.text[start..at], is_escaped))
    }

    #[inline]
    fn expect(&mut self, byte: u8, name: &'static str) -> Scan<()> {
        self.blank();
        if self.byte() != byte {
            return Err(refuse(self.at, name, "is due"));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn byte(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn blank(&mut self) {
        while matches!(self.byte(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    #[cold]
    fn refuse_here(&self, what: &str) -> DecodeError {
        DecodeError::Malformed(format!("{what} at byte {}", self.at))
    }
}

/// How many digits come first, and the number they make behind `mantissa`; wrong past 19 digits.
#[inline]
fn run_of_digits(text: &[u8], mut mantissa: u64) -> (usize, u64) {
    let mut count = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (count, mantissa)
}

#[cold]
fn refuse(at: usize, field: &str, what: &str) -> DecodeError {
    DecodeError::Malformed(format!("{field} {what} at byte {at}"))
}

/// The value of a field that must be there.
pub(crate) fn need<T>(value: Option<T>, field: &'static str) -> Scan<T> {
    value.ok_or_else(|| DecodeError::Malformed(format!("no field {field}")))
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;

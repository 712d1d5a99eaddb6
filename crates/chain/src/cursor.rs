//! Reads the pieces that blocks and undo records are made of. What they mean is left to the readers above.

use crate::error::Fault;

/// Bytes with a place in them.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    part: &'static str,
    rest: &'a [u8],
    whole_bytes: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of bytes that are called `part` in faults.
    pub(crate) fn new(part: &'static str, bytes: &'a [u8]) -> Self {
        Self { part, rest: bytes, whole_bytes: bytes.len() }
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.whole_bytes - self.rest.len()
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A fault at the present place.
    #[cold]
    pub(crate) fn fault(&self, what: &'static str, why: &'static str) -> Fault {
        Fault { part: self.part, at: self.at(), transaction: None, what, why }
    }

    /// So many bytes.
    #[inline]
    pub(crate) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Fault> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.fault(what, "is cut off")),
        }
    }

    /// So many bytes, as many as the type says.
    #[inline]
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<&'a [u8; N], Fault> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.fault(what, "is cut off")),
        }
    }

    /// One byte.
    #[inline]
    pub(crate) fn byte(&mut self, what: &'static str) -> Result<u8, Fault> {
        self.array::<1>(what).map(|[byte]| *byte)
    }

    /// Four bytes, the smallest first.
    #[inline]
    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, Fault> {
        self.array(what).map(|bytes| u32::from_le_bytes(*bytes))
    }

    /// An amount in satoshi: eight bytes, the smallest first, not below zero and not more than there can be.
    #[inline]
    pub(crate) fn amount(&mut self, what: &'static str) -> Result<i64, Fault> {
        let bytes = self.array(what)?;
        let sat = i64::from_le_bytes(*bytes);
        if (0..=AMOUNT_MAX).contains(&sat) { Ok(sat) } else { Err(self.fault(what, "is no possible amount")) }
    }

    /// A CompactSize: one byte, or a mark and two, four or eight. The shortest form is the only one.
    #[inline]
    pub(crate) fn compact(&mut self, what: &'static str) -> Result<usize, Fault> {
        let first = self.byte(what)?;
        if first < 0xfd { Ok(usize::from(first)) } else { self.long_compact(first, what) }
    }

    fn long_compact(&mut self, first: u8, what: &'static str) -> Result<usize, Fault> {
        let (value, least) = match first {
            0xfd => (u64::from(u16::from_le_bytes(*self.array(what)?)), 0xfd),
            0xfe => (u64::from(self.u32(what)?), 0x1_0000),
            _ => (u64::from_le_bytes(*self.array(what)?), 0x1_0000_0000),
        };
        if value < least {
            return Err(self.fault(what, "has a length in a longer form than needed"));
        }
        usize::try_from(value)
            .ok()
            .filter(|value| *value <= SIZE_MAX)
            .ok_or_else(|| self.fault(what, "is longer than anything can be"))
    }

    /// A count of things that take at least so many bytes each.
    #[inline]
    pub(crate) fn count(&mut self, least_bytes: usize, what: &'static str) -> Result<usize, Fault> {
        let count = self.compact(what)?;
        if count > self.rest.len() / least_bytes {
            return Err(self.fault(what, "promises more than there are bytes for"));
        }
        Ok(count)
    }

    /// A number in groups of seven bits, the highest first, as undo records have them.
    #[inline]
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, Fault> {
        let mut value = 0_u64;
        loop {
            let byte = self.byte(what)?;
            if value > u64::MAX >> 7 {
                return Err(self.fault(what, "is larger than 64 bits"));
            }
            value = (value << 7) | u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            value = value.checked_add(1).ok_or_else(|| self.fault(what, "is larger than 64 bits"))?;
        }
    }

    /// That nothing is left.
    pub(crate) fn end(&self, what: &'static str) -> Result<(), Fault> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.fault(what, "is followed by bytes that do not belong to it"))
        }
    }
}

/// Satoshi that there can ever be.
pub(crate) const AMOUNT_MAX: i64 = 2_100_000_000_000_000;
/// Bytes of the longest thing that a node reads.
const SIZE_MAX: usize = 0x0200_0000;

/// Appends a number in groups of seven bits.
pub(crate) fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    let mut groups = [0_u8; 10];
    let mut first = groups.len() - 1;
    groups[first] = (value & 0x7f) as u8;
    while value > 0x7f {
        value = (value >> 7) - 1;
        first -= 1;
        groups[first] = (value & 0x7f) as u8 | 0x80;
    }
    bytes.extend_from_slice(&groups[first..]);
}

/// Appends a CompactSize.
pub(crate) fn push_compact(bytes: &mut Vec<u8>, value: usize) {
    match value {
        0..=0xfc => bytes.push(value as u8),
        0xfd..=0xffff => {
            bytes.push(0xfd);
            bytes.extend_from_slice(&(value as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            bytes.push(0xfe);
            bytes.extend_from_slice(&(value as u32).to_le_bytes());
        }
        _ => {
            bytes.push(0xff);
            bytes.extend_from_slice(&(value as u64).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for the forms of numbers.
    use super::*;

    fn check_varint(value: u64, bytes: &[u8]) {
        let mut pushed = Vec::new();
        push_varint(&mut pushed, value);
        assert_eq!(pushed, bytes, "{value}");
        assert_eq!(Cursor::new("test", bytes).varint("number"), Ok(value));
    }

    #[test]
    fn numbers_in_groups_of_seven_bits_have_one_form_each() {
        check_varint(0, &[0]);
        check_varint(127, &[0x7f]);
        check_varint(128, &[0x80, 0]);
        check_varint(255, &[0x80, 0x7f]);
        check_varint(16_511, &[0xff, 0x7f]);
        check_varint(65_535, &[0x82, 0xfe, 0x7f]);
        check_varint(1 << 32, &[0x8e, 0xfe, 0xfe, 0xff, 0]);
        check_varint(u64::MAX, &[0x80, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0xfe, 0x7f]);
        let error = Cursor::new("test", &[0xff; 11]).varint("number").unwrap_err();
        assert_eq!(error.to_string(), "test, byte 10: number is larger than 64 bits");
    }

    #[test]
    fn a_compact_size_is_refused_in_a_longer_form() {
        for value in [0, 252, 253, 65_535, 65_536, SIZE_MAX] {
            let mut bytes = Vec::new();
            push_compact(&mut bytes, value);
            assert_eq!(Cursor::new("test", &bytes).compact("length"), Ok(value));
        }
        let words = |bytes: &[u8]| Cursor::new("test", bytes).compact("length").unwrap_err().to_string();
        assert!(words(&[0xfd, 0xfc, 0]).contains("longer form"), "{}", words(&[0xfd, 0xfc, 0]));
        assert!(words(&[0xff; 9]).contains("longer than anything"));
        assert_eq!(words(&[0xfe, 1]), "test, byte 1: length is cut off");
    }

    #[test]
    fn an_amount_is_neither_negative_nor_more_than_all_coins() {
        let amount = |sat: i64| Cursor::new("test", &sat.to_le_bytes()).amount("amount");
        assert_eq!((amount(0), amount(AMOUNT_MAX)), (Ok(0), Ok(AMOUNT_MAX)));
        assert!(amount(-1).is_err() && amount(AMOUNT_MAX + 1).is_err());
    }
}

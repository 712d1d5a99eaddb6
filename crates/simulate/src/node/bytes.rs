//! Bytes as Bitcoin writes them: compact sizes, little ends, roots of hashes. What they mean is left to the callers.

use chain::hash::sha256d;
use sha2::{Digest, Sha256};

/// SHA-256.
pub(super) fn once(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The root over hashes of transactions.
pub(super) fn merkle_root(mut hashes: Vec<[u8; 32]>) -> [u8; 32] {
    while hashes.len() > 1 {
        let pair = |pair: &[[u8; 32]]| sha256d(&[&pair[0], pair.last().unwrap_or(&pair[0])]).0;
        hashes = hashes.chunks(2).map(pair).collect();
    }
    hashes.first().copied().unwrap_or_default()
}

/// Appends a compact size.
pub(super) fn put_size(out: &mut Vec<u8>, size: usize) {
    match size {
        0..=0xfc => out.push(size as u8),
        0xfd..=0xffff => {
            out.push(0xfd);
            out.extend((size as u16).to_le_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xfe);
            out.extend((size as u32).to_le_bytes());
        }
        _ => {
            out.push(0xff);
            out.extend((size as u64).to_le_bytes());
        }
    }
}

/// Appends bytes after their length.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_size(out, bytes.len());
    out.extend(bytes);
}

/// Bytes that are read from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next bytes, as many as the array holds.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Four bytes, little end first.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A compact size.
    pub(super) fn size(&mut self) -> Option<usize> {
        let number = match self.take(1)?[0] {
            0xfd => u64::from(u16::from_le_bytes(self.array()?)),
            0xfe => u64::from(self.u32()?),
            0xff => u64::from_le_bytes(self.array()?),
            small => u64::from(small),
        };
        usize::try_from(number).ok()
    }

    /// Bytes after their length.
    pub(super) fn bytes(&mut self) -> Option<Vec<u8>> {
        let count = self.size()?;
        self.take(count).map(<[u8]>::to_vec)
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits =
        bytes.iter().flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

/// Bytes of hexadecimal digits.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8)).collect()
}

#[cfg(test)]
mod tests {
    //! Cases for sizes.
    use super::*;

    #[test]
    fn sizes_come_back() {
        for size in [0, 0xfc, 0xfd, 0xffff, 0x1_0000, 0xffff_ffff, 0x1_0000_0000] {
            let mut out = Vec::new();
            put_size(&mut out, size);
            assert_eq!(Reader(&out).size(), Some(size));
        }
    }
}

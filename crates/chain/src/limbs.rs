//! Numbers of 256 bits in four limbs: to and from bytes, and less one another.

/// A number below 2^256, the lowest limb first.
pub(crate) type Limbs = [u64; 4];

/// The number of 32 big-endian bytes.
pub(crate) fn limbs(bytes: &[u8]) -> Limbs {
    let mut limbs = [0; 4];
    for (limb, chunk) in limbs.iter_mut().zip(bytes.rchunks_exact(8)) {
        *limb = chunk.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
    }
    limbs
}

/// Its big-endian bytes.
pub(crate) fn bytes(limbs: Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (limb, chunk) in limbs.iter().zip(bytes.rchunks_exact_mut(8)) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

/// The difference, and whether it went below zero.
pub(crate) fn minus(mut from: Limbs, what: Limbs) -> (Limbs, bool) {
    let mut is_under = false;
    for (limb, less) in from.iter_mut().zip(what) {
        let (difference, first) = limb.overflowing_sub(less);
        let (difference, second) = difference.overflowing_sub(u64::from(is_under));
        *limb = difference;
        is_under = first || second;
    }
    (from, is_under)
}

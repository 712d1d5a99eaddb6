//! Numbers that look random and are always the same for the same inputs. The world is built from these, so that any
//! moment of it can be computed without the moments before.

/// Scrambles 64 bits (the finaliser of SplitMix64).
pub(crate) const fn mix(value: u64) -> u64 {
    let mut value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// A number for a place in a seeded sequence.
pub(crate) const fn at(seed: u64, place: i64) -> u64 {
    mix(seed ^ mix(place as u64))
}

/// A seed for a named thing.
pub(crate) fn named(seed: u64, name: &str) -> u64 {
    name.bytes().fold(mix(seed), |sum, byte| mix(sum ^ u64::from(byte)))
}

/// Between 0 and 1, 1 excluded.
pub(crate) const fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A sequence of such numbers.
pub(crate) struct Sequence(u64);

impl Sequence {
    /// The sequence of a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }
}

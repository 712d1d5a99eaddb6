//! What the compact form of a target stands for: the target and the work. Adding work up is left to the headers.

use model::{BlockHeader, Work};

use crate::limbs::{Limbs, bytes, limbs, minus};

/// The target of a compact form, big-endian; `None` where it is negative, zero or larger than 256 bits.
pub fn target(bits: u32) -> Option<[u8; 32]> {
    let (size, mantissa) = ((bits >> 24) as usize, bits & 0x007f_ffff);
    let mut bytes = [0; 32];
    for (place, byte) in mantissa.to_le_bytes().into_iter().take(3).enumerate() {
        // The mantissa's three bytes end `size` bytes above the lowest.
        let Some(at) = (size + place).checked_sub(3) else { continue };
        match bytes.get_mut(31_usize.checked_sub(at).unwrap_or(usize::MAX)) {
            Some(place) => *place = byte,
            None if byte != 0 => return None,
            None => {}
        }
    }
    let is_negative = bits & 0x0080_0000 != 0;
    (!is_negative && bytes != [0; 32]).then_some(bytes)
}

/// The work that a header of these bits stands for: 2^256 / (target + 1), rounded down; nothing where there is no target.
pub fn of_bits(bits: u32) -> Work {
    let Some(target) = target(bits) else { return Work::default() };
    let target = limbs(&target);
    // 2^256 does not fit, but 2^256 / (t + 1) = (2^256 - t - 1) / (t + 1) + 1, and 2^256 - t - 1 is t with its bits turned.
    let Some(divisor) = plus_one(target) else { return Work(bytes([1, 0, 0, 0])) };
    Work(bytes(plus_one(divide(target.map(|limb| !limb), divisor)).unwrap_or([u64::MAX; 4])))
}

/// Whether the header's hash reaches the target that it claims.
pub fn is_mined(header: &BlockHeader) -> bool {
    target(header.bits).is_some_and(|target| header.hash.0.iter().rev().le(target.iter()))
}

/// One more; `None` past the highest.
fn plus_one(mut limbs: Limbs) -> Option<Limbs> {
    for limb in &mut limbs {
        let (sum, is_over) = limb.overflowing_add(1);
        *limb = sum;
        if !is_over {
            return Some(limbs);
        }
    }
    None
}

/// The quotient, bit by bit: it is asked for once a fortnight.
fn divide(dividend: Limbs, divisor: Limbs) -> Limbs {
    let (mut quotient, mut rest) = ([0; 4], [0; 4]);
    for bit in (0..256).rev() {
        let is_over = rest[3] >> 63 == 1;
        rest = doubled(rest);
        rest[0] |= dividend[bit / 64] >> (bit % 64) & 1;
        let (less, is_under) = minus(rest, divisor);
        if is_over || !is_under {
            rest = less;
            quotient[bit / 64] |= 1 << (bit % 64);
        }
    }
    quotient
}

fn doubled(limbs: Limbs) -> Limbs {
    let mut carry = 0;
    limbs.map(|limb| {
        let doubled = limb << 1 | carry;
        carry = limb >> 63;
        doubled
    })
}

#[cfg(test)]
mod tests {
    //! Cases for targets and work at their ends.
    use super::*;

    fn check(bits: u32, target_text: Option<&str>, work_text: &str) {
        let target_hex = target(bits).map(|bytes| Work(bytes).to_string());
        let target_hex = target_hex.as_deref().map(|text| text.trim_start_matches('0'));
        assert_eq!(target_hex, target_text, "{bits:08x}");
        assert_eq!(of_bits(bits).to_string().trim_start_matches('0'), work_text, "{bits:08x}");
    }

    #[test]
    fn compact_forms_stand_for_targets_and_work() {
        check(0x1d00_ffff, Some(&format!("ffff{}", "0".repeat(52))), "100010001");
        check(0x207f_ffff, Some(&format!("7fffff{}", "0".repeat(58))), "2");
        check(0x0300_0001, Some("1"), &format!("8{}", "0".repeat(63)));
        check(0x0200_0100, Some("1"), &format!("8{}", "0".repeat(63)));
    }

    #[test]
    fn what_is_no_target_has_no_work() {
        // Zero, negative, and beyond 256 bits.
        check(0, None, "");
        check(0x0480_0001, None, "");
        check(0x237f_ffff, None, "");
        check(0x2200_0100, None, "");
        assert!(target(0x2200_00ff).is_some());
    }
}

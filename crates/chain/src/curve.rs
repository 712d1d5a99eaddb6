//! Just enough of the curve to take long keys apart and put them together: y² = x³ + 7 modulo p = 2^256 − 2^32 − 977.
//! Nothing secret goes through here, so nothing takes care to hide its time.

use crate::limbs::{Limbs, bytes, limbs, minus};

/// What 2^256 is modulo p.
const FOLD: u64 = (1 << 32) + 977;
const P: Limbs = [u64::MAX - FOLD + 1, u64::MAX, u64::MAX, u64::MAX];
/// (p + 1) / 4: a number to this power is its square root, if it has one.
const ROOT: Limbs = [0xffff_ffff_bfff_ff0c, u64::MAX, u64::MAX, 0x3fff_ffff_ffff_ffff];

/// Whether the second of two coordinates of 32 bytes is odd; `None` where they are no point of the curve.
pub(crate) fn parity(point: &[u8]) -> Option<bool> {
    let (x, y) = point.split_at_checked(32)?;
    let (x, y) = (number(x)?, number(y)?);
    (times(y, y) == right_side(x)).then_some(y[0] & 1 == 1)
}

/// The second coordinate to the first, odd or even as wanted; `None` where there is none.
pub(crate) fn second(x: &[u8], is_odd: bool) -> Option<[u8; 32]> {
    let square = right_side(number(x)?);
    let mut root = [1, 0, 0, 0];
    for bit in (0..256).rev() {
        root = times(root, root);
        if ROOT[bit / 64] >> (bit % 64) & 1 == 1 {
            root = times(root, square);
        }
    }
    if times(root, root) != square {
        return None;
    }
    if (root[0] & 1 == 1) != is_odd {
        root = minus(P, root).0;
    }
    Some(bytes(root))
}

fn right_side(x: Limbs) -> Limbs {
    let cube = times(times(x, x), x);
    reduced(plus(cube, 7))
}

/// The number of 32 bytes; `None` from p on.
fn number(bytes: &[u8]) -> Option<Limbs> {
    let number = limbs(bytes);
    minus(number, P).1.then_some(number)
}

/// The product modulo p.
fn times(a: Limbs, b: Limbs) -> Limbs {
    let mut wide = [0_u64; 8];
    for (i, a) in a.into_iter().enumerate() {
        let mut carry = 0_u128;
        for (j, b) in b.into_iter().enumerate() {
            let sum = u128::from(a) * u128::from(b) + u128::from(wide[i + j]) + carry;
            wide[i + j] = sum as u64;
            carry = sum >> 64;
        }
        wide[i + 4] = carry as u64;
    }
    // The upper half counts FOLD times: once for the whole of it, once for what that carries over.
    let mut low = [wide[0], wide[1], wide[2], wide[3]];
    let mut carry = 0_u128;
    for (low, high) in low.iter_mut().zip(&wide[4..]) {
        let sum = u128::from(*high) * u128::from(FOLD) + u128::from(*low) + carry;
        *low = sum as u64;
        carry = sum >> 64;
    }
    reduced(plus(low, carry * u128::from(FOLD)))
}

/// The sum modulo 2^256, with FOLD for what carries over.
fn plus(mut number: Limbs, more: u128) -> Limbs {
    let mut carry = more;
    for limb in &mut number {
        let sum = u128::from(*limb) + (carry & u128::from(u64::MAX));
        *limb = sum as u64;
        carry = (carry >> 64) + (sum >> 64);
    }
    if carry == 0 { number } else { plus(number, carry * u128::from(FOLD)) }
}

fn reduced(number: Limbs) -> Limbs {
    match minus(number, P) {
        (_, true) => number,
        (less, false) => less,
    }
}

#[cfg(test)]
mod tests {
    //! Cases for points: the curve's own first point, and what is none.
    use super::*;

    const X: [u8; 32] = [
        0x79, 0xbe, 0x66, 0x7e, 0xf9, 0xdc, 0xbb, 0xac, 0x55, 0xa0, 0x62, 0x95, 0xce, 0x87, 0x0b, 0x07, 0x02,
        0x9b, 0xfc, 0xdb, 0x2d, 0xce, 0x28, 0xd9, 0x59, 0xf2, 0x81, 0x5b, 0x16, 0xf8, 0x17, 0x98,
    ];
    const Y: [u8; 32] = [
        0x48, 0x3a, 0xda, 0x77, 0x26, 0xa3, 0xc4, 0x65, 0x5d, 0xa4, 0xfb, 0xfc, 0x0e, 0x11, 0x08, 0xa8, 0xfd,
        0x17, 0xb4, 0x48, 0xa6, 0x85, 0x54, 0x19, 0x9c, 0x47, 0xd0, 0x8f, 0xfb, 0x10, 0xd4, 0xb8,
    ];

    #[test]
    fn the_second_coordinate_is_found_and_known_again() {
        assert_eq!(second(&X, false), Some(Y));
        let odd = second(&X, true).unwrap();
        assert_eq!(parity(&[X, Y].concat()), Some(false));
        assert_eq!(parity(&[X, odd].concat()), Some(true));
    }

    #[test]
    fn what_is_no_point_is_told() {
        assert_eq!(parity(&[X, X].concat()), None);
        assert_eq!(parity(&[0xff; 64]), None);
        // 5³ + 7 has no square root.
        let mut five = [0; 32];
        five[31] = 5;
        assert_eq!(second(&five, true), None);
        assert_eq!(second(&[0xff; 32], true), None);
    }
}

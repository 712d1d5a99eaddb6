//! Exact decimal numbers, as venues write them. Statistics on floats are left to `derivations`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// An exact decimal number: `mantissa / 10^scale`.
///
/// Arithmetic is exact as long as the result fits 38 digits; beyond that the checked operations return `None`.
/// Equality, order and hash are by value: `1.50 == 1.5`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decimal {
    mantissa: i128,
    scale: u8,
}

/// Why a text is no decimal number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecimalError {
    text: String,
}

impl fmt::Display for DecimalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a decimal number of at most 38 digits: {:?}", self.text)
    }
}

impl std::error::Error for DecimalError {}

/// Most digits behind the point that a value may carry.
pub const SCALE_MAX: u8 = 38;

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { mantissa: 0, scale: 0 };
    /// One.
    pub const ONE: Self = Self { mantissa: 1, scale: 0 };

    /// `mantissa / 10^scale`.
    pub const fn new(mantissa: i128, scale: u8) -> Self {
        assert!(scale <= SCALE_MAX, "a decimal has at most 38 digits behind the point");
        Self { mantissa, scale }
    }

    /// The number without its point.
    pub const fn mantissa(self) -> i128 {
        self.mantissa
    }

    /// Digits behind the point, trailing zeros included.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// Whether the value is zero, whatever its scale.
    pub const fn is_zero(self) -> bool {
        self.mantissa == 0
    }

    /// Whether the value is below zero.
    pub const fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// Reads plain (`-12.50`) and scientific (`1.2e-7`) notation from bytes.
    pub fn parse(text: &[u8]) -> Result<Self, DecimalError> {
        let refuse =
            || DecimalError { text: String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned() };
        let (negative, digits) = match text.first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        // Nearly every number of a venue has at most 18 digits, so the common path stays in 64 bits.
        if digits.len() <= 19
            && let Some((mantissa, scale)) = parse_short(digits)
        {
            let mantissa = i128::from(mantissa);
            return Ok(Self { mantissa: if negative { -mantissa } else { mantissa }, scale });
        }
        let (mantissa, scale) = parse_long(digits).ok_or_else(refuse)?;
        Ok(Self { mantissa: if negative { -mantissa } else { mantissa }, scale })
    }

    /// The same value without trailing zeros behind the point.
    pub fn normalized(self) -> Self {
        if self.mantissa == 0 {
            return Self::ZERO;
        }
        let Self { mut mantissa, mut scale } = self;
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        Self { mantissa, scale }
    }

    /// The mantissa at another scale; `None` if digits would be lost or do not fit.
    pub fn mantissa_at(self, scale: u8) -> Option<i128> {
        if scale >= self.scale {
            self.mantissa.checked_mul(power_of_ten(scale - self.scale)?)
        } else {
            let unit = power_of_ten(self.scale - scale)?;
            (self.mantissa % unit == 0).then(|| self.mantissa / unit)
        }
    }

    /// The value rounded half to even at `scale` digits; unchanged if it has no more digits than that.
    pub fn rounded(self, scale: u8) -> Self {
        if self.scale <= scale {
            return self;
        }
        let Some(unit) = power_of_ten(self.scale - scale) else { return Self { mantissa: 0, scale } };
        Self { mantissa: divide_half_even(self.mantissa, unit), scale }
    }

    /// Exact sum.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.scale == other.scale {
            return Some(Self { mantissa: self.mantissa.checked_add(other.mantissa)?, scale: self.scale });
        }
        let scale = self.scale.max(other.scale);
        let mantissa = self.mantissa_at(scale)?.checked_add(other.mantissa_at(scale)?)?;
        Some(Self { mantissa, scale })
    }

    /// Exact difference.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.checked_add(Self { mantissa: other.mantissa.checked_neg()?, scale: other.scale })
    }

    /// Exact product; trailing zeros are dropped when the scale would pass 38.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        let (mut left, mut right) = (self, other);
        if left.scale + right.scale > SCALE_MAX || left.mantissa.checked_mul(right.mantissa).is_none() {
            left = left.normalized();
            right = right.normalized();
        }
        if left.scale + right.scale > SCALE_MAX {
            return None;
        }
        Some(Self { mantissa: left.mantissa.checked_mul(right.mantissa)?, scale: left.scale + right.scale })
    }

    /// Quotient rounded half to even at `scale` digits; `None` for a zero divisor or a result past 38 digits.
    pub fn checked_div(self, divisor: Self, scale: u8) -> Option<Self> {
        if divisor.mantissa == 0 {
            return None;
        }
        let (dividend, divisor) = (self.normalized(), divisor.normalized());
        // quotient * 10^scale = dividend.m * 10^(scale + divisor.s - dividend.s) / divisor.m
        let shift = i32::from(scale) + i32::from(divisor.scale) - i32::from(dividend.scale);
        let (above, below) = if shift >= 0 {
            (dividend.mantissa.checked_mul(power_of_ten(u8::try_from(shift).ok()?)?)?, divisor.mantissa)
        } else {
            (dividend.mantissa, divisor.mantissa.checked_mul(power_of_ten(u8::try_from(-shift).ok()?)?)?)
        };
        let (above, below) = if below < 0 { (-above, -below) } else { (above, below) };
        Some(Self { mantissa: divide_half_even(above, below), scale })
    }

    /// The nearest double, correctly rounded.
    pub fn to_f64(self) -> f64 {
        // Both parts are exact doubles here, and one division rounds once.
        if self.mantissa.unsigned_abs() < 1 << 53 && self.scale <= 22 {
            // As 64 bits: from 128 the conversion is a call of a function.
            return self.mantissa as i64 as f64 / EXACT_POWERS[usize::from(self.scale)];
        }
        let value = self.normalized();
        if value.mantissa.unsigned_abs() < 1 << 53 && value.scale <= 22 {
            return value.mantissa as f64 / EXACT_POWERS[usize::from(value.scale)];
        }
        value.to_string().parse().unwrap_or(f64::NAN)
    }

    /// Whether the nearest double prints back exactly these digits (trailing zeros apart).
    pub fn survives_f64(self) -> bool {
        // Nearly every number of a venue; its trailing zeros need not be looked at.
        if self.mantissa.unsigned_abs() < 1_000_000_000_000_000 && self.scale <= 22 {
            return true;
        }
        let value = self.normalized();
        if value.mantissa.unsigned_abs() < 1_000_000_000_000_000 && value.scale <= 22 {
            return true;
        }
        value.to_f64().to_string() == value.to_string()
    }

    /// The shortest decimal that the double prints as; `None` for NaN and infinities.
    pub fn from_f64(value: f64) -> Option<Self> {
        value.is_finite().then(|| Self::parse(value.to_string().as_bytes()).ok()).flatten()
    }
}

const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

fn power_of_ten(exponent: u8) -> Option<i128> {
    10_i128.checked_pow(u32::from(exponent))
}

fn divide_half_even(above: i128, below: i128) -> i128 {
    debug_assert!(below > 0, "the divisor was made positive");
    let (quotient, rest) = (above / below, above % below);
    let twice = rest.unsigned_abs().saturating_mul(2);
    let away = match twice.cmp(&below.unsigned_abs()) {
        Ordering::Greater => true,
        Ordering::Equal => quotient % 2 != 0,
        Ordering::Less => false,
    };
    if away { quotient + if above < 0 { -1 } else { 1 } } else { quotient }
}

fn parse_short(digits: &[u8]) -> Option<(i64, u8)> {
    let mut mantissa: i64 = 0;
    let mut count = 0_u8;
    let mut point = None;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            count += 1;
            if count > 18 {
                return None;
            }
            mantissa = mantissa * 10 + i64::from(digit);
        } else if byte == b'.' && point.is_none() {
            point = Some(count);
        } else {
            return None;
        }
    }
    if count == 0 {
        return None;
    }
    Some((mantissa, point.map_or(0, |before| count - before)))
}

fn parse_long(digits: &[u8]) -> Option<(i128, u8)> {
    let (plain, exponent) = match digits.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&digits[..at], std::str::from_utf8(&digits[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (digits, 0),
    };
    let mut mantissa: i128 = 0;
    let (mut count, mut behind, mut has_point) = (0_u32, 0_i32, false);
    for &byte in plain {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                count += 1;
                behind += i32::from(has_point);
            }
            b'.' if !has_point => has_point = true,
            _ => return None,
        }
    }
    if count == 0 {
        return None;
    }
    let mut scale = behind.checked_sub(exponent)?;
    if mantissa == 0 {
        return Some((0, u8::try_from(scale.clamp(0, i32::from(SCALE_MAX))).ok()?));
    }
    while scale > i32::from(SCALE_MAX) && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    if scale < 0 {
        mantissa = mantissa.checked_mul(power_of_ten(u8::try_from(-scale).ok()?)?)?;
        scale = 0;
    }
    (scale <= i32::from(SCALE_MAX)).then_some((mantissa, u8::try_from(scale).ok()?))
}

impl FromStr for Decimal {
    type Err = DecimalError;
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        Self::parse(text.as_bytes())
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self { mantissa: i128::from(value), scale: 0 }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs().to_string();
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        if scale == 0 {
            return write!(f, "{sign}{digits}");
        }
        if digits.len() <= scale {
            return write!(f, "{sign}0.{digits:0>scale$}");
        }
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.mantissa.cmp(&other.mantissa);
        }
        let scale = self.scale.max(other.scale);
        if let (Some(left), Some(right)) = (self.mantissa_at(scale), other.mantissa_at(scale)) {
            return left.cmp(&right);
        }
        // One side does not fit at the common scale, so whole parts differ or normalising helps.
        let (left, right) = (self.normalized(), other.normalized());
        let whole = |value: Self| value.mantissa / power_of_ten(value.scale).unwrap_or(i128::MAX);
        let fraction = |value: Self| {
            let unit = power_of_ten(value.scale).unwrap_or(i128::MAX);
            (value.mantissa % unit)
                .checked_mul(power_of_ten(SCALE_MAX - value.scale).unwrap_or(1))
                .unwrap_or(0)
        };
        whole(left).cmp(&whole(right)).then_with(|| fraction(left).cmp(&fraction(right)))
    }
}

impl std::hash::Hash for Decimal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let value = self.normalized();
        value.mantissa.hash(state);
        value.scale.hash(state);
    }
}

#[cfg(test)]
#[path = "decimal_tests.rs"]
mod tests;

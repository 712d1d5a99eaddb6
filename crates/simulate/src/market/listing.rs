//! Which instruments a venue lists, and the steps of their prices and quantities.

use model::{Decimal, VenueId};

use super::{Protocol, Spec};
use crate::hash;

/// A step of price or quantity, and how the venue prints multiples of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// The step.
    pub(crate) value: Decimal,
    /// Digits behind the point; trailing zeros are cut where absent.
    shown: Option<u8>,
}

impl Step {
    fn new(text: &str, shown: Option<u8>) -> Self {
        Self { value: text.parse().unwrap_or(Decimal::ONE), shown }
    }

    /// As a double.
    pub(crate) fn size(&self) -> f64 {
        self.value.to_f64()
    }

    /// So many steps, exactly.
    pub(crate) fn times(&self, count: i64) -> Decimal {
        Decimal::new(self.value.mantissa() * i128::from(count), self.value.scale())
    }

    /// So many steps, as the venue prints them.
    pub(crate) fn text(&self, count: i64) -> String {
        self.show(self.times(count))
    }

    /// The same at the end of a buffer, for those who write millions.
    pub(crate) fn write(&self, count: i64, out: &mut Vec<u8>) {
        let Some(mantissa) = self.shown.and_then(|scale| {
            let factor = 10_i64.checked_pow(u32::from(scale.checked_sub(self.value.scale())?))?;
            i64::try_from(self.value.mantissa()).ok()?.checked_mul(factor)?.checked_mul(count)
        }) else {
            out.extend_from_slice(self.text(count).as_bytes());
            return;
        };
        let scale = usize::from(self.shown.unwrap_or(0));
        let start = out.len();
        crate::archive::number(out, mantissa);
        if scale > 0 {
            // Zeros in front, so that a digit stands before the point.
            while out.len() - start <= scale {
                out.insert(start, b'0');
            }
            out.insert(out.len() - scale, b'.');
        }
    }

    /// Any value in the venue's form.
    pub(crate) fn show(&self, value: Decimal) -> String {
        match self.shown.and_then(|scale| value.mantissa_at(scale).map(|mantissa| (mantissa, scale))) {
            Some((mantissa, scale)) => Decimal::new(mantissa, scale).to_string(),
            None => value.normalized().to_string(),
        }
    }
}

/// Base, price, spot tick, spot lot, contract tick, contract lot.
const KNOWN: &[(&str, f64, &str, &str, &str, &str)] = &[
    ("BTC", 83_000.0, "0.01", "0.00001", "0.1", "0.001"),
    ("ETH", 3_100.0, "0.01", "0.0001", "0.01", "0.001"),
    ("SOL", 142.0, "0.01", "0.001", "0.01", "0.1"),
    ("BNB", 890.0, "0.01", "0.001", "0.01", "0.01"),
    ("XRP", 2.15, "0.0001", "0.1", "0.0001", "0.1"),
    ("DOGE", 0.152, "0.00001", "1", "0.00001", "1"),
    ("ADA", 0.48, "0.0001", "0.1", "0.0001", "1"),
    ("LINK", 13.4, "0.001", "0.01", "0.001", "0.01"),
    ("AVAX", 14.2, "0.001", "0.01", "0.001", "0.1"),
    ("LTC", 92.0, "0.01", "0.001", "0.01", "0.001"),
    ("DOT", 2.6, "0.0001", "0.01", "0.0001", "0.1"),
    ("TRX", 0.281, "0.0001", "0.1", "0.00001", "1"),
];

const SYLLABLES: [&str; 20] = [
    "KA", "LO", "MI", "ZU", "RE", "TA", "VO", "NE", "PI", "SU", "DA", "GO", "FI", "LU", "BE", "XA", "RO",
    "TI", "MU", "YE",
];

/// The listing of a venue. `per_second` is the rate of trades over all its markets.
pub(crate) fn listing(venue: VenueId, protocol: Protocol, count: usize, per_second: f64) -> Vec<Spec> {
    let weights: Vec<f64> = (0..count).map(|index| weight(index, count)).collect();
    let total: f64 = weights.iter().sum();
    weights
        .iter()
        .enumerate()
        .map(|(index, weight)| {
            let rate_micro = (per_second * 60.0 * weight / total * 1e6).max(1.0) as i64;
            entry(venue, protocol, index, rate_micro)
        })
        .collect()
}

// Busy markets first (Zipf); the last tenth of a listing trades only now and then, as on real venues.
fn weight(index: usize, count: usize) -> f64 {
    let busy = 1.0 / (index as f64 + 1.0).powf(1.05);
    if count >= 8 && index * 10 >= count * 9 { busy * 0.01 } else { busy }
}

fn entry(venue: VenueId, protocol: Protocol, index: usize, rate_micro: i64) -> Spec {
    let base = KNOWN.get(index).map_or_else(|| invented(index), |known| known.0.to_owned());
    tracing::trace!(%venue, base, rate_micro, "listed");
    spec_of(protocol, base, rate_micro)
}

/// What a market of a base asset against USDT looks like.
pub(crate) fn spec_of(protocol: Protocol, base: String, rate_micro: i64) -> Spec {
    let (price, (tick, lot)) = match KNOWN.iter().find(|known| known.0 == base) {
        Some(&(_, price, spot_tick, spot_lot, tick, lot)) => {
            let steps = if protocol.is_derivative() { (tick, lot) } else { (spot_tick, spot_lot) };
            (price, (steps.0.to_owned(), steps.1.to_owned()))
        }
        None => invented_price(&base),
    };
    let digits = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len() as u8);
    let (tick, lot) = match protocol {
        Protocol::Binance => (Step::new(&tick, Some(8)), Step::new(&lot, Some(8))),
        // One digit more than the tick has, as BTCUSDT shows: tick 0.10.
        Protocol::BinanceFutures | Protocol::BybitLinear if base == "BTC" => {
            (Step::new(&tick, Some(2)), Step::new(&lot, Some(3)))
        }
        Protocol::BinanceFutures | Protocol::BybitLinear => {
            (Step::new(&tick, Some(digits(&tick))), Step::new(&lot, Some(digits(&lot))))
        }
        Protocol::Bybit if base == "BTC" => (Step::new("0.1", None), Step::new("0.000001", None)),
        Protocol::Bybit => (Step::new(&tick, None), Step::new(&lot, None)),
    };
    Spec { symbol: format!("{base}USDT"), base, quote: "USDT".into(), price, tick, lot, rate_micro }
}

fn invented(index: usize) -> String {
    let part = |at: usize| SYLLABLES[at % SYLLABLES.len()];
    format!("{}{}{}", part(index / 400 + 3), part(index / 20), part(index))
}

/// Price, tick and lot of an asset that nobody knows.
fn invented_price(name: &str) -> (f64, (String, String)) {
    let price = 10_f64.powf(hash::unit(hash::named(7, name)) * 5.0 - 2.5);
    let magnitude = price.log10().floor() as i32;
    let tick = power_text(magnitude - 4);
    let lot = power_text((-magnitude - 1).min(0));
    (price, (tick, lot))
}

fn power_text(exponent: i32) -> String {
    if exponent >= 0 {
        return format!("1{}", "0".repeat(exponent.unsigned_abs() as usize));
    }
    format!("0.{}1", "0".repeat(exponent.unsigned_abs() as usize - 1))
}

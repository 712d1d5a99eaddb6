//! Rows of venues as prices are composed of them: which are usable, and how a group of them is weighed.

use std::collections::BTreeMap;

use model::{ComposedPrice, PriceMethod, PriceSource, RejectedSource, Time, VenuePrice};

/// A usable row, as doubles: what is composed is a statistic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) source: PriceSource,
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
    pub(super) volume: f64,
}

impl Row {
    pub(super) fn is_usd(&self) -> bool {
        self.source.quote() == "USD"
    }

    /// The same with every price divided.
    pub(super) fn over(self, divisor: f64) -> Self {
        Self {
            open: self.open / divisor,
            high: self.high / divisor,
            low: self.low / divisor,
            close: self.close / divisor,
            ..self
        }
    }
}

/// Venues left out so far.
pub(super) type Rejected = BTreeMap<PriceSource, String>;

/// The usable rows of ten minutes by name of the venue, the last of a venue if there are several; the others with the reason.
pub(super) fn usable(rows: &[VenuePrice]) -> (Vec<Row>, Rejected) {
    let latest: BTreeMap<PriceSource, &VenuePrice> = rows.iter().map(|row| (row.source, row)).collect();
    let (mut good, mut rejected) = (Vec::new(), Rejected::new());
    for (source, row) in latest {
        match check(row) {
            Ok(row) => good.push(row),
            Err(reason) => {
                rejected.insert(source, reason.to_owned());
            }
        }
    }
    (good, rejected)
}

fn check(row: &VenuePrice) -> Result<Row, &'static str> {
    let price = &row.price;
    if price.low.is_zero() || price.low.is_negative() {
        return Err("a price is not above zero");
    }
    if price.high < price.low {
        return Err("its high is below its low");
    }
    let is_within = |value| (price.low..=price.high).contains(&value);
    if !is_within(price.open) || !is_within(price.close) {
        return Err("its open or close is not between its low and high");
    }
    if price.volume.is_negative() {
        return Err("its volume is negative");
    }
    Ok(Row {
        source: row.source,
        open: price.open.to_f64(),
        high: price.high.to_f64(),
        low: price.low.to_f64(),
        close: price.close.to_f64(),
        volume: price.volume.to_f64(),
    })
}

/// A group whose rows all weigh something. A venue without volume has no say beside one with; where none has any, all weigh the same.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) rows: Vec<Row>,
    weights: Vec<f64>,
}

impl Group {
    pub(super) fn of(rows: Vec<Row>, rejected: &mut Rejected) -> Self {
        if rows.iter().all(|row| row.volume <= 0.0) {
            let weights = vec![1.0; rows.len()];
            return Self { rows, weights };
        }
        let (rows, silent): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| row.volume > 0.0);
        rejected.extend(silent.iter().map(|row| (row.source, "no volume".to_owned())));
        let weights = rows.iter().map(|row| row.volume).collect();
        Self { rows, weights }
    }

    /// Sum of the volumes.
    pub(super) fn volume(&self) -> f64 {
        self.rows.iter().map(|row| row.volume).sum()
    }

    /// Mean of a field by weight; `None` of an empty group.
    pub(super) fn mean(&self, field: fn(&Row) -> f64) -> Option<f64> {
        let total: f64 = self.weights.iter().sum();
        let sum: f64 = self.rows.iter().zip(&self.weights).map(|(row, weight)| field(row) * weight).sum();
        (!self.rows.is_empty()).then(|| sum / total)
    }

    /// Median of a field by weight: the value at which half of the weight is reached; between two values if it is reached exactly
    /// at the lower one, their mean. `None` of an empty group.
    pub(super) fn median(&self, field: fn(&Row) -> f64) -> Option<f64> {
        let mut values: Vec<(f64, f64)> =
            self.rows.iter().map(field).zip(self.weights.iter().copied()).collect();
        values.sort_by(|left, right| left.0.total_cmp(&right.0));
        let half = self.weights.iter().sum::<f64>() / 2.0;
        let mut reached = 0.0;
        for (place, (value, weight)) in values.iter().enumerate() {
            reached += weight;
            if reached > half {
                return Some(*value);
            }
            if reached >= half {
                return Some(values.get(place + 1).map_or(*value, |next| f64::midpoint(*value, next.0)));
            }
        }
        values.last().map(|last| last.0)
    }
}

/// A composed price without a venue.
pub(super) fn absent(method: PriceMethod, bucket: Time) -> ComposedPrice {
    ComposedPrice {
        method,
        bucket,
        open: None,
        high: None,
        low: None,
        close: None,
        volume: None,
        used: Vec::new(),
        rejected: Vec::new(),
        basis_usdt_bp: None,
    }
}

/// Venues with reasons, sorted by name.
pub(super) fn listed(rejected: Rejected) -> Vec<RejectedSource> {
    rejected.into_iter().map(|(source, reason)| RejectedSource { source, reason }).collect()
}

/// How far a close in USDT lies above one in USD, in basis points.
pub(super) fn basis_bp(ratio: f64) -> f64 {
    (ratio - 1.0) * 10_000.0
}

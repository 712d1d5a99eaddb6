//! Composed prices of hours and days from those of ten minutes.

use std::collections::BTreeMap;

use model::{ComposedPrice, PriceSource, RejectedSource, Time};

use crate::price::rows::absent;

/// Longer buckets from ascending ten minutes of one method, the last as far as its parts go.
///
/// Open is that of the first part with a price, close and basis those of the last, volume is the sum. A venue was used if a part
/// used it; one that no part used is listed with its last reason.
pub fn rollup<'a>(
    parts: impl IntoIterator<Item = &'a ComposedPrice>,
    length: i64,
    emit: &mut dyn FnMut(ComposedPrice),
) {
    let mut open: Option<(ComposedPrice, BTreeMap<PriceSource, String>)> = None;
    for part in parts {
        let bucket = Time(part.bucket.0 - part.bucket.0.rem_euclid(length));
        if let Some(done) = open.take_if(|(sum, _)| sum.bucket != bucket) {
            emit(finished(done));
        }
        let (sum, reasons) = open.get_or_insert_with(|| (absent(part.method, bucket), BTreeMap::new()));
        add(sum, part);
        reasons.extend(part.rejected.iter().map(|rejected| (rejected.source, rejected.reason.clone())));
    }
    if let Some(last) = open {
        emit(finished(last));
    }
}

fn add(sum: &mut ComposedPrice, part: &ComposedPrice) {
    let both = |left: Option<f64>, right: Option<f64>, pick: fn(f64, f64) -> f64| match (left, right) {
        (Some(left), Some(right)) => Some(pick(left, right)),
        (left, right) => left.or(right),
    };
    sum.open = sum.open.or(part.open);
    sum.high = both(sum.high, part.high, f64::max);
    sum.low = both(sum.low, part.low, f64::min);
    sum.close = part.close.or(sum.close);
    sum.volume = both(sum.volume, part.volume, |left, right| left + right);
    sum.basis_usdt_bp = part.basis_usdt_bp.or(sum.basis_usdt_bp);
    sum.used.extend(&part.used);
}

fn finished((mut sum, reasons): (ComposedPrice, BTreeMap<PriceSource, String>)) -> ComposedPrice {
    sum.used.sort_unstable();
    sum.used.dedup();
    let left_out = reasons.into_iter().filter(|(source, _)| !sum.used.contains(source));
    sum.rejected = left_out.map(|(source, reason)| RejectedSource { source, reason }).collect();
    sum
}

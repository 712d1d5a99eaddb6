//! Method 1: means by volume over all venues with a usable row. Judging venues is left to method 2.

use model::{ComposedPrice, PriceMethod, Time, VenuePrice};

use crate::price::rows::{Group, Rejected, absent, basis_bp, listed, usable};

/// The price of ten minutes by method 1: open, high, low and close are each the sum of price × volume over the sum of volume of all
/// venues with a usable row, USD and USDT alike; volume is the sum.
///
/// A venue without volume has no weight and is listed as left out. Where no venue has any volume, each weighs the same and the
/// volume is zero. Without a usable row everything is absent.
pub fn volume_weighted(bucket: Time, rows: &[VenuePrice]) -> ComposedPrice {
    let (good, mut rejected) = usable(rows);
    let (usd, usdt) = good.iter().partition(|row| row.is_usd());
    let close = |rows| Group::of(rows, &mut Rejected::new()).mean(|row| row.close);
    let (usd, usdt) = (close(usd), close(usdt));
    let group = Group::of(good, &mut rejected);
    ComposedPrice {
        open: group.mean(|row| row.open),
        high: group.mean(|row| row.high),
        low: group.mean(|row| row.low),
        close: group.mean(|row| row.close),
        volume: (!group.rows.is_empty()).then(|| group.volume()),
        used: group.rows.iter().map(|row| row.source).collect(),
        rejected: listed(rejected),
        basis_usdt_bp: usdt.zip(usd).map(|(usdt, usd)| basis_bp(usdt / usd)),
        ..absent(PriceMethod::VolumeWeighted, bucket)
    }
}

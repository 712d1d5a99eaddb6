//! Method 2: the median by volume over the venues that do not deviate. Feeding it in order is left to `onchain`.

use std::collections::BTreeMap;

use model::time::DAY;
use model::{ComposedPrice, PriceMethod, PriceSource, Time, VenuePrice};
use serde::{Deserialize, Serialize};

use crate::fold::{Error, Fold, pack, unpack};
use crate::price::judge::{CALM_BUCKETS, DEVIATION_BACK, deviation, read};
use crate::price::rows::{Group, Rejected, Row, absent, basis_bp, listed, usable};

/// How long what is remembered is used: the basis, the last price, and that a venue is out without having been judged since.
pub const BASIS_AGE_MAX: i64 = DAY;

const NAME: &str = "the median price";
const VERSION: u8 = 1;

/// Ten minutes with the rows of all venues that have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceBucket {
    /// Start of the ten minutes.
    pub bucket: Time,
    /// At most one row per venue; of several the last counts.
    pub rows: Vec<VenuePrice>,
}

/// A venue that is out.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Out {
    /// Calm buckets in a row.
    calm: u8,
    /// The last bucket in which others were there to judge it by.
    judged: Time,
}

/// Composes prices by method 2. To be fed with ascending buckets, those without any row too.
///
/// - **Judging.** A venue whose close lies more than [`super::DEVIATION_OUT`] from the median of the others, the basis between USD and
///   USDT taken out, is left out at once, and comes back after [`super::CALM_BUCKETS`] buckets within [`super::DEVIATION_BACK`]. A
///   bucket without a row of it counts neither way. A venue alone cannot be judged: it is used, unless it was out.
/// - **Composing.** Open, high, low and close are each the median by volume of the USD venues kept, volume is their sum. USDT
///   venues judge and give the basis. Where no USD venue is left, or none with volume while a USDT venue has some, the USDT venues
///   stand in, divided by the basis of the last day if one is known, else as they are.
/// - **Wicks.** Closes alone are judged: a venue whose high or low is off while its close is not is used, and sets the composed
///   high or low if it has more than half of the volume.
/// - A median of highs may lie below one of closes: high and low are widened to hold open and close.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MedianComposer {
    out: BTreeMap<PriceSource, Out>,
    /// Close in USDT over close in USD, and when both were last there.
    basis: Option<(f64, Time)>,
    /// The last close composed.
    close: Option<(f64, Time)>,
}

impl MedianComposer {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The price of the next ten minutes.
    pub fn compose(&mut self, bucket: Time, rows: &[VenuePrice]) -> ComposedPrice {
        let is_fresh = |since: Time| bucket.0.saturating_sub(since.0) <= BASIS_AGE_MAX;
        self.out.retain(|_, out| is_fresh(out.judged));
        self.basis = self.basis.filter(|(_, since)| is_fresh(*since));
        self.close = self.close.filter(|(_, since)| is_fresh(*since));

        let (good, mut rejected) = usable(rows);
        let kept = self.judge(bucket, &good, &mut rejected);
        let price = self.compose_of(bucket, kept, rejected);
        if let Some(close) = price.close {
            self.close = Some((close, bucket));
        }
        price
    }

    /// The rows that nothing is held against.
    fn judge(&mut self, bucket: Time, good: &[Row], rejected: &mut Rejected) -> Vec<Row> {
        let (mut inside, mut outside): (Vec<Row>, Vec<Row>) =
            good.iter().partition(|row| !self.out.contains_key(&row.source));
        if inside.is_empty() && outside.len() > 1 {
            // Nobody is left to judge those outside but themselves.
            inside = std::mem::take(&mut outside);
            self.out.retain(|source, _| inside.iter().all(|row| row.source != *source));
        }
        let known = self.basis.map(|(basis, _)| basis);
        let reading = read(&inside, known, self.close.map(|(close, _)| close));
        for (place, deviation) in &reading.off {
            let source = inside[*place].source;
            rejected.insert(source, format!("{} the median of the others", distance(*deviation)));
            self.out.insert(source, Out { calm: 0, judged: bucket });
        }
        let mut kept: Vec<Row> =
            inside.into_iter().filter(|row| !rejected.contains_key(&row.source)).collect();
        let others: Vec<Row> = kept.clone();
        for row in outside {
            let others: Vec<&Row> = others.iter().collect();
            match self.judge_again(bucket, &row, deviation(&row, &others, reading.basis)) {
                Ok(()) => kept.push(row),
                Err(reason) => {
                    rejected.insert(row.source, reason);
                }
            }
        }
        kept.sort_by_key(|row| row.source);
        kept
    }

    /// Whether a venue that is out is back.
    fn judge_again(&mut self, bucket: Time, row: &Row, deviation: Option<f64>) -> Result<(), String> {
        let Some(deviation) = deviation else {
            return Err("out, and no other venue to judge it by".to_owned());
        };
        let out = self.out.entry(row.source).or_insert(Out { calm: 0, judged: bucket });
        out.judged = bucket;
        if deviation.abs() > DEVIATION_BACK {
            out.calm = 0;
            return Err(format!("{} the median of the others", distance(deviation)));
        }
        out.calm += 1;
        if out.calm < CALM_BUCKETS {
            return Err(format!("re-entering: {} of {CALM_BUCKETS} calm buckets", out.calm));
        }
        self.out.remove(&row.source);
        Ok(())
    }

    fn compose_of(&mut self, bucket: Time, kept: Vec<Row>, mut rejected: Rejected) -> ComposedPrice {
        let (mut usd, usdt): (Vec<Row>, Vec<Row>) = kept.into_iter().partition(Row::is_usd);
        if usd.iter().all(|row| row.volume <= 0.0) && usdt.iter().any(|row| row.volume > 0.0) {
            // A flat candle repeats a close from before: it says nothing of these ten minutes, nor of the basis.
            rejected.extend(
                usd.drain(..).map(|row| (row.source, "no volume while a USDT venue has some".to_owned())),
            );
        }
        let close = |rows: &[Row]| Group::of(rows.to_vec(), &mut Rejected::new()).median(|row| row.close);
        if let Some((usdt, usd)) = close(&usdt).zip(close(&usd)) {
            self.basis = Some((usdt / usd, bucket));
        }
        let basis = self.basis.map(|(basis, _)| basis).filter(|_| !usdt.is_empty());
        let rows = if usd.is_empty() {
            usdt.into_iter().map(|row| row.over(basis.unwrap_or(1.0))).collect()
        } else {
            let reason = "quotes USDT while a USD venue is there: judges, and gives the basis";
            rejected.extend(usdt.iter().map(|row| (row.source, reason.to_owned())));
            usd
        };
        let group = Group::of(rows, &mut rejected);
        let (open, close) = (group.median(|row| row.open), group.median(|row| row.close));
        let widest = |value: Option<f64>, pick: fn(f64, f64) -> f64| Some(pick(pick(value?, open?), close?));
        ComposedPrice {
            open,
            high: widest(group.median(|row| row.high), f64::max),
            low: widest(group.median(|row| row.low), f64::min),
            close,
            volume: (!group.rows.is_empty()).then(|| group.volume()),
            used: group.rows.iter().map(|row| row.source).collect(),
            rejected: listed(rejected),
            basis_usdt_bp: basis.map(basis_bp),
            ..absent(PriceMethod::Median, bucket)
        }
    }
}

/// A deviation in words: `20.1 % above`.
fn distance(deviation: f64) -> String {
    format!("{:.1} % {}", deviation.abs() * 100.0, if deviation < 0.0 { "below" } else { "above" })
}

#[derive(Serialize, Deserialize)]
struct State {
    out: Vec<(String, u8, i64)>,
    basis: Option<(f64, i64)>,
    close: Option<(f64, i64)>,
}

impl Fold for MedianComposer {
    type Input = PriceBucket;
    type Output = ComposedPrice;

    fn take(&mut self, input: &PriceBucket, emit: &mut dyn FnMut(ComposedPrice)) {
        emit(self.compose(input.bucket, &input.rows));
    }

    fn save(&self) -> Vec<u8> {
        let out = self.out.iter();
        pack(
            VERSION,
            &State {
                out: out.map(|(source, out)| (source.as_str().to_owned(), out.calm, out.judged.0)).collect(),
                basis: self.basis.map(|(value, since)| (value, since.0)),
                close: self.close.map(|(value, since)| (value, since.0)),
            },
        )
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), Error> {
        let state: State = unpack(NAME, VERSION, state)?;
        let damaged = |reason: &str| Error::Damaged { fold: NAME, reason: reason.to_owned() };
        let mut out = BTreeMap::new();
        for (name, calm, judged) in state.out {
            let source = PriceSource::known(&name).ok_or_else(|| damaged(&format!("no venue {name:?}")))?;
            out.insert(source, Out { calm, judged: Time(judged) });
        }
        let pair = |pair: Option<(f64, i64)>| match pair {
            Some((value, _)) if !value.is_finite() || value <= 0.0 => Err(damaged("a price is no price")),
            pair => Ok(pair.map(|(value, since)| (value, Time(since)))),
        };
        *self = Self { out, basis: pair(state.basis)?, close: pair(state.close)? };
        Ok(())
    }
}

//! What metrics are computed from, with running sums, so that windows of a year cost as much as those of ten minutes.

use std::fmt;

use model::{BUCKET, ChainBucket, Time, bucket_start};

use crate::chain::coins::CoinFlow;
use crate::chain::metrics::{DAY_BUCKETS, Value};
use crate::chain::money::{self, btc, usd, worth};
use crate::chain::reasons::{COINS_BEHIND, HISTORY_SHORT, PRICE_MISSING, SUPPLY_UNKNOWN};

/// Ten-minute rows in a row, one of each kind for each bucket.
#[derive(Clone, Copy, Debug)]
pub struct MetricInputs<'a> {
    /// The chain, without a bucket missing.
    pub buckets: &'a [ChainBucket],
    /// The canonical close in USD.
    pub price_close: &'a [Option<f64>],
    /// Coins; `None` where they are not followed.
    pub coins: Option<&'a [CoinFlow]>,
}

/// Why inputs were refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputError {
    /// A list is longer or shorter than that of the buckets.
    Length {
        /// Which.
        list: &'static str,
        /// Buckets.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// A bucket does not follow the one before.
    Hole {
        /// The bucket before.
        after: Time,
    },
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { list, expected, found } => {
                write!(f, "compute metrics: {found} of {list} for {expected} buckets")
            }
            Self::Hole { after } => write!(f, "compute metrics: no bucket follows that of {after}"),
        }
    }
}

impl std::error::Error for InputError {}

/// Flows that are summed over long windows, or valued in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Nominal subsidy.
    Issued,
    /// Fees.
    Fees,
    /// Outputs of coinbases.
    Revenue,
    /// What was transferred.
    Transferred,
}

const FLOWS: [Flow; 4] = [Flow::Issued, Flow::Fees, Flow::Revenue, Flow::Transferred];

impl Flow {
    fn of(self, bucket: &ChainBucket) -> i64 {
        match self {
            Self::Issued => bucket.issued_sat,
            Self::Fees => bucket.fees_sat,
            Self::Revenue => bucket.miner_revenue_sat,
            Self::Transferred => bucket.transferred_sat,
        }
    }
}

/// Sums of a flow over all buckets before a place.
#[derive(Debug)]
struct Running {
    sat: Vec<i128>,
    usd: Vec<i128>,
    /// Buckets in which something flowed that nobody can value.
    unpriced: Vec<u32>,
}

/// Inputs with their running sums.
#[derive(Debug)]
pub struct Prepared<'a> {
    inputs: MetricInputs<'a>,
    running: Vec<Running>,
}

impl<'a> Prepared<'a> {
    /// Sums inputs up, after looking whether they belong together.
    pub fn new(inputs: MetricInputs<'a>) -> Result<Self, InputError> {
        let expected = inputs.buckets.len();
        let coins = inputs.coins.map_or(expected, <[CoinFlow]>::len);
        for (list, found) in [("price_close", inputs.price_close.len()), ("coins", coins)] {
            if found != expected {
                return Err(InputError::Length { list, expected, found });
            }
        }
        let hole =
            inputs.buckets.windows(2).find(|pair| pair[1].bucket != pair[0].bucket.plus_micros(BUCKET));
        if let Some(pair) = hole {
            return Err(InputError::Hole { after: pair[0].bucket });
        }
        let prices = carried(inputs.price_close);
        let running = FLOWS.iter().map(|flow| running(*flow, inputs.buckets, &prices)).collect();
        Ok(Self { inputs, running })
    }

    /// Buckets of so many ten minutes that begin within the range, as far as rows are there.
    pub(super) fn windows(
        &self,
        length: usize,
        from: Time,
        through: Time,
    ) -> impl Iterator<Item = (Time, Window<'_>)> {
        let micros = length as i64 * BUCKET;
        let buckets = self.inputs.buckets;
        let of_place = move |place: usize| bucket_start(buckets[place].bucket, micros);
        let mut start = buckets.partition_point(|row| bucket_start(row.bucket, micros) < from);
        std::iter::from_fn(move || {
            let bucket = (start < buckets.len()).then(|| of_place(start))?;
            let end = start + (start..buckets.len()).take_while(|place| of_place(*place) == bucket).count();
            let window = Window { prepared: self, start, end };
            start = end;
            (bucket <= through).then_some((bucket, window))
        })
    }
}

/// Closes in exact form; where one is missing the last one stands in, for a day.
fn carried(closes: &[Option<f64>]) -> Vec<Option<money::Price>> {
    let mut last: Option<(usize, money::Price)> = None;
    let of_place = |(place, close): (usize, &Option<f64>)| {
        if let Some(price) = close.and_then(money::price) {
            last = Some((place, price));
        }
        last.filter(|(since, _)| place - since <= DAY_BUCKETS).map(|(_, price)| price)
    };
    closes.iter().enumerate().map(of_place).collect()
}

fn running(flow: Flow, buckets: &[ChainBucket], prices: &[Option<money::Price>]) -> Running {
    let mut sums = Running { sat: vec![0], usd: vec![0], unpriced: vec![0] };
    let (mut sat, mut usd, mut unpriced) = (0_i128, 0_i128, 0_u32);
    for (bucket, price) in buckets.iter().zip(prices) {
        let amount = flow.of(bucket);
        sat += i128::from(amount);
        match price {
            Some(price) => usd += worth(amount, *price),
            None => unpriced += u32::from(amount != 0),
        }
        sums.sat.push(sat);
        sums.usd.push(usd);
        sums.unpriced.push(unpriced);
    }
    sums
}

/// Some ten minutes in a row of prepared inputs, never none.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    prepared: &'a Prepared<'a>,
    start: usize,
    end: usize,
}

impl<'a> Window<'a> {
    /// The rows of the chain.
    pub fn buckets(&self) -> &'a [ChainBucket] {
        &self.prepared.inputs.buckets[self.start..self.end]
    }

    /// The last row: it holds the states.
    pub fn last(&self) -> &'a ChainBucket {
        &self.prepared.inputs.buckets[self.end - 1]
    }

    /// So many ten minutes that end where this window does.
    pub fn trailing(&self, length: usize) -> Result<Self, &'static str> {
        let start = self.end.checked_sub(length).ok_or(HISTORY_SHORT)?;
        Ok(Self { start, ..*self })
    }

    /// The last close within.
    pub fn close(&self) -> Value {
        let closes = &self.prepared.inputs.price_close[self.start..self.end];
        closes.iter().rev().find_map(|close| *close).ok_or(PRICE_MISSING)
    }

    /// Sum of a count or amount.
    pub fn sum(&self, field: fn(&ChainBucket) -> i64) -> i128 {
        self.buckets().iter().map(|bucket| i128::from(field(bucket))).sum()
    }

    /// What flowed, in bitcoin.
    pub fn btc(&self, flow: Flow) -> f64 {
        let running = &self.prepared.running[flow as usize];
        btc(running.sat[self.end] - running.sat[self.start])
    }

    /// What flowed, in dollars: each ten minutes at their own close, or at the last of the day before.
    pub fn usd(&self, flow: Flow) -> Value {
        let running = &self.prepared.running[flow as usize];
        if running.unpriced[self.end] > running.unpriced[self.start] {
            return Err(PRICE_MISSING);
        }
        Ok(usd(running.usd[self.end] - running.usd[self.start]))
    }

    /// Coins in the UTXO set, in bitcoin.
    pub fn supply(&self) -> Value {
        self.last().supply_total_sat.map(|sat| btc(i128::from(sat))).ok_or(SUPPLY_UNKNOWN)
    }

    /// Coins of each ten minutes.
    pub fn coins(&self) -> Result<&'a [CoinFlow], &'static str> {
        self.prepared.inputs.coins.map(|coins| &coins[self.start..self.end]).ok_or(COINS_BEHIND)
    }
}

/// A quotient, or why there is none.
pub(super) fn ratio(above: f64, below: f64, reason: &'static str) -> Value {
    if below > 0.0 { Ok(above / below) } else { Err(reason) }
}

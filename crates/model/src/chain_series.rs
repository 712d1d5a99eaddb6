//! Ten minutes of a chain, prices of ten minutes, and values of metrics.

use crate::chain::{BlockHash, Work};
use crate::decimal::Decimal;
use crate::time::{MINUTE, Time};

/// Length of the base bucket.
pub const BUCKET: i64 = 10 * MINUTE;

/// Start of the bucket of that length in which a moment lies.
pub const fn bucket_start(time: Time, length: i64) -> Time {
    Time(time.0 - time.0.rem_euclid(length))
}

/// Start of the ten minutes in which a moment lies.
pub const fn bucket_of(time: Time) -> Time {
    bucket_start(time, BUCKET)
}

/// What an interval of so many minutes is called: `10m`, `1h`, `24h`.
pub fn interval_name(minutes: u16) -> String {
    if minutes.is_multiple_of(60) { format!("{}h", minutes / 60) } else { format!("{minutes}m") }
}

/// A chain over ten minutes, or over a longer bucket made of those. Blocks belong where their header's time falls.
///
/// Flows are what happened within and zero where nothing did; states are those of the highest block up to the bucket's end and
/// carried on; what has no denominator is absent.
#[derive(Clone, Debug, PartialEq)]
pub struct ChainBucket {
    /// Start of the bucket.
    pub bucket: Time,
    /// Blocks.
    pub block_count: i64,
    /// Nominal subsidy.
    pub issued_sat: i64,
    /// Fees, spent outputs less outputs.
    pub fees_sat: i64,
    /// Outputs of the coinbases.
    pub miner_revenue_sat: i64,
    /// Subsidy and fees that miners did not take.
    pub unclaimed_sat: i64,
    /// Outputs without the coinbases'.
    pub total_out_sat: i64,
    /// Those that do not return to a script of their own transaction's inputs.
    pub transferred_sat: i64,
    /// Transactions with coinbases.
    pub tx_count: i64,
    /// Transactions without coinbases.
    pub tx_count_ex_coinbase: i64,
    /// Inputs without the coinbases'.
    pub input_count: i64,
    /// Outputs, the coinbases' included.
    pub output_count: i64,
    /// Transactions with a witness, without coinbases.
    pub segwit_tx_count: i64,
    /// Bytes of the blocks.
    pub block_size_total_bytes: i64,
    /// Weight of the blocks.
    pub block_weight_total_wu: i64,
    /// Virtual size of the blocks, each rounded up.
    pub block_vsize_total_vb: i64,
    /// Bytes of transactions without coinbases.
    pub tx_size_total_bytes: i64,
    /// Weight of transactions without coinbases.
    pub tx_weight_total_wu: i64,
    /// Outputs in the UTXO set at the end.
    pub supply_total_sat: Option<i64>,
    /// Difficulty of the highest block.
    pub difficulty_last: f64,
    /// Work up to the highest block.
    pub chainwork_last: Work,
    /// The highest block up to the end of the bucket.
    pub best_block_height_last: u32,
    /// Its hash.
    pub best_block_hash_last: BlockHash,
    /// How often the subsidy had halved at that height.
    pub halving_epoch: u32,
    /// Mean of the differences between the header times of neighbours by height, of the blocks within; absent below two
    /// blocks. As miners' clocks say: a difference can be zero or negative, and neighbours need not follow each other on the chain.
    pub block_interval_mean_sec: Option<f64>,
    /// Their median.
    pub block_interval_median_sec: Option<f64>,
    /// Fees by transaction without coinbases.
    pub avg_fee_sat: Option<f64>,
    /// Median over the fees of all transactions but coinbases: the middle one, or half the sum of the two in the middle.
    pub median_fee_sat: Option<f64>,
    /// 4 × fees / weight of transactions but coinbases, sat/vB.
    pub avg_feerate_sat_vb: Option<f64>,
    /// Transactions with a witness by transactions, without coinbases.
    pub segwit_share: Option<f64>,
    /// Bytes by transaction, without coinbases.
    pub tx_size_mean_bytes: Option<f64>,
    /// Bytes by block.
    pub block_size_mean_bytes: Option<f64>,
}

/// A venue that prices are composed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PriceSource(&'static str);

/// Every price source with the currency it quotes Bitcoin in, sorted by name.
const SOURCES: &[(&str, &str)] = &[
    ("binance", "USDT"),
    ("bitfinex", "USD"),
    ("bitstamp", "USD"),
    ("bybit", "USDT"),
    ("coinbase", "USD"),
    ("okx", "USDT"),
];

impl PriceSource {
    /// The source of that name.
    pub fn known(name: &str) -> Option<Self> {
        Self::all().find(|source| source.0 == name)
    }

    /// Every source, sorted by name.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        SOURCES.iter().map(|(name, _)| Self(name))
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// What it quotes Bitcoin in: `USD` or `USDT`.
    pub fn quote(self) -> &'static str {
        SOURCES.iter().find(|(name, _)| *name == self.0).map_or("USD", |(_, quote)| quote)
    }
}

impl std::fmt::Display for PriceSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// Open, high, low and close in the quote currency, volume in BTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ohlcv {
    /// First price.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price.
    pub close: Decimal,
    /// Volume in BTC.
    pub volume: Decimal,
}

/// A candle of a venue, shorter than ten minutes: what ten minutes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candle {
    /// When it opens.
    pub open_time: Time,
    /// Prices and volume.
    pub price: Ohlcv,
    /// Whether the venue will not change it any more.
    pub is_closed: bool,
}

/// Ten minutes of one venue, as the venue says. Only what exists: no row stands for ten minutes without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VenuePrice {
    /// The venue.
    pub source: PriceSource,
    /// Start of the ten minutes.
    pub bucket: Time,
    /// Prices and volume.
    pub price: Ohlcv,
    /// `complete` or `partial`: whether every child candle that the ten minutes can have was there.
    pub quality_status: String,
    /// `rest`, `stream` or `remote`: how it reached us.
    pub data_source_mode: String,
    /// Length of the child candles in minutes.
    pub child_minutes: u16,
    /// Child candles that went in.
    pub child_count: u16,
    /// Child candles that the ten minutes can have.
    pub child_count_expected: u16,
    /// When the first of it was received.
    pub first_received_time: Time,
    /// When the last of it was received.
    pub received_time: Time,
}

/// How prices are composed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PriceMethod {
    /// Volume-weighted open, high, low and close over all venues with a row, summed volume.
    VolumeWeighted,
    /// Volume-weighted median over the venues that do not deviate.
    Median,
}

impl PriceMethod {
    /// The number by which it is asked for: 1 or 2.
    pub const fn number(self) -> u8 {
        match self {
            Self::VolumeWeighted => 1,
            Self::Median => 2,
        }
    }

    /// The method of a number.
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::VolumeWeighted),
            2 => Some(Self::Median),
            _ => None,
        }
    }
}

/// A venue whose row did not go into a composed price, and why, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedSource {
    /// The venue.
    pub source: PriceSource,
    /// Why.
    pub reason: String,
}

/// The composed price of ten minutes.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedPrice {
    /// How it was composed.
    pub method: PriceMethod,
    /// Start of the ten minutes.
    pub bucket: Time,
    /// Open, high, low and close in USD; absent where no venue was left.
    pub open: Option<f64>,
    /// Highest.
    pub high: Option<f64>,
    /// Lowest.
    pub low: Option<f64>,
    /// Last.
    pub close: Option<f64>,
    /// Volume in BTC of the venues used; absent where no venue was left.
    pub volume: Option<f64>,
    /// Venues used, sorted by name.
    pub used: Vec<PriceSource>,
    /// Venues not used, sorted by name.
    pub rejected: Vec<RejectedSource>,
    /// How far the close in USDT lies above the close in USD, in basis points. By method 2 the last one of a day where USDT venues
    /// stand in for USD ones: what they were divided by. Absent where it is not known.
    pub basis_usdt_bp: Option<f64>,
}

/// The value of a metric over a bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricValue {
    /// Name of the metric.
    pub metric: &'static str,
    /// Minutes of the bucket: 10, 60 or 1440.
    pub interval_minutes: u16,
    /// Start of the bucket.
    pub bucket: Time,
    /// The value; absent where it is not defined.
    pub value: Option<f64>,
    /// Why it is not defined: `price_missing`, `no_transfers`, … All of them stand in `derivations::chain::reasons`.
    pub reason: Option<&'static str>,
}

/// What one block did to coins, and what all coins amount to with it. Absent values have their reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CoinBlock {
    /// Blocks before it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// The header's time.
    pub time: Time,
    /// Coins spent, at the price of their spending.
    pub spent_value_usd: Option<f64>,
    /// The same coins, at the price when they were made.
    pub spent_cost_usd: Option<f64>,
    /// Bitcoin spent × days since they were made, by header times; a coin that seems younger than nothing counts as new.
    pub coin_days_destroyed: Option<f64>,
    /// All coins in the UTXO set with this block, each at the price when it was made.
    pub realized_cap_usd: Option<f64>,
    /// Why one of these is absent.
    pub reason: Option<&'static str>,
    /// What the next block is added to.
    pub sum: CoinSum,
}

/// What all coins amount to, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoinSum {
    /// Worth of all coins when they were made, in 10⁻¹⁶ dollars: satoshi × hundred-millionths of a dollar.
    pub realized: i128,
    /// Unspent satoshi whose worth when made is not known.
    pub unpriced_sat: i64,
    /// Why nothing can be said of all coins any more.
    pub broken: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    //! Cases for buckets and their names.
    use super::*;

    #[test]
    fn buckets_begin_at_or_before_their_moments_also_before_1970() {
        for (time, start) in [(0, 0), (BUCKET - 1, 0), (BUCKET, BUCKET), (-1, -BUCKET)] {
            assert_eq!(bucket_of(Time(time)), Time(start));
        }
        assert_eq!(bucket_start(Time(7 * BUCKET), 6 * BUCKET), Time(6 * BUCKET));
        assert_eq!([10, 60, 1_440].map(interval_name), ["10m", "1h", "24h"]);
    }
}

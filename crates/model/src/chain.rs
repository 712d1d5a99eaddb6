//! The words of a chain: networks, block hashes, work, and what is known of a block and of ten minutes of blocks.
//!
//! What each number means is fixed here, once; how they are read from bytes stands in `chain`, how they are summed in
//! `derivations`. Amounts are satoshi, sizes bytes, weights weight units.

use std::fmt;
use std::str::FromStr;

use crate::time::Time;

/// Which Bitcoin network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// The one with the money.
    Main,
    /// The third test network.
    Testnet,
    /// The fourth test network.
    Testnet4,
    /// The signed test network.
    Signet,
    /// A private network that anybody mines at will.
    Regtest,
}

impl Network {
    /// Every network.
    pub const ALL: [Self; 5] = [Self::Main, Self::Testnet, Self::Testnet4, Self::Signet, Self::Regtest];

    /// What a node calls it in `getblockchaininfo.chain`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Testnet => "test",
            Self::Testnet4 => "testnet4",
            Self::Signet => "signet",
            Self::Regtest => "regtest",
        }
    }

    /// The network a node calls so.
    pub fn known(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|network| network.as_str() == name)
    }

    /// Blocks after which the subsidy halves.
    pub const fn halving_interval(self) -> u32 {
        if matches!(self, Self::Regtest) { 150 } else { 210_000 }
    }

    /// The nominal subsidy at a height: 50 BTC, halved every [`Network::halving_interval`], nothing after 64 halvings.
    pub const fn subsidy(self, height: u32) -> i64 {
        let halvings = self.halving_epoch(height);
        if halvings >= 64 { 0 } else { 5_000_000_000_i64 >> halvings }
    }

    /// How often the subsidy has halved at a height, from 0.
    pub const fn halving_epoch(self, height: u32) -> u32 {
        height / self.halving_interval()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The hash of a block header or a transaction, in the byte order of the wire. Prints as it is usually written, reversed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct BlockHash(pub [u8; 32]);

/// Why a text is no hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHashError {
    text: String,
}

impl fmt::Display for BlockHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a block hash: {:?}; 64 hexadecimal digits are wanted", self.text)
    }
}

impl std::error::Error for BlockHashError {}

impl fmt::Display for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().rev().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlockHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for BlockHash {
    type Err = BlockHashError;

    fn from_str(text: &str) -> Result<Self, BlockHashError> {
        let mut bytes = bytes_of(text).ok_or_else(|| BlockHashError { text: text.to_owned() })?;
        bytes.reverse();
        Ok(Self(bytes))
    }
}

/// Work of a chain, 256 bits, big-endian. Prints as 64 hexadecimal digits, as a node does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(pub [u8; 32]);

impl Work {
    /// From 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        bytes_of(text).map(Self)
    }

    /// The sum; the work of all blocks there will ever be stays far below 256 bits, so it never wraps in earnest.
    pub fn plus(self, other: Self) -> Self {
        let mut sum = [0; 32];
        let mut carry = 0_u16;
        for place in (0..32).rev() {
            let total = u16::from(self.0[place]) + u16::from(other.0[place]) + carry;
            sum[place] = total as u8;
            carry = total >> 8;
        }
        Self(sum)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(bytes)
}

/// The 80 bytes at the head of a block, and what they hash to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// Hash of the header.
    pub hash: BlockHash,
    /// Hash of the block before; zeros for the first.
    pub previous: BlockHash,
    /// Version bits.
    pub version: i32,
    /// Root of the transactions' hashes.
    pub merkle_root: BlockHash,
    /// The miner's clock, seconds since 1970. Not monotone along a chain.
    pub time: u32,
    /// The target in its compact form.
    pub bits: u32,
    /// What the miner searched for.
    pub nonce: u32,
}

impl BlockHeader {
    /// How many times harder than the easiest target: a double, by the steps a node takes, so that every bit agrees.
    pub fn difficulty(&self) -> f64 {
        let exponent = self.bits >> 24;
        let mut difficulty = f64::from(0xffff) / f64::from(self.bits & 0x00ff_ffff);
        (exponent..29).for_each(|_| difficulty *= 256.0);
        (29..exponent).for_each(|_| difficulty /= 256.0);
        difficulty
    }
}

/// A header with its place on the chain that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPlace {
    /// The header.
    pub header: BlockHeader,
    /// Blocks before it.
    pub height: u32,
    /// Median of this header's time and those of the ten before, seconds since 1970.
    pub median_time: u32,
    /// Work of the chain up to and with this block.
    pub chainwork: Work,
}

impl BlockPlace {
    /// The header's time.
    pub fn time(&self) -> Time {
        Time(i64::from(self.header.time) * crate::time::SECOND)
    }
}

/// Coins of one block that another block spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpentAge {
    /// Height of the block that made the coins.
    pub height: u32,
    /// Their sum in satoshi.
    pub sat: i64,
}

/// What a block alone tells, together with the outputs it spends. The coinbase is the first transaction.
///
/// Definitions equal `getblockstats` where it has the number; where it has not, the field says what is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockSums {
    /// Bytes with witness, header and transaction count included.
    pub size_bytes: i64,
    /// Bytes without witness.
    pub stripped_size_bytes: i64,
    /// 3 × stripped size + size.
    pub weight_wu: i64,
    /// Transactions with the coinbase.
    pub tx_count: i64,
    /// Inputs without the coinbase's.
    pub input_count: i64,
    /// Outputs of all transactions, the coinbase's and unspendable ones included.
    pub output_count: i64,
    /// Transactions with at least one witness item, without the coinbase.
    pub segwit_tx_count: i64,
    /// Outputs of the coinbase: what the miner took.
    pub coinbase_sat: i64,
    /// Outputs of all other transactions, change and coins moved several times included.
    pub total_out_sat: i64,
    /// The same without outputs that nobody can spend.
    pub total_out_spendable_sat: i64,
    /// Outputs of all other transactions that do not return to one of the transaction's own input scripts. Outputs that
    /// nobody can spend count.
    pub transferred_sat: i64,
    /// Outputs that nobody can spend (script begins with `OP_RETURN` or is longer than 10,000 bytes), the coinbase's included.
    pub unspendable_sat: i64,
    /// Bytes of all transactions but the coinbase.
    pub tx_size_total_bytes: i64,
    /// Weight of all transactions but the coinbase.
    pub tx_weight_total_wu: i64,
    /// What each transaction but the coinbase paid, in the order of the block: spent outputs less outputs.
    pub fees: Vec<i64>,
    /// Coins spent, summed by the height that made them, ascending; `None` where those heights are not known.
    pub spent: Option<Vec<SpentAge>>,
}

impl BlockSums {
    /// Sum of the fees.
    pub fn fees_sat(&self) -> i64 {
        self.fees.iter().sum()
    }

    /// Virtual size: weight / 4, rounded up.
    pub fn vsize_vb(&self) -> i64 {
        (self.weight_wu + 3) / 4
    }
}

/// A block on the followed chain: its place, its sums, and what the chain amounts to with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockFacts {
    /// Where it stands.
    pub place: BlockPlace,
    /// Which network, for subsidy and epoch.
    pub network: Network,
    /// What it holds.
    pub sums: BlockSums,
    /// Sum of the outputs in the UTXO set once this block is applied, as `gettxoutsetinfo` counts them; `None` where the
    /// chain was not followed from its first block on.
    pub supply_total_sat: Option<i64>,
    /// Header time less that of the block before, in seconds; `None` for the first block and where the one before is not known.
    pub interval_sec: Option<i64>,
}

impl BlockFacts {
    /// The nominal subsidy.
    pub fn issued_sat(&self) -> i64 {
        self.network.subsidy(self.place.height)
    }

    /// Subsidy and fees that the miner did not take.
    pub fn unclaimed_sat(&self) -> i64 {
        self.issued_sat() + self.sums.fees_sat() - self.sums.coinbase_sat
    }
}

#[cfg(test)]
mod tests {
    //! Cases for hashes and work.
    use super::*;

    #[test]
    fn a_hash_prints_reversed_and_comes_back() {
        let text = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
        let hash: BlockHash = text.parse().unwrap();
        assert_eq!((hash.0[0], hash.0[31]), (0x6f, 0));
        assert_eq!(hash.to_string(), text);
        assert!("xyz".parse::<BlockHash>().unwrap_err().to_string().contains("\"xyz\""));
    }

    #[test]
    fn work_is_added_over_all_its_bytes() {
        let low = Work::parse(&format!("{}ff", "00".repeat(31))).unwrap();
        let one = Work::parse(&format!("{}01", "00".repeat(31))).unwrap();
        assert_eq!(low.plus(one).to_string(), format!("{}0100", "00".repeat(30)));
    }

    #[test]
    fn difficulty_is_what_a_node_prints() {
        let header = |bits| BlockHeader {
            hash: BlockHash::default(),
            previous: BlockHash::default(),
            version: 1,
            merkle_root: BlockHash::default(),
            time: 0,
            bits,
            nonce: 0,
        };
        assert_eq!(header(0x1d00_ffff).difficulty().to_string(), "1");
        assert_eq!(format!("{:e}", header(0x207f_ffff).difficulty()), "4.6565423739069247e-10");
        // Block 739990.
        assert_eq!(format!("{:.2}", header(0x1709_4b6a).difficulty()), "30283293547736.68");
    }

    #[test]
    fn the_subsidy_halves_by_the_network_and_ends() {
        assert_eq!(Network::Main.subsidy(209_999), 5_000_000_000);
        assert_eq!(Network::Main.subsidy(210_000), 2_500_000_000);
        assert_eq!(Network::Regtest.subsidy(300), 1_250_000_000);
        assert_eq!(Network::Regtest.subsidy(150 * 64), 0);
    }
}

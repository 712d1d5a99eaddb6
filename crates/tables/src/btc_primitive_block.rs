//! The table `btc_primitive_block`: what each block of the followed chain amounts to.

use arrow_array::{ListArray, RecordBatch};
use model::{
    BlockFacts, BlockHash, BlockHeader, BlockPlace, BlockSums, Network, SpentAge, Time, Work, bucket_of,
};

use crate::btc_blocks::{BTC, seconds_of};
use crate::cells::{self, Cells};
use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

/// The column of each transaction's fee.
const FEES: &str = "fees_by_tx_sat";
/// The columns of the ages of spent coins.
const HEIGHTS: &str = "spent_heights";
const SATS: &str = "spent_sats";

pub(crate) static TABLE: Table = Table {
    name: TableName::BtcPrimitiveBlock,
    doc: "What a block of the followed chain amounts to. Definitions equal a node's getblockstats where it has the number.",
    columns: &[
        Column::new("chain", ColumnKind::Text, "Which chain: btc."),
        Column::new("height", ColumnKind::Int64, "Blocks before it."),
        Column::new("hash", ColumnKind::Text, "Hash of the header."),
        Column::new("previous_hash", ColumnKind::Text, "Hash of the block before."),
        Column::new("network", ColumnKind::Text, "main, test, testnet4, signet or regtest."),
        Column::new("time", ColumnKind::Time, "The header's time."),
        Column::new("bucket", ColumnKind::Time, "Start of the ten minutes that the header's time falls in."),
        Column::new("median_time", ColumnKind::Time, "Median of the header's time and the ten before."),
        Column::new("bits", ColumnKind::Int64, "Target in its compact form."),
        Column::new("difficulty", ColumnKind::Float64, "Difficulty, as a node computes it."),
        Column::new("chainwork", ColumnKind::Text, "Work of the chain up to here, 64 hexadecimal digits."),
        Column::new("halving_epoch", ColumnKind::Int64, "How often the subsidy has halved."),
        Column::new("issued_sat", ColumnKind::Int64, "Nominal subsidy."),
        Column::new("fees_sat", ColumnKind::Int64, "Fees: spent outputs less outputs, without the coinbase."),
        Column::new("total_fee_sat", ColumnKind::Int64, "The same as fees_sat."),
        Column::new("miner_revenue_sat", ColumnKind::Int64, "Outputs of the coinbase: what the miner took."),
        Column::new("unclaimed_sat", ColumnKind::Int64, "Subsidy and fees that the miner did not take."),
        Column::new("total_out_sat", ColumnKind::Int64, "Outputs without the coinbase's, change included."),
        Column::new("total_out_spendable_sat", ColumnKind::Int64, "Those that somebody can spend."),
        Column::new(
            "transferred_sat",
            ColumnKind::Int64,
            "Outputs without the coinbase's that do not return to a script of their own transaction's inputs.",
        ),
        Column::new("unspendable_sat", ColumnKind::Int64, "Outputs that nobody can spend, the coinbase's included."),
        Column::new("tx_count", ColumnKind::Int64, "Transactions with the coinbase."),
        Column::new("tx_count_ex_coinbase", ColumnKind::Int64, "Transactions without it."),
        Column::new("input_count", ColumnKind::Int64, "Inputs without the coinbase's."),
        Column::new("output_count", ColumnKind::Int64, "Outputs, the coinbase's included."),
        Column::new("segwit_tx_count", ColumnKind::Int64, "Transactions with a witness, without the coinbase."),
        Column::new("block_size_bytes", ColumnKind::Int64, "Bytes with witness."),
        Column::new("block_stripped_size_bytes", ColumnKind::Int64, "Bytes without witness."),
        Column::new("block_weight_wu", ColumnKind::Int64, "Weight."),
        Column::new("block_vsize_vb", ColumnKind::Int64, "Weight / 4, rounded up."),
        Column::new("tx_size_total_bytes", ColumnKind::Int64, "Bytes of the transactions without the coinbase."),
        Column::new("tx_weight_total_wu", ColumnKind::Int64, "Weight of the transactions without the coinbase."),
        Column::new(
            "supply_total_sat",
            ColumnKind::Int64,
            "Outputs in the UTXO set after this block; absent where the chain was not followed from its first block.",
        )
        .nullable(),
        Column::new("block_interval_sec", ColumnKind::Int64, "Header time less that of the block before; can be negative.")
            .nullable(),
        Column::new(FEES, ColumnKind::Int64List, "Fee of each transaction without the coinbase, in order."),
        Column::new(
            HEIGHTS,
            ColumnKind::Int64List,
            "Heights whose coins it spends, ascending; absent where they are not known.",
        )
        .nullable(),
        Column::new(SATS, ColumnKind::Int64List, "Satoshi of those coins, by height.").nullable(),
    ],
    key: &["chain", "height"],
    time: "time",
    partition: Partition::Month("time"),
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[BlockFacts]) -> RecordBatch {
    let texts = |of: &dyn Fn(&BlockFacts) -> String| -> Vec<String> { rows.iter().map(of).collect() };
    let hashes = texts(&|row| row.place.header.hash.to_string());
    let previous = texts(&|row| row.place.header.previous.to_string());
    let work = texts(&|row| row.place.chainwork.to_string());
    let sums = |of: fn(&BlockSums) -> i64| rows.iter().map(move |row| of(&row.sums));
    let columns = Columns::of(&TABLE)
        .text(rows.iter().map(|_| BTC))
        .int(rows.iter().map(|row| i64::from(row.place.height)))
        .text(hashes.iter().map(String::as_str))
        .text(previous.iter().map(String::as_str))
        .text(rows.iter().map(|row| row.network.as_str()))
        .time(rows.iter().map(|row| row.place.time()))
        .time(rows.iter().map(|row| bucket_of(row.place.time())))
        .time(rows.iter().map(|row| Time(i64::from(row.place.median_time) * model::time::SECOND)))
        .int(rows.iter().map(|row| i64::from(row.place.header.bits)))
        .double(rows.iter().map(|row| row.place.header.difficulty()))
        .text(work.iter().map(String::as_str))
        .int(rows.iter().map(|row| i64::from(row.network.halving_epoch(row.place.height))));
    columns
        .int(rows.iter().map(BlockFacts::issued_sat))
        .int(sums(BlockSums::fees_sat))
        .int(sums(BlockSums::fees_sat))
        .int(sums(|sums| sums.coinbase_sat))
        .int(rows.iter().map(BlockFacts::unclaimed_sat))
        .int(sums(|sums| sums.total_out_sat))
        .int(sums(|sums| sums.total_out_spendable_sat))
        .int(sums(|sums| sums.transferred_sat))
        .int(sums(|sums| sums.unspendable_sat))
        .int(sums(|sums| sums.tx_count))
        .int(sums(|sums| sums.tx_count - 1))
        .int(sums(|sums| sums.input_count))
        .int(sums(|sums| sums.output_count))
        .int(sums(|sums| sums.segwit_tx_count))
        .int(sums(|sums| sums.size_bytes))
        .int(sums(|sums| sums.stripped_size_bytes))
        .int(sums(|sums| sums.weight_wu))
        .int(sums(BlockSums::vsize_vb))
        .int(sums(|sums| sums.tx_size_total_bytes))
        .int(sums(|sums| sums.tx_weight_total_wu))
        .int_or_null(rows.iter().map(|row| row.supply_total_sat))
        .int_or_null(rows.iter().map(|row| row.interval_sec))
        .list_or_null(rows.iter().map(|row| Some(row.sums.fees.iter().copied())))
        .list_or_null(
            rows.iter().map(|row| ages(row).map(|ages| ages.iter().map(|age| i64::from(age.height)))),
        )
        .list_or_null(rows.iter().map(|row| ages(row).map(|ages| ages.iter().map(|age| age.sat))))
        .finish()
}

fn ages(row: &BlockFacts) -> Option<&[SpentAge]> {
    row.sums.spent.as_deref()
}

/// All columns but the fees of each transaction, which are as long as all others together.
pub fn columns_without_fees() -> Vec<&'static str> {
    columns_without(&[FEES])
}

/// All columns but the ages of spent coins, which buckets do not need.
pub fn columns_without_ages() -> Vec<&'static str> {
    columns_without(&[HEIGHTS, SATS])
}

fn columns_without(left_out: &[&str]) -> Vec<&'static str> {
    TABLE.columns.iter().map(|column| column.name).filter(|name| !left_out.contains(name)).collect()
}

/// The columns of sums, in the order in which [`sums_of`] takes them.
const INTS: [&str; 14] = [
    "block_size_bytes",
    "block_stripped_size_bytes",
    "block_weight_wu",
    "tx_count",
    "input_count",
    "output_count",
    "segwit_tx_count",
    "miner_revenue_sat",
    "total_out_sat",
    "total_out_spendable_sat",
    "transferred_sat",
    "unspendable_sat",
    "tx_size_total_bytes",
    "tx_weight_total_wu",
];

/// Reads rows back; without fees or ages if their columns were not read.
pub fn from_batch(batch: &RecordBatch) -> Vec<BlockFacts> {
    // Columns are looked up once: a chain has a million rows.
    let cells = Cells::of(batch);
    let printed = "the table holds what was printed";
    let [hashes, previous, work, networks] =
        ["hash", "previous_hash", "chainwork", "network"].map(|name| cells.texts(name));
    let [times, medians] = ["time", "median_time"].map(|name| cells.times(name));
    let [heights, bits, supplies, intervals] =
        ["height", "bits", "supply_total_sat", "block_interval_sec"].map(|name| cells.ints(name));
    let (fees, ages) = (cells.lists(FEES), cells.lists(HEIGHTS).zip(cells.lists(SATS)));
    let ints = INTS.map(|name| cells.ints(name).values());
    let hash_of = |text: &str| -> BlockHash { text.parse().expect(printed) };
    let fact = |row: usize| {
        let header = BlockHeader {
            hash: hash_of(hashes.value(row)),
            previous: hash_of(previous.value(row)),
            // Not part of this table; `btc_blocks` has them.
            version: 0,
            merkle_root: BlockHash::default(),
            nonce: 0,
            time: seconds_of(cells::moment(times, row)),
            bits: bits.value(row) as u32,
        };
        BlockFacts {
            place: BlockPlace {
                header,
                height: heights.value(row) as u32,
                median_time: seconds_of(cells::moment(medians, row)),
                chainwork: Work::parse(work.value(row)).expect(printed),
            },
            network: Network::known(networks.value(row)).expect(printed),
            sums: BlockSums {
                fees: fees.and_then(|fees| cells::list(fees, row)).unwrap_or_default(),
                spent: ages.and_then(|ages| ages_of(ages, row)),
                ..sums_of(ints.map(|column| column[row]))
            },
            supply_total_sat: cells::number(supplies, row),
            interval_sec: cells::number(intervals, row),
        }
    };
    (0..batch.num_rows()).map(fact).collect()
}

fn sums_of(cells: [i64; INTS.len()]) -> BlockSums {
    let [
        size_bytes,
        stripped_size_bytes,
        weight_wu,
        tx_count,
        input_count,
        output_count,
        segwit_tx_count,
        coinbase_sat,
        total_out_sat,
        total_out_spendable_sat,
        transferred_sat,
        unspendable_sat,
        tx_size_total_bytes,
        tx_weight_total_wu,
    ] = cells;
    BlockSums {
        size_bytes,
        stripped_size_bytes,
        weight_wu,
        tx_count,
        input_count,
        output_count,
        segwit_tx_count,
        coinbase_sat,
        total_out_sat,
        total_out_spendable_sat,
        transferred_sat,
        unspendable_sat,
        tx_size_total_bytes,
        tx_weight_total_wu,
        fees: Vec::new(),
        spent: None,
    }
}

fn ages_of((heights, sats): (&ListArray, &ListArray), row: usize) -> Option<Vec<SpentAge>> {
    let both = cells::list(heights, row).zip(cells::list(sats, row));
    both.map(|(heights, sats)| {
        heights.iter().zip(sats).map(|(height, sat)| SpentAge { height: *height as u32, sat }).collect()
    })
}

/// The supply with the block at a height, if it is among the rows and known.
pub fn supply_of(batch: &RecordBatch, height: u32) -> Option<i64> {
    let cells = Cells::of(batch);
    let (heights, supplies) = (cells.ints("height"), cells.ints("supply_total_sat"));
    let row = (0..batch.num_rows()).find(|row| heights.value(*row) == i64::from(height))?;
    cells::number(supplies, row)
}

/// Heights and header times of the rows.
pub fn heights_and_times(batch: &RecordBatch) -> Vec<(u32, Time)> {
    let (heights, times) = (Cells::of(batch).ints("height"), Cells::of(batch).times("time"));
    let pairs = heights.values().iter().zip(times.values());
    pairs.map(|(height, time)| (*height as u32, Time(*time))).collect()
}

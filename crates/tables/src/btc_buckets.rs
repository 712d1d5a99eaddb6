//! The table `btc_buckets`: the followed chain over ten minutes each. Readers see it as `btc_primitive_10m`, with prices beside it.

use arrow_array::RecordBatch;
use model::{BlockHash, ChainBucket, Work};

use crate::btc_blocks::BTC;
use crate::cells::{self, Cells};
use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::BtcBuckets,
    doc: "The followed chain over ten minutes. Flows are zero where nothing happened, states are carried on, what is undefined is absent. \
          Read as btc_primitive_10m, which has the canonical price beside it.",
    columns: &[
        Column::new("chain", ColumnKind::Text, "Which chain: btc."),
        Column::new("bucket", ColumnKind::Time, "Start of the ten minutes."),
        Column::new("block_count", ColumnKind::Int64, "Blocks whose header time falls in the bucket."),
        Column::new("issued_sat_10m", ColumnKind::Int64, "Nominal subsidy."),
        Column::new("fees_sat_10m", ColumnKind::Int64, "Fees: spent outputs less outputs."),
        Column::new("total_fee_sat_10m", ColumnKind::Int64, "The same as fees_sat_10m."),
        Column::new("miner_revenue_sat_10m", ColumnKind::Int64, "Outputs of the coinbases: what miners took."),
        Column::new("unclaimed_sat_10m", ColumnKind::Int64, "Subsidy and fees that miners did not take."),
        Column::new("total_out_sat_10m", ColumnKind::Int64, "Outputs without the coinbases', change included."),
        Column::new("transferred_sat_10m", ColumnKind::Int64, "Outputs without the coinbases' that do not return to a script of their own transaction's inputs."),
        Column::new("tx_count_10m", ColumnKind::Int64, "Transactions with coinbases."),
        Column::new("tx_count_ex_coinbase_10m", ColumnKind::Int64, "Transactions without coinbases."),
        Column::new("input_count_10m", ColumnKind::Int64, "Inputs without the coinbases'."),
        Column::new("output_count_10m", ColumnKind::Int64, "Outputs, the coinbases' included."),
        Column::new("segwit_tx_count_10m", ColumnKind::Int64, "Transactions with a witness, without coinbases."),
        Column::new("block_size_total_bytes_10m", ColumnKind::Int64, "Bytes of the blocks."),
        Column::new("block_weight_total_wu_10m", ColumnKind::Int64, "Weight of the blocks."),
        Column::new("block_vsize_total_vb_10m", ColumnKind::Int64, "Virtual size of the blocks, each rounded up."),
        Column::new("tx_size_total_bytes_10m", ColumnKind::Int64, "Bytes of transactions without coinbases."),
        Column::new("tx_weight_total_wu_10m", ColumnKind::Int64, "Weight of transactions without coinbases."),
        Column::new("transferred_btc_10m", ColumnKind::Float64, "transferred_sat_10m in BTC."),
        Column::new("supply_total_sat", ColumnKind::Int64, "Outputs in the UTXO set at the end; absent where the chain was not followed from its first block.")
            .nullable(),
        Column::new("difficulty_last", ColumnKind::Float64, "Difficulty of the highest block."),
        Column::new("chainwork_last", ColumnKind::Text, "Work up to the highest block."),
        Column::new("best_block_height_last", ColumnKind::Int64, "The highest block up to the end of the bucket."),
        Column::new("best_block_hash_last", ColumnKind::Text, "Its hash."),
        Column::new("halving_epoch", ColumnKind::Int64, "How often the subsidy had halved."),
        Column::new("block_interval_mean_sec_10m", ColumnKind::Float64, "Mean of the header times' differences of neighbours by height, of the blocks within, which need not follow each other on the chain; absent below two blocks.").nullable(),
        Column::new("block_interval_median_sec_10m", ColumnKind::Float64, "Their median.").nullable(),
        Column::new("avg_fee_sat_10m", ColumnKind::Float64, "Fees by transaction, without coinbases; absent without any.").nullable(),
        Column::new("median_fee_sat_10m", ColumnKind::Float64, "Median over the fees of all transactions but coinbases.").nullable(),
        Column::new("avg_feerate_sat_vb_10m", ColumnKind::Float64, "4 x fees by weight of the transactions but coinbases.").nullable(),
        Column::new("segwit_share_10m", ColumnKind::Float64, "Transactions with a witness by transactions, without coinbases.").nullable(),
        Column::new("tx_size_mean_bytes_10m", ColumnKind::Float64, "Bytes by transaction, without coinbases.").nullable(),
        Column::new("block_size_mean_bytes_10m", ColumnKind::Float64, "Bytes by block.").nullable(),
    ],
    key: &["chain", "bucket"],
    time: "bucket",
    partition: Partition::Month("bucket"),
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[ChainBucket]) -> RecordBatch {
    let work: Vec<String> = rows.iter().map(|row| row.chainwork_last.to_string()).collect();
    let hashes: Vec<String> = rows.iter().map(|row| row.best_block_hash_last.to_string()).collect();
    let ints = |of: fn(&ChainBucket) -> i64| rows.iter().map(of);
    let doubles = |of: fn(&ChainBucket) -> Option<f64>| rows.iter().map(of);
    let columns = Columns::of(&TABLE).text(rows.iter().map(|_| BTC)).time(rows.iter().map(|row| row.bucket));
    let columns = columns
        .int(ints(|row| row.block_count))
        .int(ints(|row| row.issued_sat))
        .int(ints(|row| row.fees_sat))
        .int(ints(|row| row.fees_sat))
        .int(ints(|row| row.miner_revenue_sat))
        .int(ints(|row| row.unclaimed_sat))
        .int(ints(|row| row.total_out_sat))
        .int(ints(|row| row.transferred_sat))
        .int(ints(|row| row.tx_count))
        .int(ints(|row| row.tx_count_ex_coinbase))
        .int(ints(|row| row.input_count))
        .int(ints(|row| row.output_count))
        .int(ints(|row| row.segwit_tx_count))
        .int(ints(|row| row.block_size_total_bytes))
        .int(ints(|row| row.block_weight_total_wu))
        .int(ints(|row| row.block_vsize_total_vb))
        .int(ints(|row| row.tx_size_total_bytes))
        .int(ints(|row| row.tx_weight_total_wu));
    columns
        .double(rows.iter().map(|row| row.transferred_sat as f64 / 1e8))
        .int_or_null(rows.iter().map(|row| row.supply_total_sat))
        .double(rows.iter().map(|row| row.difficulty_last))
        .text(work.iter().map(String::as_str))
        .int(ints(|row| i64::from(row.best_block_height_last)))
        .text(hashes.iter().map(String::as_str))
        .int(ints(|row| i64::from(row.halving_epoch)))
        .double_or_null(doubles(|row| row.block_interval_mean_sec))
        .double_or_null(doubles(|row| row.block_interval_median_sec))
        .double_or_null(doubles(|row| row.avg_fee_sat))
        .double_or_null(doubles(|row| row.median_fee_sat))
        .double_or_null(doubles(|row| row.avg_feerate_sat_vb))
        .double_or_null(doubles(|row| row.segwit_share))
        .double_or_null(doubles(|row| row.tx_size_mean_bytes))
        .double_or_null(doubles(|row| row.block_size_mean_bytes))
        .finish()
}

/// Reads rows back.
pub fn from_batch(batch: &RecordBatch) -> Vec<ChainBucket> {
    (0..batch.num_rows()).map(|row| bucket(Cells::of(batch), row)).collect()
}

fn bucket(cells: Cells<'_>, row: usize) -> ChainBucket {
    let int = |name: &str| cells.ints(name).value(row);
    let double = |name: &str| cells::double(cells.doubles(name), row);
    let printed = "the table holds what was printed";
    ChainBucket {
        bucket: cells::moment(cells.times("bucket"), row),
        block_count: int("block_count"),
        issued_sat: int("issued_sat_10m"),
        fees_sat: int("fees_sat_10m"),
        miner_revenue_sat: int("miner_revenue_sat_10m"),
        unclaimed_sat: int("unclaimed_sat_10m"),
        total_out_sat: int("total_out_sat_10m"),
        transferred_sat: int("transferred_sat_10m"),
        tx_count: int("tx_count_10m"),
        tx_count_ex_coinbase: int("tx_count_ex_coinbase_10m"),
        input_count: int("input_count_10m"),
        output_count: int("output_count_10m"),
        segwit_tx_count: int("segwit_tx_count_10m"),
        block_size_total_bytes: int("block_size_total_bytes_10m"),
        block_weight_total_wu: int("block_weight_total_wu_10m"),
        block_vsize_total_vb: int("block_vsize_total_vb_10m"),
        tx_size_total_bytes: int("tx_size_total_bytes_10m"),
        tx_weight_total_wu: int("tx_weight_total_wu_10m"),
        supply_total_sat: cells::number(cells.ints("supply_total_sat"), row),
        difficulty_last: cells.doubles("difficulty_last").value(row),
        chainwork_last: Work::parse(cells.texts("chainwork_last").value(row)).expect(printed),
        best_block_height_last: int("best_block_height_last") as u32,
        best_block_hash_last: cells
            .texts("best_block_hash_last")
            .value(row)
            .parse::<BlockHash>()
            .expect(printed),
        halving_epoch: int("halving_epoch") as u32,
        block_interval_mean_sec: double("block_interval_mean_sec_10m"),
        block_interval_median_sec: double("block_interval_median_sec_10m"),
        avg_fee_sat: double("avg_fee_sat_10m"),
        median_fee_sat: double("median_fee_sat_10m"),
        avg_feerate_sat_vb: double("avg_feerate_sat_vb_10m"),
        segwit_share: double("segwit_share_10m"),
        tx_size_mean_bytes: double("tx_size_mean_bytes_10m"),
        block_size_mean_bytes: double("block_size_mean_bytes_10m"),
    }
}

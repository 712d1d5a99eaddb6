//! The table `btc_coin_blocks`: what each block of the followed chain did to coins.

use arrow_array::RecordBatch;
use model::{CoinBlock, CoinSum};

use crate::btc_blocks::BTC;
use crate::cells::{self, Cells};
use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::BtcCoinBlocks,
    doc: "What a block of the followed chain did to coins, at the canonical price, and what all coins amount to with it.",
    columns: &[
        Column::new("chain", ColumnKind::Text, "Which chain: btc."),
        Column::new("height", ColumnKind::Int64, "Blocks before it."),
        Column::new("hash", ColumnKind::Text, "Hash of the header."),
        Column::new("time", ColumnKind::Time, "The header's time."),
        Column::new("spent_value_usd", ColumnKind::Float64, "Coins spent, at the price of their spending.")
            .nullable(),
        Column::new(
            "spent_cost_usd",
            ColumnKind::Float64,
            "The same coins, at the price when they were made.",
        )
        .nullable(),
        Column::new(
            "coin_days_destroyed",
            ColumnKind::Float64,
            "Bitcoin spent × days since they were made, by header times.",
        )
        .nullable(),
        Column::new(
            "realized_cap_usd",
            ColumnKind::Float64,
            "All coins in the UTXO set, each at the price when it was made; at nothing before 2013-04-01, absent while one's price is not known.",
        )
        .nullable(),
        Column::new("reason", ColumnKind::Text, "Why one of these is absent.").nullable(),
        Column::new(
            "realized_exact",
            ColumnKind::Text,
            "Realised capitalisation of all coins with a price, as a whole number of 10⁻¹⁶ USD: what the next block is added to.",
        ),
        Column::new("unpriced_sat", ColumnKind::Int64, "Unspent satoshi whose price when made is not known."),
        Column::new("broken", ColumnKind::Text, "Why nothing can be said of all coins from here on.")
            .nullable(),
    ],
    key: &["chain", "height"],
    time: "time",
    partition: Partition::Month("time"),
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[CoinBlock]) -> RecordBatch {
    let hashes: Vec<String> = rows.iter().map(|row| row.hash.to_string()).collect();
    let exact: Vec<String> = rows.iter().map(|row| row.sum.realized.to_string()).collect();
    Columns::of(&TABLE)
        .text(rows.iter().map(|_| BTC))
        .int(rows.iter().map(|row| i64::from(row.height)))
        .text(hashes.iter().map(String::as_str))
        .time(rows.iter().map(|row| row.time))
        .double_or_null(rows.iter().map(|row| row.spent_value_usd))
        .double_or_null(rows.iter().map(|row| row.spent_cost_usd))
        .double_or_null(rows.iter().map(|row| row.coin_days_destroyed))
        .double_or_null(rows.iter().map(|row| row.realized_cap_usd))
        .text_or_null(rows.iter().map(|row| row.reason))
        .text(exact.iter().map(String::as_str))
        .int(rows.iter().map(|row| row.sum.unpriced_sat))
        .text_or_null(rows.iter().map(|row| row.sum.broken))
        .finish()
}

/// Reads rows back. `reason` is the word of that name, as long as it is one.
pub fn from_batch(batch: &RecordBatch, reason: fn(&str) -> Option<&'static str>) -> Vec<CoinBlock> {
    let cells = Cells::of(batch);
    let printed = "the table holds what was printed";
    let word = |name: &str, row: usize| cells::text(cells.texts(name), row).and_then(reason);
    let row = |row: usize| CoinBlock {
        height: cells.ints("height").value(row) as u32,
        hash: cells.texts("hash").value(row).parse().expect(printed),
        time: cells::moment(cells.times("time"), row),
        spent_value_usd: cells::double(cells.doubles("spent_value_usd"), row),
        spent_cost_usd: cells::double(cells.doubles("spent_cost_usd"), row),
        coin_days_destroyed: cells::double(cells.doubles("coin_days_destroyed"), row),
        realized_cap_usd: cells::double(cells.doubles("realized_cap_usd"), row),
        reason: word("reason", row),
        sum: CoinSum {
            realized: cells.texts("realized_exact").value(row).parse().expect(printed),
            unpriced_sat: cells.ints("unpriced_sat").value(row),
            broken: word("broken", row),
        },
    };
    (0..batch.num_rows()).map(row).collect()
}

#[cfg(test)]
mod tests {
    //! Rows there and back.
    use model::{BlockHash, Time};

    use super::*;

    #[test]
    fn rows_come_back_exactly() {
        let row = CoinBlock {
            height: 7,
            hash: BlockHash([3; 32]),
            time: Time(1_600_000_000_000_000),
            spent_value_usd: Some(1.5),
            spent_cost_usd: None,
            coin_days_destroyed: Some(0.25),
            realized_cap_usd: None,
            reason: Some("price_missing"),
            sum: CoinSum { realized: -(1_i128 << 100), unpriced_sat: 9, broken: Some("ages_unknown") },
        };
        let known = |name: &str| ["ages_unknown", "price_missing"].into_iter().find(|known| *known == name);
        assert_eq!(from_batch(&to_batch(&[row, CoinBlock { reason: None, ..row }]), known)[0], row);
    }
}

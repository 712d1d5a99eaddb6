//! The table `instruments`: instruments as their venues list them, with the span in which each form held.

use arrow_array::RecordBatch;

use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::{InstrumentRow, TableName};

pub(crate) static TABLE: Table = Table {
    name: TableName::Instruments,
    doc: "One form of an instrument.",
    columns: &[
        Column::new("instrument", ColumnKind::Text, "Instrument id."),
        Column::new("valid_from", ColumnKind::Time, "When this form was first seen."),
        Column::new("venue_symbol", ColumnKind::Text, "The venue's own name."),
        Column::new("base", ColumnKind::Text, "Base asset."),
        Column::new("quote", ColumnKind::Text, "Quote asset."),
        Column::new("settle", ColumnKind::Text, "Settlement asset."),
        Column::new("kind", ColumnKind::Text, "spot, perpetual or future."),
        Column::new("status", ColumnKind::Text, "announced, trading, halted or delisted."),
        Column::new("tick_size", ColumnKind::Float64, "Smallest price step.").nullable(),
        Column::new("lot_size", ColumnKind::Float64, "Smallest quantity step.").nullable(),
        Column::new("quantity_min", ColumnKind::Float64, "Smallest order quantity.").nullable(),
        Column::new("notional_min", ColumnKind::Float64, "Smallest order value.").nullable(),
        Column::new("contract_size", ColumnKind::Float64, "Base units of one contract."),
        Column::new("listed_time", ColumnKind::Time, "When the venue opened it.").nullable(),
        Column::new("valid_to", ColumnKind::Time, "When this form was replaced; absent while it holds.")
            .nullable(),
    ],
    key: &["instrument", "valid_from"],
    time: "valid_from",
    partition: Partition::None,
    is_keyed: true,
};

pub(crate) fn to_batch(rows: &[InstrumentRow]) -> RecordBatch {
    Columns::of(&TABLE)
        .text(rows.iter().map(|row| row.instrument.id.as_str()))
        .time(rows.iter().map(|row| row.valid_from))
        .text(rows.iter().map(|row| &*row.instrument.symbol))
        .text(rows.iter().map(|row| &*row.instrument.base))
        .text(rows.iter().map(|row| &*row.instrument.quote))
        .text(rows.iter().map(|row| &*row.instrument.settle))
        .text(rows.iter().map(|row| row.instrument.kind.as_str()))
        .text(rows.iter().map(|row| row.instrument.status.as_str()))
        .float_or_null(rows.iter().map(|row| row.instrument.tick_size))
        .float_or_null(rows.iter().map(|row| row.instrument.lot_size))
        .float_or_null(rows.iter().map(|row| row.instrument.quantity_min))
        .float_or_null(rows.iter().map(|row| row.instrument.notional_min))
        .float(rows.iter().map(|row| row.instrument.contract_size))
        .time_or_null(rows.iter().map(|row| row.instrument.listed_time))
        .time_or_null(rows.iter().map(|row| row.valid_to))
        .finish()
}

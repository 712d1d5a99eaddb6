//! Work on rows in memory: sorting by key, splitting by partition, telling keys apart.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, BooleanArray, Date32Array, RecordBatch, UInt32Array};
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use deltalake::arrow::array::{DynComparator, make_comparator};
use deltalake::arrow::compute::{
    LexicographicalComparator, SortColumn, SortOptions, concat_batches, filter_record_batch,
    lexsort_to_indices, max, min, take_record_batch,
};
use deltalake::arrow::row::{OwnedRow, RowConverter, SortField};
use model::{Date, Time};
use tables::{Partition, Table};

use crate::error::{Error, failed};
use crate::write::uniform;

/// Adds the partition column to rows in the table's row schema.
pub(crate) fn with_partition(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let Some(column) = table.partition.time_column() else { return Ok(batch.clone()) };
    let times = column_of(batch, column)?.as_primitive::<TimestampMicrosecondType>();
    let day_of = |time: i64| partition_of(table, Time(time)).0;
    let days = match (min(times), max(times)) {
        (Some(first), Some(last)) if day_of(first) == day_of(last) => {
            Date32Array::from_value(day_of(first), times.len())
        }
        _ => Date32Array::from_iter_values(times.values().iter().map(|time| day_of(*time))),
    };
    let mut columns = batch.columns().to_vec();
    columns.push(Arc::new(days));
    RecordBatch::try_new(table.stored_schema(), columns).map_err(failed("add the partition column"))
}

/// The partition a moment falls in.
pub(crate) fn partition_of(table: &Table, time: Time) -> Date {
    let day = time.date();
    match table.partition {
        Partition::Month(_) => {
            let (_, _, day_of_month) = day.civil();
            Date(day.0 - (day_of_month as i32 - 1))
        }
        Partition::Day(_) | Partition::None => day,
    }
}

/// Takes the partition column away.
pub(crate) fn without_partition(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let indices: Vec<usize> = (0..table.columns.len()).collect();
    batch.project(&indices).map_err(failed("take the partition column away"))
}

/// The column of that name.
pub(crate) fn column_of<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Error> {
    batch.column_by_name(name).ok_or_else(|| Error::Failed(format!("there is no column {name} in the rows")))
}

/// One batch of many.
pub(crate) fn concat(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch, Error> {
    match batches {
        [one] => Ok(one.clone()),
        many => concat_batches(schema, many).map_err(failed("join rows")),
    }
}

/// In which order rows stand sorted by partition and the table's key, nulls first.
pub(crate) fn order(table: &Table, batch: &RecordBatch) -> Result<UInt32Array, Error> {
    let names: Vec<&str> = table.partition.column().into_iter().chain(table.key.iter().copied()).collect();
    order_by(batch, &names)
}

/// The rows at these places, in this order.
pub(crate) fn at(batch: &RecordBatch, places: &UInt32Array) -> Result<RecordBatch, Error> {
    take_record_batch(batch, places).map_err(failed("sort rows"))
}

/// Rows sorted by the table's key, nulls first.
pub(crate) fn sort(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    sort_by(batch, table.key)
}

/// Whether rows in the stored schema stand in the order that [`sort`] gives them within their partition.
pub(crate) fn is_sorted(table: &Table, batch: &RecordBatch) -> Result<bool, Error> {
    let names = table.partition.column().into_iter().chain(table.key.iter().copied());
    let columns = names.map(|name| Cells::of(column_of(batch, name)?)).collect::<Result<Vec<_>, Error>>()?;
    let columns: Vec<Cells<'_>> = columns.into_iter().flatten().collect();
    let is_after = |row: usize| {
        columns.iter().map(|cells| cells.compare(row)).find(|order| order.is_ne()) == Some(Ordering::Greater)
    };
    Ok(!(1..batch.num_rows()).any(is_after))
}

/// The cells of a column, to be compared with those before them. Past rows come by the hundred million, mostly of one
/// instrument and a few numbers.
enum Cells<'a> {
    Numbers(&'a [i64]),
    Any(DynComparator),
}

impl<'a> Cells<'a> {
    /// `None` if all cells are alike.
    fn of(column: &'a ArrayRef) -> Result<Option<Self>, Error> {
        let is_alike = match column.data_type() {
            _ if column.len() < 2 || column.null_count() == column.len() => true,
            DataType::Utf8 => uniform(column.as_string::<i32>()).is_some(),
            DataType::Date32 => {
                let days = column.as_primitive::<Date32Type>();
                column.null_count() == 0 && min(days) == max(days)
            }
            _ => false,
        };
        if is_alike {
            return Ok(None);
        }
        let numbers = match column.data_type() {
            _ if column.null_count() > 0 => None,
            DataType::Int64 => Some(column.as_primitive::<Int64Type>().values()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                Some(column.as_primitive::<TimestampMicrosecondType>().values())
            }
            _ => None,
        };
        if let Some(numbers) = numbers {
            return Ok(Some(Self::Numbers(numbers)));
        }
        let options = SortOptions { descending: false, nulls_first: true };
        make_comparator(column, column, options).map(Self::Any).map(Some).map_err(failed("compare rows"))
    }

    /// The row before, compared with the row.
    #[inline]
    fn compare(&self, row: usize) -> Ordering {
        match self {
            Self::Numbers(numbers) => numbers[row - 1].cmp(&numbers[row]),
            Self::Any(compare) => compare(row - 1, row),
        }
    }
}

/// A row's place in the order of the key.
pub(crate) type Place = OwnedRow;

/// The places of the first and the last of some sorted rows.
pub(crate) fn ends(table: &Table, sorted: &RecordBatch) -> Result<(Place, Place), Error> {
    let keys = Keys::of(table)?;
    let place = |row: usize| Ok::<_, Error>(keys.rows(&sorted.slice(row, 1))?.row(0).owned());
    Ok((place(0)?, place(sorted.num_rows() - 1)?))
}

/// Rows sorted by columns, nulls first.
pub(crate) fn sort_by(batch: &RecordBatch, names: &[&str]) -> Result<RecordBatch, Error> {
    let columns = sort_columns(batch, names)?;
    let rows = LexicographicalComparator::try_new(&columns).map_err(failed("compare rows"))?;
    if (1..batch.num_rows()).all(|row| rows.compare(row - 1, row).is_le()) {
        return Ok(batch.clone());
    }
    at(batch, &order_of(&columns)?)
}

fn order_by(batch: &RecordBatch, names: &[&str]) -> Result<UInt32Array, Error> {
    order_of(&sort_columns(batch, names)?)
}

fn sort_columns(batch: &RecordBatch, names: &[&str]) -> Result<Vec<SortColumn>, Error> {
    let options = Some(SortOptions { descending: false, nulls_first: true });
    let column = |name: &&str| Ok(SortColumn { values: Arc::clone(column_of(batch, name)?), options });
    names.iter().map(column).collect()
}

fn order_of(columns: &[SortColumn]) -> Result<UInt32Array, Error> {
    lexsort_to_indices(columns, None).map_err(failed("sort rows"))
}

/// The same rows, last one first.
pub(crate) fn reverse(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let order = UInt32Array::from_iter_values((0..batch.num_rows() as u32).rev());
    take_record_batch(batch, &order).map_err(failed("turn rows around"))
}

/// Splits rows that are sorted by partition into one batch per partition, without the partition column.
pub(crate) fn split(table: &Table, sorted: &RecordBatch) -> Result<Vec<(Option<Date>, RecordBatch)>, Error> {
    let Some(name) = table.partition.column() else {
        return Ok(vec![(None, sorted.clone())]);
    };
    let days = column_of(sorted, name)?.as_primitive::<Date32Type>().values().clone();
    let rows = without_partition(table, sorted)?;
    let mut parts = Vec::new();
    let mut start = 0;
    for chunk in days.chunk_by(|one, next| one == next) {
        parts.push((chunk.first().map(|day| Date(*day)), rows.slice(start, chunk.len())));
        start += chunk.len();
    }
    Ok(parts)
}

/// Makes comparable keys of rows.
pub(crate) struct Keys {
    converter: RowConverter,
    names: &'static [&'static str],
}

impl Keys {
    pub(crate) fn of(table: &Table) -> Result<Self, Error> {
        let kinds = table.key.iter().filter_map(|name| table.column(name)).map(|column| column.kind);
        let fields = kinds.map(|kind| SortField::new(kind.data_type())).collect();
        let converter = RowConverter::new(fields).map_err(failed("compare keys"))?;
        Ok(Self { converter, names: table.key })
    }

    fn rows(&self, batch: &RecordBatch) -> Result<deltalake::arrow::row::Rows, Error> {
        let columns =
            self.names.iter().map(|name| column_of(batch, name).cloned()).collect::<Result<Vec<_>, _>>()?;
        self.converter.convert_columns(&columns).map_err(failed("compare keys"))
    }

    /// The keys of all rows.
    pub(crate) fn set(&self, batch: &RecordBatch) -> Result<HashSet<OwnedRow>, Error> {
        Ok(self.rows(batch)?.iter().map(|row| row.owned()).collect())
    }

    /// Which rows have none of these keys.
    pub(crate) fn absent(
        &self,
        batch: &RecordBatch,
        keys: &HashSet<OwnedRow>,
    ) -> Result<BooleanArray, Error> {
        Ok(self.rows(batch)?.iter().map(|row| Some(!keys.contains(&row.owned()))).collect())
    }

    /// The rows without those that a later row with the same key replaces.
    pub(crate) fn newest(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let rows = self.rows(batch)?;
        let mut seen = HashSet::with_capacity(batch.num_rows());
        let mut keep = vec![false; batch.num_rows()];
        for (index, kept) in keep.iter_mut().enumerate().rev() {
            *kept = seen.insert(rows.row(index));
        }
        if keep.iter().all(|kept| *kept) {
            return Ok(batch.clone());
        }
        filter_record_batch(batch, &keep.into()).map_err(failed("drop replaced rows"))
    }
}

#[cfg(test)]
mod tests {
    //! Cases for partitions.
    use super::*;
    use tables::TableName;

    #[test]
    fn months_are_named_by_their_first_day() {
        let time = Time::parse("2024-02-29T23:59:59Z").unwrap();
        assert_eq!(partition_of(tables::table(TableName::Bars), time).to_string(), "2024-02-01");
        assert_eq!(partition_of(tables::table(TableName::Trades), time).to_string(), "2024-02-29");
    }

    #[test]
    fn sorted_rows_are_known_as_sorted_and_no_others() {
        let table = tables::table(TableName::Trades);
        let mut seed = 88_172_645_463_325_252_u64;
        let mut below = move |bound: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % bound
        };
        let mut sorted_count = 0;
        for _ in 0..400 {
            let (names, ids) = (1 + below(2), below(3));
            let mut trade = |_| model::Trade {
                instrument: ["binance:X-Y", "bybit:XX-YY"][below(names) as usize].parse().unwrap(),
                venue_time: Time(86_399_999_998 + below(4) as i64),
                trade_id: (below(3) < ids).then(|| below(4) as i64),
                venue_trade_id: (below(3) >= ids).then(|| ["x", "y", "yy"][below(3) as usize].into()),
                price: model::Decimal::ONE,
                quantity: model::Decimal::ONE,
                taker_side: model::Side::Buy,
                first_trade_id: None,
                last_trade_id: None,
                condition: model::Condition::Market,
                received_time: Time(0),
                source: model::Source::Archive,
            };
            let rows = tables::Rows::Trades((0..3).map(&mut trade).collect()).to_batch();
            let rows = with_partition(table, &rows).unwrap();
            let sorted = at(&rows, &order(table, &rows).unwrap()).unwrap();
            assert!(is_sorted(table, &sorted).unwrap(), "{sorted:?}");
            // Rows that change nothing when they are sorted are sorted.
            assert_eq!(is_sorted(table, &rows).unwrap(), sorted == rows, "{rows:?}");
            sorted_count += usize::from(sorted == rows);
        }
        assert!((20..380).contains(&sorted_count), "{sorted_count}");
    }
}

//! Reads the cells of rows that a store hands out, column by column, by name.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, ListArray, PrimitiveArray, RecordBatch, StringArray};
use model::Time;

/// A batch of one table, of which cells are asked for by row.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    batch: &'a RecordBatch,
}

// A store hands out the columns that its table declares; anything else is a fault of this program.
impl<'a> Cells<'a> {
    pub(crate) fn of(batch: &'a RecordBatch) -> Self {
        Self { batch }
    }

    /// A column that may not have been read.
    pub(crate) fn known(self, name: &str) -> Option<&'a ArrayRef> {
        self.batch.column_by_name(name)
    }

    fn column(self, name: &str) -> &'a ArrayRef {
        self.batch.column_by_name(name).unwrap_or_else(|| panic!("column {name} was not read"))
    }

    pub(crate) fn texts(self, name: &str) -> &'a StringArray {
        self.column(name).as_string::<i32>()
    }

    pub(crate) fn ints(self, name: &str) -> &'a PrimitiveArray<Int64Type> {
        self.column(name).as_primitive::<Int64Type>()
    }

    pub(crate) fn smalls(self, name: &str) -> &'a PrimitiveArray<Int32Type> {
        self.column(name).as_primitive::<Int32Type>()
    }

    pub(crate) fn doubles(self, name: &str) -> &'a PrimitiveArray<Float64Type> {
        self.column(name).as_primitive::<Float64Type>()
    }

    pub(crate) fn times(self, name: &str) -> &'a PrimitiveArray<TimestampMicrosecondType> {
        self.column(name).as_primitive::<TimestampMicrosecondType>()
    }

    /// Lists, if their column was read.
    pub(crate) fn lists(self, name: &str) -> Option<&'a ListArray> {
        self.known(name).map(AsArray::as_list)
    }
}

/// The number, if there is one.
pub(crate) fn number(array: &PrimitiveArray<Int64Type>, row: usize) -> Option<i64> {
    array.is_valid(row).then(|| array.value(row))
}

/// The number, if there is one.
pub(crate) fn double(array: &PrimitiveArray<Float64Type>, row: usize) -> Option<f64> {
    array.is_valid(row).then(|| array.value(row))
}

/// The text, if there is one.
pub(crate) fn text(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

/// The list, if there is one.
pub(crate) fn list(array: &ListArray, row: usize) -> Option<Vec<i64>> {
    array.is_valid(row).then(|| array.value(row).as_primitive::<Int64Type>().values().to_vec())
}

/// The moment.
pub(crate) fn moment(array: &PrimitiveArray<TimestampMicrosecondType>, row: usize) -> Time {
    Time(array.value(row))
}

/// The moments in the column `bucket` of rows.
pub fn buckets_of(batch: &RecordBatch) -> Vec<Time> {
    Cells::of(batch).times("bucket").values().iter().map(|time| Time(*time)).collect()
}

/// The numbers in the column `height` of rows.
pub fn heights_of(batch: &RecordBatch) -> Vec<i64> {
    Cells::of(batch).ints("height").values().to_vec()
}

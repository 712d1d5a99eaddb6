//! Builds the Arrow columns of a table, one call per declared column, in order.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use model::{Decimal, Time};

use crate::column::{Table, list_field};

/// Columns gathered so far.
pub(crate) struct Columns {
    table: &'static Table,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    pub(crate) fn of(table: &'static Table) -> Self {
        Self { table, arrays: Vec::with_capacity(table.columns.len()) }
    }

    fn push(mut self, array: ArrayRef) -> Self {
        self.arrays.push(array);
        self
    }

    pub(crate) fn text<'a>(self, values: impl Iterator<Item = &'a str>) -> Self {
        self.push(Arc::new(StringArray::from_iter_values(values)))
    }

    pub(crate) fn text_or_null<'a>(self, values: impl Iterator<Item = Option<&'a str>>) -> Self {
        self.push(Arc::new(values.collect::<StringArray>()))
    }

    pub(crate) fn time(self, values: impl Iterator<Item = Time>) -> Self {
        let array = TimestampMicrosecondArray::from_iter_values(values.map(|time| time.0));
        self.push(Arc::new(array.with_timezone("UTC")))
    }

    pub(crate) fn time_or_null(self, values: impl Iterator<Item = Option<Time>>) -> Self {
        let array: TimestampMicrosecondArray = values.map(|time| time.map(|time| time.0)).collect();
        self.push(Arc::new(array.with_timezone("UTC")))
    }

    pub(crate) fn int(self, values: impl Iterator<Item = i64>) -> Self {
        self.push(Arc::new(Int64Array::from_iter_values(values)))
    }

    pub(crate) fn int_or_null(self, values: impl Iterator<Item = Option<i64>>) -> Self {
        self.push(Arc::new(values.collect::<Int64Array>()))
    }

    pub(crate) fn small(self, values: impl Iterator<Item = i32>) -> Self {
        self.push(Arc::new(Int32Array::from_iter_values(values)))
    }

    pub(crate) fn small_or_null(self, values: impl Iterator<Item = Option<i32>>) -> Self {
        self.push(Arc::new(values.collect::<Int32Array>()))
    }

    pub(crate) fn truth(self, values: impl Iterator<Item = bool>) -> Self {
        self.push(Arc::new(values.map(Some).collect::<BooleanArray>()))
    }

    pub(crate) fn float(self, values: impl Iterator<Item = Decimal>) -> Self {
        self.push(Arc::new(Float64Array::from_iter_values(values.map(Decimal::to_f64))))
    }

    pub(crate) fn float_or_null(self, values: impl Iterator<Item = Option<Decimal>>) -> Self {
        self.push(Arc::new(values.map(|value| value.map(Decimal::to_f64)).collect::<Float64Array>()))
    }

    pub(crate) fn double_or_null(self, values: impl Iterator<Item = Option<f64>>) -> Self {
        self.push(Arc::new(values.collect::<Float64Array>()))
    }

    pub(crate) fn double(self, values: impl Iterator<Item = f64>) -> Self {
        self.push(Arc::new(Float64Array::from_iter_values(values)))
    }

    pub(crate) fn list_or_null<I: Iterator<Item = i64>>(
        self,
        lists: impl Iterator<Item = Option<I>>,
    ) -> Self {
        let mut builder = ListBuilder::new(Int64Builder::new()).with_field(list_field());
        for list in lists {
            let is_there = list.is_some();
            builder.values().extend(list.into_iter().flatten().map(Some));
            builder.append(is_there);
        }
        self.push(Arc::new(builder.finish()))
    }

    /// Exact decimals, rounded once (half to even) to 18 digits behind the point.
    pub(crate) fn exact(self, values: impl Iterator<Item = Decimal>) -> Self {
        self.exact_or_null(values.map(Some))
    }

    pub(crate) fn exact_or_null(self, values: impl Iterator<Item = Option<Decimal>>) -> Self {
        let mantissas = values.map(|value| value.and_then(|value| value.rounded(18).mantissa_at(18)));
        let array: Decimal128Array = mantissas.collect();
        let array = array
            .with_precision_and_scale(38, 18)
            .expect("38 digits with 18 behind the point is a valid type");
        self.push(Arc::new(array))
    }

    pub(crate) fn finish(self) -> RecordBatch {
        RecordBatch::try_new(self.table.row_schema(), self.arrays)
            .expect("one array per declared column, in order")
    }
}

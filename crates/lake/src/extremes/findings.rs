//! What is known of the files: smallest and largest values per instrument. Files never change, so what was found once
//! holds for as long as the file is there. What is asked of it is left to the room above.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use deltalake::arrow::compute::cast;
use deltalake::datafusion::error::DataFusionError;
use tables::Column;

use crate::error::{Error, failed};
use crate::file::{Bounds, DataFile, bounds_of};
use crate::reader::{FileAsk, Reader};
use crate::rows::column_of;
use crate::shelf::Captured;

/// Most findings kept; some hundred bytes each. When it is full they are all found anew.
const KEPT_MAX: usize = 100_000;

/// Smallest and largest value of a column by instrument; `None` where every value is absent.
pub(super) type ByInstrument = BTreeMap<String, Option<(i64, i64)>>;

/// Findings by file, instrument and column.
#[derive(Debug, Default)]
pub(crate) struct Extremes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Of one instrument; `None` without rows or values.
    single: HashMap<String, Option<Bounds>>,
    /// Of all instruments in a file.
    whole: HashMap<String, Arc<ByInstrument>>,
    whole_count: usize,
}

impl Kept {
    fn make_room(&mut self, count: usize) {
        if self.single.len() + self.whole_count + count > KEPT_MAX {
            *self = Self::default();
        }
    }
}

impl Extremes {
    /// Smallest and largest value of a column among the rows of an instrument in a file; `None` without such rows.
    pub(super) async fn of(
        &self,
        reader: &Reader,
        (captured, file): (&Captured, &Arc<DataFile>),
        (instrument, column): (&str, &Column),
    ) -> Result<Option<Bounds>, Error> {
        let name = format!("{}\n{instrument}\n{}", file.path, column.name);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).single.get(&name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let batches = read(reader, (captured, file), Some(instrument), &[column.name]).await?;
        let bounds = batches.iter().filter_map(|batch| bounds_of(column.kind, batch.column(0)));
        let found = bounds.reduce(Bounds::wider);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.make_room(1);
        kept.single.insert(name, found.clone());
        Ok(found)
    }

    /// The same of every instrument in a file.
    pub(super) async fn of_all(
        &self,
        reader: &Reader,
        (captured, file): (&Captured, &Arc<DataFile>),
        column: &Column,
    ) -> Result<Arc<ByInstrument>, Error> {
        let name = format!("{}\n{}", file.path, column.name);
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).whole.get(&name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let mut found = ByInstrument::new();
        for batch in read(reader, (captured, file), None, &["instrument", column.name]).await? {
            widen(&mut found, &batch, column)?;
        }
        let found = Arc::new(found);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.make_room(found.len());
        if kept.whole.insert(name, Arc::clone(&found)).is_none() {
            kept.whole_count += found.len();
        }
        Ok(found)
    }
}

/// Takes the rows of a batch into what was found.
pub(super) fn widen(found: &mut ByInstrument, batch: &RecordBatch, column: &Column) -> Result<(), Error> {
    let names = column_of(batch, "instrument")?.as_string::<i32>();
    let values = cast(column_of(batch, column.name)?, &DataType::Int64).map_err(failed("compare values"))?;
    let values = values.as_primitive::<Int64Type>();
    let mut start = 0;
    // Rows of an instrument mostly stand together.
    while start < names.len() {
        let name = names.value(start);
        let end = (start + 1..names.len()).find(|row| names.value(*row) != name).unwrap_or(names.len());
        if !found.contains_key(name) {
            found.insert(name.to_owned(), None);
        }
        if let Some(bounds) = found.get_mut(name) {
            for row in (start..end).filter(|row| values.is_valid(*row)) {
                let value = values.value(row);
                let (least, most) = bounds.unwrap_or((value, value));
                *bounds = Some((least.min(value), most.max(value)));
            }
        }
        start = end;
    }
    Ok(())
}

/// Columns of a file, of one instrument or all.
async fn read(
    reader: &Reader,
    (captured, file): (&Captured, &Arc<DataFile>),
    instrument: Option<&str>,
    columns: &[&str],
) -> Result<Vec<RecordBatch>, Error> {
    let table = captured.table;
    let schema = table.stored_schema();
    let broken = |error: DataFusionError| Error::Failed(format!("scan table {}: {error}", table.name));
    let named = instrument.map(|instrument| crate::scan::of_subject(&schema, "instrument", instrument));
    let places = columns.iter().map(|name| schema.index_of(name).map_err(|error| broken(error.into())));
    let ask = FileAsk {
        table,
        files: std::slice::from_ref(file),
        predicate: named.transpose().map_err(broken)?,
        projection: Some(places.collect::<Result<Vec<_>, _>>()?),
        streams: 1,
    };
    reader.read(&ask).await
}

//! Notes which ids pass by while a file is written or read. How they stand in a footer is left to `form`.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, Int64Array, RecordBatch, StringArray};
use model::{IdRuns, Time};
use tables::Table;

use super::form::Form;

/// Most runs noted in one file; the ids of instruments behind are read from the rows. So many take some 400 kB.
const RUNS_MAX: usize = 100_000;

/// What a file holds of one instrument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Noted {
    pub(super) rows: u64,
    /// `None` if there were too many.
    pub(super) runs: Option<IdRuns>,
    pub(super) duplicates: u64,
    pub(super) rows_without_id: u64,
    pub(super) first: Time,
    pub(super) last: Time,
}

impl Noted {
    /// Nothing yet; rows from this moment on.
    pub(super) fn from(first: Time) -> Self {
        Self { rows: 0, runs: Some(IdRuns::new()), duplicates: 0, rows_without_id: 0, first, last: first }
    }

    /// Takes rows of the instrument, sorted by time.
    pub(super) fn take(&mut self, times: &[i64], ids: &Int64Array) {
        self.rows += ids.len() as u64;
        self.rows_without_id += ids.null_count() as u64;
        self.last = times.last().map_or(self.last, |last| self.last.max(Time(*last)));
        let Some(runs) = &mut self.runs else { return };
        if ids.null_count() == 0 {
            runs.insert_all(ids.values());
        } else if ids.null_count() < ids.len() {
            runs.insert_all(&ids.iter().flatten().collect::<Vec<_>>());
        }
        self.duplicates = runs.duplicates();
    }

    fn give_up(&mut self) {
        (self.runs, self.duplicates) = (None, 0);
    }
}

/// Notes the ids of a whole file.
#[derive(Debug)]
pub(crate) struct IdNotes {
    /// Places of the instrument, the time and the id.
    places: [usize; 3],
    form: Form,
    open: Option<(String, Noted)>,
    /// Runs of the instruments before.
    run_count: usize,
}

impl IdNotes {
    /// For a file of the table; `None` if the table has no ids.
    pub(crate) fn of(table: &Table) -> Option<Self> {
        let place = |name: &str| table.columns.iter().position(|column| column.name == name);
        let places = [place("instrument")?, place(table.time)?, place(table.ids()?)?];
        Some(Self { places, form: Form::new(), open: None, run_count: 0 })
    }

    /// Takes rows in the order of the key.
    pub(crate) fn take(&mut self, rows: &RecordBatch) {
        let [names, times, ids] = self.places.map(|place| rows.column(place));
        let names = names.as_string::<i32>();
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        let ids = ids.as_primitive::<Int64Type>();
        let mut start = 0;
        while start < rows.num_rows() {
            let end = end_of(names, start);
            self.turn_to(names.value(start), Time(times[start]));
            let is_full = |noted: &Noted, before: usize| {
                noted.runs.as_ref().is_some_and(|runs| before + runs.run_count() > RUNS_MAX)
            };
            if let Some((_, noted)) = &mut self.open {
                noted.take(&times[start..end], &ids.slice(start, end - start));
                if is_full(noted, self.run_count) {
                    noted.give_up();
                }
            }
            start = end;
        }
    }

    fn turn_to(&mut self, name: &str, first: Time) {
        if self.open.as_ref().is_some_and(|(open, _)| open == name) {
            return;
        }
        self.settle();
        self.open = Some((name.to_owned(), Noted::from(first)));
    }

    fn settle(&mut self) {
        if let Some((name, noted)) = self.open.take() {
            self.run_count += noted.runs.as_ref().map_or(0, IdRuns::run_count);
            self.form.push(&name, &noted);
        }
    }

    /// The text for the footer.
    pub(crate) fn into_text(mut self) -> String {
        self.settle();
        self.form.into_text()
    }
}

/// Where the rows of the instrument end that stands at `start`; names are sorted.
fn end_of(names: &StringArray, start: usize) -> usize {
    let name = names.value(start);
    let (mut same, mut other) = (start, names.len());
    if names.value(other - 1) == name {
        return other;
    }
    while other - same > 1 {
        let middle = same.midpoint(other);
        if names.value(middle) == name { same = middle } else { other = middle }
    }
    other
}

#[cfg(test)]
mod tests {
    //! Cases for what passes by.
    use std::sync::Arc;

    use arrow_array::{ArrayRef, TimestampMicrosecondArray};
    use tables::TableName;

    use super::super::form::{Found, bytes_of, find};
    use super::*;

    /// Rows with these names and ids; all else but the times is of no matter.
    fn rows(cells: &[(&str, Option<i64>)]) -> RecordBatch {
        let schema = tables::table(TableName::Trades).row_schema();
        let column = |field: &Arc<arrow_schema::Field>| -> ArrayRef {
            match field.name().as_str() {
                "instrument" => Arc::new(cells.iter().map(|cell| Some(cell.0)).collect::<StringArray>()),
                "trade_id" => Arc::new(cells.iter().map(|cell| cell.1).collect::<Int64Array>()),
                "venue_time" => {
                    let times = (0..cells.len() as i64).map(|row| 1_000 + row);
                    Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
                }
                _ => deltalake::arrow::array::new_null_array(field.data_type(), cells.len()),
            }
        };
        let columns = schema.fields().iter().map(column).collect();
        let fields: Vec<_> =
            schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns).unwrap()
    }

    fn notes() -> IdNotes {
        IdNotes::of(tables::table(TableName::Trades)).unwrap()
    }

    fn look(notes: IdNotes, name: &str) -> Noted {
        match find(&bytes_of(&notes.into_text()).unwrap(), name) {
            Found::Noted(noted) => noted,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn batches_may_be_cut_anywhere() {
        let ids = [1, 2, 3, 3, 5, 4, 9].map(Some);
        let mut cells: Vec<_> =
            ["a:A-B", "b:A-B", "c:A-B"].into_iter().flat_map(|name| ids.map(|id| (name, id))).collect();
        cells.insert(10, ("b:A-B", None));
        let all = rows(&cells);
        for size in 1..=cells.len() {
            let mut notes = notes();
            for start in (0..cells.len()).step_by(size) {
                notes.take(&all.slice(start, size.min(cells.len() - start)));
            }
            let found = look(notes, "b:A-B");
            assert_eq!((found.rows, found.duplicates, found.rows_without_id), (8, 1, 1));
            assert_eq!(found.runs.unwrap().runs().collect::<Vec<_>>(), [(1, 5), (9, 9)]);
            assert_eq!((found.first, found.last), (Time(1_007), Time(1_014)));
        }
    }

    #[test]
    fn too_many_runs_are_told_as_too_many() {
        let mut notes = notes();
        notes.take(&rows(&[("a:A-B", Some(1)), ("a:A-B", Some(3))]));
        let cells: Vec<_> = (0..RUNS_MAX as i64).map(|id| ("b:A-B", Some(2 * id))).collect();
        notes.take(&rows(&cells));
        notes.take(&rows(&[("b:A-B", Some(7)), ("c:A-B", Some(7))]));
        let bytes = bytes_of(&notes.into_text()).unwrap();
        let Found::Noted(noted) = find(&bytes, "b:A-B") else { panic!("it is there") };
        assert_eq!((noted.rows, noted.runs), (RUNS_MAX as u64 + 1, None));
        let Found::Noted(noted) = find(&bytes, "c:A-B") else { panic!("it is there") };
        assert_eq!(noted.runs.unwrap().count(), 1);
        assert!(bytes.len() < 100);
    }
}

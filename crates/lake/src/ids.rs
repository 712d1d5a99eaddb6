//! Which ids the committed files hold: noted in the footer of each file when it is written, read from its rows where that
//! was not done. What is missing or double is left to whoever asks.

mod form;
mod noted;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use deltalake::parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use futures::TryStreamExt;
use futures::future::{BoxFuture, try_join_all};
use model::Time;
use tables::{FileIds, IdAsk, IdLedger, StoreError, Table};

pub(crate) use noted::IdNotes;

use crate::Lake;
use crate::error::{Error, failed};
use crate::file::{Bounds, DataFile};
use crate::ids::form::Found;
use crate::ids::noted::Noted;
use crate::reader::{FileAsk, Reader};
use crate::rows::column_of;
use crate::verify::Parts;

/// Under this key of a footer stands what was noted.
const FOOTER_KEY: &str = "tickhouse.ids";
/// Read at once from the end of a file: most footers are shorter.
const FOOTER_BYTES: usize = 64 << 10;
/// Most bytes of notes kept in memory. When they are more, they are all read anew.
const KEPT_BYTES_MAX: usize = 16 << 20;

impl IdNotes {
    /// As an entry of the footer.
    pub(crate) fn into_entry(self) -> KeyValue {
        KeyValue::new(FOOTER_KEY.to_owned(), self.into_text())
    }
}

/// Notes of files, by path; empty of those without.
#[derive(Debug, Default)]
pub(crate) struct KnownNotes(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    notes: HashMap<String, Arc<[u8]>>,
    bytes: usize,
}

impl KnownNotes {
    fn get(&self, path: &str) -> Option<Arc<[u8]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).notes.get(path).cloned()
    }

    fn keep(&self, path: &str, notes: Arc<[u8]>) {
        let bytes = path.len() + notes.len();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes > KEPT_BYTES_MAX {
            *kept = Kept::default();
        }
        kept.bytes += bytes;
        kept.notes.insert(path.to_owned(), notes);
    }
}

impl IdLedger for Lake {
    fn ids(&self, ask: IdAsk) -> BoxFuture<'_, Result<Vec<FileIds>, StoreError>> {
        Box::pin(async move { Ok(self.file_ids(ask).await?) })
    }
}

impl Lake {
    async fn file_ids(&self, ask: IdAsk) -> Result<Vec<FileIds>, Error> {
        let shelf = self.house.shelf(ask.table)?;
        let table = shelf.table;
        if table.ids().is_none() {
            return Err(Error::Unusable(format!("table {} has no ids", table.name)));
        }
        let mut files = self.house.capture(shelf).files.as_ref().clone();
        files.retain(|file| is_asked(table, file, &ask));
        let shared = Arc::new(Round { table, files, ask, next: AtomicUsize::new(0) });
        let lanes = self.house.settings.threads.clamp(1, shared.files.len().max(1));
        let lanes = (0..lanes).map(|_| {
            let (reader, round) = (Arc::clone(&self.house.reader), Arc::clone(&shared));
            self.engine.run(async move { round.walk(&reader).await })
        });
        let mut found: Vec<FileIds> = try_join_all(lanes).await?.into_iter().flatten().collect();
        found.sort_by(|one, other| {
            (one.day, one.first_time, &one.path).cmp(&(other.day, other.first_time, &other.path))
        });
        Ok(found)
    }
}

fn is_asked(table: &Table, file: &DataFile, ask: &IdAsk) -> bool {
    let (first, last) = (ask.range.start.date(), ask.range.end.plus_micros(-1).date());
    let day_is_asked = match file.partition {
        Some(day) => ask.range.start < ask.range.end && first <= day && day <= last,
        None => file.may_hold(table, None, Some(ask.range)),
    };
    day_is_asked && file.may_hold(table, Some(ask.instrument.as_str()), None)
}

/// One question, answered file by file.
struct Round {
    table: &'static Table,
    files: Vec<Arc<DataFile>>,
    ask: IdAsk,
    next: AtomicUsize,
}

impl Round {
    /// Takes the next file until none is left; several may walk at once.
    async fn walk(&self, reader: &Reader) -> Result<Vec<FileIds>, Error> {
        let mut found = Vec::new();
        while let Some(file) = self.files.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            found.extend(self.look(reader, file).await?);
        }
        Ok(found)
    }

    async fn look(&self, reader: &Reader, file: &Arc<DataFile>) -> Result<Option<FileIds>, Error> {
        if !self.ask.is_deep {
            let notes = notes_of(reader, self.table, file).await?;
            match form::find(&notes, self.ask.instrument.as_str()) {
                Found::Absent => return Ok(None),
                Found::Noted(noted) if noted.runs.is_some() => return Ok(Some(told(file, noted, false))),
                Found::Noted(_) | Found::Unreadable => {}
            }
        }
        let noted = read(reader, self.table, file, self.ask.instrument.as_str()).await?;
        Ok(noted.map(|noted| told(file, noted, true)))
    }
}

fn told(file: &DataFile, noted: Noted, is_deep: bool) -> FileIds {
    FileIds {
        path: file.path.clone(),
        day: file.partition.unwrap_or_else(|| noted.first.date()),
        rows: noted.rows,
        runs: noted.runs.unwrap_or_default(),
        duplicates: noted.duplicates,
        rows_without_id: noted.rows_without_id,
        first_time: noted.first,
        last_time: noted.last,
        is_deep,
    }
}

/// What stands in a file's footer; nothing if it is older than such notes, or another's.
async fn notes_of(reader: &Reader, table: &'static Table, file: &Arc<DataFile>) -> Result<Arc<[u8]>, Error> {
    if let Some(known) = reader.notes.get(&file.path) {
        return Ok(known);
    }
    let path = reader.place.path(table.name.as_str(), &file.path);
    let parts = Parts { store: Arc::clone(&reader.place.store), path };
    let footer = ParquetMetaDataReader::new()
        .with_prefetch_hint(Some(FOOTER_BYTES))
        .load_and_finish(parts, file.size)
        .await;
    let footer = match footer {
        Ok(footer) => footer,
        Err(error) => return Err(reader.explain(table, std::slice::from_ref(file), error.into()).await),
    };
    let entries = footer.file_metadata().key_value_metadata();
    let text = entries.and_then(|entries| entries.iter().find(|entry| entry.key == FOOTER_KEY));
    let notes = text.and_then(|entry| form::bytes_of(entry.value.as_deref()?));
    let notes: Arc<[u8]> = notes.unwrap_or_default().into();
    reader.notes.keep(&file.path, Arc::clone(&notes));
    Ok(notes)
}

/// Reads times and ids of an instrument from the rows of a file; `None` without such rows.
async fn read(
    reader: &Reader,
    table: &'static Table,
    file: &Arc<DataFile>,
    instrument: &str,
) -> Result<Option<Noted>, Error> {
    let doing = || format!("read the ids of {} of table {}", file.path, table.name);
    let schema = table.stored_schema();
    let is_alone = matches!(file.bounds("instrument"), Some(Bounds::Text(low, high)) if low == high);
    let predicate =
        if is_alone { None } else { Some(crate::scan::of_subject(&schema, "instrument", instrument)) };
    let names = [Some(table.time), table.ids()].into_iter().flatten();
    let places = names.map(|name| schema.index_of(name).map_err(failed(doing())));
    let files = [Arc::clone(file)];
    let ask = FileAsk {
        table,
        files: &files,
        predicate: predicate.transpose().map_err(failed(doing()))?,
        projection: Some(places.collect::<Result<Vec<_>, _>>()?),
        streams: 1,
    };
    let mut stream = reader.plan(&ask).and_then(|plan| reader.stream(plan)).map_err(failed(doing()))?;
    let mut noted = None;
    loop {
        match stream.try_next().await {
            Ok(Some(batch)) => take(table, &batch, &mut noted)?,
            Ok(None) => return Ok(noted),
            Err(error) => return Err(reader.explain(table, &files, error).await),
        }
    }
}

fn take(table: &Table, batch: &RecordBatch, noted: &mut Option<Noted>) -> Result<(), Error> {
    let times = column_of(batch, table.time)?.as_primitive::<TimestampMicrosecondType>().values();
    let ids = column_of(batch, table.ids().unwrap_or_default())?.as_primitive::<Int64Type>();
    if let Some(first) = times.first() {
        let noted = noted.get_or_insert_with(|| Noted::from(Time(*first)));
        noted.take(times, ids);
        // Files of others may be in no order.
        noted.first = times.iter().fold(noted.first, |first, time| first.min(Time(*time)));
        noted.last = times.iter().fold(noted.last, |last, time| last.max(Time(*time)));
    }
    Ok(())
}

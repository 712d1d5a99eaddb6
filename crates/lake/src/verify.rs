//! Looks at data files themselves: whether they are there, as long as the log says, and readable.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use deltalake::logstore::object_store::{DynObjectStore, ObjectStoreExt, path::Path};
use deltalake::parquet::arrow::async_reader::MetadataFetch;
use deltalake::parquet::errors::{ParquetError, Result as ParquetResult};
use deltalake::parquet::file::metadata::ParquetMetaDataReader;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use tables::Table;

use crate::DamagedFile;
use crate::error::Error;
use crate::file::DataFile;
use crate::reader::{FileAsk, Reader};
use crate::shelf::House;

/// What is wrong with a file; `None` if nothing. A deep look decodes every row.
pub(crate) async fn damage(
    reader: &Reader,
    table: &'static Table,
    file: &Arc<DataFile>,
    is_deep: bool,
) -> Option<String> {
    let path = reader.place.path(table.name.as_str(), &file.path);
    let found = match reader.place.store.head(&path).await {
        Ok(found) => found,
        Err(error) => return Some(format!("it cannot be opened: {error}")),
    };
    if found.size != file.size {
        return Some(format!("it has {} bytes where the log says {}", found.size, file.size));
    }
    let parts = Parts { store: Arc::clone(&reader.place.store), path };
    let rows = match ParquetMetaDataReader::new().load_and_finish(parts, file.size).await {
        Ok(footer) => footer.file_metadata().num_rows(),
        Err(error) => return Some(format!("its footer cannot be read: {error}")),
    };
    if file.rows > 0 && u64::try_from(rows).ok() != Some(file.rows) {
        return Some(format!("it has {rows} rows where the log says {}", file.rows));
    }
    if !is_deep {
        return None;
    }
    let files = [Arc::clone(file)];
    let ask = FileAsk { table, files: &files, predicate: None, projection: None, streams: 1 };
    let stream = match reader.plan(&ask).and_then(|plan| reader.stream(plan)) {
        Ok(stream) => stream,
        Err(error) => return Some(format!("its rows cannot be read: {error}")),
    };
    match stream.try_fold(0_i64, async |sum, batch| Ok(sum + batch.num_rows() as i64)).await {
        Ok(read) if read == rows => None,
        Ok(read) => Some(format!("{read} of {rows} rows can be read")),
        Err(error) => Some(format!("its rows cannot be read: {error}")),
    }
}

/// Parts of a file, for reading its footer past the cache.
pub(crate) struct Parts {
    pub(crate) store: Arc<DynObjectStore>,
    pub(crate) path: Path,
}

impl MetadataFetch for Parts {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        let read = self.store.get_range(&self.path, range);
        read.map(|bytes| bytes.map_err(|error| ParquetError::External(Box::new(error)))).boxed()
    }
}

/// Looks deeply at every data file of every table.
pub(crate) async fn verify(house: &House) -> Result<Vec<DamagedFile>, Error> {
    let mut damaged = Vec::new();
    for captured in house.capture_all() {
        for file in captured.files.iter() {
            if let Some(reason) = damage(&house.reader, captured.table, file, true).await {
                damaged.push(DamagedFile { table: captured.table.name, path: file.path.clone(), reason });
            }
        }
    }
    Ok(damaged)
}

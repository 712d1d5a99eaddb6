//! Where the lake lies: a folder or an object store, and how its files are named there.

use std::sync::Arc;

use deltalake::datafusion::execution::object_store::ObjectStoreUrl;
use deltalake::logstore::object_store::{DynObjectStore, parse_url_opts, path::Path};
use deltalake::logstore::{
    LogStore, LogStoreFactory, ObjectStoreRef, StorageConfig, default_logstore, logstore_factories,
};
use deltalake::{DeltaResult, DeltaTable, DeltaTableBuilder};
use url::Url;

use crate::durable::DurableFiles;
use crate::error::{Error, failed};

/// The place of the lake.
#[derive(Debug)]
pub(crate) struct Place {
    /// The store, from its root.
    pub(crate) store: Arc<DynObjectStore>,
    /// What DataFusion calls that root.
    pub(crate) store_url: ObjectStoreUrl,
    root: Url,
    prefix: Path,
}

impl Place {
    /// Finds the place; makes the folder if it is local and `may_create`.
    pub(crate) fn find(location: &str, may_create: bool) -> Result<Self, Error> {
        match Url::parse(location) {
            Ok(url) if url.scheme() != "file" && url.has_host() => Self::remote(location, &url),
            Ok(url) if url.scheme() == "file" => {
                let path = url.to_file_path().map_err(|()| refuse(location, "no path of this machine"))?;
                Self::local(&path, may_create)
            }
            _ => Self::local(std::path::Path::new(location), may_create),
        }
    }

    fn local(path: &std::path::Path, may_create: bool) -> Result<Self, Error> {
        let shown = path.display();
        if may_create {
            std::fs::create_dir_all(path).map_err(|error| {
                Error::Unusable(format!(
                    "make the folder of the lake {shown}: {error}; choose one you may write"
                ))
            })?;
        }
        let path = path
            .canonicalize()
            .map_err(|error| Error::Unusable(format!("open the folder of the lake {shown}: {error}")))?;
        let root = Url::from_directory_path(&path)
            .map_err(|()| refuse(&path.to_string_lossy(), "not an absolute path"))?;
        let prefix = Path::from_absolute_path(&path).map_err(failed("name the folder of the lake"))?;
        let store = DurableFiles::new().map_err(failed("open the file system"))?;
        Ok(Self { store: Arc::new(store), store_url: ObjectStoreUrl::local_filesystem(), root, prefix })
    }

    fn remote(location: &str, url: &Url) -> Result<Self, Error> {
        let (store, prefix) =
            parse_url_opts(url, std::env::vars().map(|(key, value)| (key.to_lowercase(), value)))
                .map_err(|error| refuse(location, &error.to_string()))?;
        let mut root = url.clone();
        if !root.path().ends_with('/') {
            root.set_path(&format!("{}/", url.path()));
        }
        let scheme = Url::parse(&format!("{}://", url.scheme())).map_err(failed("name the object store"))?;
        logstore_factories().insert(scheme, Arc::new(PlainLog));
        let store_url = ObjectStoreUrl::parse(&url[..url::Position::BeforePath])
            .map_err(failed("name the object store"))?;
        Ok(Self { store: Arc::from(store), store_url, root, prefix })
    }

    /// The Delta table of that name, not loaded.
    pub(crate) fn table(&self, name: &str) -> DeltaResult<DeltaTable> {
        let url = self.table_url(name)?;
        DeltaTableBuilder::from_url(url.clone())?.with_storage_backend(Arc::clone(&self.store), url).build()
    }

    fn table_url(&self, name: &str) -> DeltaResult<Url> {
        let url = self.root.join(&format!("{name}/"));
        url.map_err(|error| deltalake::DeltaTableError::generic(format!("name the table {name}: {error}")))
    }

    /// The full path of a table's file in the store.
    pub(crate) fn path(&self, table: &str, file: &str) -> Path {
        let joined = format!("{}/{table}/{file}", self.prefix);
        let joined = joined.trim_matches('/');
        Path::parse(joined).unwrap_or_else(|_| Path::from(joined))
    }
}

fn refuse(location: &str, reason: &str) -> Error {
    Error::Unusable(format!(
        "the lake cannot lie at {location:?}: {reason}; give a folder or a URL like s3://bucket/lake"
    ))
}

/// Commits by conditional put, without the client libraries that the crate's own `s3` feature brings.
#[derive(Debug)]
struct PlainLog;

impl LogStoreFactory for PlainLog {
    fn with_options(
        &self,
        prefixed: ObjectStoreRef,
        root: ObjectStoreRef,
        location: &Url,
        options: &StorageConfig,
    ) -> DeltaResult<Arc<dyn LogStore>> {
        Ok(default_logstore(prefixed, root, location, options))
    }
}

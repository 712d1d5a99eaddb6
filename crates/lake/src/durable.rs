//! A local object store whose files survive a power cut: they are synced before they become visible.
//!
//! `object_store` 0.13 never syncs, so a commit entry could be empty after a power cut and would be read as an empty
//! commit. Everything but writing is left to its `LocalFileSystem`.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use deltalake::logstore::object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, local::LocalFileSystem,
    path::Path,
};
use futures::stream::BoxStream;
use runtime::tasks::blocking;

static STAGED: AtomicU64 = AtomicU64::new(0);

/// The file system from its root, synced.
#[derive(Debug)]
pub(crate) struct DurableFiles {
    inner: LocalFileSystem,
}

impl DurableFiles {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { inner: LocalFileSystem::new_with_prefix("/")? })
    }

    fn file(&self, location: &Path) -> Result<PathBuf> {
        self.inner.path_to_filesystem(location)
    }
}

impl fmt::Display for DurableFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableFiles")
    }
}

fn broken(error: std::io::Error, path: &FilePath) -> Error {
    let path = path.display().to_string();
    match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: Box::new(error) },
        std::io::ErrorKind::NotFound => Error::NotFound { path, source: Box::new(error) },
        _ => Error::Generic { store: "DurableFiles", source: format!("{path}: {error}").into() },
    }
}

fn folder(file: &FilePath) -> &FilePath {
    file.parent().unwrap_or(FilePath::new("/"))
}

/// Makes the folder and syncs every parent that is new, so that the way to a synced file survives too.
fn make_folder(path: &FilePath) -> std::io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    make_folder(folder(path))?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(folder(path))?.sync_all()
}

fn write(target: &FilePath, payload: &PutPayload, is_new: bool) -> std::io::Result<()> {
    let folder = folder(target);
    make_folder(folder)?;
    // A name that ends in '#' and digits is what LocalFileSystem uses for staged files and hides from listings.
    let number = STAGED.fetch_add(1, Ordering::Relaxed);
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let staged = folder.join(format!("{name}#{}{number:06}", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&staged)?;
        for part in payload {
            file.write_all(part)?;
        }
        file.sync_all()?;
        if is_new { std::fs::hard_link(&staged, target) } else { std::fs::rename(&staged, target) }
    };
    let result = write();
    if is_new || result.is_err() {
        let _gone_already = std::fs::remove_file(&staged);
    }
    result?;
    File::open(folder)?.sync_all()
}

fn sync(path: &FilePath) -> std::io::Result<()> {
    File::open(path)?.sync_all()?;
    File::open(folder(path))?.sync_all()
}

async fn in_background(
    path: PathBuf,
    work: impl FnOnce(&FilePath) -> std::io::Result<()> + Send + 'static,
) -> Result<()> {
    blocking(move || work(&path).map_err(|error| broken(error, &path)))
        .await
        .map_err(|error| Error::Generic { store: "DurableFiles", source: error.into() })?
}

#[async_trait]
impl ObjectStore for DurableFiles {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_new = matches!(options.mode, PutMode::Create);
        in_background(self.file(location)?, move |path| write(path, &payload, is_new)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.file(location)?;
        in_background(path.clone(), |path| make_folder(folder(path))).await?;
        Ok(Box::new(Upload { inner: self.inner.put_multipart_opts(location, options).await?, path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        in_background(self.file(to)?, sync).await
    }
}

#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        in_background(self.path.clone(), sync).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

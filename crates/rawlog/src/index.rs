//! Which segments an open log has, and how far each can be read. Finding them on disk is left to `recovery`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{LogPosition, Nanos};

use crate::cursor::{Cursor, End};
use crate::error::Error;
use crate::segment::{self, SegmentForm, SegmentInfo};

/// A segment of an open log. The writer moves `bytes` before `last`, so a reader who sees a position sees its bytes.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first: u64,
    pub(crate) form: SegmentForm,
    pub(crate) created: Nanos,
    last: AtomicU64,
    bytes: AtomicU64,
    is_sealed: AtomicBool,
}

impl Segment {
    pub(crate) fn new(info: SegmentInfo, is_sealed: bool) -> Self {
        Self {
            path: info.path,
            first: info.first.0,
            form: info.form,
            created: info.created,
            last: AtomicU64::new(info.last.0),
            bytes: AtomicU64::new(info.bytes),
            is_sealed: AtomicBool::new(is_sealed),
        }
    }

    pub(crate) fn grow(&self, bytes: u64, last: u64) {
        self.bytes.store(bytes, Ordering::Release);
        self.last.store(last, Ordering::Release);
    }

    pub(crate) fn seal(&self) {
        self.is_sealed.store(true, Ordering::Release);
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.is_sealed.load(Ordering::Acquire)
    }

    pub(crate) fn last(&self) -> u64 {
        self.last.load(Ordering::Acquire)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// How far it can be read now.
    pub(crate) fn end(&self) -> End {
        let last = self.last();
        End { bytes: self.bytes(), last: Some(last) }
    }

    pub(crate) fn cursor(&self) -> Result<Cursor, Error> {
        Cursor::open(&self.path, self.first, self.form)
    }

    pub(crate) fn info(&self) -> SegmentInfo {
        SegmentInfo {
            path: self.path.clone(),
            first: LogPosition(self.first),
            last: LogPosition(self.last()),
            bytes: self.bytes(),
            form: self.form,
            created: self.created,
        }
    }
}

/// The segments of an open log, oldest first.
#[derive(Debug)]
pub(crate) struct Index {
    directory: PathBuf,
    segments: Mutex<VecDeque<Arc<Segment>>>,
}

impl Index {
    pub(crate) fn new(directory: &Path, segments: impl IntoIterator<Item = Segment>) -> Self {
        let segments = segments.into_iter().map(Arc::new).collect();
        Self { directory: directory.to_owned(), segments: Mutex::new(segments) }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Segment>>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn all(&self) -> Vec<Arc<Segment>> {
        self.lock().iter().cloned().collect()
    }

    pub(crate) fn newest(&self) -> Option<Arc<Segment>> {
        self.lock().back().cloned()
    }

    /// Position of the oldest record kept.
    pub(crate) fn first(&self) -> Option<u64> {
        self.lock().front().map(|segment| segment.first)
    }

    /// The segment that holds a position, or will.
    pub(crate) fn holding(&self, position: u64) -> Option<Arc<Segment>> {
        let segments = self.lock();
        let after = segments.partition_point(|segment| segment.first <= position);
        after.checked_sub(1).and_then(|index| segments.get(index)).cloned()
    }

    /// Puts a new segment at the end; the one before it is sealed.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        let mut segments = self.lock();
        if let Some(before) = segments.back() {
            before.seal();
        }
        segments.push_back(segment);
    }

    /// Puts an archive in the place of the raw segment it was made from.
    pub(crate) fn replace(&self, archive: Segment) {
        let mut segments = self.lock();
        if let Some(place) = segments.iter_mut().find(|segment| segment.first == archive.first) {
            *place = Arc::new(archive);
        }
    }

    /// Forgets the oldest segment, if it is this one.
    pub(crate) fn forget_oldest(&self, first: u64) {
        let mut segments = self.lock();
        if segments.front().is_some_and(|segment| segment.first == first) {
            segments.pop_front();
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.lock().iter().map(|segment| segment.bytes()).sum()
    }

    pub(crate) fn path_of(&self, first: u64, form: SegmentForm) -> PathBuf {
        segment::path_of(&self.directory, first, form)
    }
}

//! The tables side by side: what each holds on disk and in its buffer, changed and captured under one lock.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use model::{LogPosition, Time};
use runtime::Clock;
use tables::store::commit_order;
use tables::{Table, TableName};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::buffer::Buffer;
use crate::error::Error;
use crate::file::DataFile;
use crate::log::{LogView, TableLog};
use crate::place::Place;
use crate::reader::Reader;
use crate::settings::LakeSettings;

/// One table: its log, and whose turn it is to change it.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) table: &'static Table,
    pub(crate) log: TableLog,
    turn: Semaphore,
    index: usize,
}

impl Shelf {
    pub(crate) fn new(index: usize, log: TableLog) -> Self {
        Self { table: log.table, log, turn: Semaphore::new(1), index }
    }

    /// Waits for the turn to plan and commit a change. Changes of one table follow each other; readers do not wait.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        self.turn.acquire().await.map_err(|_| Error::Failed("the lake is closing".to_owned()))
    }
}

/// What one table holds.
#[derive(Debug)]
struct Holding {
    version: u64,
    files: Arc<Vec<Arc<DataFile>>>,
    committed: LogPosition,
    buffer: Buffer,
    checkpoint: u64,
    pins: Vec<u64>,
    /// One more at each change of files or waiting rows.
    stamp: u64,
}

/// What one table held at a moment: files and waiting rows that together are every row once.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) table: &'static Table,
    pub(crate) version: u64,
    pub(crate) files: Arc<Vec<Arc<DataFile>>>,
    pub(crate) buffer: Vec<RecordBatch>,
    pub(crate) committed: LogPosition,
    /// The same stamp, the same rows.
    pub(crate) stamp: u64,
}

/// What is shared by every handle of a lake.
pub(crate) struct House {
    pub(crate) settings: LakeSettings,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) place: Arc<Place>,
    pub(crate) reader: Arc<Reader>,
    pub(crate) shelves: Vec<Shelf>,
    holdings: Mutex<Vec<Holding>>,
    /// Damaged files that merging leaves alone.
    left_out: Mutex<HashSet<String>>,
}

impl House {
    pub(crate) fn new(
        settings: LakeSettings,
        clock: Arc<dyn Clock>,
        place: Arc<Place>,
        reader: Arc<Reader>,
        opened: Vec<(TableLog, LogView)>,
    ) -> Self {
        let mut shelves = Vec::with_capacity(opened.len());
        let mut holdings = Vec::with_capacity(opened.len());
        for (index, (log, view)) in opened.into_iter().enumerate() {
            let checkpoint = log.checkpoint;
            shelves.push(Shelf::new(index, log));
            holdings.push(Holding {
                version: view.version,
                files: Arc::new(view.files),
                committed: view.committed,
                buffer: Buffer::default(),
                checkpoint,
                pins: Vec::new(),
                stamp: 0,
            });
        }
        Self {
            settings,
            clock,
            place,
            reader,
            shelves,
            holdings: Mutex::new(holdings),
            left_out: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.time()
    }

    /// The table of that name.
    pub(crate) fn shelf(&self, name: TableName) -> Result<&Shelf, Error> {
        self.shelves
            .iter()
            .find(|shelf| shelf.table.name == name)
            .ok_or_else(|| Error::Unusable(format!("the lake holds no table {name}")))
    }

    // A panic while holding the lock leaves whole values behind: every change is one assignment after the other.
    fn lock(&self) -> MutexGuard<'_, Vec<Holding>> {
        self.holdings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a damaged file from being merged.
    pub(crate) fn leave_out(&self, path: String) {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    pub(crate) fn is_left_out(&self, path: &str) -> bool {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).contains(path)
    }

    /// Rows that wait in all tables.
    pub(crate) fn buffered(&self) -> usize {
        self.lock().iter().map(|holding| holding.buffer.rows()).sum()
    }

    /// How far each table that follows the raw log is committed. Others count steps of their own.
    pub(crate) fn positions(&self) -> BTreeMap<TableName, LogPosition> {
        let holdings = self.lock();
        let followers = self.shelves.iter().filter(|shelf| commit_order().contains(&shelf.table.name));
        followers.map(|shelf| (shelf.table.name, holdings[shelf.index].committed)).collect()
    }

    /// One table at this moment.
    pub(crate) fn capture(&self, shelf: &Shelf) -> Captured {
        captured(shelf, &self.lock()[shelf.index])
    }

    /// Every table at this moment.
    pub(crate) fn capture_all(&self) -> Vec<Captured> {
        let holdings = self.lock();
        self.shelves.iter().map(|shelf| captured(shelf, &holdings[shelf.index])).collect()
    }

    /// How far one table is committed.
    pub(crate) fn capture_position(&self, shelf: &Shelf) -> LogPosition {
        self.lock()[shelf.index].committed
    }

    /// The rows of one table that wait, up to a position.
    pub(crate) fn waiting(&self, shelf: &Shelf, through: LogPosition) -> Vec<RecordBatch> {
        self.lock()[shelf.index].buffer.through(through)
    }

    /// Puts rows in the stored schema into the buffer. False if there is no room.
    pub(crate) fn buffer(&self, shelf: &Shelf, rows: RecordBatch, positions: Vec<LogPosition>) -> bool {
        let mut holdings = self.lock();
        let waiting: usize = holdings.iter().map(|holding| holding.buffer.rows()).sum();
        // A batch larger than the whole buffer is taken when nothing else waits, or it could never be taken.
        if waiting > 0 && waiting + rows.num_rows() > self.settings.buffer_rows_max {
            return false;
        }
        holdings[shelf.index].buffer.push(rows, positions);
        holdings[shelf.index].stamp += 1;
        true
    }

    /// Lets readers see a commit of ours: files change and the rows leave the buffer in one step.
    pub(crate) fn adopt(&self, shelf: &Shelf, version: u64, changed: Changed, through: Option<LogPosition>) {
        let mut holdings = self.lock();
        let holding = &mut holdings[shelf.index];
        let mut files: Vec<_> =
            holding.files.iter().filter(|file| !changed.removed.contains(&file.path)).cloned().collect();
        files.extend(changed.added);
        holding.files = Arc::new(files);
        holding.version = version;
        holding.stamp += 1;
        if let Some(through) = through {
            holding.committed = holding.committed.max(through);
            holding.buffer.forget(through);
        }
    }

    /// Lets readers see what the log says, after somebody else committed.
    pub(crate) fn adopt_view(&self, shelf: &Shelf, view: LogView) {
        let mut holdings = self.lock();
        let holding = &mut holdings[shelf.index];
        holding.version = view.version;
        holding.stamp += 1;
        holding.files = Arc::new(view.files);
        holding.committed = holding.committed.max(view.committed);
        let committed = holding.committed;
        holding.buffer.forget(committed);
    }

    /// Version of the newest checkpoint known to have been written.
    pub(crate) fn checkpoint(&self, shelf: &Shelf) -> u64 {
        self.lock()[shelf.index].checkpoint
    }

    pub(crate) fn set_checkpoint(&self, shelf: &Shelf, version: u64) {
        self.lock()[shelf.index].checkpoint = version;
    }

    /// Versions that must stay readable.
    pub(crate) fn pins(&self, shelf: &Shelf) -> Vec<u64> {
        self.lock()[shelf.index].pins.clone()
    }

    pub(crate) fn set_pins(&self, shelf: &Shelf, pins: Vec<u64>) {
        self.lock()[shelf.index].pins = pins;
    }
}

/// Files that a commit took away and brought.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changed {
    pub(crate) removed: HashSet<String>,
    pub(crate) added: Vec<Arc<DataFile>>,
}

fn captured(shelf: &Shelf, holding: &Holding) -> Captured {
    Captured {
        table: shelf.table,
        version: holding.version,
        files: Arc::clone(&holding.files),
        buffer: holding.buffer.all(),
        committed: holding.committed,
        stamp: holding.stamp,
    }
}

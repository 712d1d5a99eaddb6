//! Writes past rows into files that nobody sees until one commit adds them all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver as Answer, SyncSender, sync_channel};
use std::task::Poll;

use arrow_array::RecordBatch;
use deltalake::kernel::Add;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::Date;
use runtime::{Receiver, Sender, queue};
use tables::{BulkReport, BulkStore, BulkWriter, Outgoing, StoreError, Table, TableName};

use crate::Lake;
use crate::commit::{Going, commit_bulk};
use crate::engine::Work;
use crate::error::Error;
use crate::rows::{self, Place as KeyPlace};
use crate::shelf::House;
use crate::write::{FileWriter, Grade};

/// Batches that wait while one is being written: at the end of a file or of a row group writing takes longer, and the side
/// that makes rows goes on meanwhile. Some three megabytes each.
const WAITING_MAX: usize = 8;
/// Files on their way to disk while the next one is written: syncing takes as long as writing a small one.
const CLOSING_MAX: usize = 4;
/// Rows at which a file is cut.
const FILE_ROWS_MAX: u64 = 15_000_000;

enum Task {
    Write(RecordBatch),
    Commit(Option<Outgoing>),
}

/// The caller's end; files are written on the lake's threads.
struct Bulk {
    tasks: Sender<Task>,
    answer: Answer<Result<BulkReport, Error>>,
    /// Cuts the work off when the writer is dropped.
    _work: Work<()>,
}

impl BulkStore for Lake {
    fn begin(&self, table: TableName) -> Result<Box<dyn BulkWriter>, StoreError> {
        self.house.shelf(table)?;
        let (tasks, tasks_in) = queue("lake.bulk", WAITING_MAX);
        let (answers, answer) = sync_channel(1);
        let house = Arc::clone(&self.house);
        let work = self.engine.start_work(async move { run(&house, table, tasks_in, &answers).await });
        Ok(Box::new(Bulk { tasks, answer, _work: work }))
    }
}

impl Bulk {
    fn send(&self, task: Task) -> Result<(), StoreError> {
        self.tasks.send_blocking(task).map_err(|_| match self.answer.try_recv() {
            Ok(Err(error)) => error.into(),
            _ => broken_off(),
        })
    }
}

fn broken_off() -> StoreError {
    StoreError::Failed("writing past rows broke off: the lake is closing".to_owned())
}

impl BulkWriter for Bulk {
    fn write(&mut self, rows: RecordBatch) -> Result<(), StoreError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        self.send(Task::Write(rows))
    }

    fn commit(self: Box<Self>, outgoing: Option<Outgoing>) -> Result<BulkReport, StoreError> {
        self.send(Task::Commit(outgoing))?;
        Ok(self.answer.recv().map_err(|_| broken_off())??)
    }
}

async fn run(
    house: &House,
    table: TableName,
    mut tasks: Receiver<Task>,
    answers: &SyncSender<Result<BulkReport, Error>>,
) {
    let done = async {
        let shelf = house.shelf(table)?;
        let mut files =
            Files { house, table: shelf.table, open: None, closing: VecDeque::new(), adds: Vec::new() };
        let mut keyed = Vec::new();
        loop {
            match tasks.receive().await {
                // Of keyed tables only the newest row of each key is written: they are kept until then.
                Some(Task::Write(rows)) if shelf.table.is_keyed => keyed.push(rows),
                Some(Task::Write(rows)) => files.take(&rows).await?,
                Some(Task::Commit(outgoing)) => {
                    let newest = newest(shelf.table, &std::mem::take(&mut keyed))?;
                    if let Some(newest) = &newest {
                        files.take(newest).await?;
                    }
                    let adds = files.finish().await?;
                    let keyed = newest.map(|rows| rows::with_partition(shelf.table, &rows)).transpose()?;
                    let going = Going { outgoing, keyed };
                    commit_bulk(house, shelf, &adds, &going).await?;
                    return Ok(Some(report(shelf.table, &adds)));
                }
                None => return Ok(None),
            }
        }
    };
    // Nobody waits for an answer if the writer was dropped.
    let _told = match done.await {
        Ok(Some(report)) => answers.try_send(Ok(report)),
        Ok(None) => Ok(()),
        Err(error) => answers.try_send(Err(error)),
    };
}

/// The rows of a keyed table without those that a later one replaces.
fn newest(table: &'static Table, batches: &[RecordBatch]) -> Result<Option<RecordBatch>, Error> {
    if batches.is_empty() {
        return Ok(None);
    }
    let all = rows::concat(&table.row_schema(), batches)?;
    Ok(Some(rows::Keys::of(table)?.newest(&all)?))
}

fn report(table: &'static Table, adds: &[Add]) -> BulkReport {
    let files = adds.iter().map(|add| crate::file::DataFile::from_add(table, add));
    files.fold(BulkReport::default(), |sum, file| BulkReport {
        rows: sum.rows + file.rows,
        files: sum.files + 1,
        bytes: sum.bytes + file.size,
    })
}

/// The files of one commit to be: the open one grows as long as rows come in the order of the key.
struct Files<'a> {
    house: &'a House,
    table: &'static Table,
    open: Option<Open>,
    closing: VecDeque<BoxFuture<'static, Result<Add, Error>>>,
    adds: Vec<Add>,
}

struct Open {
    partition: Option<Date>,
    writer: FileWriter,
    last: KeyPlace,
}

impl Files<'_> {
    async fn take(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        let stored = rows::with_partition(self.table, batch)?;
        let sorted = if rows::is_sorted(self.table, &stored)? {
            stored
        } else {
            rows::at(&stored, &rows::order(self.table, &stored)?)?
        };
        for (partition, part) in rows::split(self.table, &sorted)? {
            self.write(partition, &part).await?;
        }
        Ok(())
    }

    async fn write(&mut self, partition: Option<Date>, rows: &RecordBatch) -> Result<(), Error> {
        let (first, last) = rows::ends(self.table, rows)?;
        let goes_on = self.open.as_ref().is_some_and(|open| {
            open.partition == partition && open.last <= first && open.writer.rows() < FILE_ROWS_MAX
        });
        if !goes_on {
            self.close().await?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let writer = FileWriter::start(&self.house.place, self.table, partition, Grade::Merged)?;
                none.insert(Open { partition, writer, last: last.clone() })
            }
        };
        open.last = last;
        open.writer.write(rows).await
    }

    async fn close(&mut self) -> Result<(), Error> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let mut closing = open.writer.finish(self.house.now(), true).boxed();
        // Asked once, it goes on by itself.
        match futures::poll!(&mut closing) {
            Poll::Ready(add) => self.adds.push(add?),
            Poll::Pending => self.closing.push_back(closing),
        }
        if self.closing.len() > CLOSING_MAX {
            self.wait_for_oldest().await?;
        }
        Ok(())
    }

    async fn wait_for_oldest(&mut self) -> Result<(), Error> {
        if let Some(closing) = self.closing.pop_front() {
            self.adds.push(closing.await?);
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Vec<Add>, Error> {
        self.close().await?;
        while !self.closing.is_empty() {
            self.wait_for_oldest().await?;
        }
        Ok(self.adds)
    }
}

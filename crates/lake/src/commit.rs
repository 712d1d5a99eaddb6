//! Takes rows into the buffer and makes them last: one commit per table, replayable after a crash at any point.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::kernel::{Action, Add};
use model::{InstrumentId, LogPosition};
use tables::{
    ColumnKind, Outgoing, RowBatch, Span, Step, StoreError, Table, TableName, TimeRange, store::commit_order,
};

use crate::buffer::newer_than;
use crate::error::Error;
use crate::file::DataFile;
use crate::log::{Change, Written};
use crate::rewrite::{self, Rewritten};
use crate::rows;
use crate::shelf::{Changed, House, Shelf};
use crate::write::write_files;

/// Most rows sorted and written at once. Bounds the memory of a flush; more rows become more files.
const FILE_ROWS_MAX: usize = 262_144;

/// Takes rows into the buffer of their table.
pub(crate) fn append(house: &House, batch: RowBatch) -> Result<(), StoreError> {
    let shelf = house.shelf(batch.table)?;
    let (table, found) = (shelf.table, batch.batch.schema());
    if found.fields() != table.row_schema().fields() {
        return Err(StoreError::Failed(format!(
            "rows for table {} do not have its columns: {}",
            table.name,
            difference(&found, &table.row_schema())
        )));
    }
    if batch.positions.len() != batch.batch.num_rows() {
        return Err(StoreError::Failed(format!(
            "rows for table {}: {} rows with {} positions",
            table.name,
            batch.batch.num_rows(),
            batch.positions.len()
        )));
    }
    let committed = house.capture_position(shelf);
    let Some((rows, positions)) = newer_than(committed, batch.batch, batch.positions)? else { return Ok(()) };
    let rows = rows::with_partition(table, &rows)?;
    if house.buffer(shelf, rows, positions) { Ok(()) } else { Err(StoreError::BufferFull) }
}

fn difference(found: &arrow_schema::Schema, wanted: &arrow_schema::Schema) -> String {
    for (index, column) in wanted.fields().iter().enumerate() {
        match found.fields().get(index) {
            None => return format!("column {} is not there", column.name()),
            Some(other) if other != column => {
                return format!(
                    "column {} is {} {}, wanted {} {}",
                    index + 1,
                    other.name(),
                    other.data_type(),
                    column.name(),
                    column.data_type()
                );
            }
            Some(_) => {}
        }
    }
    format!("{} columns, wanted {}", found.fields().len(), wanted.fields().len())
}

/// Commits what waits up to a position, table by table in the fixed order.
pub(crate) async fn commit(house: &House, through: LogPosition) -> Result<(), Error> {
    for name in commit_order() {
        if let Ok(shelf) = house.shelf(*name) {
            commit_table(house, shelf, through).await?;
        }
    }
    Ok(())
}

async fn commit_table(house: &House, shelf: &Shelf, through: LogPosition) -> Result<(), Error> {
    let _turn = shelf.turn().await?;
    let waiting = house.waiting(shelf, through);
    if waiting.is_empty() {
        return Ok(());
    }
    let mut waiting = Waiting::of(shelf, waiting)?;
    let mut written: Option<Vec<Add>> = None;
    loop {
        let captured = house.capture(shelf);
        if captured.committed >= through {
            // An earlier try got through though its answer was lost.
            house.adopt(shelf, captured.version, Changed::default(), Some(captured.committed));
            return Ok(());
        }
        let adds = match written.take() {
            Some(adds) => adds,
            None => write_rows(house, shelf, waiting.take()).await?,
        };
        let mut rewritten = Rewritten::default();
        if let Some(keyed) = &waiting.keyed {
            rewritten = rewrite::without_keys(house, shelf, &captured, keyed).await?;
        }
        let change = if rewritten.removed.is_empty() {
            Change::Append
        } else {
            Change::Replace("rows with the same key".to_owned())
        };
        let plan = Plan { adds: &adds, rewritten: &rewritten, change: &change, through: Some(through) };
        match commit_plan(house, shelf, captured.version, &plan).await? {
            Written::Done => return Ok(()),
            Written::Taken => written = Some(adds),
        }
    }
}

/// The rows of one flush. Rows of keyed tables stay at hand for planning; the others are given away batch by batch.
struct Waiting {
    batches: Vec<RecordBatch>,
    keyed: Option<RecordBatch>,
}

impl Waiting {
    fn of(shelf: &Shelf, batches: Vec<RecordBatch>) -> Result<Self, Error> {
        let table = shelf.table;
        if !table.is_keyed {
            return Ok(Self { batches, keyed: None });
        }
        let all = rows::concat(&table.stored_schema(), &batches)?;
        let newest = rows::Keys::of(table)?.newest(&all)?;
        Ok(Self { batches: vec![newest.clone()], keyed: Some(newest) })
    }

    fn take(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.batches)
    }
}

/// One commit to be.
struct Plan<'a> {
    adds: &'a [Add],
    rewritten: &'a Rewritten,
    change: &'a Change,
    through: Option<LogPosition>,
}

/// Writes one commit and lets readers see it; when the version is taken, reads what the other one did.
async fn commit_plan(house: &House, shelf: &Shelf, version: u64, plan: &Plan<'_>) -> Result<Written, Error> {
    let Plan { adds, rewritten, change, through } = *plan;
    let table = shelf.table;
    let removes =
        rewritten.removed.iter().map(|file| Action::Remove(file.to_remove(table, house.now(), true)));
    let added = rewritten.added.iter().chain(adds);
    let actions = removes.chain(added.clone().map(|add| Action::Add(add.clone()))).collect();
    let written = shelf.log.commit(version + 1, actions, change, through).await?;
    match written {
        Written::Done => {
            let changed = Changed {
                removed: rewritten.removed.iter().map(|file| file.path.clone()).collect(),
                added: added.map(|add| Arc::new(DataFile::from_add(table, add))).collect(),
            };
            house.adopt(shelf, version + 1, changed, through);
        }
        Written::Taken => {
            tracing::info!(table = %table.name, version = version + 1, "another writer was faster, looking again");
            house.adopt_view(shelf, shelf.log.read().await?);
        }
    }
    Ok(written)
}

/// Writes rows in the stored schema as sorted files, one or more per partition. Nothing is committed.
async fn write_rows(house: &House, shelf: &Shelf, batches: Vec<RecordBatch>) -> Result<Vec<Add>, Error> {
    let table = shelf.table;
    let mut adds = Vec::new();
    let mut group = Vec::new();
    let mut group_rows = 0;
    let mut batches = batches.into_iter().peekable();
    while let Some(batch) = batches.next() {
        group_rows += batch.num_rows();
        group.push(batch);
        let is_full = batches.peek().is_none_or(|next| group_rows + next.num_rows() > FILE_ROWS_MAX);
        if !is_full {
            continue;
        }
        let joined = rows::concat(&table.stored_schema(), &std::mem::take(&mut group))?;
        group_rows = 0;
        adds.extend(write_files(&house.place, table, &joined, house.now()).await?);
    }
    Ok(adds)
}

/// Replaces all committed rows of one instrument in a range by others, in one commit.
pub(crate) async fn replace(
    house: &House,
    name: TableName,
    instrument: InstrumentId,
    range: TimeRange,
    batch: RecordBatch,
) -> Result<(), Error> {
    let shelf = house.shelf(name)?;
    let table = shelf.table;
    let stored = rows::with_partition(table, &batch)?;
    let outgoing = Outgoing { instrument, range, source: None };
    let inside = rewrite::inside(table, &stored, &outgoing)?;
    if inside.true_count() != stored.num_rows() {
        return Err(Error::Unusable(format!(
            "rows that replace {} from {} to {} in table {name} lie outside of that range",
            outgoing.instrument, range.start, range.end
        )));
    }
    let stored = if table.is_keyed { rows::Keys::of(table)?.newest(&stored)? } else { stored };
    let adds =
        if stored.num_rows() == 0 { Vec::new() } else { write_rows(house, shelf, vec![stored]).await? };
    commit_bulk(house, shelf, &adds, &Going { outgoing: Some(outgoing), keyed: None }).await
}

/// Changes a table by one step, in one commit that carries it, even if no row comes or leaves.
pub(crate) async fn apply(house: &House, step: Step) -> Result<(), Error> {
    let shelf = house.shelf(step.table)?;
    let table = shelf.table;
    let found = step.rows.schema();
    if found.fields() != table.row_schema().fields() {
        let what = difference(&found, &table.row_schema());
        return Err(Error::Unusable(format!(
            "rows for table {table_name} do not have its columns: {what}",
            table_name = table.name
        )));
    }
    let stored = rows::Keys::of(table)?.newest(&rows::with_partition(table, &step.rows)?)?;
    let _turn = shelf.turn().await?;
    let mut written: Option<Vec<Add>> = None;
    loop {
        let captured = house.capture(shelf);
        if let Some(through) = step.through.filter(|through| captured.committed >= *through) {
            // Whoever took the number stored other rows, or these in a commit whose answer was lost: only the caller can tell.
            return Err(Error::Conflict(format!(
                "step {through} of table {name} stands already, the table is at step {now}; none of the rows under it \
                 was stored, look what is there and take the next one",
                through = through.0,
                name = table.name,
                now = captured.committed.0
            )));
        }
        let adds = match written.take() {
            Some(adds) => adds,
            None if stored.num_rows() == 0 => Vec::new(),
            None => write_rows(house, shelf, vec![stored.clone()]).await?,
        };
        let leaving = (step.outgoing.as_ref(), &stored);
        let rewritten = rewrite::without_span_and_keys(house, shelf, &captured, leaving).await?;
        let change = match &step.outgoing {
            _ if rewritten.removed.is_empty() => Change::Append,
            Some(span) => Change::Replace(describe_span(table, span)),
            None => Change::Replace("rows with the same key".to_owned()),
        };
        let plan = Plan { adds: &adds, rewritten: &rewritten, change: &change, through: step.through };
        match commit_plan(house, shelf, captured.version, &plan).await? {
            Written::Done => return Ok(()),
            Written::Taken => written = Some(adds),
        }
    }
}

fn describe_span(table: &Table, span: &Span) -> String {
    let cell = |value: i64| match table.column(span.column).map(|column| column.kind) {
        Some(ColumnKind::Time) => format!("'{}'", model::Time(value)),
        _ => value.to_string(),
    };
    let (subject, column) = (table.subject(), span.column);
    format!(
        "{subject} = '{}' AND {column} >= {} AND {column} < {}",
        span.subject,
        cell(span.start),
        cell(span.end)
    )
}

/// Which stored rows leave in a commit.
pub(crate) struct Going {
    pub(crate) outgoing: Option<Outgoing>,
    /// New rows of a keyed table: those with their keys leave.
    pub(crate) keyed: Option<RecordBatch>,
}

/// Adds files that were written already, in one commit in which other rows leave.
pub(crate) async fn commit_bulk(
    house: &House,
    shelf: &Shelf,
    adds: &[Add],
    going: &Going,
) -> Result<(), Error> {
    let _turn = shelf.turn().await?;
    loop {
        let captured = house.capture(shelf);
        let (rewritten, change) = match going {
            Going { outgoing: Some(outgoing), .. } => (
                rewrite::without_range(house, shelf, &captured, outgoing).await?,
                Change::Replace(describe(shelf.table, outgoing)),
            ),
            Going { keyed: Some(keyed), .. } => (
                rewrite::without_keys(house, shelf, &captured, keyed).await?,
                Change::Replace("rows with the same key".to_owned()),
            ),
            Going { .. } => (Rewritten::default(), Change::Append),
        };
        let change = if rewritten.removed.is_empty() { Change::Append } else { change };
        if adds.is_empty() && rewritten.removed.is_empty() {
            return Ok(());
        }
        let plan = Plan { adds, rewritten: &rewritten, change: &change, through: None };
        if commit_plan(house, shelf, captured.version, &plan).await? == Written::Done {
            return Ok(());
        }
    }
}

fn describe(table: &Table, outgoing: &Outgoing) -> String {
    let Outgoing { instrument, range, source } = outgoing;
    let time = table.time;
    let source = source.map(|source| format!(" AND source = '{}'", source.as_str())).unwrap_or_default();
    format!(
        "instrument = '{instrument}' AND {time} >= '{}' AND {time} < '{}'{source}",
        range.start, range.end
    )
}

/// Commits the merge of files, unless one of them has gone. True if it stands.
pub(crate) async fn commit_merge(
    house: &House,
    shelf: &Shelf,
    inputs: &[Arc<DataFile>],
    adds: &[Add],
) -> Result<bool, Error> {
    let _turn = shelf.turn().await?;
    loop {
        let captured = house.capture(shelf);
        let active: HashSet<&str> = captured.files.iter().map(|file| file.path.as_str()).collect();
        if !inputs.iter().all(|file| active.contains(file.path.as_str())) {
            return Ok(false);
        }
        let removes =
            inputs.iter().map(|file| Action::Remove(file.to_remove(shelf.table, house.now(), false)));
        let actions = removes.chain(adds.iter().map(|add| Action::Add(add.clone()))).collect();
        let version = captured.version + 1;
        match shelf.log.commit(version, actions, &Change::Merge, None).await? {
            Written::Done => {
                let changed = Changed {
                    removed: inputs.iter().map(|file| file.path.clone()).collect(),
                    added: adds.iter().map(|add| Arc::new(DataFile::from_add(shelf.table, add))).collect(),
                };
                house.adopt(shelf, version, changed, None);
                return Ok(true);
            }
            Written::Taken => house.adopt_view(shelf, shelf.log.read().await?),
        }
    }
}

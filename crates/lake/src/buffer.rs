//! Rows of one table that wait for a commit, readable meanwhile.

use std::sync::Arc;

use arrow_array::RecordBatch;
use deltalake::arrow::compute::{concat_batches, filter_record_batch};
use model::LogPosition;

use crate::error::{Error, failed};

/// Chunks larger than this are not joined any further.
const CHUNK_ROWS_MAX: usize = 65_536;

/// Rows with their positions, in the order they came. Positions never fall within a chunk.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) rows: RecordBatch,
    positions: Vec<LogPosition>,
}

impl Chunk {
    /// Rows at positions up to `through`.
    fn count_through(&self, through: LogPosition) -> usize {
        self.positions.partition_point(|position| *position <= through)
    }
}

/// The rows of one table that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    chunks: Vec<Arc<Chunk>>,
    rows: usize,
}

impl Buffer {
    /// How many rows wait.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Takes rows in the stored schema.
    pub(crate) fn push(&mut self, rows: RecordBatch, positions: Vec<LogPosition>) {
        self.rows += rows.num_rows();
        self.chunks.push(Arc::new(Chunk { rows, positions }));
        // Joining neighbours of like size keeps the count logarithmic and copies each row a few times at most.
        while let [.., before, last] = &self.chunks[..] {
            let together = before.positions.len() + last.positions.len();
            let is_in_order = before.positions.last() <= last.positions.first();
            if before.positions.len() > 2 * last.positions.len() || together > CHUNK_ROWS_MAX || !is_in_order
            {
                break;
            }
            let Ok(rows) = concat_batches(&before.rows.schema(), [&before.rows, &last.rows]) else { break };
            let positions = [&before.positions[..], &last.positions[..]].concat();
            self.chunks.truncate(self.chunks.len() - 2);
            self.chunks.push(Arc::new(Chunk { rows, positions }));
        }
    }

    /// All rows, in the order they came.
    pub(crate) fn all(&self) -> Vec<RecordBatch> {
        self.chunks.iter().map(|chunk| chunk.rows.clone()).collect()
    }

    /// The rows at positions up to `through`.
    pub(crate) fn through(&self, through: LogPosition) -> Vec<RecordBatch> {
        let counts = self.chunks.iter().map(|chunk| (chunk, chunk.count_through(through)));
        counts.filter(|(_, count)| *count > 0).map(|(chunk, count)| chunk.rows.slice(0, count)).collect()
    }

    /// Forgets the rows at positions up to `through`.
    pub(crate) fn forget(&mut self, through: LogPosition) {
        let mut kept = Vec::with_capacity(self.chunks.len());
        for chunk in self.chunks.drain(..) {
            let count = chunk.count_through(through);
            let left = chunk.positions.len() - count;
            if count == 0 {
                kept.push(chunk);
            } else if left > 0 {
                // Copied, so that the memory of the forgotten rows is given back.
                let rows = copied(&chunk.rows.slice(count, left));
                kept.push(Arc::new(Chunk { rows, positions: chunk.positions[count..].to_vec() }));
            }
        }
        self.rows = kept.iter().map(|chunk| chunk.positions.len()).sum();
        self.chunks = kept;
    }
}

fn copied(rows: &RecordBatch) -> RecordBatch {
    concat_batches(&rows.schema(), [rows]).unwrap_or_else(|_| rows.clone())
}

/// The rows above `committed`, with their positions; `None` if there are none.
pub(crate) fn newer_than(
    committed: LogPosition,
    rows: RecordBatch,
    positions: Vec<LogPosition>,
) -> Result<Option<(RecordBatch, Vec<LogPosition>)>, Error> {
    let keep: Vec<bool> = positions.iter().map(|position| *position > committed).collect();
    if keep.iter().all(|kept| *kept) {
        return Ok((!positions.is_empty()).then_some((rows, positions)));
    }
    let positions: Vec<_> = positions.into_iter().filter(|position| *position > committed).collect();
    let rows =
        filter_record_batch(&rows, &keep.into()).map_err(failed("drop rows that are stored already"))?;
    Ok((!positions.is_empty()).then_some((rows, positions)))
}

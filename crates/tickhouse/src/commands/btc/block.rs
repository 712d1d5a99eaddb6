//! `tickhouse btc block`: gives the bytes of a block back, from our files or from the node's.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use arrow_array::{Array, RecordBatch};
use arrow_cast::display::array_value_to_string;
use clap::Args;
use futures::StreamExt;
use model::BlockHash;
use onchain::{Shelves, kept_block};
use tables::{NodeSpot, QueryError, QueryLimits};

use super::super::{Place, WrongUse};
use crate::Done;
use crate::config::btc;
use crate::output::{line, write_out};

/// Bounds of the question for one row.
const LIMITS: QueryLimits =
    QueryLimits { time_max: Duration::from_mins(1), memory_bytes_max: 1 << 30, rows_max: 16 };

/// Which block, and where to.
#[derive(Args)]
pub(super) struct Block {
    /// Hash of the block, or its height on the followed chain
    #[arg(value_name = "HASH|HEIGHT")]
    which: String,
    /// File that gets the bytes; without it they are printed, hexadecimal
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

impl Block {
    pub(super) async fn run(self) -> anyhow::Result<Done> {
        let is_wanted = if let Ok(height) = self.which.parse::<u32>() {
            format!("height = {height} AND state = 'active'")
        } else {
            let Ok(hash) = self.which.parse::<BlockHash>() else {
                let text =
                    format!("{:?} is neither a height nor a hash of 64 hexadecimal digits", self.which);
                return Err(WrongUse(text).into());
            };
            format!("hash = '{hash}'")
        };
        let config = self.place.load()?;
        let directory = self.place.directory()?;
        let location = match config.text("lake.location") {
            "" => directory.join("lake").display().to_string(),
            location => location.to_owned(),
        };
        let engine =
            lake::open_read_only(&location, (Vec::new(), Vec::new())).await.context("open the tables")?;
        // All columns: a table from before has not each of those that are read.
        let query = format!("SELECT * FROM btc_blocks WHERE {is_wanted}");
        let failed = |error: QueryError| match error {
            QueryError::Refused(what) | QueryError::OverLimit(what) | QueryError::Failed(what) => {
                anyhow::anyhow!(what)
            }
        };
        let mut answer = engine.query(&query, LIMITS).await.map_err(failed)?;
        let mut row = None;
        while let Some(batch) = answer.batches.next().await {
            row = row.or(Some(batch.map_err(failed)?).filter(|batch| batch.num_rows() > 0));
        }
        let Some(row) = row else { bail!("no block {} is in the tables", self.which) };
        let hash: BlockHash = text(&row, "hash")?.context("the row has no hash")?.parse()?;
        let stored = spot(&row, "stored_file", "stored_offset")?;
        let undo = spot(&row, "node_undo_file", "node_undo_offset")?;
        let node = spot(&row, "node_file", "node_offset")?.map(|block| NodeSpot { block, undo });
        let shelves = Shelves {
            own: directory.join("btc").join("blocks"),
            node: btc::node(&config).blocks_folder,
            network: btc::network(&config),
        };
        let bytes =
            kept_block(&shelves, &hash, (stored.as_ref(), node.as_ref())).map_err(anyhow::Error::msg)?;
        match &self.out {
            Some(path) => {
                std::fs::write(path, &bytes).with_context(|| format!("write {}", path.display()))?;
                line(format!("{hash}: {} bytes in {}", bytes.len(), path.display()));
            }
            None => write_out(format!("{}\n", hex(&bytes)).as_bytes()),
        }
        Ok(Done::Clean)
    }
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// A cell as text; `None` where nothing is in it, or no such column.
fn text(row: &RecordBatch, name: &str) -> anyhow::Result<Option<String>> {
    let column = row.column_by_name(name).filter(|column| !column.is_null(0));
    column.map(|column| Ok(array_value_to_string(column, 0)?)).transpose()
}

fn spot(row: &RecordBatch, file: &str, offset: &str) -> anyhow::Result<Option<(String, u64)>> {
    let offset = text(row, offset)?.map(|offset| offset.parse()).transpose()?;
    Ok(text(row, file)?.zip(offset))
}

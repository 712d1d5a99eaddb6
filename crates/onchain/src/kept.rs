//! Gives back the bytes of a block that is in the tables: from files of our own, or from where the node keeps it. Deletes files that no
//! row points to any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use collect::bitcoin_node::read_block;
use control::parts::BLOCK_FILES;
use model::{BlockHash, Network};
use rawlog::BlockSpot;
use tables::{BTC, NodeSpot, TableName, TableScan};

use crate::Doors;
use crate::error::Error;

/// Deletes files of blocks that no row points to, if blocks were let go of since that was done last. Before the files are opened: what is
/// added later has no row until it lasts.
pub(crate) async fn free(doors: &Doors) -> Result<(), Error> {
    let Some(noted) = doors.control.dirty(BLOCK_FILES)? else { return Ok(()) };
    let scan =
        TableScan { subject: Some(BTC.to_owned()), columns: vec!["stored_file"], ..TableScan::default() };
    let batches = doors.store.scan(TableName::BtcBlocks, scan).await?;
    let used: BTreeSet<String> = batches.iter().flat_map(tables::btc_blocks::stored_files).collect();
    let folder = doors.blocks.path.clone();
    let freed = runtime::tasks::blocking(move || rawlog::free_blocks(&folder, &used)).await;
    match freed.map_err(Error::Broken)? {
        Ok(bytes) => {
            tracing::info!(bytes, "files of blocks that were let go of are deleted");
            Ok(doors.control.mark_clean(BLOCK_FILES, noted)?)
        }
        // They are in nobody's way but the disk's.
        Err(error) => {
            tracing::warn!(%error, "files of blocks that were let go of are not deleted yet; tried again at the next start");
            Ok(())
        }
    }
}

/// Where bytes may be.
#[derive(Clone, Debug)]
pub struct Shelves {
    /// The folder of our own files of blocks.
    pub own: PathBuf,
    /// The node's folder of block files, if it is known.
    pub node: Option<PathBuf>,
    /// The network of the node.
    pub network: Network,
}

/// Reads a block, and compares it with its hash. What is ours comes before what the node may have let go of; says why neither has it.
pub fn kept_block(
    shelves: &Shelves,
    hash: &BlockHash,
    (stored, node): (Option<&(String, u64)>, Option<&NodeSpot>),
) -> Result<Vec<u8>, String> {
    let mut reasons = Vec::new();
    match stored.map(|(file, offset)| own(&shelves.own, (file, *offset), hash)) {
        Some(Ok(bytes)) => return Ok(bytes),
        Some(Err(reason)) => reasons.push(reason),
        None => {}
    }
    match (node, &shelves.node) {
        (Some(NodeSpot { block: (file, offset), .. }), Some(folder)) => {
            match read_block(folder, shelves.network, (file, *offset), hash) {
                Ok(bytes) => return Ok(bytes),
                Err(reason) => reasons.push(reason),
            }
        }
        (Some(NodeSpot { block: (file, offset), .. }), None) => {
            reasons.push(format!(
                "the node keeps it in {file} at {offset}; name its folder in btc.blocks_folder"
            ));
        }
        (None, _) if reasons.is_empty() => {
            reasons.push(
                "neither its bytes nor its place in the node's files were kept; ask the node for it"
                    .to_owned(),
            );
        }
        (None, _) => {}
    }
    Err(format!("block {hash}: {}", reasons.join("; ")))
}

fn own(folder: &Path, (file, offset): (&str, u64), hash: &BlockHash) -> Result<Vec<u8>, String> {
    let spot = BlockSpot { file: file.to_owned(), offset };
    let bytes = rawlog::read_block(folder, &spot).map_err(|error| error.to_string())?;
    chain::check_block(&bytes.block, hash)
        .map_err(|reason| format!("{} at {offset}: {reason}", folder.join(file).display()))?;
    Ok(bytes.block)
}

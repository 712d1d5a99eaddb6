//! Gives back the bytes of a block that is in the tables: from files of our own, or from where the node keeps it.

use std::path::{Path, PathBuf};

use collect::bitcoin_node::read_block;
use model::{BlockHash, Network};
use rawlog::BlockSpot;
use tables::NodeSpot;

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

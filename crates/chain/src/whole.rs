//! Whether bytes are a block, from its header to its last transaction.

use model::{BlockHash, BlockHeader};

use crate::block::Block;
use crate::error::Fault;
use crate::hash::sha256d;

/// Where the root stands in a header.
const ROOT_AT: usize = 36;

/// Refuses bytes that are not the block with that hash, and says why: header and transactions are compared, witnesses are not.
pub fn check_block(bytes: &[u8], hash: &BlockHash) -> Result<(), String> {
    let block = Block::read(bytes).map_err(|error| error.to_string())?;
    let header = block.header;
    if header.hash != *hash {
        return Err(format!("the bytes are those of {}", header.hash));
    }
    let txids = block.map(|transaction| Ok(transaction.map_err(|error| error.to_string())?.txid()));
    check_txids(&header, txids.collect::<Result<_, String>>()?)
        .map_err(|_| format!("the transactions are not those of {hash}"))
}

/// Refuses transactions that are not those of the header.
pub(crate) fn check_txids(header: &BlockHeader, txids: Vec<BlockHash>) -> Result<(), Fault> {
    if root(txids) == header.merkle_root {
        return Ok(());
    }
    let why = "is not that of the transactions";
    Err(Fault { part: "block", at: ROOT_AT, transaction: None, what: "merkle root", why })
}

/// The root over hashes: pairs are hashed, an odd last one with itself.
fn root(mut level: Vec<BlockHash>) -> BlockHash {
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| sha256d(&[&pair[0].0, &pair[pair.len() - 1].0])).collect();
    }
    level.pop().unwrap_or_default()
}

//! Whether bytes are a block, from its header to its last transaction.

use model::BlockHash;

use crate::block::Block;
use crate::hash::sha256d;

/// Refuses bytes that are not the block with that hash, and says why: header and transactions are compared, witnesses are not.
pub fn check_block(bytes: &[u8], hash: &BlockHash) -> Result<(), String> {
    let block = Block::read(bytes).map_err(|error| error.to_string())?;
    let header = block.header;
    if header.hash != *hash {
        return Err(format!("the bytes are those of {}", header.hash));
    }
    let txids = block.map(|transaction| Ok(transaction.map_err(|error| error.to_string())?.txid()));
    if root(txids.collect::<Result<_, String>>()?) == header.merkle_root {
        Ok(())
    } else {
        Err(format!("the transactions are not those of {hash}"))
    }
}

/// The root over hashes: pairs are hashed, an odd last one with itself.
fn root(mut level: Vec<BlockHash>) -> BlockHash {
    while level.len() > 1 {
        level = level.chunks(2).map(|pair| sha256d(&[&pair[0].0, &pair[pair.len() - 1].0])).collect();
    }
    level.pop().unwrap_or_default()
}

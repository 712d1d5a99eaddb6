//! What a block does to the set of unspent outputs: which it makes and which it takes. How old those are is left to `coins`.

use crate::block::{Block, OutPoint};
use crate::error::Error;
use crate::whole::check_txids;

/// Outputs that a block makes and takes. One made and taken within the block is in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoinMoves {
    /// Outputs that somebody may spend, with their amounts in satoshi, in the order of the block.
    pub created: Vec<(OutPoint, i64)>,
    /// Outputs spent, in the order of the block.
    pub spent: Vec<OutPoint>,
}

/// Reads them from the bytes of a block. As the hashes of its transactions are there anyway, they are compared with the header.
/// Outputs of a network's first block are among them, though nobody can spend those.
pub fn coin_moves(block: &[u8]) -> Result<CoinMoves, Error> {
    let block = Block::read(block)?;
    let header = block.header;
    let mut moves = CoinMoves::default();
    let mut txids = Vec::with_capacity(block.tx_count);
    for transaction in block {
        let transaction = transaction?;
        let txid = transaction.txid();
        txids.push(txid);
        let outputs = transaction.created().filter(|output| !output.is_unspendable());
        moves.created.extend(outputs.map(|output| (OutPoint { txid, vout: output.vout }, output.sat)));
        moves.spent.extend(transaction.spent());
    }
    check_txids(&header, txids)?;
    Ok(moves)
}

//! What a block adds to the sum of the UTXO set, and what it may take. Adding it up is left to the caller.

use model::{BlockHash, BlockSums, Network};

use crate::error::Error;
use crate::network::is_repeated;

/// By how much the block at a height changes the sum of the UTXO set: what the coinbase took beyond the fees, less what
/// nobody can spend.
///
/// The first block's coins are in no UTXO set. Those of two early blocks are lost to a repetition (`network::is_repeated`)
/// and are left out where they were made, as a node's index does; a node without the index leaves them out only where
/// they are written over, up to 158 blocks later.
pub fn supply_change(network: Network, height: u32, hash: BlockHash, sums: &BlockSums) -> i64 {
    let lost = sums.unspendable_sat + sums.fees_sat();
    if height == 0 {
        0
    } else if is_repeated(network, height, hash) {
        -lost
    } else {
        sums.coinbase_sat - lost
    }
}

/// Refuses sums by which the miner takes more than subsidy and fees: no network has such a block, so that an amount was misread.
pub fn check_claim(network: Network, height: u32, sums: &BlockSums) -> Result<(), Error> {
    let over_sat = sums.coinbase_sat - sums.fees_sat() - network.subsidy(height);
    if over_sat <= 0 {
        return Ok(());
    }
    Err(Error::Unfit(format!("the miner would take {over_sat} sat more than subsidy and fees")))
}

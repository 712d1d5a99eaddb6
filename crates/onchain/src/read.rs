//! A block between its arrival and the tables.

use chain::Spent;
use collect::bitcoin_node::{FetchedBlock, NodePlace};
use model::{BlockHeader, BlockSums, Time};

use crate::error::Error;

/// A block as it came, read.
#[derive(Debug)]
pub struct ReadBlock {
    /// Its header.
    pub header: BlockHeader,
    /// What it holds.
    pub sums: BlockSums,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The outputs it spends.
    pub spent: Spent,
    /// When it was received.
    pub received: Time,
    /// Where the node keeps it, if that is known.
    pub place: Option<NodePlace>,
}

impl ReadBlock {
    /// Reads a block. `height` is for messages alone.
    pub fn read(height: u32, bytes: Vec<u8>, spent: Spent, received: Time) -> Result<Self, Error> {
        let broken = |reason| Error::Block { height, reason };
        let header = chain::header(bytes.get(..80).unwrap_or(&bytes)).map_err(broken)?;
        let sums = chain::sums(&bytes, spent.view()).map_err(broken)?;
        Ok(Self { header, sums, bytes, spent, received, place: None })
    }

    /// Reads a block as it was fetched, unless that was done already.
    pub(crate) fn of(block: FetchedBlock) -> Result<Self, Error> {
        let FetchedBlock { height, bytes, spent, sums, received, place, .. } = block;
        let read = match sums {
            Some(sums) => {
                let broken = |reason| Error::Block { height, reason };
                let header = chain::header(bytes.get(..80).unwrap_or(&bytes)).map_err(broken)?;
                Self { header, sums, bytes, spent, received, place: None }
            }
            None => Self::read(height, bytes, spent, received)?,
        };
        Ok(Self { place, ..read })
    }
}

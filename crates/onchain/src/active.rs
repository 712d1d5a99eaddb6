//! The followed chain in memory, read from the table, and places for blocks that are not taken yet.

use chain::index::HeaderIndex;
use model::time::{DAY, SECOND};
use model::{BlockHash, BlockHeader, BlockPlace, Time};
use tables::{BTC, TableName, TableScan, TimeRange};

use crate::Doors;
use crate::error::Error;

/// Headers before one that its median time looks at.
const MEDIAN_BEFORE: u32 = 10;

/// The time of Bitcoin's first block, in microseconds.
const FIRST_BLOCK: i64 = 1_231_006_505 * SECOND;
/// Time of which rows are read at once.
const PIECE: i64 = 365 * DAY;

/// A branch that leaves the chain somewhere, or goes on at its tip.
#[derive(Debug)]
pub(crate) struct Branch {
    tip: Option<BlockPlace>,
    /// The last ten times, that of the tip last.
    times: Vec<u32>,
}

impl Branch {
    /// The branch that follows the block at `fork`, or the tip.
    pub(crate) fn of(index: &HeaderIndex, fork: Option<u32>) -> Self {
        let Some(tip) = fork.map_or_else(|| index.tip(), |fork| index.get(fork)) else {
            return Self { tip: None, times: Vec::new() };
        };
        let first = (tip.height + 1).saturating_sub(MEDIAN_BEFORE);
        let times = (first..=tip.height).filter_map(|height| index.get(height)).map(|block| block.time);
        Self { tip: Some(tip.as_link(BlockHash::default())), times: times.collect() }
    }

    /// The place of the next block.
    pub(crate) fn place(&mut self, header: BlockHeader) -> Result<BlockPlace, Error> {
        let place = match &self.tip {
            None => chain::first_place(header),
            Some(tip) if tip.header.hash != header.previous => {
                return Err(Error::NotExtending {
                    height: tip.height + 1,
                    previous: header.previous,
                    tip: tip.header.hash,
                });
            }
            Some(tip) => chain::place(tip, &self.times, header)
                .map_err(|reason| Error::Block { height: tip.height + 1, reason })?,
        };
        self.tip = Some(place);
        self.times.push(header.time);
        if self.times.len() > MEDIAN_BEFORE as usize {
            self.times.remove(0);
        }
        Ok(place)
    }
}

/// Reads the chain from the table; of `above` on, nothing.
pub(crate) async fn load(doors: &Doors, above: Option<u32>) -> Result<HeaderIndex, Error> {
    let mut links = Vec::new();
    for range in pieces(doors.clock.time()) {
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            columns: tables::btc_blocks::LINK_COLUMNS.to_vec(),
            range: Some(range),
            ..TableScan::default()
        };
        let batches = doors.store.scan(TableName::BtcBlocks, scan).await?;
        let found = batches.iter().flat_map(tables::btc_blocks::links_from_batch);
        links.extend(found.filter(|link| !link.is_stale).map(|link| link.place));
    }
    // Times go back and forth, so that blocks stand on both sides of a border.
    links.sort_by_key(|place| place.height);
    let mut index = HeaderIndex::new();
    // A link that does not follow would mean that the table was changed by somebody else: what lies above is asked for again.
    for place in &links {
        if above.is_some_and(|above| place.height >= above) || index.push(place).is_err() {
            break;
        }
    }
    Ok(index)
}

/// All of time in pieces, so that rows of a long chain do not stand in memory at once. Pieces without rows cost nothing.
fn pieces(now: Time) -> Vec<TimeRange> {
    let mut borders = vec![Time(i64::MIN)];
    borders.extend((0..).map(|piece| Time(FIRST_BLOCK + piece * PIECE)).take_while(|border| *border < now));
    borders.push(Time(i64::MAX));
    borders.windows(2).map(|ends| TimeRange { start: ends[0], end: ends[1] }).collect()
}

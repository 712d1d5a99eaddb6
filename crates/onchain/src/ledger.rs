//! Takes blocks into the tables `btc_blocks` and `btc_primitive_block`, and takes them out again when the chain forks.
//!
//! Each step is one commit per table, raw blocks first; both carry the same number. Blocks of a branch that lost stay in
//! `btc_blocks`, told as stale, and leave `btc_primitive_block`.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use chain::index::{HeaderIndex, IndexedBlock};
use coins::CoinTip;
use control::{CheckpointKey, Reached};
use model::{BlockFacts, BlockHash, BlockPlace, LogPosition, Network, Time};
use rawlog::{BlockBytes, BlockSegments};
use tables::{BTC, BlockRow, NodeSpot, Rows, Span, Step, TableName, TableScan};

use crate::active::{self, Branch};
use crate::error::Error;
use crate::read::ReadBlock;
use crate::{Doors, components};

/// What a step changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The step.
    pub step: u64,
    /// The earliest header time among blocks that came or left; the first block of a chain does not count.
    pub earliest: Option<Time>,
    /// Blocks that came.
    pub blocks: usize,
    /// Blocks that left.
    pub left: usize,
    /// The latest header time among blocks that came.
    pub latest: Option<Time>,
}

/// The tables of blocks, and what is known of the chain in them.
pub struct Ledger {
    doors: Doors,
    network: Network,
    active: Arc<RwLock<HeaderIndex>>,
    supply: Option<i64>,
    bytes: Option<BlockSegments>,
    /// The height above which the tables may hold rows that `active` does not.
    behind: Option<Above>,
    /// The earliest header time among blocks of a step that was cut off: the next one brings the buckets after them.
    cut_off: Option<Time>,
}

/// Everything above a height; everything there is without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Above(Option<u32>);

impl Above {
    /// The first height.
    fn first(self) -> i64 {
        self.0.map_or(0, |height| i64::from(height) + 1)
    }
}

impl Ledger {
    /// Opens the tables. What was cut off between two commits is taken out of sight and asked for again.
    pub async fn open(doors: Doors, network: Network) -> Result<Self, Error> {
        let raw = doors.steps.step_of(TableName::BtcBlocks)?;
        let primitive = doors.steps.step_of(TableName::BtcPrimitiveBlock)?;
        let (mut keep, mut cut_off) = (None, None);
        if primitive < raw {
            let newer = blocks_since(&doors, primitive).await?;
            cut_off = earliest(newer.iter().map(|row| &row.place));
            keep = newer.iter().map(|row| row.place.height).min();
        }
        let active = Arc::new(RwLock::new(active::load(&doors, keep).await?));
        crate::kept::free(&doors).await?;
        let bytes = if doors.blocks.is_kept {
            let folder = doors.blocks.path.clone();
            let opened = runtime::tasks::blocking(move || BlockSegments::open(&folder)).await;
            Some(opened.map_err(Error::Broken)??)
        } else {
            None
        };
        let mut ledger = Self { doors, network, supply: None, bytes, behind: None, cut_off, active };
        if primitive < raw {
            ledger.behind = Some(Above(ledger.tip().map(|tip| tip.height)));
        }
        if let Some(tip) = ledger.tip() {
            ledger.supply = ledger.supply_at(tip.height).await?;
        }
        Ok(ledger)
    }

    /// The highest block in the tables.
    pub fn stored_tip(&self) -> Option<IndexedBlock> {
        self.index().own_tip()
    }

    /// What the next block follows: the highest block, or the header that the chain begins behind.
    pub fn tip(&self) -> Option<IndexedBlock> {
        self.index().tip()
    }

    /// The block that the next one follows: that at the fork, or the tip.
    pub(crate) fn parent(&self, fork: Option<u32>) -> Option<CoinTip> {
        let index = self.index();
        let block = fork.map_or_else(|| index.tip(), |fork| index.get(fork))?;
        Some(CoinTip { height: block.height, hash: block.hash })
    }

    /// The followed chain, for others to look at.
    pub fn active(&self) -> Arc<RwLock<HeaderIndex>> {
        Arc::clone(&self.active)
    }

    // A panic while it is locked leaves a chain that is whole up to some height; what is above is taken again.
    fn index(&self) -> RwLockReadGuard<'_, HeaderIndex> {
        self.active.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The step that both tables have.
    pub fn step(&self) -> Result<u64, Error> {
        Ok(self.doors.steps.step_of(TableName::BtcPrimitiveBlock)?.0)
    }

    /// Begins a chain in the middle, behind these headers: eleven of them give true medians of times from the first block on.
    /// Supply is not known then.
    pub fn begin_after(&mut self, headers: HeaderIndex) {
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = headers;
        self.supply = None;
    }

    /// Takes blocks in, by ascending height, the first one on top of the tip, or of the block at `fork` where the chain was
    /// left. Nothing is changed in memory until the tables are.
    pub async fn take(&mut self, fork: Option<u32>, blocks: Vec<ReadBlock>) -> Result<Taken, Error> {
        let base = match (fork, self.behind) {
            (None, None) => None,
            (fork, behind) => {
                let tip = self.index().tip().map(|tip| tip.height);
                Some(Above(fork.or(tip)).min(behind.unwrap_or(Above(tip))))
            }
        };
        let placed = self.place(fork, blocks)?;
        let step = self.next_step()?;
        // From here on the tables may be ahead of what is known in memory.
        let first = placed.first().map(|(place, _)| place.height).or(fork.map(|fork| fork + 1));
        self.behind = Some(Above(first.and_then(|first| first.checked_sub(1))));
        let left = match base {
            Some(base) => self.leaving(base, &placed).await?,
            None => Vec::new(),
        };
        let spots = self.keep_bytes(&placed)?;
        let facts = self.facts(fork, &placed).await?;
        let places = placed.iter().map(|(place, _)| place).chain(left.iter().map(|row| &row.place));
        let earliest = earliest(places).into_iter().chain(self.cut_off).min();
        let latest = placed.iter().map(|(place, _)| place.time()).max();
        let taken = Taken { step, earliest, blocks: placed.len(), left: left.len(), latest };
        self.commit_raw(step, left, &placed, spots).await?;
        self.commit_facts(step, base, &facts).await?;
        self.adopt(fork, &placed)?;
        self.supply = match facts.last() {
            Some(last) => last.supply_total_sat,
            None => match self.tip() {
                Some(tip) => self.supply_at(tip.height).await?,
                None => None,
            },
        };
        (self.behind, self.cut_off) = (None, None);
        self.tell(step)?;
        Ok(taken)
    }

    fn adopt(&self, fork: Option<u32>, placed: &[(BlockPlace, ReadBlock)]) -> Result<(), Error> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(fork) = fork {
            active.rewind(fork);
        }
        for (place, _) in placed {
            active.push(place).map_err(|reason| Error::Block { height: place.height, reason })?;
        }
        Ok(())
    }

    /// Notes anew how far the blocks are: whatever failed is over.
    pub(crate) fn tell_reached(&self) -> Result<(), Error> {
        self.tell(self.step()?)
    }

    fn tell(&self, step: u64) -> Result<(), Error> {
        let Some(tip) = self.index().tip() else { return Ok(()) };
        let reached = Reached {
            sequence: step,
            height: Some(tip.height),
            hash: Some(tip.hash.to_string()),
            bucket: None,
        };
        let key = CheckpointKey::btc(components::RAW, "block");
        Ok(self.doors.control.checkpoint_reached(&key, &reached, self.doors.clock.time())?)
    }

    /// The next step of any table of the chain.
    pub(crate) fn next_step(&self) -> Result<u64, Error> {
        let tables = [TableName::BtcBlocks, TableName::BtcPrimitiveBlock, TableName::BtcBuckets];
        let steps = tables.into_iter().map(|table| self.doors.steps.step_of(table));
        Ok(steps.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or_default().0 + 1)
    }

    /// Gives each block its place, without changing anything. Refuses one that takes more than it may.
    fn place(
        &self,
        fork: Option<u32>,
        blocks: Vec<ReadBlock>,
    ) -> Result<Vec<(BlockPlace, ReadBlock)>, Error> {
        let mut branch = Branch::of(&self.index(), fork);
        let mut placed = Vec::with_capacity(blocks.len());
        for block in blocks {
            let place = branch.place(block.header)?;
            let height = place.height;
            chain::check_claim(self.network, height, &block.sums)
                .map_err(|reason| Error::Block { height, reason })?;
            placed.push((place, block));
        }
        Ok(placed)
    }

    /// Rows of the followed chain above a height that are not among those that come.
    async fn leaving(&self, base: Above, placed: &[(BlockPlace, ReadBlock)]) -> Result<Vec<BlockRow>, Error> {
        let coming: HashSet<BlockHash> = placed.iter().map(|(place, _)| place.header.hash).collect();
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            at_least: Some(("height", base.first())),
            ..TableScan::default()
        };
        let batches = self.doors.store.scan(TableName::BtcBlocks, scan).await?;
        let rows = batches.iter().flat_map(tables::btc_blocks::from_batch);
        Ok(rows.filter(|row| !row.is_stale && !coming.contains(&row.place.header.hash)).collect())
    }

    /// Writes the bytes of blocks down; what is returned lasts.
    fn keep_bytes(
        &mut self,
        placed: &[(BlockPlace, ReadBlock)],
    ) -> Result<Vec<Option<(String, u64)>>, Error> {
        let Some(segments) = &mut self.bytes else { return Ok(vec![None; placed.len()]) };
        // A few milliseconds of compression per block; the thread that runs this task waits for the disk anyway.
        let mut spots = Vec::with_capacity(placed.len());
        for (place, block) in placed {
            let spent = block.spent.view();
            let bytes = BlockBytes {
                hash: place.header.hash,
                block: block.bytes.clone(),
                spent: spent.bytes.to_vec(),
                spent_form: spent.form.number(),
            };
            let spot = segments.append(&bytes)?;
            spots.push(Some((spot.file, spot.offset)));
        }
        segments.sync()?;
        Ok(spots)
    }

    async fn facts(
        &self,
        fork: Option<u32>,
        placed: &[(BlockPlace, ReadBlock)],
    ) -> Result<Vec<BlockFacts>, Error> {
        let mut before = match fork {
            Some(fork) => self.index().get(fork).map(|block| block.time),
            None => self.index().tip().map(|tip| tip.time),
        };
        let mut supply = match fork {
            Some(fork) => self.supply_at(fork).await?,
            None => self.supply,
        };
        let mut facts = Vec::with_capacity(placed.len());
        for (place, block) in placed {
            if place.height == 0 {
                supply = Some(0);
            }
            let header = &place.header;
            supply = supply.map(|supply| {
                supply + chain::supply_change(self.network, place.height, header.hash, &block.sums)
            });
            let interval_sec = before.map(|before| i64::from(header.time) - i64::from(before));
            before = Some(header.time);
            facts.push(BlockFacts {
                place: *place,
                network: self.network,
                sums: block.sums.clone(),
                supply_total_sat: supply,
                interval_sec,
            });
        }
        Ok(facts)
    }

    async fn supply_at(&self, height: u32) -> Result<Option<i64>, Error> {
        let Some(block) = self.index().get(height) else { return Ok(None) };
        let time = Time(i64::from(block.time) * model::time::SECOND);
        let range = tables::TimeRange { start: time, end: time.plus_micros(1) };
        let scan = TableScan {
            subject: Some(BTC.to_owned()),
            range: Some(range),
            columns: vec!["height", "supply_total_sat"],
            ..TableScan::default()
        };
        let batches = self.doors.store.scan(TableName::BtcPrimitiveBlock, scan).await?;
        Ok(batches.iter().find_map(|batch| tables::btc_primitive_block::supply_of(batch, height)))
    }

    async fn commit_raw(
        &self,
        step: u64,
        left: Vec<BlockRow>,
        placed: &[(BlockPlace, ReadBlock)],
        spots: Vec<Option<(String, u64)>>,
    ) -> Result<(), Error> {
        let mut rows: Vec<BlockRow> =
            left.into_iter().map(|row| BlockRow { is_stale: true, sequence: step, ..row }).collect();
        rows.extend(placed.iter().zip(spots).map(|((place, block), stored)| BlockRow {
            place: *place,
            tx_count: block.sums.tx_count,
            size_bytes: block.sums.size_bytes,
            stripped_size_bytes: block.sums.stripped_size_bytes,
            weight_wu: block.sums.weight_wu,
            is_stale: false,
            sequence: step,
            stored,
            received_time: block.received,
            node: block.place.as_ref().map(|place| {
                let (block, undo) = place.named();
                NodeSpot { block, undo }
            }),
        }));
        let rows = Rows::BtcBlocks(rows).to_batch();
        let through = Some(LogPosition(step));
        Ok(self
            .doors
            .steps
            .apply(Step { table: TableName::BtcBlocks, outgoing: None, rows, through })
            .await?)
    }

    async fn commit_facts(&self, step: u64, base: Option<Above>, facts: &[BlockFacts]) -> Result<(), Error> {
        let outgoing = base.map(|base| Span {
            subject: BTC.to_owned(),
            column: "height",
            start: base.first(),
            end: i64::MAX,
        });
        let rows = Rows::BtcPrimitiveBlock(facts.to_vec()).to_batch();
        let through = Some(LogPosition(step));
        let step = Step { table: TableName::BtcPrimitiveBlock, outgoing, rows, through };
        Ok(self.doors.steps.apply(step).await?)
    }
}

/// The earliest header time; the first block of a chain is in no bucket.
fn earliest<'a>(places: impl Iterator<Item = &'a BlockPlace>) -> Option<Time> {
    places.filter(|place| place.height > 0).map(BlockPlace::time).min()
}

/// Blocks that came or left in later steps than this.
pub(crate) async fn blocks_since(doors: &Doors, step: LogPosition) -> Result<Vec<BlockRow>, Error> {
    let scan = TableScan {
        subject: Some(BTC.to_owned()),
        at_least: Some(("sequence", step.0 as i64 + 1)),
        ..TableScan::default()
    };
    let batches = doors.store.scan(TableName::BtcBlocks, scan).await?;
    Ok(batches.iter().flat_map(tables::btc_blocks::from_batch).collect())
}

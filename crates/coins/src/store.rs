//! The coins on disk, block by block forwards and backwards.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use chain::{CoinMoves, OutPoint};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch as WriteBatch, PersistMode};
use model::{BlockHash, Network, SpentAge};

use crate::error::Error;
use crate::form::{Coin, Place, Reader, Undo, bytes_of_coin, key_of};

/// Under this the store's place is kept.
const PLACE: &[u8] = b"place";
/// Least the journal may take on disk before it is folded into the tables.
const JOURNAL_BYTES: u64 = 256 << 20;

/// How much the store may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinBounds {
    /// Bytes of memory for what was read; some 64 MiB for what was written come on top.
    pub cache_bytes: u64,
    /// Blocks that can be taken back.
    pub undo_blocks: u32,
}

impl Default for CoinBounds {
    fn default() -> Self {
        Self { cache_bytes: 128 << 20, undo_blocks: 288 }
    }
}

/// The block with which coins are as the store has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoinTip {
    /// Blocks before it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
}

/// A block that comes next.
#[derive(Clone, Debug)]
pub struct NextBlock {
    /// Blocks before it.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// That of the block before.
    pub previous: BlockHash,
    /// What it does to coins.
    pub moves: CoinMoves,
}

/// The coins of a chain, open for changes. One process at a time.
pub struct CoinStore {
    folder: PathBuf,
    network: Network,
    bounds: CoinBounds,
    database: Database,
    coins: Keyspace,
    undo: Keyspace,
    place: Keyspace,
    tip: Option<CoinTip>,
}

/// What becomes of one output by a change.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// The coin that is there afterwards.
    coin: Option<Coin>,
    /// Whether a coin is there before.
    is_stored: bool,
}

type Changes = HashMap<OutPoint, Pending>;

/// What some blocks change, worked out and not made yet.
#[derive(Debug)]
pub struct Prepared {
    base: Option<CoinTip>,
    tip: Option<CoinTip>,
    ages: Vec<Vec<SpentAge>>,
    undo: Vec<(u32, Vec<u8>)>,
    changes: Changes,
}

impl Prepared {
    /// For each block the coins it spends, summed by the height that made them, ascending. Given out once.
    pub fn take_ages(&mut self) -> Vec<Vec<SpentAge>> {
        std::mem::take(&mut self.ages)
    }
}

impl CoinStore {
    /// Opens the folder, making it if it is not there.
    pub fn open(folder: &Path, network: Network, bounds: CoinBounds) -> Result<Self, Error> {
        let failed = failure("open", folder);
        let database = Database::builder(folder)
            .cache_size(bounds.cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(2)
            .open()
            .map_err(&failed)?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default).map_err(&failed);
        let coins = database
            .keyspace("coins", || KeyspaceCreateOptions::default().expect_point_read_hits(true))
            .map_err(&failed)?;
        let (undo, place) = (keyspace("undo")?, keyspace("place")?);
        let stored = place.get(PLACE).map_err(&failed)?;
        let tip = match stored {
            None => None,
            Some(bytes) => Some(known(folder, network, &bytes)?),
        };
        Ok(Self { folder: folder.to_path_buf(), network, bounds, database, coins, undo, place, tip })
    }

    /// The block at which the store stands; `None` before the first.
    pub fn tip(&self) -> Option<CoinTip> {
        self.tip
    }

    /// Has an empty store begin above a block.
    #[cfg(test)]
    pub(crate) fn stand_at(&mut self, tip: CoinTip) {
        self.tip = Some(tip);
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> Result<u64, Error> {
        self.database.disk_space().map_err(failure("measure", &self.folder))
    }

    /// Works out what the next blocks change, without changing anything. Blocks from `undo_from` on can be taken back later, as far
    /// as the bounds say; those far below the chain's end need not be, and are taken in twice as fast.
    pub fn prepare(&self, blocks: &[NextBlock], undo_from: u32) -> Result<Prepared, Error> {
        let stored = self.look_up(blocks)?;
        let mut prepared = Prepared {
            base: self.tip,
            tip: self.tip,
            ages: Vec::new(),
            undo: Vec::new(),
            changes: Changes::new(),
        };
        for block in blocks {
            follows(prepared.tip, block)?;
            let (undo, spent) = self.change(block, &stored, &mut prepared.changes)?;
            if block.height >= undo_from {
                prepared.undo.push((block.height, undo.to_bytes()));
            }
            prepared.ages.push(spent);
            prepared.tip = Some(CoinTip { height: block.height, hash: block.hash });
        }
        Ok(prepared)
    }

    /// Makes what was prepared last, in one durable commit. It must have been prepared where the store stands.
    pub fn commit(&mut self, prepared: Prepared) -> Result<(), Error> {
        let Prepared { base, tip, undo, changes, .. } = prepared;
        if base != self.tip {
            let (height, previous) =
                base.map_or((0, BlockHash::default()), |base| (base.height + 1, base.hash));
            return Err(Error::NotExtending { height, previous, tip: self.tip.map(|tip| tip.hash) });
        }
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for (height, undo) in undo {
            batch.insert(&self.undo, height.to_be_bytes(), undo);
        }
        self.put(&mut batch, changes);
        self.forget_undo(&mut batch, tip)?;
        self.commit_at(batch, tip)
    }

    /// Takes the next blocks in. For each the coins it spends, summed by the height that made them, ascending.
    pub fn apply(&mut self, blocks: &[NextBlock], undo_from: u32) -> Result<Vec<Vec<SpentAge>>, Error> {
        let mut prepared = self.prepare(blocks, undo_from)?;
        let ages = prepared.take_ages();
        self.commit(prepared)?;
        Ok(ages)
    }

    /// The coins that blocks spend and that are stored, looked up in the order in which they lie.
    fn look_up(&self, blocks: &[NextBlock]) -> Result<HashMap<OutPoint, Coin>, Error> {
        let mut wanted: Vec<OutPoint> =
            blocks.iter().flat_map(|block| block.moves.spent.iter().copied()).collect();
        wanted.sort_unstable();
        let mut found = HashMap::with_capacity(wanted.len());
        for output in wanted {
            if let Some(coin) = self.coin(&output)? {
                found.insert(output, coin);
            }
        }
        Ok(found)
    }

    fn coin(&self, output: &OutPoint) -> Result<Option<Coin>, Error> {
        let failed = failure("read", &self.folder);
        let Some(bytes) = self.coins.get(key_of(output)).map_err(&failed)? else { return Ok(None) };
        Reader(&bytes).coin().map(Some).ok_or_else(|| damaged(&self.folder, "a coin"))
    }

    /// Notes what one block changes: outputs made, then outputs spent.
    fn change(
        &self,
        block: &NextBlock,
        stored: &HashMap<OutPoint, Coin>,
        changes: &mut Changes,
    ) -> Result<(Undo, Vec<SpentAge>), Error> {
        let mut undo = Undo { hash: block.hash, previous: block.previous, ..Undo::default() };
        // Nobody can spend the outputs of the first block.
        let created: &[_] = if block.height == 0 { &[] } else { &block.moves.created };
        let is_repeat = chain::network::is_repeat(self.network, block.height, block.hash);
        for (output, sat) in created {
            // Only two blocks ever made an output that was there already.
            let before = if is_repeat { self.before(output, changes)? } else { None };
            undo.taken.extend(before.map(|coin| (*output, coin)));
            undo.created.push(*output);
            let coin = Some(Coin { height: block.height, sat: *sat });
            changes.insert(*output, Pending { coin, is_stored: before.is_some() });
        }
        let mut ages: BTreeMap<u32, i64> = BTreeMap::new();
        for output in &block.moves.spent {
            let coin = match changes.get(output) {
                Some(pending) => pending.coin,
                None => stored.get(output).copied(),
            };
            let coin = coin.ok_or(Error::Missing { height: block.height, output: *output })?;
            *ages.entry(coin.height).or_default() += coin.sat;
            if coin.height != block.height {
                undo.taken.push((*output, coin));
            }
            let pending = changes.entry(*output).or_insert(Pending { coin: None, is_stored: true });
            pending.coin = None;
        }
        Ok((undo, ages.into_iter().map(|(height, sat)| SpentAge { height, sat }).collect()))
    }

    fn before(&self, output: &OutPoint, changes: &Changes) -> Result<Option<Coin>, Error> {
        match changes.get(output) {
            Some(pending) => Ok(pending.coin),
            None => self.coin(output),
        }
    }

    fn put(&self, batch: &mut WriteBatch, changes: Changes) {
        let mut sorted: Vec<_> = changes.into_iter().collect();
        // Neighbours end up as neighbours, which is faster than leaping about.
        sorted.sort_unstable_by_key(|(output, _)| *output);
        for (output, Pending { coin, is_stored }) in sorted {
            match coin {
                Some(coin) => batch.insert(&self.coins, key_of(&output), bytes_of_coin(coin)),
                None if is_stored => batch.remove(&self.coins, key_of(&output)),
                // Made and spent within the change.
                None => {}
            }
        }
    }

    /// Lets go of what would take blocks back that are too far below.
    fn forget_undo(&self, batch: &mut WriteBatch, tip: Option<CoinTip>) -> Result<(), Error> {
        let end = tip.map_or(0, |tip| tip.height + 1).saturating_sub(self.bounds.undo_blocks);
        for entry in self.undo.range(..end.to_be_bytes()) {
            let key = entry.key().map_err(failure("read", &self.folder))?;
            batch.remove(&self.undo, key);
        }
        Ok(())
    }

    /// Takes back the block at which the store stands.
    pub fn step_back(&mut self) -> Result<Option<CoinTip>, Error> {
        let Some(tip) = self.tip else { return Ok(None) };
        let bytes = self.undo.get(tip.height.to_be_bytes()).map_err(failure("read", &self.folder))?;
        let bytes = bytes.ok_or(Error::TooDeep { height: tip.height })?;
        let undo = Reader(&bytes).undo().ok_or_else(|| damaged(&self.folder, "what takes a block back"))?;
        if undo.hash != tip.hash {
            return Err(Error::TooDeep { height: tip.height });
        }
        let mut changes = Changes::new();
        for output in undo.created {
            changes.insert(output, Pending { coin: None, is_stored: true });
        }
        for (output, coin) in undo.taken {
            changes.insert(output, Pending { coin: Some(coin), is_stored: true });
        }
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        self.put(&mut batch, changes);
        batch.remove(&self.undo, tip.height.to_be_bytes());
        let below = tip.height.checked_sub(1).map(|height| CoinTip { height, hash: undo.previous });
        self.commit_at(batch, below)?;
        Ok(below)
    }

    fn commit_at(&mut self, mut batch: WriteBatch, tip: Option<CoinTip>) -> Result<(), Error> {
        match tip {
            Some(CoinTip { height, hash }) => {
                let place = Place { network: self.network, height, hash };
                batch.insert(&self.place, PLACE, place.to_bytes());
            }
            None => batch.remove(&self.place, PLACE),
        }
        batch.commit().map_err(failure("write", &self.folder))?;
        self.tip = tip;
        Ok(())
    }

    /// All coins: how many, and their sum in satoshi. Reads the whole store.
    pub fn count(&self) -> Result<(u64, i64), Error> {
        let failed = failure("read", &self.folder);
        let (mut count, mut sat) = (0, 0);
        for entry in self.coins.iter() {
            let bytes = entry.value().map_err(&failed)?;
            let coin = Reader(&bytes).coin().ok_or_else(|| damaged(&self.folder, "a coin"))?;
            count += 1;
            sat += coin.sat;
        }
        Ok((count, sat))
    }

    /// Lets go of all coins and begins anew.
    pub fn clear(self) -> Result<Self, Error> {
        let Self { folder, network, bounds, database, coins, undo, place, tip: _ } = self;
        // The files must be closed before they go.
        drop((coins, undo, place, database));
        std::fs::remove_dir_all(&folder).map_err(failure("delete", &folder))?;
        Self::open(&folder, network, bounds)
    }
}

impl std::fmt::Debug for CoinStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoinStore")
            .field("folder", &self.folder)
            .field("tip", &self.tip)
            .finish_non_exhaustive()
    }
}

fn follows(tip: Option<CoinTip>, block: &NextBlock) -> Result<(), Error> {
    let is_next = match tip {
        // The first block makes no coins, so that one may begin behind it.
        None => block.height <= 1,
        Some(tip) => block.height == tip.height + 1 && block.previous == tip.hash,
    };
    if is_next {
        return Ok(());
    }
    let tip = tip.map(|tip| tip.hash);
    Err(Error::NotExtending { height: block.height, previous: block.previous, tip })
}

fn known(folder: &Path, network: Network, bytes: &[u8]) -> Result<CoinTip, Error> {
    let foreign = |found: &str| Error::Foreign {
        folder: folder.to_path_buf(),
        found: found.to_owned(),
        wanted: network.to_string(),
    };
    let place = Reader(bytes).place().ok_or_else(|| foreign("another version of this program"))?;
    if place.network != network {
        return Err(foreign(place.network.as_str()));
    }
    Ok(CoinTip { height: place.height, hash: place.hash })
}

fn failure<E: std::fmt::Display>(doing: &'static str, folder: &Path) -> impl Fn(E) -> Error {
    move |error| Error::Store { doing, folder: folder.to_path_buf(), reason: error.to_string() }
}

fn damaged(folder: &Path, what: &str) -> Error {
    Error::Store { doing: "read", folder: folder.to_path_buf(), reason: format!("{what} is damaged") }
}

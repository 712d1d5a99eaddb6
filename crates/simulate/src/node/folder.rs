//! A recorded chain from a folder: its blocks in the order they came, and what a real node answered of them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use chain::header::HEADER_BYTES;
use model::chain::BlockHash;
use serde_json::Value;

use super::block::header;
use super::bytes::unhex;
use crate::settings::Error;

/// What was recorded of one block.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// Its transactions in `getblock` 2 and 3.
    pub(super) whole: Option<String>,
    pub(super) with_spent: Option<String>,
    /// `/rest/spenttxouts/….json`.
    pub(super) spent: Option<String>,
    /// The hash of the set of coins with it.
    pub(super) muhash: Option<String>,
}

/// A recorded chain.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// The first block of the chain.
    pub(super) first: Vec<u8>,
    /// The others in the order they came.
    pub(super) arrivals: Vec<Vec<u8>>,
    pub(super) told: HashMap<BlockHash, Told>,
}

fn wrong(path: &Path, reason: impl Into<String>) -> Error {
    Error::Recording { path: path.to_owned(), reason: reason.into() }
}

fn read(path: PathBuf) -> Result<Vec<u8>, Error> {
    std::fs::read(&path).map_err(|source| Error::File { path, source })
}

/// Lines of a compressed file; none if there is no such file.
fn lines(folder: &Path, name: &str) -> Result<Vec<String>, Error> {
    let path = folder.join(name);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let plain = zstd::decode_all(&*read(path.clone())?)
        .map_err(|source| Error::File { path: path.clone(), source })?;
    let text = String::from_utf8(plain).map_err(|error| wrong(&path, error.to_string()))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// Reads a folder.
pub(super) fn load(folder: &Path) -> Result<Recorded, Error> {
    let blocks = folder.join("raw_blocks.hex.zst");
    if !blocks.exists() {
        return Err(wrong(&blocks, "not there; name a folder with a recorded chain"));
    }
    let mut main = Vec::new();
    for (at, line) in lines(folder, "raw_blocks.hex.zst")?.iter().enumerate() {
        let bytes = unhex(line).filter(|bytes| bytes.len() > HEADER_BYTES);
        main.push(bytes.ok_or_else(|| wrong(&blocks, format!("line {}: no block", at + 1)))?);
    }
    let hashes: Vec<BlockHash> =
        main.iter().filter_map(|bytes| header(bytes)).map(|header| header.hash).collect();
    let mut recorded = Recorded::default();
    for (name, put) in ROWS {
        for (hash, line) in hashes.iter().zip(lines(folder, name)?) {
            put(recorded.told.entry(*hash).or_default(), line);
        }
    }
    let mut stale = stale_blocks(folder, &mut recorded)?;
    let mut main = main.into_iter();
    recorded.first = main.next().ok_or_else(|| wrong(&blocks, "no blocks"))?;
    recorded.arrivals = main.collect();
    // A stale block came before the block of the active chain at its height, or right after it if it never was connected.
    stale.sort_by_key(|stale| stale.height);
    let fork = stale.iter().filter(|stale| stale.was_connected).map(|stale| stale.height).min();
    for stale in stale.into_iter().rev() {
        let behind =
            if stale.was_connected { fork.map_or(stale.height, |fork| fork - 1) } else { stale.height };
        let place = behind.min(recorded.arrivals.len());
        recorded.arrivals.insert(place, stale.bytes);
    }
    Ok(recorded)
}

type Put = fn(&mut Told, String);
const ROWS: [(&str, Put); 4] = [
    ("getblock_v2.jsonl.zst", |told, line| told.whole = transactions(&line)),
    ("getblock_v3.jsonl.zst", |told, line| told.with_spent = transactions(&line)),
    ("spenttxouts.jsonl.zst", |told, line| told.spent = Some(line)),
    ("gettxoutsetinfo_muhash.jsonl.zst", |told, line| told.muhash = muhash(&line)),
];

/// The list of transactions at the end of a `getblock` answer.
fn transactions(line: &str) -> Option<String> {
    let (_, list) = line.trim_end().split_once(",\"tx\":")?;
    list.strip_suffix('}').map(str::to_owned)
}

fn muhash(line: &str) -> Option<String> {
    let row: Value = serde_json::from_str(line).ok()?;
    row.get("muhash")?.as_str().map(str::to_owned)
}

struct Stale {
    height: usize,
    was_connected: bool,
    bytes: Vec<u8>,
}

/// Blocks that are not on the chain, with what was recorded of them.
fn stale_blocks(folder: &Path, recorded: &mut Recorded) -> Result<Vec<Stale>, Error> {
    let folder = folder.join("stale");
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    let listed = std::fs::read_dir(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    let names = listed.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names {
        let Some(stem) = name.strip_suffix("_block.bin") else { continue };
        let bytes = read(folder.join(&name))?;
        let head = header(&bytes).ok_or_else(|| wrong(&folder.join(&name), "no block"))?;
        let text = |kind: &str| std::fs::read_to_string(folder.join(format!("{stem}_{kind}"))).ok();
        let row = text("getblock_v3.json").unwrap_or_default();
        let height = serde_json::from_str::<Value>(&row).ok().and_then(|row| row.get("height")?.as_u64());
        let height =
            height.ok_or_else(|| wrong(&folder.join(&name), "no getblock_v3 beside it tells its height"))?;
        let told = recorded.told.entry(head.hash).or_default();
        told.with_spent = transactions(&row);
        told.muhash = text("gettxoutsetinfo.json").as_deref().and_then(muhash);
        let was_connected = folder.join(format!("{stem}_spenttxouts.bin")).exists();
        found.push(Stale { height: height as usize, was_connected, bytes });
    }
    Ok(found)
}

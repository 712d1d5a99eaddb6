//! Headers: their 80 bytes, the median of times, and the place on the chain before them. Which chain that is, is left to
//! the caller.

use model::{BlockHash, BlockHeader, BlockPlace};

use crate::cursor::Cursor;
use crate::error::{Error, Fault};
use crate::hash::sha256d;
use crate::work;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 80;
/// Headers whose times the median is taken of.
pub const MEDIAN_SPAN: usize = 11;

/// Reads a header from its 80 bytes.
pub fn header(bytes: &[u8]) -> Result<BlockHeader, Error> {
    let mut cursor = Cursor::new("header", bytes);
    let header = read(&mut cursor)?;
    cursor.end("header")?;
    Ok(header)
}

/// Headers in a row, as a node sends them.
pub fn headers(bytes: &[u8]) -> Result<Vec<BlockHeader>, Error> {
    let mut cursor = Cursor::new("headers", bytes);
    let mut headers = Vec::with_capacity(bytes.len() / HEADER_BYTES);
    while !cursor.rest().is_empty() {
        headers.push(read(&mut cursor)?);
    }
    Ok(headers)
}

pub(crate) fn read(cursor: &mut Cursor<'_>) -> Result<BlockHeader, Fault> {
    let bytes = cursor.array::<HEADER_BYTES>("header")?;
    let mut fields = Cursor::new("header", bytes);
    Ok(BlockHeader {
        hash: sha256d(&[bytes]),
        version: fields.u32("version")? as i32,
        previous: BlockHash(*fields.array("previous hash")?),
        merkle_root: BlockHash(*fields.array("merkle root")?),
        time: fields.u32("time")?,
        bits: fields.u32("bits")?,
        nonce: fields.u32("nonce")?,
    })
}

/// The 80 bytes of a header.
pub fn header_bytes(header: &BlockHeader) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&header.version.to_le_bytes());
    bytes[4..36].copy_from_slice(&header.previous.0);
    bytes[36..68].copy_from_slice(&header.merkle_root.0);
    bytes[68..72].copy_from_slice(&header.time.to_le_bytes());
    bytes[72..76].copy_from_slice(&header.bits.to_le_bytes());
    bytes[76..].copy_from_slice(&header.nonce.to_le_bytes());
    bytes
}

/// The median of a header's time and of those of up to ten headers before it; more are not looked at.
pub fn median_time(time: u32, before: &[u32]) -> u32 {
    let mut times = [0; MEDIAN_SPAN];
    let before = &before[before.len().saturating_sub(MEDIAN_SPAN - 1)..];
    let count = before.len() + 1;
    times[..before.len()].copy_from_slice(before);
    times[before.len()] = time;
    times[..count].sort_unstable();
    times[count / 2]
}

/// The place of a chain's first header.
pub fn first_place(header: BlockHeader) -> BlockPlace {
    BlockPlace { header, height: 0, median_time: header.time, chainwork: work::of_bits(header.bits) }
}

/// The place of a header that follows `previous`. `before` are the times of the headers before it, the last one that of
/// `previous`; the last ten of them count.
pub fn place(previous: &BlockPlace, before: &[u32], header: BlockHeader) -> Result<BlockPlace, Error> {
    if header.previous != previous.header.hash {
        return Err(Error::Header(format!(
            "{} follows {}, not {} at height {}",
            header.hash, header.previous, previous.header.hash, previous.height
        )));
    }
    if header.time <= previous.median_time {
        return Err(Error::Header(format!(
            "the time {} of {} is not after the median {} of the headers before it",
            header.time, header.hash, previous.median_time
        )));
    }
    Ok(BlockPlace {
        header,
        height: previous.height + 1,
        median_time: median_time(header.time, before),
        chainwork: previous.chainwork.plus(work::of_bits(header.bits)),
    })
}

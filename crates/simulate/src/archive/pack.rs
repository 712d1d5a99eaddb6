//! Packs a file while it is written: a zip with one entry, or a gzip stream.

use std::io::{self, Seek, SeekFrom, Write};

use flate2::{Compression, Crc, GzBuilder, write::DeflateEncoder, write::GzEncoder};

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// One entry.
    Zip,
    /// One stream.
    Gzip,
}

// The archives are read far more often than made; here they are made once and read once.
const LEVEL: u32 = 1;
/// Bytes of a local header before the name.
const LOCAL_BYTES: u64 = 30;
/// 2020-01-01 00:00 as zips write it.
const DOS_DATE: u16 = (40 << 9) | (1 << 5) | 1;

/// Packs what `fill` writes into `file`, as an entry of that name.
pub(super) fn pack<F: Write + Seek>(
    packing: Packing,
    name: &str,
    file: &mut F,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match packing {
        Packing::Gzip => {
            // Without a time of its own, so that the same rows give the same bytes.
            let mut encoder: GzEncoder<&mut F> = GzBuilder::new().write(file, Compression::new(LEVEL));
            fill(&mut encoder)?;
            encoder.finish().map(drop)
        }
        Packing::Zip => zip(name, file, fill),
    }
}

fn zip<F: Write + Seek>(
    name: &str,
    file: &mut F,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let data_start = LOCAL_BYTES + name.len() as u64;
    file.seek(SeekFrom::Start(data_start))?;
    let encoder = DeflateEncoder::new(file, Compression::new(LEVEL));
    let mut counted = Counted { inner: encoder, crc: Crc::new(), bytes: 0 };
    fill(&mut counted)?;
    let (crc, unpacked) = (counted.crc.sum(), counted.bytes);
    let file = counted.inner.finish()?;
    let end = file.stream_position()?;
    let entry = Entry { name, crc, packed: end - data_start, unpacked };
    file.write_all(&entry.directory(end)?)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&entry.local()?)?;
    Ok(())
}

/// The one entry of a zip.
struct Entry<'a> {
    name: &'a str,
    crc: u32,
    packed: u64,
    unpacked: u64,
}

fn small(value: u64) -> io::Result<[u8; 4]> {
    let value = u32::try_from(value).map_err(|_| io::Error::other("a zip entry beyond 4 GiB"))?;
    Ok(value.to_le_bytes())
}

impl Entry<'_> {
    // Version 2.0, no flags, deflated, date, sums, sizes, length of the name, no extra field.
    fn fields(&self) -> io::Result<Vec<u8>> {
        let mut fields = Vec::new();
        for value in [20_u16, 0, 8, 0, DOS_DATE] {
            fields.extend(value.to_le_bytes());
        }
        fields.extend(self.crc.to_le_bytes());
        fields.extend(small(self.packed)?);
        fields.extend(small(self.unpacked)?);
        fields.extend((self.name.len() as u16).to_le_bytes());
        fields.extend([0; 2]);
        Ok(fields)
    }

    /// The header before the data.
    fn local(&self) -> io::Result<Vec<u8>> {
        let mut header = b"PK\x03\x04".to_vec();
        header.extend(self.fields()?);
        header.extend(self.name.as_bytes());
        Ok(header)
    }

    /// The directory behind the data, which ends at `at`.
    fn directory(&self, at: u64) -> io::Result<Vec<u8>> {
        let mut bytes = b"PK\x01\x02".to_vec();
        bytes.extend(20_u16.to_le_bytes());
        bytes.extend(self.fields()?);
        // No comment, first disk, no attributes, header at the beginning.
        bytes.extend([0; 14]);
        bytes.extend(self.name.as_bytes());
        let length = bytes.len() as u64;
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend(small(length)?);
        bytes.extend(small(at)?);
        bytes.extend([0; 2]);
        Ok(bytes)
    }
}

/// Counts and sums up what passes.
struct Counted<W> {
    inner: W,
    crc: Crc,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.crc.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A packed block of rows said so often that it fills gigabytes: small outside, endless inside.
pub(super) fn bomb(packing: Packing, name: &str, rows: &[u8], times: usize) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(rows)?;
    // Ends the block at a byte, so that it can stand any number of times.
    encoder.flush()?;
    let block = encoder.get_ref().clone();
    let mut data = Vec::new();
    for _ in 0..times {
        data.extend_from_slice(&block);
    }
    // An empty last block.
    data.extend([0x03, 0x00]);
    let unpacked = rows.len() as u64 * times as u64;
    if packing == Packing::Gzip {
        let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
        bytes.append(&mut data);
        bytes.extend([0; 4]);
        bytes.extend((unpacked as u32).to_le_bytes());
        return Ok(bytes);
    }
    // What the header says is a lie as well: one block.
    let entry = Entry { name, crc: 0, packed: data.len() as u64, unpacked: rows.len() as u64 };
    let mut bytes = entry.local()?;
    bytes.append(&mut data);
    let end = bytes.len() as u64;
    bytes.extend(entry.directory(end)?);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    //! Cases for packed files.
    use std::io::{Cursor, Read};

    use flate2::read::{DeflateDecoder, GzDecoder};

    use super::*;

    fn rows(out: &mut dyn Write) -> io::Result<()> {
        (0..5_000).try_for_each(|row| writeln!(out, "{row},1.5"))
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let mut plain = Vec::new();
        rows(&mut plain).unwrap();
        let mut packed = Cursor::new(Vec::new());
        pack(Packing::Gzip, "a.csv", &mut packed, rows).unwrap();
        let mut read = Vec::new();
        GzDecoder::new(&packed.get_ref()[..]).read_to_end(&mut read).unwrap();
        assert_eq!(read, plain);
        let mut packed = Cursor::new(Vec::new());
        pack(Packing::Zip, "a.csv", &mut packed, rows).unwrap();
        let bytes = packed.into_inner();
        let field = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        let (crc, packed, unpacked) = (field(14), field(18), field(22));
        let data = &bytes[35..35 + packed];
        let mut read = Vec::new();
        DeflateDecoder::new(data).read_to_end(&mut read).unwrap();
        let mut sum = Crc::new();
        sum.update(&plain);
        assert_eq!((&read, unpacked, crc), (&plain, plain.len(), sum.sum() as usize));
        // The directory follows the data, and the end says where it begins.
        let end = bytes.len() - 22;
        assert_eq!((&bytes[end..end + 4], field(end + 16)), (&b"PK\x05\x06"[..], 35 + packed));
        assert_eq!(
            (&bytes[35 + packed..39 + packed], field(end + 12)),
            (&b"PK\x01\x02"[..], end - 35 - packed)
        );
    }

    #[test]
    fn bombs_are_small_outside() {
        let block = vec![b'7'; 1 << 16];
        let bytes = bomb(Packing::Gzip, "a.csv", &block, 500).unwrap();
        assert!(bytes.len() < 200_000, "{}", bytes.len());
        let mut read = vec![0; 30 << 20];
        GzDecoder::new(&bytes[..]).read_exact(&mut read).unwrap();
        assert!(read.iter().all(|byte| *byte == b'7'));
    }
}

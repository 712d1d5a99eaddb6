//! Sealed segments as MCAP files, which any MCAP tool can read. When a segment is archived is left to `keeper`.
//!
//! One channel for each venue, kind and connection; channels of one venue and kind share the topic `venue/kind`. A
//! message's log time is the receipt time, its sequence the low half of the position, its data the payload unchanged. A
//! metadata record named `tickhouse.segment` holds first and last position, so that every record comes back as it was.

mod cursor;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use mcap::records::{MessageHeader, Metadata};
use mcap::{McapError, McapResult};
use model::{Nanos, VenueId};

pub(crate) use self::cursor::ArchiveCursor;
use crate::error::Error;
use crate::frame;
use crate::record::{Record, RecordKind};

const METADATA_NAME: &str = "tickhouse.segment";

/// What an archive says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArchiveInfo {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) created: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ChannelKey {
    venue: Option<VenueId>,
    kind: RecordKind,
    connection: u32,
}

fn broken(path: &Path, offset: u64, reason: &dyn ToString) -> Error {
    Error::Damaged { path: path.to_owned(), offset, reason: reason.to_string() }
}

/// Writes one archive.
pub(crate) struct ArchiveWriter<W: Write + Seek> {
    inner: mcap::Writer<W>,
    channels: HashMap<ChannelKey, u16>,
}

impl ArchiveWriter<BufWriter<File>> {
    pub(crate) fn create(path: &Path, info: ArchiveInfo) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io("create archive", path))?;
        Self::start(BufWriter::with_capacity(1 << 20, file), info).map_err(|error| mcap_error(path, error))
    }

    /// Writes the rest and makes the file durable.
    pub(crate) fn finish(mut self, path: &Path) -> Result<(), Error> {
        self.inner.finish().map_err(|error| mcap_error(path, error))?;
        let mut writer = self.inner.into_inner();
        writer.flush().map_err(Error::io("write archive", path))?;
        writer.get_ref().sync_all().map_err(Error::io("sync archive", path))
    }

    pub(crate) fn write(&mut self, path: &Path, record: &Record) -> Result<(), Error> {
        self.add(record).map_err(|error| mcap_error(path, error))
    }
}

fn mcap_error(path: &Path, error: McapError) -> Error {
    match error {
        McapError::Io(source) => Error::io("write archive", path)(source),
        other => broken(path, 0, &other),
    }
}

impl<W: Write + Seek> ArchiveWriter<W> {
    fn start(writer: W, info: ArchiveInfo) -> McapResult<Self> {
        // Threads are the business of `runtime`, so compression gets none of its own.
        let options = mcap::WriteOptions::new()
            .profile("tickhouse")
            .library(concat!("tickhouse rawlog ", env!("CARGO_PKG_VERSION")))
            .compression(Some(mcap::Compression::Zstd))
            .compression_level(3)
            .compression_threads(0);
        let mut inner = options.create(writer)?;
        let metadata = BTreeMap::from([
            ("format".to_owned(), "1".to_owned()),
            ("first_position".to_owned(), info.first.to_string()),
            ("last_position".to_owned(), info.last.to_string()),
            ("created_ns".to_owned(), info.created.0.to_string()),
        ]);
        inner.write_metadata(&Metadata { name: METADATA_NAME.to_owned(), metadata })?;
        Ok(Self { inner, channels: HashMap::new() })
    }

    fn channel(&mut self, key: ChannelKey) -> McapResult<u16> {
        if let Some(id) = self.channels.get(&key) {
            return Ok(*id);
        }
        let venue = key.venue.map_or("house", VenueId::as_str);
        let encoding = match key.kind {
            RecordKind::Text | RecordKind::Sent => "json",
            RecordKind::Binary => "application/octet-stream",
            _ => "text/plain",
        };
        let metadata = BTreeMap::from([
            ("venue".to_owned(), venue.to_owned()),
            ("venue_code".to_owned(), frame::venue_code(key.venue).to_string()),
            ("kind".to_owned(), key.kind.as_str().to_owned()),
            ("kind_number".to_owned(), (key.kind as u8).to_string()),
            ("connection".to_owned(), key.connection.to_string()),
        ]);
        let topic = format!("{venue}/{}", key.kind.as_str());
        let id = self.inner.add_channel(0, &topic, encoding, &metadata)?;
        self.channels.insert(key, id);
        Ok(id)
    }

    fn add(&mut self, record: &Record) -> McapResult<()> {
        let key = ChannelKey { venue: record.venue, kind: record.kind, connection: record.connection };
        let time = record.received.0.cast_unsigned();
        let header = MessageHeader {
            channel_id: self.channel(key)?,
            sequence: record.position.0 as u32,
            log_time: time,
            publish_time: time,
        };
        self.inner.write_to_known_channel(&header, &record.payload)
    }
}

fn channel_key(metadata: &BTreeMap<String, String>) -> Option<ChannelKey> {
    let number = |name: &str| metadata.get(name)?.parse::<u32>().ok();
    Some(ChannelKey {
        venue: frame::venue_of_code(u8::try_from(number("venue_code")?).ok()?).ok()?,
        kind: RecordKind::from_number(u8::try_from(number("kind_number")?).ok()?)?,
        connection: number("connection")?,
    })
}

fn parse_info(metadata: &Metadata) -> Option<ArchiveInfo> {
    let number = |name: &str| metadata.metadata.get(name);
    Some(ArchiveInfo {
        first: number("first_position")?.parse().ok()?,
        last: number("last_position")?.parse().ok()?,
        created: Nanos(number("created_ns")?.parse().ok()?),
    })
}

//! Reads an archive chunk by chunk; a damaged chunk is passed over, the others are not touched by it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use mcap::McapResult;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use mcap::sans_io::summary_reader::{SummaryReadEvent, SummaryReader, SummaryReaderOptions};
use model::{LogPosition, Nanos};

use super::{ArchiveInfo, ChannelKey, METADATA_NAME, broken, channel_key, parse_info};
use crate::cursor::Sink;
use crate::error::Error;
use crate::frame;
use crate::record::Record;
use crate::segment::{self, Damage};

const OPCODE_FOOTER: u8 = 0x02;
const OPCODE_CHANNEL: u8 = 0x04;
const OPCODE_MESSAGE: u8 = 0x05;
const OPCODE_CHUNK: u8 = 0x06;
const OPCODE_METADATA: u8 = 0x0c;
/// Opcode and length before each record of an MCAP file.
const RECORD_HEAD_BYTES: u64 = 9;
/// Channel, sequence and two times before the data of a message.
const MESSAGE_HEAD_BYTES: usize = 22;
/// Longest chunk believed: one record of the greatest length with its company.
const CHUNK_BYTES_MAX: u64 = frame::PAYLOAD_BYTES_MAX as u64 + (16 << 20);

/// A place in an archive.
#[derive(Debug)]
pub(crate) struct ArchiveCursor {
    file: File,
    path: PathBuf,
    info: ArchiveInfo,
    channels: HashMap<u16, ChannelKey>,
    /// Offset and length of each chunk, in order.
    chunks: Vec<(u64, u64)>,
    chunk_index: usize,
    /// Records of the chunk before `chunk_index` that were not handed out yet.
    pending: std::vec::IntoIter<Record>,
    next: u64,
    has_sought: bool,
}

impl ArchiveCursor {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open segment", path))?;
        let mut cursor = Self {
            file,
            path: path.to_owned(),
            info: ArchiveInfo { first: 0, last: 0, created: Nanos(0) },
            channels: HashMap::new(),
            chunks: Vec::new(),
            chunk_index: 0,
            pending: Vec::new().into_iter(),
            next: 0,
            has_sought: false,
        };
        let has_index = cursor.read_summary().is_some_and(|info| {
            cursor.info = info;
            !cursor.chunks.is_empty()
        });
        if !has_index {
            // The end of the file is damaged: walk through it from the start instead.
            cursor.walk()?;
        }
        cursor.next = cursor.info.first;
        Ok(cursor)
    }

    /// What an archive says about itself, from its first bytes only; `None` where they do not tell.
    pub(crate) fn peek(path: &Path) -> Option<ArchiveInfo> {
        let file = File::open(path).ok()?;
        let start = segment::read_at(&file, path, mcap::MAGIC.len() as u64, 4096).ok()?;
        let mut rest = start.as_slice();
        while let Some((head, behind)) = rest.split_at_checked(RECORD_HEAD_BYTES as usize) {
            let (body, next) = behind.split_at_checked(usize::try_from(frame::u64_at(head, 1)).ok()?)?;
            if head[0] == OPCODE_METADATA
                && let Ok(mcap::records::Record::Metadata(found)) = mcap::parse_record(head[0], body)
                && found.name == METADATA_NAME
            {
                return parse_info(&found);
            }
            rest = next;
        }
        None
    }

    pub(crate) fn file(&self) -> (&File, &PathBuf) {
        (&self.file, &self.path)
    }

    pub(crate) fn info(&self) -> ArchiveInfo {
        self.info
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    fn read_summary(&mut self) -> Option<ArchiveInfo> {
        let bytes = self.file.metadata().ok()?.len();
        let options = SummaryReaderOptions::default().with_file_size(bytes);
        let mut reader = SummaryReader::new_with_options(options);
        let mut at = 0;
        while let Some(event) = reader.next_event() {
            match event.ok()? {
                SummaryReadEvent::ReadRequest(length) => {
                    let found = segment::read_at(&self.file, &self.path, at, length).ok()?;
                    reader.insert(length)[..found.len()].copy_from_slice(&found);
                    reader.notify_read(found.len());
                    at += found.len() as u64;
                }
                SummaryReadEvent::SeekRequest(to) => {
                    at = match to {
                        io::SeekFrom::Start(offset) => offset,
                        io::SeekFrom::End(back) => bytes.checked_add_signed(back)?,
                        io::SeekFrom::Current(step) => at.checked_add_signed(step)?,
                    };
                    reader.notify_seeked(at);
                }
            }
        }
        let summary = reader.finish()?;
        let place = summary.metadata_indexes.iter().find(|index| index.name == METADATA_NAME)?;
        let record =
            segment::read_at(&self.file, &self.path, place.offset, place.length.min(65_536) as usize).ok()?;
        let body = record.get(RECORD_HEAD_BYTES as usize..)?;
        let Ok(mcap::records::Record::Metadata(metadata)) = mcap::parse_record(OPCODE_METADATA, body) else {
            return None;
        };
        for (id, channel) in &summary.channels {
            self.channels.insert(*id, channel_key(&channel.metadata)?);
        }
        self.chunks = summary
            .chunk_indexes
            .iter()
            .map(|chunk| (chunk.chunk_start_offset, chunk.chunk_length))
            .filter(|(offset, length)| offset.checked_add(*length).is_some_and(|end| end <= bytes))
            .collect();
        self.chunks.sort_unstable();
        parse_info(&metadata)
    }

    fn walk(&mut self) -> Result<(), Error> {
        let bytes = self.file.metadata().map_err(Error::io("read segment", &self.path))?.len();
        let mut offset = mcap::MAGIC.len() as u64;
        let mut info = None;
        self.chunks.clear();
        self.channels.clear();
        loop {
            let head = segment::read_at(&self.file, &self.path, offset, RECORD_HEAD_BYTES as usize)?;
            let length = frame::u64_at(&head, 1);
            let fits = head.len() as u64 == RECORD_HEAD_BYTES
                && length <= CHUNK_BYTES_MAX
                && offset + RECORD_HEAD_BYTES + length <= bytes;
            if !fits || head[0] == OPCODE_FOOTER {
                break;
            }
            if head[0] == OPCODE_CHUNK {
                self.chunks.push((offset, RECORD_HEAD_BYTES + length));
            }
            if head[0] == OPCODE_METADATA || head[0] == OPCODE_CHANNEL {
                let body =
                    segment::read_at(&self.file, &self.path, offset + RECORD_HEAD_BYTES, length as usize)?;
                match mcap::parse_record(head[0], &body) {
                    Ok(mcap::records::Record::Metadata(found)) if found.name == METADATA_NAME => {
                        info = parse_info(&found);
                    }
                    Ok(mcap::records::Record::Channel(channel)) => self.add_channel(&channel),
                    _ => {}
                }
            }
            offset += RECORD_HEAD_BYTES + length;
        }
        self.info = info.ok_or_else(|| broken(&self.path, offset, &"no segment of this log is described"))?;
        Ok(())
    }

    fn add_channel(&mut self, channel: &mcap::records::Channel) {
        if let Some(key) = channel_key(&channel.metadata) {
            self.channels.insert(channel.id, key);
        }
    }

    /// Hands out the rest of the current chunk, or the next one.
    pub(crate) fn read(&mut self, last: Option<u64>, sink: &mut Sink<'_>) -> Result<(), Error> {
        let last = last.unwrap_or(self.info.last);
        if !std::mem::replace(&mut self.has_sought, true) && sink.after > self.next {
            self.seek(sink.after + 1)?;
        }
        while !sink.is_full() && self.next <= last {
            let Some(record) = self.pending.next() else {
                if !self.next_chunk(last, sink)? {
                    break;
                }
                continue;
            };
            let position = record.position.0;
            if position < self.next {
                continue;
            }
            if position > self.next {
                let offset = self.chunks.get(self.chunk_index).map_or(0, |chunk| chunk.0);
                self.lose(sink, offset, position - 1, "records are missing");
            }
            if position > sink.after {
                sink.records.push(record);
            }
            self.next = position + 1;
        }
        Ok(())
    }

    /// Loads the next chunk. At the end of the file the positions that never came are lost.
    fn next_chunk(&mut self, last: u64, sink: &mut Sink<'_>) -> Result<bool, Error> {
        let Some((offset, length)) = self.chunks.get(self.chunk_index).copied() else {
            self.lose(
                sink,
                self.chunks.last().map_or(0, |chunk| chunk.0),
                last,
                "records are missing at the end",
            );
            self.next = last + 1;
            return Ok(false);
        };
        self.chunk_index += 1;
        match self.load(offset, length)? {
            Ok(records) => self.pending = records.into_iter(),
            Err(reason) => {
                // What the chunk held is known once the next one is read.
                let following = self.first_of(self.chunk_index)?.unwrap_or(last + 1);
                if following > self.next {
                    self.lose(sink, offset, following - 1, &reason);
                    self.next = following;
                }
            }
        }
        Ok(true)
    }

    fn lose(&self, sink: &mut Sink<'_>, offset: u64, last: u64, reason: &str) {
        let bytes = self.chunks.iter().find(|chunk| chunk.0 == offset).map_or(0, |chunk| chunk.1);
        let (first, last) = (LogPosition(self.next), LogPosition(last));
        sink.lose(Damage { path: self.path.clone(), offset, bytes, first, last, reason: reason.to_owned() });
    }

    /// First position of the first chunk from `index` on that can be read.
    fn first_of(&mut self, index: usize) -> Result<Option<u64>, Error> {
        for (offset, length) in self.chunks.get(index..).unwrap_or_default().to_vec() {
            if let Ok(records) = self.load(offset, length)?
                && let Some(record) = records.first()
            {
                return Ok(Some(record.position.0));
            }
        }
        Ok(None)
    }

    /// Goes to the chunk that holds `position`. Chunks are in order of position, so halving finds it.
    fn seek(&mut self, position: u64) -> Result<(), Error> {
        let (mut low, mut high) = (0, self.chunks.len());
        while high - low > 1 {
            let middle = low.midpoint(high);
            match self.first_of(middle)? {
                Some(first) if first <= position => low = middle,
                _ => high = middle,
            }
        }
        self.chunk_index = low;
        if let Some(first) = self.first_of(low)? {
            self.next = first.min(position).max(self.next);
        }
        Ok(())
    }

    /// Records of one chunk, or why they can not be read.
    fn load(&mut self, offset: u64, length: u64) -> Result<Result<Vec<Record>, String>, Error> {
        if length > CHUNK_BYTES_MAX {
            return Ok(Err("chunk is too long".to_owned()));
        }
        let chunk = segment::read_at(&self.file, &self.path, offset, length as usize)?;
        Ok(self.unpack(&chunk).map_err(|error| error.to_string()))
    }

    fn unpack(&mut self, chunk: &[u8]) -> McapResult<Vec<Record>> {
        let options = LinearReaderOptions::default()
            .with_skip_start_magic(true)
            .with_skip_end_magic(true)
            .with_prevalidate_chunk_crcs(true)
            .with_record_length_limit(CHUNK_BYTES_MAX as usize);
        let mut reader = LinearReader::new_with_options(options);
        let mut rest = chunk;
        let mut payloads = BytesMut::new();
        let mut found = Vec::new();
        while let Some(event) = reader.next_event() {
            match event? {
                LinearReadEvent::ReadRequest(length) => {
                    let length = length.min(rest.len());
                    reader.insert(length).copy_from_slice(&rest[..length]);
                    reader.notify_read(length);
                    rest = &rest[length..];
                }
                LinearReadEvent::Record { opcode: OPCODE_MESSAGE, data }
                    if data.len() >= MESSAGE_HEAD_BYTES =>
                {
                    let channel = u16::from_le_bytes([data[0], data[1]]);
                    let (sequence, time) = (frame::u32_at(data, 2), frame::u64_at(data, 6));
                    payloads.extend_from_slice(&data[MESSAGE_HEAD_BYTES..]);
                    found.push((channel, sequence, time, payloads.len()));
                }
                LinearReadEvent::Record { opcode: OPCODE_CHANNEL, data } => {
                    if let mcap::records::Record::Channel(channel) = mcap::parse_record(OPCODE_CHANNEL, data)?
                    {
                        self.add_channel(&channel);
                    }
                }
                LinearReadEvent::Record { .. } => {}
            }
        }
        Ok(self.to_records(&found, &payloads.freeze()))
    }

    fn to_records(&self, found: &[(u16, u32, u64, usize)], payloads: &Bytes) -> Vec<Record> {
        let mut start = 0;
        let mut records = Vec::with_capacity(found.len());
        for (channel, sequence, time, end) in found {
            let payload = payloads.slice(start..*end);
            start = *end;
            // A message that is none of ours was added by another tool; it is no record.
            let Some(key) = self.channels.get(channel) else { continue };
            let Some(position) = frame::position_of(*sequence, self.info.first, self.info.last) else {
                continue;
            };
            records.push(Record {
                position: LogPosition(position),
                received: Nanos(time.cast_signed()),
                venue: key.venue,
                connection: key.connection,
                kind: key.kind,
                payload,
            });
        }
        records
    }

    /// Checks the checksums of the whole file, indexes included.
    pub(crate) fn verify_file(&self) -> Result<Option<String>, Error> {
        let options = LinearReaderOptions::default()
            .with_emit_chunks(true)
            .with_validate_data_section_crc(true)
            .with_validate_summary_section_crc(true)
            .with_check_finishes_after_end_magic(true)
            .with_record_length_limit(CHUNK_BYTES_MAX as usize);
        let mut reader = LinearReader::new_with_options(options);
        let mut at = 0;
        while let Some(event) = reader.next_event() {
            match event {
                Ok(LinearReadEvent::ReadRequest(length)) => {
                    let found = segment::read_at(&self.file, &self.path, at, length)?;
                    reader.insert(length)[..found.len()].copy_from_slice(&found);
                    reader.notify_read(found.len());
                    at += found.len() as u64;
                }
                Ok(LinearReadEvent::Record { .. }) => {}
                Err(error) => return Ok(Some(error.to_string())),
            }
        }
        Ok(None)
    }
}

//! Text columns of a few values, such as an instrument, a side or a source: encoded here, since the crate hashes and
//! compares every single value (measured: half of the time that writing trades took). Columns of many values are left to it.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, StringArray};
use bytes::Bytes;
use deltalake::parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, Type};
use deltalake::parquet::column::page::{CompressedPage, Page, PageWriter};
use deltalake::parquet::column::writer::ColumnCloseResult;
use deltalake::parquet::data_type::ByteArray;
use deltalake::parquet::errors::Result;
use deltalake::parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats,
};
use deltalake::parquet::file::page_index::column_index::ColumnIndexMetaData;
use deltalake::parquet::file::statistics::{Statistics, ValueStatistics};
use deltalake::parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use deltalake::parquet::schema::types::ColumnDescPtr;

/// Most different values in a column of a row group.
const VALUES_MAX: usize = 16;
/// Rows of a page.
pub(super) const PAGE_ROWS: usize = 20_000;

/// A column of a row group under way.
#[derive(Debug)]
pub(super) struct TextColumn {
    column: ColumnDescPtr,
    values: Vec<Box<str>>,
    /// Which value each row has.
    codes: Vec<u8>,
}

impl TextColumn {
    /// Empty; the column's texts are never absent.
    pub(super) fn new(column: ColumnDescPtr) -> Self {
        Self { column, values: Vec::new(), codes: Vec::new() }
    }

    /// Takes texts. False if they are too many different ones: then nothing of them was taken.
    pub(super) fn take(&mut self, texts: &StringArray) -> bool {
        let rows_before = self.codes.len();
        if let Some(text) = uniform(texts) {
            let code = self.code(text);
            self.codes.extend(std::iter::repeat_n(code.unwrap_or(0), texts.len()));
            return code.is_some() || self.undo(rows_before);
        }
        self.codes.reserve(texts.len());
        let (mut text, mut code) = ("", None);
        for next in texts.iter().flatten() {
            if code.is_none() || text != next {
                (text, code) = (next, self.code(next));
            }
            match code {
                Some(code) => self.codes.push(code),
                None => return self.undo(rows_before),
            }
        }
        true
    }

    fn undo(&mut self, rows: usize) -> bool {
        self.codes.truncate(rows);
        false
    }

    fn code(&mut self, text: &str) -> Option<u8> {
        let known = self.values.iter().position(|value| value.as_ref() == text);
        if known.is_none() && self.values.len() < VALUES_MAX {
            self.values.push(text.into());
            return Some((self.values.len() - 1) as u8);
        }
        known.map(|known| known as u8)
    }

    /// The texts so far, for whoever goes on with them.
    pub(super) fn texts(&self) -> ArrayRef {
        let texts = self.codes.iter().map(|code| self.values[usize::from(*code)].as_ref());
        Arc::new(StringArray::from_iter_values(texts))
    }

    /// Encodes the column: its dictionary, then its pages. They stay uncompressed, being a few bits a row at most.
    pub(super) fn close(self) -> Result<(Bytes, ColumnCloseResult)> {
        let Self { column, values, codes } = self;
        let width = u8::BITS - (values.len() as u8).saturating_sub(1).leading_zeros();
        let mut sink = TrackedWrite::new(Vec::new());
        let mut pages = SerializedPageWriter::new(&mut sink);
        let mut offsets = OffsetIndexBuilder::new();
        let mut bounds = PageBounds::new(&values);
        let written = pages.write_page(dictionary(&values))?;
        let mut bytes = written.bytes_written;
        let (mut first_page, mut page_count) = (None, 0);
        for page_codes in codes.chunks(PAGE_ROWS) {
            let written = pages.write_page(page(page_codes, width))?;
            bytes += written.bytes_written;
            first_page.get_or_insert(written.offset);
            page_count += 1;
            offsets.append_offset_and_size(written.offset as i64, written.bytes_written as i32);
            offsets.append_row_count(page_codes.len() as i64);
            bounds.take(page_codes);
        }
        pages.close()?;
        let stats = |page_type, encoding, count| PageEncodingStats { page_type, encoding, count };
        let (statistics, column_index) = bounds.finish()?;
        let metadata = ColumnChunkMetaData::builder(column)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
            .set_page_encoding_stats(vec![
                stats(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
                stats(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, page_count),
            ])
            .set_total_compressed_size(bytes as i64)
            .set_total_uncompressed_size(bytes as i64)
            .set_num_values(codes.len() as i64)
            .set_dictionary_page_offset(Some(0))
            .set_data_page_offset(first_page.unwrap_or_default() as i64)
            .set_statistics(statistics)
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes,
            rows_written: codes.len() as u64,
            metadata,
            bloom_filter: None,
            column_index: Some(column_index),
            offset_index: Some(offsets.build()),
        };
        Ok((sink.into_inner()?.into(), close))
    }
}

/// The text of every row, if all have the same.
pub(crate) fn uniform(texts: &StringArray) -> Option<&str> {
    if texts.is_empty() || texts.null_count() > 0 {
        return None;
    }
    let (ends, first) = (texts.value_offsets(), texts.value(0));
    let length = first.len() as i32;
    let is_even = ends.windows(2).filter(|ends| ends[1] - ends[0] != length).count() == 0;
    if !is_even {
        return None;
    }
    // All are as long, so all are the same if each is the one before.
    let bytes = &texts.value_data()[ends[0] as usize..ends[texts.len()] as usize];
    (bytes[first.len()..] == bytes[..bytes.len() - first.len()]).then_some(first)
}

fn dictionary(values: &[Box<str>]) -> CompressedPage {
    let mut bytes = Vec::new();
    for value in values {
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(value.as_bytes());
    }
    let length = bytes.len();
    let page = Page::DictionaryPage {
        buf: bytes.into(),
        num_values: values.len() as u32,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    CompressedPage::new(page, length)
}

fn page(codes: &[u8], width: u32) -> CompressedPage {
    let mut bytes = vec![width as u8];
    Runs { bytes: &mut bytes, width }.write(codes);
    let length = bytes.len();
    let page = Page::DataPage {
        buf: bytes.into(),
        num_values: codes.len() as u32,
        encoding: Encoding::RLE_DICTIONARY,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    CompressedPage::new(page, length)
}

/// The format's mixture of runs and packed bits.
struct Runs<'a> {
    bytes: &'a mut Vec<u8>,
    width: u32,
}

impl Runs<'_> {
    fn write(&mut self, codes: &[u8]) {
        let (mut packed, mut at) = (0, 0);
        while at < codes.len() {
            let code = codes[at];
            let run = codes[at..].iter().take_while(|next| **next == code).count();
            if run < 16 {
                at += 8;
                continue;
            }
            self.pack(&codes[packed..at]);
            self.number((run as u64) << 1);
            if self.width > 0 {
                self.bytes.push(code);
            }
            at += run;
            packed = at;
        }
        self.pack(&codes[packed..]);
    }

    /// Eights of codes, bit by bit; what lacks in the last eight is filled up.
    fn pack(&mut self, codes: &[u8]) {
        if codes.is_empty() {
            return;
        }
        self.number((codes.len().div_ceil(8) as u64) << 1 | 1);
        for eight in codes.chunks(8) {
            let mut bits = 0_u64;
            for (place, code) in eight.iter().enumerate() {
                bits |= u64::from(*code) << (place as u32 * self.width);
            }
            // Eight codes of so many bits are as many bytes.
            self.bytes.extend_from_slice(&bits.to_le_bytes()[..self.width as usize]);
        }
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// Smallest and largest texts by page.
struct PageBounds<'a> {
    values: &'a [Box<str>],
    index: ColumnIndexBuilder,
    pages: Vec<(&'a str, &'a str)>,
}

impl<'a> PageBounds<'a> {
    fn new(values: &'a [Box<str>]) -> Self {
        Self { values, index: ColumnIndexBuilder::new(Type::BYTE_ARRAY), pages: Vec::new() }
    }

    fn take(&mut self, codes: &[u8]) {
        let mut is_there = [false; VALUES_MAX];
        for code in codes {
            is_there[usize::from(*code)] = true;
        }
        let texts = self.values.iter().zip(is_there).filter(|(_, is_there)| *is_there);
        let texts = texts.map(|(value, _)| value.as_ref());
        if let Some((least, most)) = texts.clone().min().zip(texts.max()) {
            self.index.append(false, least.into(), most.into(), 0);
            self.pages.push((least, most));
        }
    }

    fn finish(self) -> Result<(Statistics, ColumnIndexMetaData)> {
        let Self { mut index, pages, .. } = self;
        let is_in_order = |before: fn(&str, &str) -> bool| {
            pages.windows(2).all(|two| before(two[0].0, two[1].0) && before(two[0].1, two[1].1))
        };
        index.set_boundary_order(if is_in_order(|one, next| one <= next) {
            BoundaryOrder::ASCENDING
        } else if is_in_order(|one, next| one >= next) {
            BoundaryOrder::DESCENDING
        } else {
            BoundaryOrder::UNORDERED
        });
        let least = pages.iter().map(|page| page.0).min().map(ByteArray::from);
        let most = pages.iter().map(|page| page.1).max().map(ByteArray::from);
        let statistics = ValueStatistics::new(least, most, None, Some(0), false);
        Ok((statistics.into(), index.build()?))
    }
}

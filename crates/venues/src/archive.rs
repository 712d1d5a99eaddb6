//! How venues publish their past as files: which there are, where they lie, how they are listed, packed and checked, and
//! how their rows are read. Fetching and unpacking them is left to others: nothing here opens a file or a socket.

mod checksum;
pub(crate) mod columns;
mod decoder;
mod digits;
mod findings;
mod index;
mod period;
mod rows;

use model::{Bar, Funding, Instrument, Time, Timeframe};

use crate::contract::DecodeError;

pub use checksum::checksum;
pub use decoder::ArchiveDecoder;
pub use findings::{ArchiveSummary, FileError, Finding, Place, TimeUnit};
pub use period::{Period, Span};
pub use rows::TradeRow;

pub use columns::{Column, Layout};
pub(crate) use columns::{Kind, Shape};
pub(crate) use index::{S3Object, html_links, s3_page};

/// A venue's public files, described.
pub trait Archives: Send + Sync {
    /// What never changes about them.
    fn facts(&self) -> &'static ArchiveFacts;

    /// Where the file of a period lies, if the venue makes such files at all; whether it is there is not known by this.
    fn file(&self, data: ArchiveData, symbol: &str, period: Period) -> Option<ArchiveFile>;

    /// The question that lists files of one symbol, or the next page of its answer. `None` if the venue makes no such
    /// files.
    fn listing(&self, ask: &ArchiveAsk<'_>, page: Option<&str>) -> Option<String>;

    /// The question that lists which symbols have files, delisted ones too; its pages are read by
    /// [`Archives::read_symbols`].
    fn symbols(&self, data: ArchiveData, span: Span, page: Option<&str>) -> Option<String>;

    /// Reads the answer to [`Archives::listing`].
    fn read_listing(&self, ask: &ArchiveAsk<'_>, body: &[u8]) -> Result<ArchivePage, DecodeError>;

    /// Reads the answer to [`Archives::symbols`].
    fn read_symbols(&self, data: ArchiveData, span: Span, body: &[u8])
    -> Result<Page<Box<str>>, DecodeError>;

    /// From when on the file of a period can be expected; before that its absence says nothing.
    fn due(&self, period: Period) -> Time;

    /// Columns of the rows in files of that kind.
    fn layout(&self, data: ArchiveData) -> Option<&'static Layout>;

    /// A reader of the unpacked rows of one file. `received` goes into the rows as their receipt time.
    fn decoder(&self, file: &ArchiveFile, instrument: &Instrument, received: Time) -> Option<ArchiveDecoder> {
        Some(ArchiveDecoder::new(self.layout(file.data)?, file, instrument, received))
    }
}

/// What never changes about a venue's public files.
#[derive(Debug)]
pub struct ArchiveFacts {
    /// Origin (and path before ours) that serves the files: paths of [`ArchiveFile`] follow it.
    pub files: &'static str,
    /// Origin (and path before ours) that answers questions for listings.
    pub listing: &'static str,
    /// How files are packed.
    pub packing: Packing,
    /// What is appended to the path of a file to get the file with its checksum, where there is one.
    pub checksum_suffix: Option<&'static str>,
    /// What the files hold; bars in every length that is listed.
    pub data: &'static [ArchiveData],
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// A zip with one entry, named like the file.
    Zip,
    /// One gzip stream.
    Gzip,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveData {
    /// The canonical trade feed (Binance: aggregates).
    Trades,
    /// Single trades where the venue also aggregates.
    RawTrades,
    /// Bars of one length as the venue publishes them.
    Klines(Timeframe),
    /// Settled funding rates.
    Funding,
}

/// Which files are wanted.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveAsk<'a> {
    /// What they hold.
    pub data: ArchiveData,
    /// The venue's symbol.
    pub symbol: &'a str,
    /// Days or months.
    pub span: Span,
    /// Earlier periods need not be listed; the answer may hold them still.
    pub from: Option<Period>,
}

/// A file in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveFile {
    /// What it holds.
    pub data: ArchiveData,
    /// The venue's symbol.
    pub symbol: Box<str>,
    /// What span of time its name claims.
    pub period: Period,
    /// Path below [`ArchiveFacts::files`], beginning with a slash, percent-encoded.
    pub path: String,
    /// Name without folders.
    pub name: String,
    /// Size as listed.
    pub size_bytes: Option<u64>,
    /// When it was last written, as listed.
    pub modified: Option<Time>,
    /// What the listing says of its content: another tag, another content.
    pub tag: Option<Box<str>>,
    /// Whether a checksum lies beside it; from the listing, else as venues usually do.
    pub has_checksum: bool,
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What it lists, in the venue's order.
    pub items: Vec<T>,
    /// Names that fit nothing we know, the first few.
    pub strange: Vec<String>,
    /// How many of them.
    pub strange_count: u64,
    /// What to ask the next page with, if there is one.
    pub next: Option<String>,
}

/// A page of files.
pub type ArchivePage = Page<ArchiveFile>;

/// A row of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum ArchiveRow<'a> {
    /// A trade.
    Trade(TradeRow<'a>),
    /// An id that the venue gave to no trade: price or quantity are zero.
    Blank {
        /// The id.
        id: i64,
        /// When.
        time: Time,
    },
    /// A closed bar.
    Bar(Bar),
    /// A settled funding rate.
    Funding(Funding),
}

impl<T> Page<T> {
    const STRANGE_KEPT: usize = 8;

    pub(crate) const fn new() -> Self {
        Self { items: Vec::new(), strange: Vec::new(), strange_count: 0, next: None }
    }

    pub(crate) fn note_strange(&mut self, name: &str) {
        self.strange_count += 1;
        if self.strange.len() < Self::STRANGE_KEPT {
            self.strange.push(name.chars().take(120).collect());
        }
    }
}

impl ArchiveFile {
    /// Path of the file that holds the checksum.
    pub fn checksum_path(&self, facts: &ArchiveFacts) -> Option<String> {
        facts.checksum_suffix.map(|suffix| format!("{}{suffix}", self.path))
    }
}

//! What reading a file brought to light: refusals of the whole file, and oddities that leave it readable.

use std::fmt;

use model::Time;

/// Why a file cannot be what its name claims. Rows read before must not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Line, counted from 1.
    pub line: u64,
    /// Column, where one is to blame.
    pub column: Option<&'static str>,
    /// What stands there, cut to a length that can be shown.
    pub found: Box<str>,
    /// What is wrong with it.
    pub reason: Box<str>,
}

impl FileError {
    const FOUND_MAX: usize = 120;

    #[cold]
    pub(crate) fn new(
        line: u64,
        column: Option<&'static str>,
        found: &[u8],
        reason: impl Into<Box<str>>,
    ) -> Self {
        let found = String::from_utf8_lossy(&found[..found.len().min(4 * Self::FOUND_MAX)]);
        let found = found.chars().take(Self::FOUND_MAX).collect::<String>().into();
        Self { line, column, found, reason: reason.into() }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = self.column {
            write!(f, ", column {column}")?;
        }
        write!(f, ": {:?} {}", self.found, self.reason)
    }
}

impl std::error::Error for FileError {}

/// Where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, counted from 1.
    pub line: u64,
    /// The id or time (in microseconds) that stands there.
    pub value: i64,
}

/// Something odd: how often, and where first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// How often.
    pub count: u64,
    /// The first places.
    pub first: Vec<Place>,
}

impl Finding {
    const KEPT: usize = 8;

    #[cold]
    pub(crate) fn note(&mut self, line: u64, value: i64) {
        self.count += 1;
        if self.first.len() < Self::KEPT {
            self.first.push(Place { line, value });
        }
    }
}

/// In which unit times were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeUnit {
    /// Milliseconds.
    Millis,
    /// Microseconds, or seconds with a fraction.
    Micros,
    /// Both, in one file.
    Mixed,
}

/// What was in a file that could be read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveSummary {
    /// Whether it begins with a line of names.
    pub has_header: bool,
    /// Rows, blank ones too.
    pub row_count: u64,
    /// Unit of times; `None` without rows.
    pub unit: Option<TimeUnit>,
    /// Lowest id.
    pub first_id: Option<i64>,
    /// Highest id.
    pub last_id: Option<i64>,
    /// Earliest time.
    pub first_time: Option<Time>,
    /// Latest time.
    pub last_time: Option<Time>,
    /// Rows whose id (bars: start) is that of the row before.
    pub repeated: Finding,
    /// Rows whose id is lower than that of the row before: the file is not sorted, or holds rows twice.
    pub back: Finding,
    /// Rows whose id (bars: start) leaves some out behind the row before. In a sorted file these are the holes.
    pub jumps: Finding,
    /// How many ids or bars the jumps left out.
    pub jumped: u64,
    /// Rows whose time is earlier than that of the row before.
    pub back_in_time: Finding,
    /// Ids without a trade: price or quantity are zero.
    pub blank: Finding,
    /// Bars that end elsewhere than their length says. They are kept.
    pub odd_end: Finding,
    /// Bars that begin at no multiple of their length. They are left out: there is no place for them.
    pub odd_start: Finding,
}

impl ArchiveSummary {
    /// Whether ids and times only grow, without leaving any out.
    pub fn is_orderly(&self) -> bool {
        self.repeated.count == 0
            && self.back.count == 0
            && self.jumps.count == 0
            && self.back_in_time.count == 0
    }
}

//! Which trades of a span are stored already, and did not come from the archive.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use model::{IdRuns, InstrumentId, Source};
use tables::{TableName, TableScan, TableStore, TimeRange};

use crate::reading::{StoredId, stored_ids};

/// Trades that are there.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Numeric ids.
    pub(super) numbers: IdRuns,
    texts: HashSet<u128>,
}

/// Which stored rows count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// All.
    All,
    /// All but those of the archive, which leave when its file comes again.
    Others,
}

impl Stored {
    /// What the store holds of the span.
    pub(super) async fn read(
        store: &dyn TableStore,
        (instrument, range): (&InstrumentId, TimeRange),
        keeping: Keeping,
    ) -> Result<Self, tables::StoreError> {
        let scan = TableScan {
            instrument: Some(instrument.clone()),
            range: Some(range),
            columns: vec!["trade_id", "venue_trade_id", "source"],
            ..TableScan::default()
        };
        let mut stored = Self::default();
        for batch in store.scan(TableName::Trades, scan).await? {
            stored_ids(&batch, |id, source| {
                if keeping == Keeping::Others && source == Source::Archive.as_str() {
                    return;
                }
                match id {
                    StoredId::Number(id) => {
                        stored.numbers.insert(id);
                    }
                    StoredId::Text(text) => {
                        stored.texts.insert(name_of(text));
                    }
                }
            })?;
        }
        Ok(stored)
    }

    /// Whether a trade is there.
    #[inline]
    pub(super) fn holds(&self, number: Option<i64>, text: Option<&str>) -> bool {
        match (number, text) {
            (Some(id), _) => self.numbers.contains(id),
            (None, Some(text)) => !self.texts.is_empty() && self.texts.contains(&name_of(text)),
            (None, None) => false,
        }
    }

    /// Whether nothing is there.
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty() && self.texts.is_empty()
    }
}

/// The ids of a file, to notice those that come twice.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Numeric ids.
    pub(super) numbers: IdRuns,
    texts: HashSet<u128>,
}

impl Seen {
    /// Notes an id. False if it came before.
    #[inline]
    pub(super) fn insert(&mut self, number: Option<i64>, text: Option<&str>) -> bool {
        match (number, text) {
            (Some(id), _) => self.numbers.insert(id),
            (None, Some(text)) => self.texts.insert(name_of(text)),
            (None, None) => true,
        }
    }
}

/// A text id as 128 bits: two independent hashes, so that a day of some million ids has no chance of a collision.
fn name_of(text: &str) -> u128 {
    let half = |salt: u8| {
        let mut hasher = std::hash::DefaultHasher::new();
        (salt, text).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

//! What really happened: every trade, counted and, if asked, written down. Comparing is left to the reader.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use model::{Decimal, Side, VenueId};
use serde::Serialize;

use crate::TruthCount;
use crate::settings::Error;

/// One trade of the canonical feed, as written down.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TrueTrade<'a> {
    pub(crate) venue: &'a str,
    pub(crate) symbol: &'a str,
    pub(crate) id: Option<i64>,
    pub(crate) text_id: Option<&'a str>,
    pub(crate) price: String,
    pub(crate) quantity: String,
    pub(crate) time_us: i64,
    pub(crate) side: &'static str,
    pub(crate) first: Option<i64>,
    pub(crate) last: Option<i64>,
}

impl<'a> TrueTrade<'a> {
    /// A trade without ids yet.
    pub(crate) fn new(venue: VenueId, symbol: &'a str, time_us: i64) -> Self {
        Self {
            venue: venue.as_str(),
            symbol,
            id: None,
            text_id: None,
            price: String::new(),
            quantity: String::new(),
            time_us,
            side: "",
            first: None,
            last: None,
        }
    }

    /// With its numbers.
    pub(crate) fn of(mut self, price: Decimal, quantity: Decimal, side: Side) -> Self {
        (self.price, self.quantity, self.side) =
            (price.normalized().to_string(), quantity.normalized().to_string(), side.as_str());
        self
    }
}

/// How many, first and last id.
type Count = (u64, Option<i64>, Option<i64>);

#[derive(Default)]
struct Inner {
    file: Option<BufWriter<File>>,
    failed: Option<String>,
    counts: BTreeMap<(&'static str, String), Count>,
}

/// Keeps the truth.
#[derive(Default)]
pub(crate) struct Truth(Mutex<Inner>);

impl Truth {
    /// Truth that is also written to a file, if one is named.
    pub(crate) fn new(path: Option<&Path>) -> Result<Self, Error> {
        let file = path
            .map(|path| File::create(path).map_err(|source| Error::File { path: path.to_owned(), source }))
            .transpose()?;
        Ok(Self(Mutex::new(Inner { file: file.map(BufWriter::new), ..Inner::default() })))
    }

    /// Writes trades of one instrument down; they reach the file before this returns.
    pub(crate) fn record(&self, venue: VenueId, symbol: &str, trades: &[TrueTrade<'_>]) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inner.counts.entry((venue.as_str(), symbol.to_owned())).or_default();
        count.0 += trades.len() as u64;
        for trade in trades {
            count.1 = count.1.or(trade.id);
            count.2 = trade.id.or(count.2);
        }
        let Some(file) = inner.file.as_mut() else { return };
        let mut lines = Vec::new();
        for trade in trades {
            // A struct of numbers and texts always has a JSON form.
            if serde_json::to_writer(&mut lines, trade).is_ok() {
                lines.push(b'\n');
            }
        }
        if let Err(error) = file.write_all(&lines).and_then(|()| file.flush()) {
            tracing::error!(%error, "the truth cannot be written any more");
            inner.file = None;
            inner.failed = Some(error.to_string());
        }
    }

    /// Why the file ends early, if it does.
    pub(crate) fn failure(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed.clone()
    }

    /// Counts per instrument.
    pub(crate) fn counts(&self) -> Vec<TruthCount> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = inner.counts.iter().filter_map(|((venue, symbol), (trades, first_id, last_id))| {
            Some(TruthCount {
                venue: VenueId::known(venue)?,
                symbol: symbol.clone(),
                trades: *trades,
                first_id: *first_id,
                last_id: *last_id,
            })
        });
        counts.collect()
    }
}

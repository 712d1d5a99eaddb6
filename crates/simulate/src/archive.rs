//! The archives of the venues: files of days and months over the same markets, listed, packed and summed as the venues do
//! it, and spoilt on command. One address carries all venues; their folders differ.

mod content;
mod defects;
mod http;
mod listing;
mod names;
mod pack;
mod spoil;
mod spool;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use model::Date;

use crate::market::{MINUTE_MS, Market};
use crate::settings::Error;
use crate::world::{House, Source};

pub(crate) use content::number;
pub use defects::{Defect, DefectCounts, DefectKind, parse_defects};
pub(crate) use http::http_date;

use content::DAY_MINUTES;
use names::{Data, FileKey, Span};
use spool::{Made, Recipe, Spool};

/// What the archives hold, and what is wrong with it.
#[derive(Clone, Debug)]
pub struct ArchiveSettings {
    /// Where made files are kept; a folder that goes away if absent.
    pub folder: Option<PathBuf>,
    /// Whether there are files of months beside those of days, where the venue has them.
    pub with_months: bool,
    /// What is wrong, on each venue.
    pub defects: DefectCounts,
    /// File that gets the list of defects, one JSON object per line.
    pub report: Option<PathBuf>,
}

impl Default for ArchiveSettings {
    fn default() -> Self {
        Self { folder: None, with_months: true, defects: DefectCounts::default(), report: None }
    }
}

/// How the archives were asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) listings: AtomicU64,
    pub(crate) files: AtomicU64,
    pub(crate) checksums: AtomicU64,
    pub(crate) resumed: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Asked {
    /// As told.
    pub(crate) fn report(&self) -> serde_json::Value {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        serde_json::json!({
            "listings": read(&self.listings), "files": read(&self.files), "checksums": read(&self.checksums),
            "resumed": read(&self.resumed), "bytes": read(&self.bytes),
        })
    }
}

/// The archives of a house.
pub(crate) struct Site {
    with_months: bool,
    spool: Spool,
    pub(crate) defects: Vec<Defect>,
    /// When files were rewritten; never yet at the end of time.
    rewritten_ms: AtomicI64,
    /// Downloads that broke off already.
    cut: std::sync::Mutex<std::collections::HashSet<FileKey>>,
    pub(crate) asked: Asked,
}

impl Site {
    /// Puts the defects into the markets and files of generated venues. Before anyone reads.
    pub(crate) fn new<'a>(
        settings: &ArchiveSettings,
        sources: impl Iterator<Item = (model::VenueId, &'a Source)>,
        at: (u64, i64),
    ) -> Result<Self, Error> {
        let mut placed = Vec::new();
        for (venue, source) in sources {
            let Source::Generated(listed) = source else { continue };
            let world = listed.now();
            let found = defects::Ground::new(venue, &world, at).place(&settings.defects);
            let found = found.map_err(Error::Setting)?;
            for market in &world.markets {
                let lost = found
                    .iter()
                    .filter(|defect| defect.kind == DefectKind::Lost && defect.symbol == market.spec.symbol);
                market.lose(lost.map(|defect| defect.rows.clone()).collect());
            }
            placed.extend(found);
        }
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { path, source }
        };
        if let Some(path) = &settings.report {
            let lines: Vec<String> = placed.iter().map(|defect| defect.report().to_string() + "\n").collect();
            std::fs::write(path, lines.concat()).map_err(file(path))?;
        }
        let folder = settings.folder.as_deref();
        let spool = Spool::new(folder).map_err(file(folder.unwrap_or(&std::env::temp_dir())))?;
        Ok(Self {
            with_months: settings.with_months,
            spool,
            defects: placed,
            rewritten_ms: AtomicI64::new(i64::MAX),
            cut: std::sync::Mutex::default(),
            asked: Asked::default(),
        })
    }

    /// From now on files that are to be rewritten have been.
    pub(crate) fn rewrite(&self, now_ms: i64) {
        self.rewritten_ms.fetch_min(now_ms, Ordering::AcqRel);
    }

    fn is_rewritten(&self) -> bool {
        self.rewritten_ms.load(Ordering::Acquire) != i64::MAX
    }

    /// The routes.
    pub(crate) fn router(house: &Arc<House>) -> Router {
        http::router(house)
    }
}

/// The archives as they are at a moment.
struct View<'a> {
    house: &'a House,
    site: &'a Site,
    now_ms: i64,
}

impl<'a> View<'a> {
    fn new(house: &'a House) -> Self {
        Self { house, site: &house.archive, now_ms: house.time.market_ms() }
    }

    /// Defects of the venue that a file belongs to.
    fn defects(&self, key: &FileKey) -> Vec<Defect> {
        let venue = self.house.speaking(key.protocol).map(|venue| venue.id);
        let same = |defect: &&Defect| Some(defect.venue) == venue && defect.symbol == key.symbol;
        self.site.defects.iter().filter(same).cloned().collect()
    }

    /// The market of a file, if there is such a file.
    fn market(&self, key: &FileKey) -> Option<Arc<Market>> {
        let world = self.house.markets(key.protocol)?;
        let place = world.by_symbol.get(&key.symbol)?;
        let market = Arc::clone(&world.markets[*place]);
        (self.has_kind(key) && self.is_out(&market, key.span) && !self.is_missing(key)).then_some(market)
    }

    fn has_kind(&self, key: &FileKey) -> bool {
        let is_month = matches!(key.span, Span::Month(_));
        if is_month && !self.site.with_months {
            return false;
        }
        match key.data {
            Data::Trades => !(is_month && key.protocol.is_bybit()),
            Data::RawTrades => !key.protocol.is_bybit(),
            Data::Funding => is_month && key.protocol == crate::market::Protocol::BinanceFutures,
            Data::Klines(place) => {
                let interval = names::intervals(key.protocol).get(place).copied();
                !key.protocol.is_bybit()
                    && interval.is_some_and(|(_, interval)| is_month || names::has_days(interval))
            }
        }
    }

    /// Whether its time is over, and something happened in it.
    fn is_out(&self, market: &Market, span: Span) -> bool {
        let (first, end) = span.days();
        let minute = |date: Date| i64::from(date.0) * DAY_MINUTES;
        let from = minute(first).max(market.first_minute);
        span.published().start().millis() <= self.now_ms
            && market.opened_ms() < minute(end) * MINUTE_MS
            && market.ended_ms() >= minute(first) * MINUTE_MS
            && from < minute(end)
            && market.trades_before(minute(end)) > market.trades_before(from)
    }

    fn is_missing(&self, key: &FileKey) -> bool {
        self.recipe_is(key, DefectKind::Missing)
    }

    fn recipe_is(&self, key: &FileKey, kind: DefectKind) -> bool {
        let is_day = matches!((key.span, key.data), (Span::Day(_), Data::Trades));
        is_day
            && self.defects(key).iter().any(|defect| defect.kind == kind && defect.day == key.span.days().0)
    }

    /// The file, made if need be: no work for threads that wait.
    fn made(&self, key: &FileKey) -> Result<Option<Arc<Made>>, String> {
        let Some(market) = self.market(key) else { return Ok(None) };
        let recipe = Recipe {
            key,
            market: &market,
            defects: &self.defects(key),
            is_rewritten: self.site.is_rewritten(),
            until_ms: self.house.time.quiet_since().unwrap_or(i64::MAX),
        };
        self.site.spool.file(&recipe).map(Some)
    }

    /// When a file was last written.
    fn modified_ms(&self, key: &FileKey) -> i64 {
        let published = key.span.published().start().millis();
        if self.site.is_rewritten() && self.recipe_is(key, DefectKind::Rewritten) {
            return published.max(self.site.rewritten_ms.load(Ordering::Acquire));
        }
        published
    }

    /// Whether this download is to break off; only the first one does.
    fn breaks_off(&self, key: &FileKey) -> bool {
        self.recipe_is(key, DefectKind::Cut)
            && self.site.cut.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(key.clone())
    }
}

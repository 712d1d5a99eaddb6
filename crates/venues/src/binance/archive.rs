//! Binance's public files, spot and USD-M: <https://github.com/binance/binance-public-data>.

use model::time::DAY;
use model::{Time, Timeframe};

use crate::archive::{
    ArchiveAsk, ArchiveData, ArchiveFacts, ArchiveFile, ArchivePage, Archives, Layout, Packing, Page, Period,
    S3Object, Span, s3_page,
};
use crate::contract::DecodeError;
use crate::path::{encoded, encoded_path};

use super::layouts;

/// Public files of one market.
pub(crate) struct BinanceArchives {
    /// Below `data/`.
    folder: &'static str,
    facts: &'static ArchiveFacts,
    has_best_match: bool,
}

/// Spot.
pub(crate) static SPOT: BinanceArchives =
    BinanceArchives { folder: "spot", facts: &SPOT_FACTS, has_best_match: true };
/// USD-M futures.
pub(crate) static FUTURES: BinanceArchives =
    BinanceArchives { folder: "futures/um", facts: &FUTURES_FACTS, has_best_match: false };

const FILES: &str = "https://data.binance.vision";
// The host of the files does not list them.
const LISTING: &str = "https://s3-ap-northeast-1.amazonaws.com/data.binance.vision";

static SPOT_FACTS: ArchiveFacts = ArchiveFacts {
    files: FILES,
    listing: LISTING,
    packing: Packing::Zip,
    checksum_suffix: Some(".CHECKSUM"),
    data: data(false),
};
static FUTURES_FACTS: ArchiveFacts = ArchiveFacts { data: data(true), ..SPOT_FACTS };

/// Bars of every length the house can keep; those of a second are not among them. A month's folder is `1mo`: some file
/// systems do not tell `1M` from `1m`.
pub(crate) const INTERVALS: &[(&str, Timeframe)] = &[
    ("1m", Timeframe::Minutes(1)),
    ("3m", Timeframe::Minutes(3)),
    ("5m", Timeframe::Minutes(5)),
    ("15m", Timeframe::Minutes(15)),
    ("30m", Timeframe::Minutes(30)),
    ("1h", Timeframe::Minutes(60)),
    ("2h", Timeframe::Minutes(120)),
    ("4h", Timeframe::Minutes(240)),
    ("6h", Timeframe::Minutes(360)),
    ("8h", Timeframe::Minutes(480)),
    ("12h", Timeframe::Minutes(720)),
    ("1d", Timeframe::Minutes(1_440)),
    ("3d", Timeframe::Minutes(4_320)),
    ("1w", Timeframe::Week),
    ("1mo", Timeframe::Month),
];

const DATA: [ArchiveData; 18] = {
    let mut all = [ArchiveData::Trades; 18];
    all[1] = ArchiveData::RawTrades;
    let mut at = 0;
    while at < INTERVALS.len() {
        all[2 + at] = ArchiveData::Klines(INTERVALS[at].1);
        at += 1;
    }
    all[17] = ArchiveData::Funding;
    all
};

/// Funding comes last, and only futures have it.
const fn data(has_funding: bool) -> &'static [ArchiveData] {
    if has_funding { &DATA } else { DATA.split_at(17).0 }
}

/// Folder of a kind of file, and what stands between symbol and date in its name.
#[derive(Clone, Copy)]
struct Kind {
    folder: &'static str,
    word: &'static str,
    has_interval: bool,
}

impl BinanceArchives {
    fn kind(&self, data: ArchiveData, span: Span) -> Option<Kind> {
        if !self.facts.data.contains(&data) {
            return None;
        }
        let same = |word| Some(Kind { folder: word, word, has_interval: false });
        match data {
            ArchiveData::Trades => same("aggTrades"),
            ArchiveData::RawTrades => same("trades"),
            ArchiveData::Funding if span == Span::Month => same("fundingRate"),
            ArchiveData::Funding => None,
            ArchiveData::Klines(timeframe) => {
                // Bars longer than a day have no files of a day.
                let is_long = !matches!(timeframe, Timeframe::Minutes(..=1_440));
                let (word, _) = INTERVALS.iter().find(|(_, known)| *known == timeframe)?;
                (span == Span::Month || !is_long).then_some(Kind {
                    folder: "klines",
                    word,
                    has_interval: true,
                })
            }
        }
    }

    fn span_folder(&self, kind: Kind, span: Span) -> String {
        let span = match span {
            Span::Day => "daily",
            Span::Month => "monthly",
        };
        format!("data/{}/{span}/{}/", self.folder, kind.folder)
    }

    /// The folder of a symbol's files, and how their names begin.
    fn folder(&self, kind: Kind, span: Span, symbol: &str) -> (String, String) {
        let interval = if kind.has_interval { format!("{}/", kind.word) } else { String::new() };
        let folder = format!("{}{symbol}/{interval}", self.span_folder(kind, span));
        (folder, format!("{symbol}-{}-", kind.word))
    }
}

/// A question for the keys that begin with `prefix`, behind `marker`.
fn question(prefix: &str, marker: &str) -> String {
    format!("/?delimiter=/&prefix={}&marker={}", encoded(prefix), encoded(marker))
}

impl Archives for BinanceArchives {
    fn facts(&self) -> &'static ArchiveFacts {
        self.facts
    }

    fn file(&self, data: ArchiveData, symbol: &str, period: Period) -> Option<ArchiveFile> {
        let (folder, stem) = self.folder(self.kind(data, period.span())?, period.span(), symbol);
        let name = format!("{stem}{period}.zip");
        Some(ArchiveFile {
            data,
            symbol: symbol.into(),
            period,
            path: format!("/{}", encoded_path(&format!("{folder}{name}"))),
            name,
            size_bytes: None,
            modified: None,
            tag: None,
            has_checksum: true,
        })
    }

    fn listing(&self, ask: &ArchiveAsk<'_>, page: Option<&str>) -> Option<String> {
        let (folder, stem) = self.folder(self.kind(ask.data, ask.span)?, ask.span, ask.symbol);
        // Keys come in the order of their bytes, which in one folder is that of their dates. The marker itself is left
        // out of the answer; no key is as short as this one.
        let first = ask.from.map(|from| format!("{folder}{stem}{}", Period::holding(ask.span, from.first())));
        Some(question(&folder, page.unwrap_or(first.as_deref().unwrap_or_default())))
    }

    fn symbols(&self, data: ArchiveData, span: Span, page: Option<&str>) -> Option<String> {
        Some(question(&self.span_folder(self.kind(data, span)?, span), page.unwrap_or_default()))
    }

    fn read_listing(&self, ask: &ArchiveAsk<'_>, body: &[u8]) -> Result<ArchivePage, DecodeError> {
        let listed = s3_page(body)?;
        let mut page = Page::new();
        page.next = listed.next;
        let kind = self.kind(ask.data, ask.span);
        let Some((folder, stem)) = kind.map(|kind| self.folder(kind, ask.span, ask.symbol)) else {
            return Ok(page);
        };
        // A page may end between a file and its checksum; then the file counts as having one, as all do.
        let is_whole = page.next.is_none();
        for (place, object) in listed.objects.iter().enumerate() {
            let Some(name) = object.key.strip_prefix(&folder) else {
                page.note_strange(&object.key);
                continue;
            };
            if name.ends_with(".CHECKSUM") {
                continue;
            }
            let dated = name.strip_prefix(&stem).and_then(|rest| rest.strip_suffix(".zip"));
            let period = dated.and_then(Period::parse).filter(|period| period.span() == ask.span);
            let Some(file) = period.and_then(|period| self.file(ask.data, ask.symbol, period)) else {
                page.note_strange(name);
                continue;
            };
            let next = listed.objects.get(place + 1);
            let has_checksum = next.map_or(!is_whole, |next| is_checksum_of(next, object));
            page.items.push(ArchiveFile {
                size_bytes: object.size_bytes,
                modified: object.modified,
                tag: object.tag.clone(),
                has_checksum,
                ..file
            });
        }
        Ok(page)
    }

    fn read_symbols(
        &self,
        data: ArchiveData,
        span: Span,
        body: &[u8],
    ) -> Result<Page<Box<str>>, DecodeError> {
        let listed = s3_page(body)?;
        let mut page = Page::new();
        page.next = listed.next;
        let above = self.kind(data, span).map(|kind| self.span_folder(kind, span)).unwrap_or_default();
        for folder in &listed.folders {
            match folder.strip_prefix(&above).and_then(|rest| rest.strip_suffix('/')) {
                Some(symbol) if !symbol.is_empty() => page.items.push(symbol.into()),
                _ => page.note_strange(folder),
            }
        }
        Ok(page)
    }

    fn due(&self, period: Period) -> Time {
        match period.span() {
            // Days come on the next day; a few hours are usual.
            Span::Day => period.end_time().plus_micros(DAY),
            Span::Month => period.first_monday_after().plus_micros(DAY),
        }
    }

    fn layout(&self, data: ArchiveData) -> Option<&'static Layout> {
        Some(match data {
            ArchiveData::Trades if self.has_best_match => &layouts::SPOT_AGGREGATES,
            ArchiveData::Trades => &layouts::FUTURES_AGGREGATES,
            ArchiveData::RawTrades if self.has_best_match => &layouts::SPOT_TRADES,
            ArchiveData::RawTrades => &layouts::FUTURES_TRADES,
            ArchiveData::Klines(_) => &layouts::KLINES,
            ArchiveData::Funding => &layouts::FUNDING,
        })
    }
}

fn is_checksum_of(next: &S3Object, object: &S3Object) -> bool {
    next.key.strip_suffix(".CHECKSUM") == Some(&object.key)
}

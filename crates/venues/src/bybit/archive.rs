//! Bybit's public trade files: <https://public.bybit.com>. Linear contracts by day; spot by day, and by month in some years.

use model::Time;
use model::time::DAY;

use crate::archive::{
    ArchiveAsk, ArchiveData, ArchiveFacts, ArchiveFile, ArchivePage, Archives, Column, Kind, Layout, Packing,
    Page, Period, Shape, Span, columns as places, html_links,
};
use crate::contract::DecodeError;
use crate::path::encoded_path;

/// Public files of one category.
pub(crate) struct BybitArchives {
    is_linear: bool,
}

/// Spot.
pub(crate) static SPOT: BybitArchives = BybitArchives { is_linear: false };
/// Linear contracts.
pub(crate) static LINEAR: BybitArchives = BybitArchives { is_linear: true };

static FACTS: ArchiveFacts = ArchiveFacts {
    files: "https://public.bybit.com",
    listing: "https://public.bybit.com",
    packing: Packing::Gzip,
    checksum_suffix: None,
    data: &[ArchiveData::Trades],
};

const fn column(names: &'static [&'static str], is: Kind) -> Column {
    Column { names, is }
}

static LINEAR_COLUMNS: [Column; 11] = [
    column(&["timestamp"], Kind::Seconds),
    column(&["symbol"], Kind::Symbol),
    column(&["side"], Kind::Side),
    column(&["size"], Kind::Decimal(places::QUANTITY)),
    column(&["price"], Kind::Decimal(places::PRICE)),
    column(&["tickDirection"], Kind::Any),
    column(&["trdMatchID"], Kind::Text),
    column(&["grossValue"], Kind::Decimal(places::UNUSED)),
    column(&["homeNotional"], Kind::Decimal(places::UNUSED)),
    column(&["foreignNotional"], Kind::Decimal(places::UNUSED)),
    column(&["RPI"], Kind::Any),
];

static SPOT_COLUMNS: [Column; 6] = [
    column(&["id"], Kind::Integer(places::ID)),
    column(&["timestamp"], Kind::Moment(places::TIME)),
    column(&["price"], Kind::Decimal(places::PRICE)),
    column(&["volume"], Kind::Decimal(places::QUANTITY)),
    column(&["side"], Kind::Side),
    column(&["rpi"], Kind::Any),
];

// Whether liquidity was of the retail kind is told in newer files only.
static LINEAR_LAYOUT: Layout =
    Layout { shape: Shape::Trade, columns: &LINEAR_COLUMNS, optional: 1, is_numbered: false };
static SPOT_LAYOUT: Layout =
    Layout { shape: Shape::Trade, columns: &SPOT_COLUMNS, optional: 1, is_numbered: false };

const SUFFIX: &str = ".csv.gz";

impl BybitArchives {
    const fn root(&self) -> &'static str {
        if self.is_linear { "trading" } else { "spot" }
    }

    /// What stands between symbol and date.
    const fn joint(&self, span: Span) -> &'static str {
        match (self.is_linear, span) {
            (true, _) => "",
            (false, Span::Day) => "_",
            (false, Span::Month) => "-",
        }
    }

    fn has(&self, data: ArchiveData, span: Span) -> bool {
        data == ArchiveData::Trades && (span == Span::Day || !self.is_linear)
    }
}

impl Archives for BybitArchives {
    fn facts(&self) -> &'static ArchiveFacts {
        &FACTS
    }

    fn file(&self, data: ArchiveData, symbol: &str, period: Period) -> Option<ArchiveFile> {
        if !self.has(data, period.span()) {
            return None;
        }
        let name = format!("{symbol}{}{period}{SUFFIX}", self.joint(period.span()));
        Some(ArchiveFile {
            data,
            symbol: symbol.into(),
            period,
            path: encoded_path(&format!("/{}/{symbol}/{name}", self.root())),
            name,
            size_bytes: None,
            modified: None,
            tag: None,
            has_checksum: false,
        })
    }

    fn listing(&self, ask: &ArchiveAsk<'_>, _page: Option<&str>) -> Option<String> {
        let path = || encoded_path(&format!("/{}/{}/", self.root(), ask.symbol));
        self.has(ask.data, ask.span).then(path)
    }

    fn symbols(&self, data: ArchiveData, span: Span, _page: Option<&str>) -> Option<String> {
        self.has(data, span).then(|| format!("/{}/", self.root()))
    }

    fn read_listing(&self, ask: &ArchiveAsk<'_>, body: &[u8]) -> Result<ArchivePage, DecodeError> {
        let mut page = Page::new();
        // Days and months lie in one folder.
        let period = |name: &str| {
            let rest = name.strip_prefix(ask.symbol)?.strip_suffix(SUFFIX)?;
            [Span::Day, Span::Month].into_iter().filter(|span| self.has(ask.data, *span)).find_map(|span| {
                let period = Period::parse(rest.strip_prefix(self.joint(span))?)?;
                (period.span() == span).then_some(period)
            })
        };
        for link in html_links(body)? {
            let name = link.rsplit('/').next().unwrap_or_default();
            if name.is_empty() {
                continue;
            }
            match period(name) {
                Some(period) if period.span() == ask.span => {
                    page.items.extend(self.file(ask.data, ask.symbol, period));
                }
                Some(_) => {}
                None => page.note_strange(name),
            }
        }
        Ok(page)
    }

    fn read_symbols(
        &self,
        _data: ArchiveData,
        _span: Span,
        body: &[u8],
    ) -> Result<Page<Box<str>>, DecodeError> {
        let mut page = Page::new();
        for link in html_links(body)? {
            match link.strip_suffix('/').and_then(|folder| folder.rsplit('/').next()) {
                Some("" | "." | "..") => {}
                Some(symbol) => page.items.push(symbol.into()),
                None => page.note_strange(&link),
            }
        }
        Ok(page)
    }

    fn due(&self, period: Period) -> Time {
        period.end_time().plus_micros(DAY)
    }

    fn layout(&self, data: ArchiveData) -> Option<&'static Layout> {
        (data == ArchiveData::Trades).then_some(if self.is_linear { &LINEAR_LAYOUT } else { &SPOT_LAYOUT })
    }
}

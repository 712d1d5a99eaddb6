//! Where archive files lie, how they are listed, and when they are due.

use model::{Date, Time, Timeframe, VenueId};
use venues::archive::{ArchiveAsk, ArchiveData, Archives, Period, Span, checksum};

pub(crate) fn archives(venue: &str) -> &'static dyn Archives {
    venues::venue(VenueId::known(venue).unwrap()).unwrap().archives().unwrap()
}

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

const TRADES: ArchiveData = ArchiveData::Trades;
const HOUR: ArchiveData = ArchiveData::Klines(Timeframe::Minutes(60));
const MONTH: ArchiveData = ArchiveData::Klines(Timeframe::Month);

/// Venue, what, symbol, when, where.
const PATHS: &[(&str, ArchiveData, &str, &str, &str)] = &[
    (
        "binance",
        TRADES,
        "BTCUSDT",
        "2024-08-08",
        "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08-08.zip",
    ),
    (
        "binance",
        TRADES,
        "BTCUSDT",
        "2024-08",
        "/data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08.zip",
    ),
    (
        "binance",
        ArchiveData::RawTrades,
        "BTCUSDT",
        "2024-08",
        "/data/spot/monthly/trades/BTCUSDT/BTCUSDT-trades-2024-08.zip",
    ),
    ("binance", HOUR, "BTCUSDT", "2024-08", "/data/spot/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2024-08.zip"),
    ("binance", MONTH, "BTCUSDT", "2024-08", "/data/spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2024-08.zip"),
    (
        "binance",
        HOUR,
        "币USDT",
        "2026-01-02",
        "/data/spot/daily/klines/%E5%B8%81USDT/1h/%E5%B8%81USDT-1h-2026-01-02.zip",
    ),
    (
        "binance-futures",
        TRADES,
        "BTCUSDT_261225",
        "2026-10-01",
        "/data/futures/um/daily/aggTrades/BTCUSDT_261225/BTCUSDT_261225-aggTrades-2026-10-01.zip",
    ),
    (
        "binance-futures",
        ArchiveData::Funding,
        "BTCUSDT",
        "2024-08",
        "/data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2024-08.zip",
    ),
    ("bybit", TRADES, "BTCUSDT", "2024-08-08", "/spot/BTCUSDT/BTCUSDT_2024-08-08.csv.gz"),
    ("bybit", TRADES, "BTCUSDT", "2022-12", "/spot/BTCUSDT/BTCUSDT-2022-12.csv.gz"),
    (
        "bybit-linear",
        TRADES,
        "BTC-26DEC25",
        "2025-12-01",
        "/trading/BTC-26DEC25/BTC-26DEC252025-12-01.csv.gz",
    ),
];

#[test]
fn files_lie_where_the_venues_put_them() {
    let check = |venue: &str, data, symbol: &str, when: &str, expect: Option<&str>| {
        let file = archives(venue).file(data, symbol, period(when));
        assert_eq!(file.map(|file| file.path).as_deref(), expect, "{venue} {data:?} {when}");
    };
    let trades = ArchiveData::Trades;
    for (venue, data, symbol, when, path) in PATHS {
        check(venue, *data, symbol, when, Some(path));
    }
    check("binance", ArchiveData::Funding, "BTCUSDT", "2024-08", None);
    check("binance-futures", ArchiveData::Funding, "BTCUSDT", "2024-08-08", None);
    check("binance", MONTH, "BTCUSDT", "2024-08-08", None);
    check("binance", ArchiveData::Klines(Timeframe::Minutes(10)), "BTCUSDT", "2024-08", None);
    check("bybit-linear", trades, "BTCUSDT", "2024-08", None);
    check("bybit-linear", HOUR, "BTCUSDT", "2024-08-08", None);
}

#[test]
fn checksums_lie_beside_their_files_where_there_are_any() {
    let path = |venue: &str| {
        let archives = archives(venue);
        let file = archives.file(ArchiveData::Trades, "BTCUSDT", period("2024-08-08")).unwrap();
        file.checksum_path(archives.facts())
    };
    let expect = "/data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2024-08-08.zip.CHECKSUM";
    assert_eq!(path("binance").as_deref(), Some(expect));
    assert_eq!(path("bybit"), None);
    let sum = checksum(format!("{}  a.zip\n", "0f".repeat(32)).as_bytes(), "a.zip").unwrap();
    assert_eq!(sum, [15; 32]);
}

#[test]
fn files_are_due_a_day_after_their_day_and_after_the_first_monday() {
    let due = |venue, when| archives(venue).due(period(when)).date().to_string();
    assert_eq!(due("binance", "2026-11-19"), "2026-11-21");
    assert_eq!(due("binance-futures", "2026-10"), "2026-11-03");
    assert_eq!(due("bybit", "2026-11-19"), "2026-11-21");
}

/// A page of a bucket that lists these keys.
fn bucket(keys: &[&str], folders: &[&str], next: Option<&str>) -> String {
    let object = |key: &&str| {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2024-08-09T07:00:00.000Z</LastModified><ETag>&quot;ab&quot;</ETag><Size>12</Size></Contents>"
        )
    };
    let folder = |name: &&str| format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>");
    let objects = keys.iter().map(object).collect::<Vec<_>>().concat();
    let folders = folders.iter().map(folder).collect::<Vec<_>>().concat();
    let next_marker = next.map(|next| format!("<NextMarker>{next}</NextMarker>")).unwrap_or_default();
    format!(
        "<?xml version=\"1.0\"?>\n<ListBucketResult xmlns=\"x\"><Name>data.binance.vision</Name>{next_marker}<IsTruncated>{}</IsTruncated>{objects}{folders}</ListBucketResult>",
        next.is_some()
    )
}

#[test]
fn a_bucket_is_asked_and_read_page_by_page() {
    let archives = archives("binance");
    let mut ask = ArchiveAsk { data: ArchiveData::Trades, symbol: "BTCUSDT", span: Span::Day, from: None };
    let prefix = "data%2Fspot%2Fdaily%2FaggTrades%2FBTCUSDT%2F";
    let first = archives.listing(&ask, None).unwrap();
    assert_eq!(first, format!("/?delimiter=/&prefix={prefix}&marker="));
    ask.from = Some(period("2024-08"));
    let late = archives.listing(&ask, None).unwrap();
    assert_eq!(late, format!("/?delimiter=/&prefix={prefix}&marker={prefix}BTCUSDT-aggTrades-2024-08-01"));
    let next = archives.listing(&ask, Some("data/spot/x&y")).unwrap();
    assert_eq!(next, format!("/?delimiter=/&prefix={prefix}&marker=data%2Fspot%2Fx%26y"));

    let folder = "data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-";
    let keys: Vec<String> = [
        "2024-08-08.zip",
        "2024-08-08.zip.CHECKSUM",
        "2024-08-09.zip",
        "2024-08.zip",
        "2024-08-99.zip",
        "old.zip",
        "2024-08-10.zip",
    ]
    .iter()
    .map(|tail| format!("{folder}{tail}"))
    .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let page = archives.read_listing(&ask, bucket(&keys, &[], Some(keys[6])).as_bytes()).unwrap();
    let found: Vec<(String, bool)> =
        page.items.iter().map(|file| (file.period.to_string(), file.has_checksum)).collect();
    // The page ends before the last file's checksum could come.
    let expect = [("2024-08-08", true), ("2024-08-09", false), ("2024-08-10", true)];
    assert_eq!(found, expect.map(|(day, has)| (day.to_owned(), has)));
    assert_eq!((page.strange_count, page.next.as_deref()), (3, Some(keys[6])));
    let file = &page.items[0];
    assert_eq!((file.size_bytes, file.tag.as_deref()), (Some(12), Some("ab")));
    assert_eq!(file.modified, Time::parse("2024-08-09T07:00:00Z"));
    let computed = archives.file(ArchiveData::Trades, "BTCUSDT", period("2024-08-08")).unwrap();
    assert_eq!((&file.path, &file.name), (&computed.path, &computed.name));
}

#[test]
fn folders_of_a_bucket_name_symbols() {
    let archives = archives("binance-futures");
    let question = archives.symbols(HOUR, Span::Month, None).unwrap();
    assert_eq!(question, "/?delimiter=/&prefix=data%2Ffutures%2Fum%2Fmonthly%2Fklines%2F&marker=");
    let above = "data/futures/um/monthly/klines/";
    let folders = [format!("{above}BTCUSDT/"), format!("{above}币USDT/"), above.to_owned()];
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let page = archives.read_symbols(HOUR, Span::Month, bucket(&[], &folders, None).as_bytes()).unwrap();
    assert_eq!(page.items, [Box::from("BTCUSDT"), Box::from("币USDT")]);
    assert_eq!((page.strange_count, page.next), (1, None));
}

#[test]
fn pages_of_links_name_days_months_and_symbols() {
    let page = r#"<!DOCTYPE html><html><head><title>Index</title></head><body><ul>
        <li><a href="../">up</a></li>
        <li><a href="BTCUSDT-2022-12.csv.gz">BTCUSDT-2022-12.csv.gz</a></li>
        <li><a href="BTCUSDT_2024-08-08.csv.gz">x</a></li>
        <li><a href="/spot/BTCUSDT/BTCUSDT_2024-08-09.csv.gz">x</a></li>
        <li><a href="BTCUSDT_2024-08-32.csv.gz">x</a></li>
        </ul></body></html>"#;
    let archives = archives("bybit");
    let periods = |span| {
        let ask = ArchiveAsk { data: ArchiveData::Trades, symbol: "BTCUSDT", span, from: None };
        assert_eq!(archives.listing(&ask, None).as_deref(), Some("/spot/BTCUSDT/"));
        let page = archives.read_listing(&ask, page.as_bytes()).unwrap();
        assert_eq!((page.strange_count, page.next), (1, None));
        page.items.iter().map(|file| file.period.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(periods(Span::Day), ["2024-08-08", "2024-08-09"]);
    assert_eq!(periods(Span::Month), ["2022-12"]);
    let index =
        r#"<html><body><a href="../">..</a><a href="BTCUSDT/">x</a><a href="ETHUSDT/">x</a></body></html>"#;
    let symbols = archives.read_symbols(ArchiveData::Trades, Span::Day, index.as_bytes()).unwrap();
    assert_eq!(symbols.items, [Box::from("BTCUSDT"), Box::from("ETHUSDT")]);
}

#[test]
fn whatever_a_venue_names_it_finds_again_in_a_listing() {
    for venue in venues::VENUES {
        let Some(archives) = venue.archives() else { continue };
        for &data in archives.facts().data {
            for span in [Span::Day, Span::Month] {
                let day = Period::holding(span, Date::parse("2024-02-29").unwrap());
                let file = archives.file(data, "BTCUSDT", day);
                let ask = ArchiveAsk { data, symbol: "BTCUSDT", span, from: None };
                assert_eq!(file.is_some(), archives.listing(&ask, None).is_some());
                assert_eq!(file.is_some(), archives.symbols(data, span, None).is_some());
                let Some(file) = file else { continue };
                let key = file.path.trim_start_matches('/');
                let html = format!("<html><a href=\"{}\">x</a></html>", file.name);
                let body =
                    if archives.facts().checksum_suffix.is_some() { bucket(&[key], &[], None) } else { html };
                let page = archives.read_listing(&ask, body.as_bytes()).unwrap();
                assert_eq!(page.items.len(), 1, "{key}");
                assert_eq!((page.items[0].period, &page.items[0].path), (day, &file.path));
                assert!(archives.due(day) > day.end_time());
            }
        }
    }
}

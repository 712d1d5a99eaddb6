//! The archives as a client sees them, read by the house's own parsers: two witnesses of one form.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::{DeflateDecoder, GzDecoder};
use model::{Date, Instrument, InstrumentId, InstrumentKind, Time, VenueId};
use sha2::{Digest, Sha256};
use simulate::archive::ArchiveSettings;
use simulate::past::PastTrade;
use simulate::{Defect, DefectKind, SimSettings, World, parse_defects};
use venues::archive::{
    ArchiveAsk, ArchiveData, ArchiveFile, ArchiveRow, ArchiveSummary, Archives, Packing, Period, Span,
    checksum,
};

use crate::world::{Bytes, TestWorld, bytes};

const VENUES: [&str; 4] = ["binance", "binance-futures", "bybit", "bybit-linear"];
/// 2026-11-09 12:00, a Monday after the first one of the month.
const NOW: i64 = 1_794_225_600_000_000_000;
const BTC: &str = "BTCUSDT";
const ASKED: [(&str, &str); 0] = [];

fn id(venue: &str) -> VenueId {
    VenueId::known(venue).unwrap()
}

fn archives(venue: &str) -> &'static dyn Archives {
    venues::venue(id(venue)).unwrap().archives().unwrap()
}

/// Ten days of four instruments that trade 2,500 times a day on average, some three quarters of it BTC.
fn settings(days: u64, defects: &str) -> SimSettings {
    SimSettings {
        seed: 5,
        world: World::with_past(VENUES.map(id).to_vec(), 4, 1_500.0),
        history: std::time::Duration::from_hours(24 * days),
        archive: ArchiveSettings { defects: parse_defects(defects).unwrap(), ..ArchiveSettings::default() },
        ..SimSettings::default()
    }
}

async fn start(settings: SimSettings) -> TestWorld {
    let clock = runtime::clock::TokioClock::starting_at(model::Nanos(NOW));
    TestWorld::start_by(settings, std::sync::Arc::new(clock)).await
}

async fn get(world: &TestWorld, path: &str, headers: &[(&str, &str)]) -> Bytes {
    let address = world.sim.archive_address();
    bytes("GET", address.strip_prefix("http://").unwrap(), path, headers).await
}

/// Every file of a symbol that is listed, page after page.
async fn listed(world: &TestWorld, venue: &str, data: ArchiveData, span: Span) -> Vec<ArchiveFile> {
    let ask = ArchiveAsk { data, symbol: BTC, span, from: None };
    let (mut files, mut page) = (Vec::new(), None);
    loop {
        let path = archives(venue).listing(&ask, page.as_deref()).unwrap();
        let answer = get(world, &path, &ASKED).await;
        assert_eq!(answer.status, 200, "{path}");
        let found = archives(venue).read_listing(&ask, &answer.body).unwrap();
        assert!(found.strange.is_empty(), "{:?}", found.strange);
        files.extend(found.items);
        page = found.next;
        if page.is_none() {
            return files;
        }
    }
}

fn instrument(venue: &str) -> Instrument {
    Instrument::named(InstrumentId::new(id(venue), "BTC", "USDT", InstrumentKind::Spot), BTC)
}

/// Unpacks a file, at most so much of it.
fn unpacked(packing: Packing, body: &[u8], most: u64) -> std::io::Result<Vec<u8>> {
    let mut rows = Vec::new();
    match packing {
        Packing::Gzip => GzDecoder::new(body).take(most).read_to_end(&mut rows)?,
        Packing::Zip => {
            assert_eq!(&body[..4], b"PK\x03\x04");
            let length = usize::from(u16::from_le_bytes([body[26], body[27]]));
            DeflateDecoder::new(&body[30 + length..]).take(most).read_to_end(&mut rows)?
        }
    };
    Ok(rows)
}

type Decoded = Result<(Vec<PastTrade>, usize, ArchiveSummary), String>;

fn decoded(venue: &str, file: &ArchiveFile, rows: &[u8]) -> Decoded {
    let mut decoder = archives(venue).decoder(file, &instrument(venue), Time(0)).unwrap();
    let (mut trades, mut others) = (Vec::new(), 0);
    let mut emit = |row: ArchiveRow<'_>| match row {
        ArchiveRow::Trade(row) => trades.push(PastTrade {
            id: row.trade_id,
            text_id: row.venue_trade_id.map(str::to_owned),
            time: row.venue_time,
            price: row.price,
            quantity: row.quantity,
            side: row.taker_side,
            raw: row.first_trade_id.zip(row.last_trade_id),
        }),
        _ => others += 1,
    };
    for piece in rows.chunks(10_000) {
        decoder.feed(piece, &mut emit).map_err(|error| error.to_string())?;
    }
    let summary = decoder.finish(&mut emit).map_err(|error| error.to_string())?;
    Ok((trades, others, summary))
}

async fn read(world: &TestWorld, venue: &str, file: &ArchiveFile) -> Decoded {
    let answer = get(world, &file.path, &ASKED).await;
    assert_eq!(answer.status, 200, "{}", file.path);
    if let Some(size) = file.size_bytes {
        assert_eq!(size, answer.body.len() as u64, "{}", file.path);
    }
    let rows = unpacked(archives(venue).facts().packing, &answer.body, 1 << 30)
        .map_err(|error| error.to_string())?;
    decoded(venue, file, &rows)
}

/// What happened in a period.
fn truth(world: &TestWorld, venue: &str, period: Period) -> Vec<PastTrade> {
    let mut trades = Vec::new();
    for day in period.days() {
        assert!(world.sim.trades_of_day(id(venue), BTC, day, &mut |trade| trades.push(trade)));
    }
    trades
}

fn day(text: &str) -> Date {
    Date::parse(text).unwrap()
}

#[tokio::test]
async fn every_listed_file_holds_exactly_what_happened() {
    let world = start(settings(45, "")).await;
    for venue in VENUES {
        let files = listed(&world, venue, ArchiveData::Trades, Span::Day).await;
        let days: Vec<String> = files.iter().map(|file| file.period.to_string()).collect();
        // From the day on which history begins to yesterday.
        let expect: Vec<String> =
            (day("2026-09-25").0..day("2026-11-09").0).map(|day| Date(day).to_string()).collect();
        assert_eq!(days, expect, "{venue}");
        for file in [&files[0], &files[7], &files[files.len() - 1]] {
            let (trades, others, summary) = read(&world, venue, file).await.unwrap();
            assert_eq!(trades, truth(&world, venue, file.period), "{}", file.path);
            assert!(trades.len() > 400 && others == 0);
            assert!(summary.is_orderly());
        }
    }
    for venue in &VENUES[..2] {
        let files = listed(&world, venue, ArchiveData::Trades, Span::Month).await;
        let months: Vec<String> = files.iter().map(|file| file.period.to_string()).collect();
        assert_eq!(months, ["2026-09", "2026-10"]);
        let (trades, ..) = read(&world, venue, &files[1]).await.unwrap();
        assert_eq!(trades, truth(&world, venue, files[1].period));
        let raw = listed(&world, venue, ArchiveData::RawTrades, Span::Day).await;
        let (trades, _, summary) = read(&world, venue, &raw[3]).await.unwrap();
        let happened = truth(&world, venue, raw[3].period);
        let count: i64 =
            happened.iter().filter_map(|trade| trade.raw).map(|(first, last)| last - first + 1).sum();
        assert_eq!((trades.len() as i64, summary.is_orderly()), (count, true));
        assert_eq!(trades[0].id, happened[0].raw.map(|(first, _)| first));
    }
    world.end().await;
}

#[tokio::test]
async fn bars_and_funding_lie_there_as_well() {
    let world = start(settings(45, "")).await;
    for venue in &VENUES[..2] {
        for &data in archives(venue).facts().data {
            let ArchiveData::Klines(timeframe) = data else { continue };
            let files = listed(&world, venue, data, Span::Month).await;
            let file = &files[1];
            let (_, bars, summary) = read(&world, venue, file).await.unwrap();
            let (start, end) = (file.period.start_time(), file.period.end_time());
            let mut open = timeframe.bucket_start(start);
            let mut expect = 0;
            while open < end {
                expect += usize::from(open >= start);
                open = timeframe.bucket_end(open);
            }
            assert_eq!((bars, summary.row_count), (expect, expect as u64), "{venue} {timeframe}");
            assert_eq!((summary.odd_end.count, summary.odd_start.count), (0, 0));
        }
    }
    let files = listed(&world, "binance-futures", ArchiveData::Funding, Span::Month).await;
    let (_, rates, _) = read(&world, "binance-futures", &files[1]).await.unwrap();
    assert_eq!((files.len(), rates), (2, 31 * 3));
    world.end().await;
}

#[tokio::test]
async fn checksums_fit_and_unpublished_files_are_not_there() {
    let world = start(settings(10, "")).await;
    let files = listed(&world, "binance", ArchiveData::Trades, Span::Day).await;
    let file = &files[2];
    assert!(file.has_checksum);
    let sum = get(&world, &file.checksum_path(archives("binance").facts()).unwrap(), &ASKED).await;
    let body = get(&world, &file.path, &ASKED).await.body;
    assert_eq!(checksum(&sum.body, &file.name).unwrap(), Sha256::digest(&body)[..]);
    for venue in VENUES {
        // Today, before history, and of a symbol that nobody lists.
        for (symbol, when) in [(BTC, "2026-11-09"), (BTC, "2026-10-01"), ("NOSUCH", "2026-11-08")] {
            let file =
                archives(venue).file(ArchiveData::Trades, symbol, Period::parse(when).unwrap()).unwrap();
            assert_eq!(get(&world, &file.path, &ASKED).await.status, 404, "{}", file.path);
        }
    }
    let month =
        archives("binance").file(ArchiveData::Trades, BTC, Period::parse("2026-11").unwrap()).unwrap();
    assert_eq!(get(&world, &month.path, &ASKED).await.status, 404);
    world.end().await;
}

#[tokio::test]
async fn symbols_are_listed_and_pages_are_followed() {
    let world = start(settings(10, "")).await;
    for venue in VENUES {
        let path = archives(venue).symbols(ArchiveData::Trades, Span::Day, None).unwrap();
        let answer = get(&world, &path, &ASKED).await;
        let page = archives(venue).read_symbols(ArchiveData::Trades, Span::Day, &answer.body).unwrap();
        let symbols: Vec<&str> = page.items.iter().map(|symbol| &**symbol).collect();
        assert_eq!(symbols, ["BNBUSDT", "BTCUSDT", "ETHUSDT", "SOLUSDT"], "{venue}");
    }
    let all = listed(&world, "binance", ArchiveData::Trades, Span::Day).await;
    for delimiter in ["&delimiter=/", ""] {
        let (mut marker, mut keys, mut pages) = (String::new(), Vec::new(), 0);
        loop {
            let prefix = "data/spot/daily/aggTrades/BTC";
            let path = format!("/?prefix={prefix}{delimiter}&marker={marker}&max-keys=7");
            let body = String::from_utf8(get(&world, &path, &ASKED).await.body).unwrap();
            let found: Vec<String> =
                body.split("<Key>").skip(1).map(|part| part.split('<').next().unwrap().to_owned()).collect();
            if !delimiter.is_empty() {
                assert!(body.contains("<Prefix>data/spot/daily/aggTrades/BTCUSDT/</Prefix>"), "{body}");
                break;
            }
            pages += 1;
            marker = found.last().unwrap().clone();
            keys.extend(found);
            if body.contains("<IsTruncated>false</IsTruncated>") {
                break;
            }
        }
        if delimiter.is_empty() {
            assert_eq!((keys.len(), pages), (all.len() * 2, (all.len() * 2).div_ceil(7)));
            assert!(keys.is_sorted());
        }
    }
    world.end().await;
}

#[tokio::test]
async fn downloads_resume_where_they_broke_off() {
    let world = start(settings(10, "cut=1,rewritten=1")).await;
    for venue in ["binance", "bybit"] {
        let cut =
            world.sim.defects().iter().find(|defect| is(defect, venue, DefectKind::Cut)).unwrap().clone();
        let half = get(&world, &cut.path, &ASKED).await;
        let size: usize = half.header("content-length").unwrap().parse().unwrap();
        assert!(half.status == 200 && half.body.len() < size && !half.body.is_empty(), "{}", half.body.len());
        let tag = half.header("etag").unwrap().to_owned();
        let from = format!("bytes={}-", half.body.len());
        let rest = get(&world, &cut.path, &[("Range", &from), ("If-Range", &tag)]).await;
        assert_eq!(rest.status, 206);
        assert_eq!(
            rest.header("content-range").unwrap(),
            format!("bytes {}-{}/{size}", half.body.len(), size - 1)
        );
        let whole = get(&world, &cut.path, &ASKED).await;
        assert_eq!((whole.status, [half.body, rest.body].concat()), (200, whole.body));
        assert_eq!(
            whole.headers.lines().filter(|line| line.to_lowercase().starts_with("last-modified:")).count(),
            1
        );
        let beyond = get(&world, &cut.path, &[("Range", &format!("bytes={size}-"))]).await;
        assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(&*format!("bytes */{size}"))));
    }
    // Of a file that was rewritten meanwhile, the rest would not fit: the whole comes.
    let defect =
        world.sim.defects().iter().find(|defect| is(defect, "binance", DefectKind::Rewritten)).unwrap();
    let before = get(&world, &defect.path, &ASKED).await;
    world.admin("POST", "/archive/rewrite", "").await;
    let tag = before.header("etag").unwrap().to_owned();
    let after = get(&world, &defect.path, &[("Range", "bytes=100-"), ("If-Range", &tag)]).await;
    assert_eq!(after.status, 200);
    assert_ne!((before.header("etag"), &before.body), (after.header("etag"), &after.body));
    world.end().await;
}

fn is(defect: &Defect, venue: &str, kind: DefectKind) -> bool {
    defect.venue == id(venue) && defect.kind == kind
}

/// A client that has all symbols would be slower; here every defect lies on BTC.
fn one_symbol(days: u64, defects: &str) -> SimSettings {
    SimSettings { world: World::with_past(VENUES.map(id).to_vec(), 1, 1_500.0), ..settings(days, defects) }
}

const ALL: &str = "missing=2,hole=12,lost=8,duplicate=12,unsorted=2,back=2,rewritten=2,checksum=2,truncated=2,bomb=1,column=2";

fn key(trade: &PastTrade) -> String {
    trade.text_id.clone().or(trade.id.map(|id| id.to_string())).unwrap()
}

/// Ids of a defect's trades, where the truth has them.
fn concerned(defect: &Defect, happened: &[PastTrade]) -> Vec<String> {
    if !defect.text_ids.is_empty() {
        return defect.text_ids.clone();
    }
    let within = |trade: &&PastTrade| trade.id >= defect.first_id && trade.id <= defect.last_id;
    happened.iter().filter(within).map(key).collect()
}

#[tokio::test]
async fn files_differ_from_what_happened_by_their_defects_and_nothing_else() {
    let world = start(one_symbol(40, ALL)).await;
    for venue in VENUES {
        let mut by_day: BTreeMap<Date, Vec<&Defect>> = BTreeMap::new();
        for defect in world.sim.defects().iter().filter(|defect| defect.venue == id(venue)) {
            by_day.entry(defect.day).or_default().push(defect);
        }
        let files = listed(&world, venue, ArchiveData::Trades, Span::Day).await;
        for date in day("2026-10-01").0..day("2026-11-09").0 {
            let period = Period::day(Date(date));
            let defects = by_day.remove(&Date(date)).unwrap_or_default();
            let file = files.iter().find(|file| file.period == period);
            let is_missing = defects.iter().any(|defect| defect.kind == DefectKind::Missing);
            assert_eq!(file.is_none(), is_missing, "{venue} {period}");
            let Some(file) = file else { continue };
            check_file(&world, venue, file, &defects).await;
        }
        assert!(by_day.is_empty(), "{by_day:?}");
    }
    world.end().await;
}

async fn check_file(world: &TestWorld, venue: &str, file: &ArchiveFile, defects: &[&Defect]) {
    let answer = get(world, &file.path, &ASKED).await;
    let packing = archives(venue).facts().packing;
    let sum = match file.checksum_path(archives(venue).facts()) {
        Some(path) => {
            let claimed = checksum(&get(world, &path, &ASKED).await.body, &file.name).unwrap();
            Some(claimed == Sha256::digest(&answer.body)[..])
        }
        None => None,
    };
    let has = |kind| defects.iter().any(|defect| defect.kind == kind);
    assert_eq!(sum, sum.map(|_| !has(DefectKind::Checksum)), "{}", file.path);
    if has(DefectKind::Bomb) {
        assert!(answer.body.len() < 100 << 20);
        assert_eq!(unpacked(packing, &answer.body, 1 << 25).unwrap().len(), 1 << 25);
        return;
    }
    let rows = unpacked(packing, &answer.body, 1 << 30);
    if has(DefectKind::Truncated) || (has(DefectKind::Checksum) && packing == Packing::Gzip) {
        assert!(rows.is_err(), "{}", file.path);
        return;
    }
    let read = decoded(venue, file, &rows.unwrap());
    if has(DefectKind::Column) {
        let error = read.unwrap_err();
        assert!(error.starts_with("line 1"), "{error}");
        return;
    }
    let (trades, _, summary) = read.unwrap();
    let happened = truth(world, venue, file.period);
    let mut expect: BTreeMap<String, usize> = happened.iter().map(|trade| (key(trade), 1)).collect();
    for defect in defects {
        let ids = concerned(defect, &happened);
        match defect.kind {
            DefectKind::Hole | DefectKind::Rewritten => {
                assert_eq!(ids.len() as u64, defect.trade_count);
                assert!(ids.iter().all(|id| expect.remove(id).is_some()));
            }
            DefectKind::Duplicate => *expect.get_mut(&ids[0]).unwrap() += 1,
            // The venue shows them nowhere, so the truth lacks them too.
            DefectKind::Lost => assert!(ids.iter().all(|id| !expect.contains_key(id))),
            _ => {}
        }
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for trade in &trades {
        *found.entry(key(trade)).or_default() += 1;
    }
    assert_eq!(found, expect, "{}", file.path);
    let known: BTreeMap<String, &PastTrade> = happened.iter().map(|trade| (key(trade), trade)).collect();
    assert!(trades.iter().all(|trade| known[&key(trade)] == trade));
    let is_turned = has(DefectKind::Unsorted) || has(DefectKind::Back);
    let doubles = defects.iter().filter(|defect| defect.kind == DefectKind::Duplicate).count() as u64;
    if !is_turned && !venue.starts_with("bybit") {
        assert_eq!(summary.back.count + summary.repeated.count, doubles, "{}", file.path);
    }
    assert!(!is_turned || summary.back_in_time.count > 0);
    assert!(!has(DefectKind::Back) || summary.back_in_time.count == 1);
}

#[tokio::test]
async fn months_hold_what_their_days_hold() {
    let world = start(one_symbol(45, "missing=2,hole=12,lost=8,duplicate=12,truncated=3")).await;
    let venue = "binance";
    let month = Period::parse("2026-10").unwrap();
    let files = listed(&world, venue, ArchiveData::Trades, Span::Month).await;
    let file = files.iter().find(|file| file.period == month).unwrap();
    let (trades, ..) = read(&world, venue, file).await.unwrap();
    let mut expect = truth(&world, venue, month).len() as i64;
    for defect in world.sim.defects() {
        if defect.venue == id(venue) && month.contains(defect.day.start()) {
            expect += match defect.kind {
                DefectKind::Hole | DefectKind::Missing => -(defect.trade_count as i64),
                DefectKind::Duplicate => 1,
                _ => 0,
            };
        }
    }
    assert_eq!(trades.len() as i64, expect);
    world.end().await;
}

#[tokio::test]
async fn the_report_names_every_defect_and_rest_fills_holes() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("defects.jsonl");
    let mut settings = one_symbol(20, "hole=3,lost=3");
    settings.archive.report = Some(report.clone());
    let world = start(settings).await;
    let told = world.admin("GET", "/truth/defects", "").await;
    let lines: Vec<serde_json::Value> = std::fs::read_to_string(report)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(told.as_array().unwrap(), &lines);
    assert_eq!(lines.len(), 6 * VENUES.len());
    for defect in world.sim.defects().iter().filter(|defect| defect.venue == id("binance")) {
        let (first, last) = (defect.first_id.unwrap(), defect.last_id.unwrap());
        let path = format!("/api/v3/aggTrades?symbol=BTCUSDT&fromId={first}&limit=20");
        let rows = world.json("binance", &path).await;
        let found = rows.as_array().unwrap().iter().filter(|row| row["a"].as_i64().unwrap() <= last).count();
        let expect = if defect.kind == DefectKind::Hole { defect.trade_count } else { 0 };
        assert_eq!(found as u64, expect, "{defect:?}");
    }
    for (defect, line) in world.sim.defects().iter().zip(&lines) {
        assert_eq!(line["first_time_us"], defect.first_time.0);
        let happened = truth(&world, defect.venue.as_str(), Period::day(defect.day));
        let first = happened.iter().find(|trade| concerned(defect, std::slice::from_ref(trade)).len() == 1);
        if defect.kind == DefectKind::Hole && defect.text_ids.is_empty() {
            assert_eq!(first.map(|trade| trade.time), Some(defect.first_time));
        }
    }
    let days = world.admin("GET", "/truth/days?venue=binance&symbol=BTCUSDT", "").await;
    let count: u64 = days.as_array().unwrap().iter().map(|day| day["trades"].as_u64().unwrap()).sum();
    let mut happened = 0;
    for date in day("2026-10-20").0..=day("2026-11-09").0 {
        world.sim.trades_of_day(id("binance"), BTC, Date(date), &mut |_| happened += 1);
    }
    assert_eq!(count, happened);
    let usage = world.admin("GET", "/usage", "").await;
    assert_eq!(usage["binance"]["endpoints"]["/api/v3/aggTrades"]["weight"], 6 * 4);
    world.end().await;
}

#[tokio::test]
async fn too_many_defects_for_a_world_are_refused() {
    let tasks = runtime::Tasks::new();
    let refused = simulate::start(one_symbol(3, "missing=40"), runtime::SystemClock::shared(), &tasks).await;
    let error = refused.err().unwrap().to_string();
    assert!(error.contains("no room for another defect of kind missing"), "{error}");
}

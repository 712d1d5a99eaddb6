//! Real files of a public archive, served by the test as the exchange serves them, come in through the same path as any other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::world::{sql, tickhouse};

/// The recordings, or a visible word that they are not there.
fn recordings() -> Option<PathBuf> {
    let named = std::env::var_os("TICKHOUSE_RECORDINGS").filter(|named| !named.is_empty());
    if named.is_none() {
        eprintln!("skipped: TICKHOUSE_RECORDINGS is not set");
    }
    named.map(PathBuf::from)
}

/// Files by path below the origin.
type Files = BTreeMap<String, Vec<u8>>;

fn zipped(name: &str, rows: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file(name, SimpleFileOptions::default()).expect("a zip in memory");
    zip.write_all(rows).expect("a zip in memory");
    zip.finish().expect("a zip in memory").into_inner()
}

/// Serves the files and their listing, and what the exchange lists.
fn serve(files: Files) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let files = Arc::new(files);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let files = Arc::clone(&files);
            // A reader that goes away ends its own thread only.
            std::thread::spawn(move || answer(&stream, &files));
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: &TcpStream, files: &Files) {
    let mut lines = BufReader::new(stream).lines();
    let Some(Ok(first)) = lines.next() else { return };
    for line in lines.by_ref() {
        if line.is_ok_and(|line| line.is_empty()) {
            break;
        }
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (status, body) = match path {
        "/" => (200, listing(files, query).into_bytes()),
        "/api/v3/exchangeInfo" => (200, exchange_info().into_bytes()),
        _ => files.get(path).map_or((404, Vec::new()), |body| (200, body.clone())),
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _reader_may_be_gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

fn listing(files: &Files, query: &str) -> String {
    let prefix = query.split('&').find_map(|part| part.strip_prefix("prefix=")).unwrap_or_default();
    let prefix = format!("/{}", prefix.replace("%2F", "/"));
    let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>");
    for (path, body) in files.iter().filter(|(path, _)| path.starts_with(&prefix)) {
        let (key, size) = (&path[1..], body.len());
        let _infallible = write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified><ETag>&quot;{size}&quot;</ETag><Size>{size}</Size></Contents>"
        );
    }
    text + "</ListBucketResult>"
}

fn exchange_info() -> String {
    let symbol = |(base, quote): (&str, &str)| {
        serde_json::json!({
            "symbol": format!("{base}{quote}"), "status": "TRADING", "baseAsset": base, "quoteAsset": quote,
            "isSpotTradingAllowed": true, "permissionSets": [["SPOT"]],
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.00000001", "maxPrice": "1000000", "tickSize": "0.00000001"},
                {"filterType": "LOT_SIZE", "minQty": "0.00000001", "maxQty": "9000000", "stepSize": "0.00000001"},
                {"filterType": "NOTIONAL", "minNotional": "0.0001"}
            ]
        })
    };
    let symbols = [("BTC", "USDT"), ("ADA", "BTC"), ("XRP", "ETH")].map(symbol);
    serde_json::json!({"timezone": "UTC", "serverTime": 1, "rateLimits": [], "exchangeFilters": [], "symbols": symbols})
        .to_string()
}

/// The archive made of the recordings, and how many minutes the original zip holds.
fn archive(folder: &Path) -> (Files, usize) {
    let mut files = Files::new();
    let read = |path: &str| std::fs::read(folder.join(path)).expect("a recording");
    let original = read("archives/binance/ADABTC-1m-2021-11-28.zip");
    let mut rows = String::new();
    let mut zip = zip::ZipArchive::new(Cursor::new(&original)).expect("the original is a zip");
    zip.by_index(0).expect("one file").read_to_string(&mut rows).expect("rows");
    files.insert("/data/spot/daily/klines/ADABTC/1m/ADABTC-1m-2021-11-28.zip".into(), original);
    for month in ["2023-01", "2023-02", "2023-03", "2023-04", "2023-05"] {
        let name = format!("BTCUSDT-1h-{month}");
        let rows = read(&format!("archives/binance-klines-csv/{name}.csv"));
        let path = format!("/data/spot/monthly/klines/BTCUSDT/1h/{name}.zip");
        files.insert(path, zipped(&format!("{name}.csv"), &rows));
    }
    for (day, rows) in trades(folder) {
        let name = format!("XRPETH-aggTrades-{day}");
        let path = format!("/data/spot/daily/aggTrades/XRPETH/{name}.zip");
        files.insert(path, zipped(&format!("{name}.csv"), rows.as_bytes()));
    }
    (files, rows.lines().count())
}

/// The recorded trades in the columns of the archive, by day.
fn trades(folder: &Path) -> BTreeMap<String, String> {
    let file = folder.join("trades/binance-spot-aggtrades-xrpeth-2019-10-11.json.gz");
    let output = std::process::Command::new("gzip").arg("-dc").arg(&file).output().expect("gzip runs");
    let all: Value = serde_json::from_slice(&output.stdout).expect("the recording is JSON");
    let mut days = BTreeMap::<String, String>::new();
    for trade in all.as_array().expect("trades") {
        let info = &trade["info"];
        let day = trade["datetime"].as_str().expect("a time")[..10].to_owned();
        let truth = |name: &str| if info[name] == true { "True" } else { "False" };
        let (price, quantity) =
            (info["p"].as_str().expect("a price"), info["q"].as_str().expect("a quantity"));
        let rows = days.entry(day).or_default();
        let _infallible = writeln!(
            rows,
            "{},{price},{quantity},{},{},{},{},{}",
            info["a"],
            info["f"],
            info["l"],
            info["T"],
            truth("m"),
            truth("M")
        );
    }
    days
}

#[test]
fn real_files_come_in_with_what_they_lack() {
    let Some(folder) = recordings() else { return };
    let (files, minutes) = archive(&folder);
    let origin = serve(files);
    let place = tempfile::tempdir().expect("a temporary folder");
    let config = format!("[venues.binance]\nenabled = true\nrest = \"{origin}\"\narchive = \"{origin}\"\n");
    std::fs::write(place.path().join("tickhouse.toml"), config).expect("the folder is writable");
    let backfill = |words: &str| {
        let mut all: Vec<&str> = words.split(' ').collect();
        all.extend(["-c", "tickhouse.toml", "--data", "data"]);
        let output = tickhouse(place.path(), &all);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.code(), said)
    };
    let hours = "backfill --venue binance --instruments BTCUSDT --source archive --kind klines --timeframe 1h --from 2023-01-01 --to 2023-05-31";
    let (code, said) = backfill(hours);
    assert_eq!(code, Some(3), "an hour lacks: {said}");
    let lacking: Vec<&str> = said.lines().filter(|line| line.contains("bars missing")).collect();
    assert!(
        matches!(lacking[..], [line] if line.contains("2023-03: 743 rows") && line.contains("1 bars missing")),
        "{said}"
    );
    let one = "backfill --venue binance --instruments ADABTC --source archive --kind klines --from 2021-11-28 --to 2021-11-28";
    let (code, said) = backfill(one);
    assert!(code == Some(0) && said.contains(&format!("{minutes} rows")), "{said}");
    let (code, said) = backfill(
        "backfill --source archive --venue binance --instruments XRPETH --from 2019-10-11 --to 2019-10-13",
    );
    assert!(code == Some(0) && said.contains("12477 rows added, 0 known before, 0 twice"), "{said}");
    let asked = |query: &str| sql(place.path(), "data", query);
    let bars =
        "select instrument, timeframe, count(*) from bars where source = 'venue' group by 1, 2 order by 1";
    let expected = [
        ["binance:ADA-BTC".to_owned(), "1m".to_owned(), minutes.to_string()],
        ["binance:BTC-USDT".to_owned(), "60m".to_owned(), "3623".to_owned()],
    ];
    assert_eq!(asked(bars), expected);
    let counted = asked(
        "select count(*), count(distinct trade_id), max(trade_id) - min(trade_id) + 1, min(price), max(price) from trades \
         where instrument = 'binance:XRP-ETH'",
    );
    assert_eq!(counted[0][..3], ["12477", "12477", "12477"], "{counted:?}");
    let (code, said) =
        backfill("verify --venue binance --instruments XRPETH --from 2019-10-11 --to 2019-10-13");
    assert!(code == Some(0) && said.contains("12,477 rows, 0 missing, 0 twice"), "{said}");
}

//! Speed of reading candles: a page of each source, as full as the venue makes it.

use std::ops::Range;

use divan::Bencher;
use divan::counter::ItemsCount;
use model::time::MINUTE;
use model::{BUCKET, Time};
use venues::prices::{CANDLE_SOURCES, CandleAnswer, CandleSource};

const START: Time = Time(1_791_382_800_000_000);

fn main() {
    divan::main();
}

/// An answer with every candle of a page, and how many.
fn page(source: &dyn CandleSource) -> (String, Range<Time>, usize) {
    let facts = source.facts();
    let span = START..START.plus_micros(i64::from(facts.page_buckets) * BUCKET);
    let step = i64::from(facts.child_minutes) * MINUTE;
    let opens: Vec<Time> =
        (0..(span.end.0 - span.start.0) / step).map(|at| START.plus_micros(at * step)).collect();
    let row = |open: &Time| {
        let (ms, seconds) = (open.millis(), open.millis() / 1_000);
        match facts.source.as_str() {
            "binance" => format!(
                r#"[{ms},"83074.10000000","83128.30000000","83040.10000000","83070.80000000","116.85700000",{},"9709518.16030000",3885,"83.94900000","6975456.42970000","0"]"#,
                ms + 59_999
            ),
            "bybit" => format!(r#"["{ms}","83070.8","83143","83070.7","83142.9","86.568","7193689.1"]"#),
            "okx" => format!(
                r#"["{ms}","83070.8","83143","83070.7","83142.9","12.3","1022650.1","1022650.1","1"]"#
            ),
            "coinbase" => format!("[{seconds},83040.1,83143.0,83070.8,83142.9,12.3456]"),
            "bitstamp" => format!(
                r#"{{"timestamp":"{seconds}","open":"83071","high":"83143","low":"83070","close":"83143","volume":"1.25000000"}}"#
            ),
            _ => format!("[{ms},83070.8,83142.9,83143,83070.7,86.568]"),
        }
    };
    let rows = opens.iter().map(row).collect::<Vec<_>>().join(",");
    let body = match facts.source.as_str() {
        "bybit" => format!(
            r#"{{"retCode":0,"retMsg":"OK","result":{{"symbol":"BTCUSDT","category":"spot","list":[{rows}]}},"time":{}}}"#,
            span.end.millis()
        ),
        "okx" => format!(r#"{{"code":"0","msg":"","data":[{rows}]}}"#),
        "bitstamp" => format!(r#"{{"data":{{"pair":"BTC/USD","ohlc":[{rows}]}}}}"#),
        _ => format!("[{rows}]"),
    };
    (body, span, opens.len())
}

#[divan::bench(args = 0..CANDLE_SOURCES.len())]
fn read(bencher: Bencher<'_, '_>, at: usize) {
    let source = CANDLE_SOURCES[at];
    let (body, span, count) = page(source);
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let received = span.end.plus_micros(MINUTE);
        let answer = CandleAnswer { status: 200, body: body.as_bytes(), received, dated: None };
        let page = source.read(&answer, &span).expect("a page");
        assert_eq!(page.candles.len(), count);
        page
    });
}

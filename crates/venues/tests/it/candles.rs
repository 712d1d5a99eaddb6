//! Candles of the price sources: questions and answers against `candles.txt`, rules that hold for every source, and noise.

use std::fmt::Write;
use std::ops::Range;
use std::path::PathBuf;

use model::time::MINUTE;
use model::{BUCKET, Nanos, PriceSource, Time};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use venues::prices::{
    CANDLE_SOURCES, CandleAnswer, CandlePage, CandleSource, KlineLane, NoCandles, candle_source,
};

/// One line of `candles.jsonl`: an answer as the venue writes it, or text that is no JSON.
#[derive(Deserialize)]
struct Line<'a> {
    about: &'a str,
    status: u16,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    text: Option<String>,
}

/// Twenty minutes that are over since three seconds when the answers come.
const SPAN: Range<Time> = Time(1_791_382_800_000_000)..Time(1_791_384_000_000_000);
const RECEIVED: Time = Time(1_791_384_003_000_000);

fn path(source: &dyn CandleSource, name: &str) -> PathBuf {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")).join("fixtures");
    folder.join(source.facts().source.as_str()).join(name)
}

fn answers(source: &dyn CandleSource) -> Vec<(String, u16, Vec<u8>)> {
    let text = std::fs::read_to_string(path(source, "candles.jsonl")).expect("each source has fixtures");
    text.lines()
        .map(|line| {
            let line: Line<'_> = serde_json::from_str(line).expect("the fixture's own form");
            let body = line.body.map(|body| body.get().to_owned()).or(line.text).expect("body or text");
            (line.about.to_owned(), line.status, body.into_bytes())
        })
        .collect()
}

fn read(source: &dyn CandleSource, status: u16, body: &[u8]) -> Result<CandlePage, NoCandles> {
    source.read(&CandleAnswer { status, body, received: RECEIVED, dated: None }, &SPAN)
}

fn show(written: &mut String, page: &CandlePage) {
    for candle in &page.candles {
        let price = &candle.price;
        let state = if candle.is_closed { "closed" } else { "open" };
        let (time, volume) = (candle.open_time, price.volume);
        let prices = format!("{} {} {} {}", price.open, price.high, price.low, price.close);
        writeln!(written, "  {time} {prices} volume {volume} {state}").unwrap();
    }
    for refused in &page.refused {
        let time = refused.open_time.map_or("-".into(), |time| time.to_string());
        writeln!(written, "  refused {time} {}: {}", refused.reason, refused.row).unwrap();
    }
    if page.outside_count > 0 {
        writeln!(written, "  {} outside", page.outside_count).unwrap();
    }
    if let Some(rest) = &page.rest {
        writeln!(written, "  rest {}..{}", rest.start, rest.end).unwrap();
    }
}

#[test]
fn fixtures_give_the_candles_written_down() {
    for source in CANDLE_SOURCES {
        let mut written = String::new();
        let facts = source.facts();
        for (name, now) in [("now", RECEIVED), ("long after", RECEIVED.plus_micros(900 * BUCKET))] {
            let question = source.question(facts.place(), &SPAN, now);
            writeln!(written, "asked {name}: {}", question.request.path).unwrap();
        }
        for (about, status, body) in answers(*source) {
            writeln!(written, "\n{about}").unwrap();
            match read(*source, status, &body) {
                Ok(page) => show(&mut written, &page),
                Err(error) => {
                    let word = if error.passes() { "passes" } else { "final" };
                    writeln!(written, "  ! {error} ({word})").unwrap();
                }
            }
        }
        let golden = path(*source, "candles.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &written).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        let first = written.lines().zip(expected.lines()).find(|(actual, wanted)| actual != wanted);
        assert!(
            written == expected,
            "{} differs, first here: {first:?}; UPDATE_GOLDEN=1 writes it anew",
            golden.display()
        );
    }
}

#[test]
fn every_price_source_can_be_asked() {
    let named: Vec<PriceSource> = CANDLE_SOURCES.iter().map(|source| source.facts().source).collect();
    assert_eq!(named, PriceSource::all().collect::<Vec<_>>());
    for source in PriceSource::all() {
        let facts = candle_source(source).expect("listed").facts();
        assert!(matches!(facts.child_minutes, 1 | 5), "{source}");
        assert!(facts.rest.starts_with("https://") && !facts.rest.ends_with('/'), "{source}");
        assert_eq!(facts.historical_start.0 % BUCKET, 0, "{source}");
        assert!(facts.settles.as_secs() < 60 && facts.limits.weight.count > 0, "{source}");
    }
}

#[test]
fn a_question_is_whole_ten_minutes_of_at_most_a_page() {
    for source in CANDLE_SOURCES {
        let facts = source.facts();
        let start = Time(facts.historical_start.0 + 7);
        let question = source.question(facts.place(), &(start..RECEIVED), RECEIVED);
        assert_eq!(question.span.start, facts.historical_start, "cut to the grid");
        let buckets = (question.span.end.0 - question.span.start.0) / BUCKET;
        assert_eq!(buckets, i64::from(facts.page_buckets), "{}", facts.source);
        let short = source.question(facts.place(), &SPAN, RECEIVED);
        assert_eq!(short.span, SPAN);
        let empty =
            source.question(facts.place(), &(SPAN.start..SPAN.start.plus_micros(BUCKET - 1)), RECEIVED);
        assert!(empty.span.is_empty(), "ten minutes that are not over are not asked for");
    }
}

#[test]
fn a_page_of_the_past_that_was_cut_short_is_asked_on() {
    let source = candle_source(PriceSource::known("okx").unwrap()).unwrap();
    let (start, five) = (SPAN.start, BUCKET / 2);
    let span = start..start.plus_micros(150 * BUCKET);
    let rows: Vec<String> = (200..300)
        .rev()
        .map(|at| format!(r#"["{}","2","2","2","2","1","2","2","1"]"#, start.plus_micros(at * five).millis()))
        .collect();
    let body = |rows: &[String]| format!(r#"{{"code":"0","msg":"","data":[{}]}}"#, rows.join(","));
    let read = |body: String| {
        let answer = CandleAnswer { status: 200, body: body.as_bytes(), received: span.end, dated: None };
        source.read(&answer, &span).unwrap()
    };
    let page = read(body(&rows));
    assert_eq!((page.candles.len(), page.rest), (100, Some(start..start.plus_micros(200 * five))));
    let page = read(body(&rows[..99]));
    assert_eq!((page.candles.len(), page.rest), (99, None), "the venue just has no more");
}

#[test]
fn only_confirmed_minutes_leave_the_lane() {
    let frame = |open_time: i64, interval: &str, high: &str, is_closed: bool| {
        format!(
            r#"{{"e":"kline","E":1791382860001,"s":"BTCUSDT","k":{{"t":{open_time},"T":1791382859999,"s":"BTCUSDT","i":"{interval}","f":100,"L":200,"o":"83070.80","c":"83142.90","h":"{high}","l":"83070.70","v":"86.568","n":100,"x":{is_closed},"q":"7193689.1","V":"40","Q":"3000000","B":"0"}}}}"#
        )
    };
    let mut lane = KlineLane::new("BTCUSDT");
    assert_eq!(lane.url("wss://a.example:9443"), "wss://a.example:9443/ws/btcusdt@kline_1m");
    let mut read = |text: &str| lane.read(text.as_bytes(), Nanos(RECEIVED.0 * 1_000));
    let minute = 1_791_382_800_000;
    assert_eq!(read(&frame(minute, "1m", "83143.0", false)), Ok(None));
    assert_eq!(read(&frame(minute, "5m", "83143.0", true)), Ok(None));
    assert_eq!(read(r#"{"result":null,"id":1}"#), Ok(None));
    let candle = read(&frame(minute, "1m", "83143.0", true)).unwrap().unwrap();
    assert_eq!((candle.open_time, candle.is_closed), (SPAN.start, true));
    assert_eq!(candle.price.volume.to_string(), "86.568");
    let wrapped =
        format!(r#"{{"stream":"btcusdt@kline_1m","data":{}}}"#, frame(minute, "1m", "83143.0", true));
    assert_eq!(read(&wrapped).unwrap(), Some(candle));
    let error = read(&frame(minute, "1m", "83000.0", true)).unwrap_err().to_string();
    assert!(error.contains("high 83000.0 lies below low 83070.70"), "{error}");
    assert!(read(&frame(minute, "1m", "83143.0", true).replace("BTCUSDT", "ETHUSDT")).is_err());
}

proptest! {
    #[test]
    fn noise_never_panics_and_never_becomes_a_candle(
        seed in any::<u64>(),
        byte in any::<u8>(),
        noise in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        for source in CANDLE_SOURCES {
            let all = answers(*source);
            let (_, status, body) = &all[seed as usize % all.len()];
            for status in [*status, 200] {
                let mut changed = body.clone();
                if !changed.is_empty() {
                    let at = (seed >> 20) as usize % changed.len();
                    changed[at] = byte;
                    let _ = read(*source, status, &changed[..at]);
                }
                for body in [&changed, &noise] {
                    let Ok(page) = read(*source, status, body) else { continue };
                    for candle in page.candles {
                        let price = candle.price;
                        prop_assert!(SPAN.contains(&candle.open_time));
                        prop_assert!(price.low <= price.open && price.open <= price.high);
                        prop_assert!(price.low <= price.close && price.close <= price.high);
                        prop_assert!(!price.volume.is_negative());
                    }
                }
            }
            let mut lane = KlineLane::new("BTCUSDT");
            let _ = lane.read(&noise, Nanos(RECEIVED.0 * 1_000));
        }
    }
}

#[test]
fn a_clock_of_ours_that_is_ahead_closed_a_minute_that_the_venue_still_fills() {
    let binance = CANDLE_SOURCES.iter().find(|source| source.facts().source.as_str() == "binance").unwrap();
    let open = SPAN.end.plus_micros(-MINUTE);
    let body = format!(r#"[[{},"2","2","2","2","1",0,"2",1,"1","1","0"]]"#, open.millis());
    let second = MINUTE / 60;
    // Ours is ten seconds ahead.
    let read = |since_end: i64, dated: bool| {
        let venue = SPAN.end.plus_micros(since_end * second);
        let received = venue.plus_micros(10 * second);
        let answer =
            CandleAnswer { status: 200, body: body.as_bytes(), received, dated: dated.then_some(venue) };
        let page = binance.read(&answer, &SPAN).unwrap();
        (page.candles[0].is_closed, page.now == venue)
    };
    assert_eq!(read(-1, true), (false, true));
    assert_eq!(read(1, true), (false, true), "it may still be corrected");
    assert_eq!(read(2, true), (true, true));
    assert_eq!(read(-1, false), (true, false), "nothing else tells the time");
}

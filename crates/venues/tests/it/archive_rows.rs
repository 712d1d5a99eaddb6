//! Rows of archive files: what comes out, what is refused and where, what is found on the way.

use std::fmt::Write;

use model::{Decimal, Instrument, InstrumentId, InstrumentKind, Time, Timeframe, VenueId};
use proptest::prelude::*;
use venues::archive::{ArchiveData, ArchiveRow, ArchiveSummary, Period, Place, TimeUnit};

use crate::archive_files::archives;

const RECEIVED: Time = Time(1_795_000_000_000_000);
const TRADES: ArchiveData = ArchiveData::Trades;
const MINUTE: ArchiveData = ArchiveData::Klines(Timeframe::MINUTE);
const HOUR: ArchiveData = ArchiveData::Klines(Timeframe::Minutes(60));

fn instrument(venue: &str) -> Instrument {
    let id = VenueId::known(venue).unwrap();
    Instrument::named(InstrumentId::new(id, "BTC", "USDT", InstrumentKind::Spot), "BTCUSDT")
}

fn print(row: &ArchiveRow<'_>) -> String {
    match row {
        ArchiveRow::Trade(trade) => {
            let id = match (trade.trade_id, trade.venue_trade_id) {
                (Some(id), None) => id.to_string(),
                (None, Some(id)) => id.to_owned(),
                other => panic!("two ids or none: {other:?}"),
            };
            let raw = match (trade.first_trade_id, trade.last_trade_id) {
                (Some(first), Some(last)) => format!(" {first}..{last}"),
                _ => String::new(),
            };
            let side = trade.taker_side.as_str();
            format!("{} {id} {side} {} x {}{raw}", trade.venue_time, trade.price, trade.quantity)
        }
        ArchiveRow::Blank { id, time } => format!("{time} {id} blank"),
        ArchiveRow::Bar(bar) => format!(
            "{} {} {} {} {} {} v{} q{} n{:?} t{:?}",
            bar.open_time,
            bar.timeframe,
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            bar.quote_volume,
            bar.trade_count.unwrap(),
            bar.taker_buy_volume.unwrap().to_string()
        ),
        ArchiveRow::Funding(funding) => {
            format!("{} {} {:?}", funding.time, funding.rate, funding.interval_hours)
        }
    }
}

type Read = Result<(Vec<String>, ArchiveSummary), String>;

/// Reads a file that comes in pieces of so many bytes.
fn read(venue: &str, data: ArchiveData, when: &str, text: &[u8], piece: usize) -> Read {
    let archives = archives(venue);
    let file = archives.file(data, "BTCUSDT", Period::parse(when).unwrap()).unwrap();
    let mut decoder = archives.decoder(&file, &instrument(venue), RECEIVED).unwrap();
    let mut rows = Vec::new();
    let mut emit = |row: ArchiveRow<'_>| rows.push(print(&row));
    for chunk in text.chunks(piece) {
        decoder.feed(chunk, &mut emit).map_err(|error| error.to_string())?;
    }
    let summary = decoder.finish(&mut emit).map_err(|error| error.to_string())?;
    Ok((rows, summary))
}

fn rows(venue: &str, data: ArchiveData, when: &str, text: &str) -> Vec<String> {
    read(venue, data, when, text.as_bytes(), 1 << 16).unwrap().0
}

fn summary(venue: &str, data: ArchiveData, when: &str, text: &str) -> ArchiveSummary {
    read(venue, data, when, text.as_bytes(), 1 << 16).unwrap().1
}

const SPOT: &str = "3512340001,83143.01000000,0.03500000,5153673401,5153673403,1723075200000,True,True\n\
                    3512340002,83143.02000000,0.00001000,5153673404,5153673404,1723161599999,False,True\n";
const UUID: &str = "20f43950-d8dd-5b31-9112-a178eb6023af";

/// A file of each venue and kind: where, when, text, rows.
fn samples() -> Vec<(&'static str, ArchiveData, &'static str, String, Vec<String>)> {
    let sample = |venue, data, when, text: String, rows: &[&str]| {
        (venue, data, when, text, rows.iter().map(|row| (*row).to_owned()).collect())
    };
    let bar = "1723075200000,55133.00,55200.10,55100.00,55150.50,12.345,1723075259999,680000.50,321,6.1,336000.1,0\n";
    vec![
        sample("binance", TRADES, "2024-08-08", SPOT.into(), &[
            "2024-08-08T00:00:00.000000Z 3512340001 sell 83143.01000000 x 0.03500000 5153673401..5153673403",
            "2024-08-08T23:59:59.999000Z 3512340002 buy 83143.02000000 x 0.00001000 5153673404..5153673404",
        ]),
        sample("binance", ArchiveData::RawTrades, "2026-10",
            "5153673401,83143.01,0.035,2910.00535,1790812800000001,False,True\n".into(),
            &["2026-10-01T00:00:00.000001Z 5153673401 buy 83143.01 x 0.035"]),
        sample("binance", MINUTE, "2026-10-01",
            "1790812800000000,1,2,0.5,1.5,10,1790812859999999,12.5,7,5,6,0\r\n".into(),
            &["2026-10-01T00:00:00.000000Z 1m 1 2 0.5 1.5 v10 q12.5 n7 t\"5\""]),
        sample("binance-futures", TRADES, "2024-08",
            format!("agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n{}",
                "2369470221,55133.0,0.002,5294000001,5294000001,1723075200123,true"),
            &["2024-08-08T00:00:00.123000Z 2369470221 sell 55133.0 x 0.002 5294000001..5294000001"]),
        sample("binance-futures", ArchiveData::RawTrades, "2024-08-08",
            "id,price,qty,quote_qty,time,is_buyer_maker\n5294000001,55133.0,0.002,110.266,1723075200123,false\n".into(),
            &["2024-08-08T00:00:00.123000Z 5294000001 buy 55133.0 x 0.002"]),
        sample("binance-futures", MINUTE, "2024-08-08", bar.into(),
            &["2024-08-08T00:00:00.000000Z 1m 55133.00 55200.10 55100.00 55150.50 v12.345 q680000.50 n321 t\"6.1\""]),
        sample("binance-futures", ArchiveData::Funding, "2024-08",
            "calc_time,funding_interval_hours,last_funding_rate\n1723075200002,8,-0.00010000\n".into(),
            &["2024-08-08T00:00:00.000000Z -0.00010000 Some(8)"]),
        sample("bybit", TRADES, "2024-08-08",
            "id,timestamp,price,volume,side,rpi\n2100000000007764263,1723075200123,55133.1,1e-05,buy,0\n".into(),
            &["2024-08-08T00:00:00.123000Z 2100000000007764263 buy 55133.1 x 0.00001"]),
        sample("bybit-linear", TRADES, "2024-08-08",
            format!("timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n\
                1723075200.0647,BTCUSDT,Sell,0.002,55133.00,ZeroMinusTick,{UUID},1.10266e+10,0.002,110.266\n"),
            &["2024-08-08T00:00:00.064700Z 20f43950-d8dd-5b31-9112-a178eb6023af sell 55133.00 x 0.002"]),
    ]
}

#[test]
fn files_of_every_venue_and_kind_are_read() {
    for (venue, data, when, text, expect) in samples() {
        assert_eq!(rows(venue, data, when, &text), expect, "{venue} {data:?}");
    }
    for venue in venues::VENUES {
        let Some(archives) = venue.archives() else { continue };
        for data in archives.facts().data {
            let is_sampled = samples().iter().any(|(sampled, of, ..)| {
                let is_bars = matches!((of, data), (ArchiveData::Klines(_), ArchiveData::Klines(_)));
                *sampled == venue.facts().id.as_str() && (of == data || is_bars)
            });
            assert!(is_sampled, "{} {data:?} lacks a sample", venue.facts().id);
        }
    }
}

#[test]
fn the_rest_of_the_row_is_filled_in() {
    let archives = archives("binance");
    let file = archives.file(TRADES, "BTCUSDT", Period::parse("2024-08-08").unwrap()).unwrap();
    let instrument = instrument("binance");
    let mut decoder = archives.decoder(&file, &instrument, RECEIVED).unwrap();
    let mut trades = Vec::new();
    let mut emit = |row: ArchiveRow<'_>| {
        let ArchiveRow::Trade(row) = row else { panic!("{row:?}") };
        trades.push(row.to_trade(&instrument.id, RECEIVED));
    };
    decoder.feed(SPOT.as_bytes(), &mut emit).unwrap();
    let summary = decoder.finish(&mut emit).unwrap();
    assert_eq!((&trades[0].instrument, trades[0].received_time), (&instrument.id, RECEIVED));
    assert_eq!(trades[0].source, model::Source::Archive);
    assert!(summary.is_orderly());
    assert_eq!((summary.row_count, summary.unit, summary.has_header), (2, Some(TimeUnit::Millis), false));
    assert_eq!((summary.first_id, summary.last_id), (Some(3_512_340_001), Some(3_512_340_002)));
    assert_eq!(summary.last_time, Time::parse("2024-08-08T23:59:59.999Z"));
}

#[test]
fn a_bad_file_is_refused_with_line_and_column() {
    let good = "3512340000,1.5,2,1,1,1723075200000,True,True\n";
    let check = |line: &str, expect: &str| {
        let error =
            read("binance", TRADES, "2024-08-08", format!("{good}{line}\n").as_bytes(), 7).unwrap_err();
        assert_eq!(error, expect);
    };
    check(
        "3512340001,x,2,1,1,1723075200000,True,True",
        r#"line 2, column price: "x" is not a decimal number"#,
    );
    check(
        "3512340001,1.5,,1,1,1723075200000,True,True",
        r#"line 2, column quantity: "" is not a decimal number"#,
    );
    check(
        "35 12,1.5,2,1,1,1723075200000,True,True",
        r#"line 2, column agg_trade_id: "35 12" is not a whole number"#,
    );
    check(
        "3512340001,1.5,2,1,1,1723075200000,TRUE,True",
        r#"line 2, column is_buyer_maker: "TRUE" is not true or false"#,
    );
    check(
        "3512340001,1.5,2,1,1,1723075200000,True,Truex",
        r#"line 2, column is_best_match: "Truex" is not true or false"#,
    );
    check(
        "3512340001,1.5,2,1,1,1723075200000,True",
        r#"line 2: "3512340001,1.5,2,1,1,1723075200000,True" 7 columns where 8 should be"#,
    );
    check("", r#"line 2: "" 1 columns where 8 should be"#);
    check("3512340001,-1.5,2,1,1,1723075200000,True,True", r#"line 2: "-1.5,2" is a trade below zero"#);
    check(
        "-3512340001,1.5,2,1,1,1723075200000,True,True",
        r#"line 2, column id: "-3512340001" is no id of a trade"#,
    );
    // Seconds and nanoseconds cannot be true, whichever day it is.
    for (time, shown) in [
        ("1723161600000", "2024-08-09T00:00:00.000000Z"),
        ("1723161600000000", "2024-08-09T00:00:00.000000Z"),
        ("1723075199999", "2024-08-07T23:59:59.999000Z"),
        ("1723075200", "1970-01-20T22:37:55.200000Z"),
    ] {
        let line = format!("3512340001,1.5,2,1,1,{time},True,True");
        check(
            &line,
            &format!(
                r#"line 2, column time: "{shown}" lies outside 2024-08-08, which the file's name claims"#
            ),
        );
    }
    check(
        &"9".repeat(5_000),
        &format!("line 2: \"{}\" goes on beyond 4096 bytes without an end of line", "9".repeat(120)),
    );
}

#[test]
fn a_wrong_header_is_one_refusal_of_the_whole_file() {
    let check = |venue: &str, text: &str, expect: &str| {
        assert_eq!(read(venue, TRADES, "2024-08-08", text.as_bytes(), 10).unwrap_err(), expect, "{text}");
    };
    check(
        "binance-futures",
        "agg_trade_id,price,amount,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n",
        r#"line 1, column quantity: "amount" is no name of this column; known: quantity"#,
    );
    check("binance-futures", "1,2\n", r#"line 1: "1,2" has 2 columns where 7 should be"#);
    check("bybit-linear", "<html>", r#"line 1: "<html>" has 1 columns where 10 should be"#);
    check(
        "bybit",
        "id,timestamp,price,volume,side,maker\n1,2,3,4,buy,0\n",
        r#"line 1, column rpi: "maker" is no name of this column; known: rpi"#,
    );
    // A spot file among the futures: one column more.
    check(
        "binance-futures",
        SPOT,
        &format!("line 1: {:?} has 8 columns where 7 should be", SPOT.lines().next().unwrap()),
    );
    let other = format!("1723075200.0647,ETHUSDT,Sell,1,1,x,{UUID},1,1,1\n");
    check("bybit-linear", &other, r#"line 1, column symbol: "ETHUSDT" is not the symbol of the file"#);
    let side = format!("1723075200.0647,BTCUSDT,sold,1,1,x,{UUID},1,1,1\n");
    check("bybit-linear", &side, r#"line 1, column side: "sold" is not Buy or Sell"#);
}

/// Aggregates with these ids, a second apart.
fn numbered(ids: &[i64]) -> String {
    ids.iter().enumerate().fold(String::new(), |mut text, (place, id)| {
        writeln!(text, "{id},1.5,2,{id},{id},{},true", 1_723_075_200_000 + place as i64 * 1_000).unwrap();
        text
    })
}

#[test]
fn ids_that_repeat_jump_or_go_back_are_found() {
    let summary = summary("binance-futures", TRADES, "2024-08-08", &numbered(&[5, 6, 6, 9, 10, 7, 8, 11]));
    let place = |line, value| Place { line, value };
    assert_eq!((summary.repeated.count, &summary.repeated.first[..]), (1, &[place(3, 6)][..]));
    assert_eq!((summary.back.count, &summary.back.first[..]), (1, &[place(6, 7)][..]));
    assert_eq!((summary.jumps.first[..].to_vec(), summary.jumped), (vec![place(4, 9), place(8, 11)], 4));
    assert_eq!((summary.first_id, summary.last_id, summary.row_count), (Some(5), Some(11), 8));
    assert!(!summary.is_orderly());
}

#[test]
fn many_findings_are_counted_and_few_are_kept() {
    let ids: Vec<i64> = (0..1_000).map(|place| place * 3).collect();
    let summary = summary("binance-futures", TRADES, "2024-08-08", &numbered(&ids));
    assert_eq!((summary.jumps.count, summary.jumps.first.len(), summary.jumped), (999, 8, 1_998));
}

#[test]
fn placeholders_keep_their_id_and_are_no_trades() {
    let text = "7,0.00000000,0.00000000,-1,-1,1723075200000,True,True\n8,1,1,9,9,1723075200000,True,True\n";
    assert_eq!(
        rows("binance", TRADES, "2024-08-08", text),
        ["2024-08-08T00:00:00.000000Z 7 blank", "2024-08-08T00:00:00.000000Z 8 sell 1 x 1 9..9"]
    );
    assert_eq!(summary("binance", TRADES, "2024-08-08", text).blank.count, 1);
}

#[test]
fn both_units_in_one_file_are_told_apart_and_reported() {
    let text = "7,1,1,9,9,1723075200000,True,True\n8,1,1,9,9,1723075200000500,True,True\n";
    let times = rows("binance", TRADES, "2024-08-08", text);
    assert!(times[1].starts_with("2024-08-08T00:00:00.000500Z"), "{times:?}");
    assert_eq!(summary("binance", TRADES, "2024-08-08", text).unit, Some(TimeUnit::Mixed));
}

#[test]
fn times_that_go_back_are_found() {
    let rows = format!(
        "1723075200.5,BTCUSDT,Sell,1,1,x,{UUID},1,1,1\n1723075200.25,BTCUSDT,Buy,1,1,x,{UUID},1,1,1\n"
    );
    let summary = summary("bybit-linear", TRADES, "2024-08-08", &rows);
    assert_eq!((summary.back_in_time.count, summary.back.count, summary.first_id), (1, 0, None));
    assert_eq!(summary.first_time, Time::parse("2024-08-08T00:00:00.25Z"));
}

#[test]
fn odd_bars_are_found() {
    let bar = |open: i64, close: i64| format!("{open},1,2,0.5,1.5,10,{close},12.5,7,5,6,0\n");
    let start = 1_723_075_200_000;
    let text = bar(start, start + 59_999)
        + &bar(start + 60_000, start + 100_000)
        + &bar(start + 125_000, start + 185_000);
    let (rows, summary) = read("binance", MINUTE, "2024-08-08", text.as_bytes(), 64).unwrap();
    assert_eq!((rows.len(), summary.odd_end.count, summary.odd_start.count), (2, 1, 1));
    assert_eq!(summary.odd_start.first[0].line, 3);
    let text =
        bar(start, start + 59_999) + &bar(start, start + 59_999) + &bar(start + 240_000, start + 299_999);
    let (_, summary) = read("binance", MINUTE, "2024-08-08", text.as_bytes(), 64).unwrap();
    assert_eq!((summary.repeated.count, summary.jumps.count, summary.jumped), (1, 1, 3));
    let crossed = bar(start, start + 59_999).replace("0.5", "1.7");
    let error = read("binance", MINUTE, "2024-08-08", crossed.as_bytes(), 64).unwrap_err();
    assert_eq!(error, r#"line 1: "1,2,1.7,1.5" are no prices of one bar"#);
}

#[test]
fn an_empty_file_has_no_rows() {
    for text in
        ["", "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"]
    {
        let summary = summary("binance-futures", TRADES, "2024-08-08", text);
        assert_eq!((summary.row_count, summary.unit, summary.has_header), (0, None, !text.is_empty()));
    }
}

#[test]
fn recorded_bars_are_read_and_a_missing_hour_shows() {
    let Some(folder) = std::env::var_os("TICKHOUSE_RECORDINGS").map(std::path::PathBuf::from) else {
        eprintln!("skipped: TICKHOUSE_RECORDINGS is not set");
        return;
    };
    for (month, expect) in
        [("2023-01", 744), ("2023-02", 672), ("2023-03", 743), ("2023-04", 720), ("2023-05", 744)]
    {
        let path = folder.join(format!("archives/binance-klines-csv/BTCUSDT-1h-{month}.csv"));
        let text = std::fs::read(path).unwrap();
        let (rows, summary) = read("binance", HOUR, month, &text, 4_096).unwrap();
        assert_eq!((rows.len(), summary.row_count), (expect, expect as u64), "{month}");
        assert_eq!((summary.odd_start.count, summary.back_in_time.count, summary.has_header), (0, 0, true));
        // On 2023-03-24 the exchange stood still: one bar ends early, and the next hour has none.
        let jumped = (summary.jumps.count, summary.jumped, summary.repeated.count);
        assert_eq!(jumped, if month == "2023-03" { (1, 1, 0) } else { (0, 0, 0) }, "{month}");
        let odd: Vec<Place> = summary.odd_end.first;
        let expect = [Place { line: 566, value: 1_679_661_581_646_000 }];
        assert_eq!(odd, if month == "2023-03" { &expect[..] } else { &[] }, "{month}");
    }
}

proptest! {
    #[test]
    fn any_pieces_give_the_same_rows(piece in 1_usize..200) {
        for (venue, data, when, text, expect) in samples() {
            let whole = read(venue, data, when, text.as_bytes(), usize::MAX).unwrap();
            prop_assert_eq!(&whole.0, &expect);
            prop_assert_eq!(&read(venue, data, when, text.as_bytes(), piece).unwrap(), &whole);
        }
    }

    #[test]
    fn what_is_written_is_read(
        trades in prop::collection::vec((0_i64..1_000_000_000_000, 1_i64..i64::MAX / 2, 0_u8..19, 1_i64..1_000_000_000, any::<bool>(), 0_i64..86_400_000_000), 0..50),
        piece in 1_usize..300,
    ) {
        let (mut text, mut expect) = (String::new(), Vec::new());
        for (id, price, scale, quantity, is_sell, at) in trades {
            let (price, time) = (Decimal::new(i128::from(price), scale), 1_723_075_200_000_000 + at);
            let flag = if is_sell { "True" } else { "False" };
            writeln!(text, "{id},{price},{quantity},{id},{id},{time},{flag},False").unwrap();
            let side = if is_sell { "sell" } else { "buy" };
            expect.push(format!("{} {id} {side} {price} x {quantity} {id}..{id}", Time(time)));
        }
        let (rows, summary) = read("binance", TRADES, "2024-08-08", text.as_bytes(), piece).unwrap();
        prop_assert_eq!(summary.row_count as usize, expect.len());
        prop_assert_eq!(rows, expect);
    }

    #[test]
    fn changed_bytes_and_noise_never_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), end in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..300), piece in 1_usize..100,
    ) {
        for (venue, data, when, text, _) in samples() {
            let mut text = text.into_bytes();
            let place = at.index(text.len());
            text[place] = byte;
            let _ = read(venue, data, when, &text, piece);
            let _ = read(venue, data, when, &text[..end.index(text.len())], piece);
            let _ = read(venue, data, when, &noise, piece);
        }
    }
}

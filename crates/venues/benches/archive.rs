//! Speed of reading rows of archive files, unpacked, in pieces as an unpacker gives them.
//!
//! `cargo bench -p venues --bench archive`

use std::fmt::Write;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use model::{Instrument, InstrumentId, InstrumentKind, Time, Timeframe, VenueId};
use venues::archive::{ArchiveData, ArchiveRow, Period};

const ROWS: i64 = 200_000;
/// What an unpacker hands over at once.
const PIECE: usize = 64 * 1_024;
const RECEIVED: Time = Time(1_795_000_000_000_000);
/// 2026-10-01 in microseconds.
const START: i64 = 1_790_812_800_000_000;

fn main() {
    divan::main();
}

#[derive(Clone, Copy, Debug)]
enum File {
    SpotAggregates,
    FuturesAggregates,
    SpotTrades,
    BybitSpot,
    BybitLinear,
    Klines,
}

const FILES: [File; 6] = [
    File::SpotAggregates,
    File::FuturesAggregates,
    File::SpotTrades,
    File::BybitSpot,
    File::BybitLinear,
    File::Klines,
];

fn line(file: File, row: i64, text: &mut String) {
    let id = 3_512_340_001 + row;
    let (cents, quantity) = (8_314_301 + row * 37 % 90_001, 1 + row * 7_919 % 350_000);
    let price = format!("{}.{:02}", cents / 100, cents % 100);
    let at = START + row * 431_000 % 86_400_000_000;
    let (millis, sell) = (at / 1_000, row % 3 == 0);
    let flag = |yes: &'static str, no: &'static str| if sell { yes } else { no };
    let maker = flag("True", "False");
    let written = match file {
        File::SpotAggregates => {
            writeln!(text, "{id},{price}000000,0.{quantity:08},{id},{},{at},{maker},True", id + 1)
        }
        File::FuturesAggregates => {
            writeln!(text, "{id},{price},{quantity}.5,{id},{},{millis},{}", id + 1, flag("true", "false"))
        }
        File::SpotTrades => {
            writeln!(text, "{id},{price}000000,0.{quantity:08},2910.00535000,{at},{maker},True")
        }
        File::BybitSpot => writeln!(text, "{id},{millis},{price},0.{quantity:06},{}", flag("sell", "buy")),
        File::BybitLinear => writeln!(
            text,
            "{}.{:04},BTCUSDT,{},{quantity}.5,{price},ZeroMinusTick,20f43950-d8dd-5b31-9112-a178{:08x},1.1e+10,0.002,110.266",
            millis / 1_000,
            millis % 1_000 * 10,
            flag("Sell", "Buy"),
            id
        ),
        File::Klines => {
            let open = START + row % 1_440 * 60_000_000;
            let end = open + 59_999_999;
            writeln!(
                text,
                "{open},{price},99999.9,1.1,{price},{quantity}.5,{end},9709518.16030000,3885,83.949,6975456.42970000,0"
            )
        }
    };
    written.expect("a string takes everything");
}

/// Venue, kind and text of a file.
fn file(file: File) -> (&'static str, ArchiveData, Vec<u8>) {
    let mut text = String::new();
    for row in 0..ROWS {
        line(file, row, &mut text);
    }
    let (venue, data) = match file {
        File::SpotAggregates => ("binance", ArchiveData::Trades),
        File::FuturesAggregates => ("binance-futures", ArchiveData::Trades),
        File::SpotTrades => ("binance", ArchiveData::RawTrades),
        File::BybitSpot => ("bybit", ArchiveData::Trades),
        File::BybitLinear => ("bybit-linear", ArchiveData::Trades),
        File::Klines => ("binance", ArchiveData::Klines(Timeframe::MINUTE)),
    };
    (venue, data, text.into_bytes())
}

fn instrument(venue: VenueId) -> Instrument {
    Instrument::named(InstrumentId::new(venue, "BTC", "USDT", InstrumentKind::Spot), "BTCUSDT")
}

#[divan::bench(args = FILES, sample_count = 30, sample_size = 1)]
fn rows(bencher: Bencher<'_, '_>, kind: File) {
    let (venue, data, text) = file(kind);
    let venue = VenueId::known(venue).expect("known");
    let archives = venues::venue(venue).expect("listed").archives().expect("has files");
    let day = Period::day(Time(START).date());
    let file = archives.file(data, "BTCUSDT", day).expect("makes such files");
    let instrument = instrument(venue);
    bencher.counter(ItemsCount::new(ROWS as usize)).counter(BytesCount::new(text.len())).bench_local(|| {
        let mut decoder = archives.decoder(&file, &instrument, RECEIVED).expect("reads such files");
        let mut emit = |row: ArchiveRow<'_>| {
            divan::black_box(&row);
        };
        for piece in text.chunks(PIECE) {
            decoder.feed(piece, &mut emit).expect("good rows");
        }
        decoder.finish(&mut emit).expect("a whole file")
    });
}

//! Cases for archive files: plain ones, ones that overlap what is stored, and bad ones.

use std::fmt::Write;
use std::sync::Arc;

use model::{Channel, Decimal, Instrument, LogPosition, Side, Source, Time, Timeframe, Trade, VenueId};
use tables::{RowBatch, Rows, TableName, TableStore};
use venues::archive::{ArchiveData, ArchiveFile, Archives, Period};

use super::{Frontier, ImportAsk, ImportDoors, ImportError, ImportReport, import, import_trades};
use crate::fakes::{FakeBulk, FakeStore};

/// 2024-08-08T00:00:00Z in milliseconds.
const DAY_MS: i64 = 1_723_075_200_000;

fn archives(venue: &str) -> &'static dyn Archives {
    VenueId::known(venue).and_then(venues::venue).and_then(venues::Venue::archives).expect("it has archives")
}

fn instrument(id: &str) -> Instrument {
    Instrument::named(id.parse().unwrap(), "BTCUSDT")
}

struct Shop {
    store: Arc<FakeStore>,
    runtime: tokio::runtime::Runtime,
    frontier: Option<Frontier>,
}

impl Shop {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { store: Arc::default(), runtime, frontier: None }
    }

    fn import(&self, data: ArchiveData, day: &str, text: &str) -> Result<ImportReport, ImportError> {
        self.import_of("binance", "binance:BTC-USDT", (data, day), text)
    }

    fn doors(&self) -> ImportDoors {
        ImportDoors {
            store: self.store.clone(),
            bulk: Arc::new(FakeBulk(self.store.clone())),
            runtime: self.runtime.handle().clone(),
        }
    }

    /// Trades that came over REST.
    fn paged(&self, ids: impl Iterator<Item = i64>) -> ImportReport {
        let id = "binance:BTC-USDT".parse().unwrap();
        import_trades(&self.doors(), &id, ids.map(trade).collect(), (Source::Rest, Time(DAY_MS * 1_000 + 9)))
            .unwrap()
    }

    fn import_of(
        &self,
        venue: &str,
        id: &str,
        (data, day): (ArchiveData, &str),
        text: &str,
    ) -> Result<ImportReport, ImportError> {
        let archives = archives(venue);
        let file: ArchiveFile = archives.file(data, "BTCUSDT", Period::parse(day).unwrap()).unwrap();
        let doors = self.doors();
        let instrument = instrument(id);
        let ask = ImportAsk {
            archives,
            file: &file,
            instrument: &instrument,
            received: Time(DAY_MS * 1_000 + 7),
            frontier: self.frontier,
        };
        import(&doors, &ask, &mut text.as_bytes())
    }

    /// Ids and sources of the stored trades, by time.
    fn trades(&self) -> Vec<String> {
        let rows = self.store.seen(TableName::Trades);
        let mut told: Vec<(i64, String)> = rows
            .iter()
            .map(|row| {
                let cells: Vec<&str> = row.split(' ').skip(1).collect();
                (cells[0].parse().unwrap(), format!("{} {}", cells[1], cells.last().unwrap()))
            })
            .collect();
        told.sort();
        told.into_iter().map(|(_, text)| text).collect()
    }

    fn bars(&self) -> Vec<String> {
        self.store.seen(TableName::Bars)
    }

    /// A trade that came by stream.
    fn streamed(&self, ids: impl Iterator<Item = i64>) {
        let rows = Rows::Trades(ids.map(trade).collect());
        let positions: Vec<_> = (1..=rows.len() as u64).map(LogPosition).collect();
        let last = *positions.last().unwrap();
        self.store.append(RowBatch { table: TableName::Trades, batch: rows.to_batch(), positions }).unwrap();
        self.runtime.block_on(self.store.commit(last)).unwrap();
    }
}

fn trade(id: i64) -> Trade {
    Trade {
        instrument: "binance:BTC-USDT".parse().unwrap(),
        venue_time: Time((DAY_MS + id * 10_000) * 1_000),
        trade_id: Some(id),
        venue_trade_id: None,
        price: Decimal::new(6_000_000 + i128::from(id * 7 % 100), 2),
        quantity: Decimal::new(1 + i128::from(id % 5), 3),
        taker_side: if id % 2 == 0 { Side::Sell } else { Side::Buy },
        first_trade_id: Some(2 * id),
        last_trade_id: Some(2 * id + 1),
        condition: model::Condition::Market,
        received_time: Time(1),
        source: Source::Stream,
    }
}

/// Rows as Binance spot publishes aggregates: one every ten seconds.
fn csv(ids: impl Iterator<Item = i64>) -> String {
    let mut text = String::new();
    for id in ids {
        let trade = trade(id);
        let maker = if trade.taker_side == Side::Sell { "True" } else { "False" };
        let (first, last, ms) = (2 * id, 2 * id + 1, DAY_MS + id * 10_000);
        writeln!(text, "{id},{},{},{first},{last},{ms},{maker},True", trade.price, trade.quantity).unwrap();
    }
    text
}

const DAY: &str = "2024-08-08";

#[test]
fn a_plain_file_becomes_trades_and_bars() {
    let shop = Shop::new();
    let report = shop.import(ArchiveData::Trades, DAY, &csv(1..25)).unwrap();
    assert_eq!((report.added, report.known, report.duplicates, report.bars), (24, 0, 0, 5));
    assert_eq!((report.ids, report.holes.len()), (vec![(1, 24)], 0));
    assert_eq!(shop.trades().len(), 24);
    // Minutes of six trades; the first begins at the tenth second.
    let first = &shop.bars()[0];
    assert!(first.starts_with("binance:BTC-USDT 1m 1723075200000000 trades 60000.07 60000.35"), "{first}");
}

#[test]
fn single_trades_are_taken_like_aggregates_and_their_holes_told_apart() {
    let shop = Shop::new();
    let rows: Vec<String> = [1, 2, 5, 6]
        .map(|id| {
            let trade = trade(id);
            let (price, quantity, ms) = (trade.price, trade.quantity, DAY_MS + id * 10_000);
            format!("{id},{price},{quantity},1.0,{ms},True,True")
        })
        .into();
    let report = shop.import(ArchiveData::RawTrades, DAY, &rows.join("\n")).unwrap();
    assert_eq!((report.added, report.holes.len(), report.bars), (4, 1, 2));
    let of = |channel| {
        let id = "binance:BTC-USDT".parse().unwrap();
        shop.runtime.block_on(super::gaps(shop.store.as_ref(), &id, channel, None)).unwrap().len()
    };
    assert_eq!((of(Channel::RawTrades), of(Channel::Trades)), (1, 0));
}

#[test]
fn a_file_that_is_imported_again_changes_nothing() {
    let shop = Shop::new();
    shop.import(ArchiveData::Trades, DAY, &csv(1..25)).unwrap();
    let (trades, bars) = (shop.trades(), shop.bars());
    let report = shop.import(ArchiveData::Trades, DAY, &csv(1..25)).unwrap();
    assert_eq!((report.added, report.known), (24, 0));
    assert_eq!((shop.trades(), shop.bars()), (trades, bars));
}

#[test]
fn what_came_by_stream_stays_and_bars_hold_both() {
    let (whole, shop) = (Shop::new(), Shop::new());
    whole.import(ArchiveData::Trades, DAY, &csv(1..25)).unwrap();
    shop.streamed(8..12);
    // The file lacks two of the trades that were streamed.
    let report = shop.import(ArchiveData::Trades, DAY, &csv((1..9).chain(11..25))).unwrap();
    assert_eq!((report.added, report.known, report.holes.len()), (20, 2, 0));
    assert_eq!(shop.bars(), whole.bars());
    let told = shop.trades();
    assert_eq!(told.len(), 24);
    assert_eq!(told[7..11], ["8 stream", "9 stream", "10 stream", "11 stream"]);
    assert_eq!(told[6], "7 archive");
}

#[test]
fn disorder_and_repetition_are_told_and_mended() {
    let (whole, shop) = (Shop::new(), Shop::new());
    whole.import(ArchiveData::Trades, DAY, &csv(1..25)).unwrap();
    let report = shop.import(ArchiveData::Trades, DAY, &csv((13..25).chain(1..13).chain(5..8))).unwrap();
    assert_eq!((report.added, report.duplicates, report.holes.len()), (24, 3, 0));
    assert_eq!((report.summary.back.count, shop.bars()), (2, whole.bars()));
    assert_eq!(shop.trades(), whole.trades());
}

#[test]
fn ids_that_are_nowhere_are_holes_with_their_times() {
    let shop = Shop::new();
    shop.streamed(9..10);
    let report = shop.import(ArchiveData::Trades, DAY, &csv((1..5).chain(7..9).chain(12..25))).unwrap();
    let told: Vec<_> = report
        .holes
        .iter()
        .map(|hole| {
            (hole.first_id, hole.last_id, hole.first_time.millis() - DAY_MS, hole.last_time.millis() - DAY_MS)
        })
        .collect();
    assert_eq!(told, [(5, 6, 40_000, 70_000), (10, 11, 80_000, 120_000)]);
    let gaps = shop.store.seen(TableName::Gaps);
    assert_eq!(gaps.len(), 2);
    assert!(gaps[0].contains("5 6") && gaps[0].contains("missing not_in_archive"), "{gaps:?}");
}

#[test]
fn a_rewritten_file_replaces_what_the_first_one_brought() {
    let shop = Shop::new();
    shop.import(ArchiveData::Trades, DAY, &csv(1..20)).unwrap();
    shop.import(ArchiveData::Trades, DAY, &csv(1..25)).unwrap();
    assert_eq!(shop.trades().len(), 24);
    assert_eq!(shop.bars().len(), 5);
}

#[test]
fn holes_that_a_rewritten_file_filled_stayed_missing() {
    let shop = Shop::new();
    shop.import(ArchiveData::Trades, DAY, &csv((1..5).chain(9..15).chain(18..25))).unwrap();
    let told = || -> Vec<String> {
        let gaps = shop.store.seen(TableName::Gaps);
        let cells = gaps.iter().map(|row| row.split(' ').skip(3).collect::<Vec<_>>());
        cells.map(|cells| [cells[0], cells[1], cells[3]].join(" ")).collect()
    };
    assert_eq!(told(), ["5 8 missing", "15 17 missing"]);
    shop.import(ArchiveData::Trades, DAY, &csv((1..7).chain(9..25))).unwrap();
    let mut told = told();
    told.sort();
    assert_eq!(told, ["15 17 filled", "5 6 filled", "7 8 missing"]);
}

#[test]
fn past_and_recording_meet_in_the_middle_of_a_minute() {
    let (whole, mut shop) = (Shop::new(), Shop::new());
    whole.import(ArchiveData::Trades, DAY, &csv(1..40)).unwrap();
    shop.streamed(20..40);
    // What the recording made of its first minute: the trades from the twentieth on.
    let partial = Shop::new();
    partial.import(ArchiveData::Trades, DAY, &csv(20..40)).unwrap();
    shop.store.adopt(TableName::Bars, &partial.store);
    shop.frontier = Some(Frontier { id: Some(20), time: trade(20).venue_time });
    let report = shop.import(ArchiveData::Trades, DAY, &csv(1..40)).unwrap();
    assert_eq!((report.added, report.beyond, report.known, report.holes.len()), (19, 20, 0, 0));
    assert_eq!((shop.trades().len(), report.bars), (39, 4), "three whole minutes and the common one");
    let bars = |shop: &Shop| -> Vec<String> {
        shop.bars().iter().map(|bar| bar.split(' ').take(11).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(bars(&shop), bars(&whole));
    let again = shop.import(ArchiveData::Trades, DAY, &csv(1..40)).unwrap();
    assert_eq!((again.added, again.bars, shop.trades().len()), (19, 0, 39));
    shop.frontier = Some(Frontier { id: None, time: Time(DAY_MS * 1_000 - 1) });
    let error = shop.import(ArchiveData::Trades, DAY, &csv(1..40)).unwrap_err();
    assert!(matches!(error, ImportError::Beyond), "{error}");
}

#[test]
fn pages_fill_holes_and_mend_their_bars() {
    let (whole, shop) = (Shop::new(), Shop::new());
    whole.import(ArchiveData::Trades, DAY, &csv(1..400)).unwrap();
    shop.import(ArchiveData::Trades, DAY, &csv((1..5).chain(9..300).chain(302..400))).unwrap();
    let report = shop.paged((4..10).chain(300..302));
    assert_eq!((report.added, report.known, report.bars), (6, 2, 3));
    let figures = |shop: &Shop| -> Vec<String> {
        shop.bars().iter().map(|bar| bar.split(' ').take(11).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(figures(&shop), figures(&whole));
    assert_eq!(shop.trades()[3..5], ["4 archive", "5 rest"]);
    let again = shop.paged(4..10);
    assert_eq!((again.added, again.known, again.bars, shop.trades().len()), (0, 6, 0, 399));
}

#[test]
fn nothing_of_a_bad_file_is_seen() {
    let shop = Shop::new();
    let good = csv(1..2_000);
    for (bad, words) in [
        (good.replace("\n1999,", "\nx999,"), "line 1999"),
        (format!("{good}3,1.0\n"), "line 2000"),
        (csv(8_635..8_650), "line 6"),
        (String::new(), "it holds no rows"),
        ("no,such,header\n".to_owned(), "3 columns"),
    ] {
        let error = shop.import(ArchiveData::Trades, DAY, &bad).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!((shop.trades().len(), shop.bars().len()), (0, 0));
    shop.store.set_stuck(true);
    assert!(matches!(shop.import(ArchiveData::Trades, DAY, &good), Err(ImportError::Store(_))));
    assert_eq!(shop.trades().len(), 0);
}

#[test]
fn klines_are_the_venues_bars_and_lacking_ones_are_counted() {
    let shop = Shop::new();
    let mut text = String::new();
    for minute in (0..1_440).filter(|minute| !(600..660).contains(minute)) {
        let open = DAY_MS + minute * 60_000;
        writeln!(text, "{open},1,4,0.5,2,10,{},20,7,4,8,0", open + 59_999).unwrap();
    }
    let report = shop.import(ArchiveData::Klines(Timeframe::MINUTE), DAY, &text).unwrap();
    assert_eq!((report.bars, report.missing_bars, report.duplicates), (1_380, 60, 0));
    assert_eq!(shop.bars().len(), 1_380);
    assert!(shop.bars()[0].contains(" venue 1 4 0.5 2 10 20 7 4 "), "{}", shop.bars()[0]);
}

#[test]
fn text_ids_are_told_apart_too() {
    let shop = Shop::new();
    let header =
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional\n";
    let row = |id: &str, second: i64| {
        let time = DAY_MS / 1_000 + second;
        format!("{time}.1234,BTCUSDT,Buy,0.001,60000.5,PlusTick,{id},6000050000.0,0.001,60.0005\n")
    };
    let ids = ["5f1d6a1c-0d5b-5a5e-9c1b-4f3d2c1b0a99", "6f1d6a1c-0d5b-5a5e-9c1b-4f3d2c1b0a99"];
    let text = [header, &row(ids[0], 1), &row(ids[1], 2), &row(ids[0], 1)].concat();
    let ask = (ArchiveData::Trades, DAY);
    for bars in [1, 0] {
        let report = shop.import_of("bybit-linear", "bybit-linear:BTC-USDT-PERP", ask, &text).unwrap();
        assert_eq!((report.added, report.duplicates, report.bars), (2, 1, bars));
        assert_eq!(shop.trades().len(), 2);
    }
}

//! Cases for the thread: a real log on disk, a store in memory, readers at every door.

use std::sync::Arc;
use std::time::Duration;

use model::{Channel, Timeframe, Wish};
use rawlog::{Log, LogSettings};
use runtime::{Receiver, SystemClock, Tasks};
use tables::{CandleAsk, DataQuality, News, Past, TableName, TableStore, TimeRange, TradeKey};
use tempfile::TempDir;

use crate::fakes::{self, FakeStore, Script};
use crate::{Doors, Refine, RefineSettings, start_with};

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    folder: TempDir,
    store: Arc<FakeStore>,
}

struct Process {
    tasks: Tasks,
    log: Log,
    refine: Refine,
    wishes: Receiver<Wish>,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), store: Arc::default() }
    }

    fn settings(&self) -> RefineSettings {
        RefineSettings { state_directory: self.folder.path().join("state"), ..fakes::settings() }
    }

    fn start(&self) -> Process {
        self.start_with(self.settings())
    }

    fn start_with(&self, refining: RefineSettings) -> Process {
        let tasks = Tasks::new();
        let clock = SystemClock::shared();
        let settings = LogSettings::new(self.folder.path().join("log"));
        let (log, _) = Log::open(settings, Arc::clone(&clock), &tasks).unwrap();
        let (sender, wishes) = runtime::queue("test.wishes", 64);
        let store = Arc::clone(&self.store) as Arc<dyn TableStore>;
        let doors = Doors { log: log.clone(), store, wishes: sender, clock };
        let refine = start_with(refining, doors, &tasks, fakes::lookup).unwrap();
        Process { tasks, log, refine, wishes }
    }
}

impl Process {
    async fn write(&self, script: &Script, after: usize) {
        self.log.append_many(script.new_records().split_off(after)).await.unwrap();
    }

    /// Waits until everything written is refined.
    async fn catch_up(&self, position: u64) {
        let done = async {
            while self.refine.refined().0 < position {
                runtime::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(runtime::clock::within(PATIENCE, done).await.is_some(), "refined {}", self.refine.refined());
    }
}

fn ask(timeframe: &str, limit: usize) -> CandleAsk {
    let instrument = "binance:BTC-USDT".parse().unwrap();
    CandleAsk { instrument, timeframe: timeframe.parse::<Timeframe>().unwrap(), range: None, limit }
}

fn minutes() -> Script {
    let mut script = Script::started("binance").at(60_000);
    for minute in 1..=10_i64 {
        let ms = minute * 60_000 + 5;
        script = script.at(ms).say(&format!("trade BTC {minute} {ms} {} 1", 100 + minute));
    }
    script.pass(250)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_become_rows_news_candles_and_coverage() {
    let world = World::new();
    let process = world.start();
    let mut reader = process.refine.feed().subscribe();
    let script = minutes();
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    assert_eq!(world.store.rows(TableName::Trades).len(), 10);
    let mut trades = 0;
    while trades < 10 {
        let batch = runtime::clock::within(PATIENCE, reader.next()).await.unwrap().unwrap().unwrap();
        trades += batch.iter().filter(|item| matches!(item.news, News::Trade(_))).count();
    }
    let answer = process.refine.candles().candles(ask("5m", 2)).await.unwrap();
    let prices: Vec<_> =
        answer.candles.iter().map(|candle| format!("{} {}", candle.bar.open, candle.bar.close)).collect();
    assert_eq!(prices, ["105 109", "110 110"]);
    assert!(answer.candles[0].is_complete);
    assert_eq!(answer.coverage.quality, DataQuality::Complete);
    let instrument = "binance:BTC-USDT".parse().unwrap();
    assert_eq!(process.refine.coverage().newest_trade(&instrument).unwrap().0, 10);
    let newest = process.refine.candles().newest(&instrument, Timeframe::Minutes(3)).unwrap();
    assert_eq!((newest.bar.open.to_string(), newest.bar.close.to_string()), ("109".into(), "110".into()));
    let market = process.refine.market();
    assert_eq!(market.resolve("btc/usdt", instrument.venue()).unwrap().id, instrument);
    assert_eq!(process.refine.lines()[0].trades_total, 10);
    assert!(process.tasks.close(PATIENCE).await.is_empty());
    assert!(world.store.buffered().0 == 0, "everything is committed at the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_the_state_and_asks_again_for_what_is_open() {
    let world = World::new();
    let script = minutes().say("trade BTC 15 605000 100 1").pass(1_000);
    let half = script.records.len();
    let process = world.start();
    process.write(&script, 0).await;
    process.catch_up(half as u64).await;
    process.refine.flush_now().await;
    assert_eq!(process.refine.committed().0, half as u64);
    process.tasks.close(PATIENCE).await;

    let mut process = world.start();
    let wish = runtime::clock::within(PATIENCE, process.wishes.receive()).await.unwrap().unwrap();
    assert!(matches!(wish, Wish::Fill(gap) if gap.first_id == Some(11) && gap.last_id == Some(14)));
    let script = script.session().open(1, &["BTC@trades"]).say("trade BTC 16 606000 100 1").tick();
    process.write(&script, half).await;
    process.catch_up(script.records.len() as u64).await;
    assert_eq!(world.store.rows(TableName::Trades).len(), 12);
    // Twenty months are read piece by piece, but the newest one stays in memory to be followed.
    process.refine.candles().candles(ask("1M", 20)).await.unwrap();
    let instrument = "binance:BTC-USDT".parse().unwrap();
    let month = process.refine.candles().newest(&instrument, Timeframe::Month).unwrap();
    assert_eq!(month.bar.trade_count, Some(12));
    let candles = process.refine.candles().candles(ask("1m", 20)).await.unwrap();
    assert_eq!(candles.candles.len(), 10, "bars of before the restart are read from the store");
    assert_eq!(candles.coverage.quality, DataQuality::Partial);
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trade_too_late_for_memory_has_its_minute_folded_from_the_store() {
    let world = World::new();
    let process = world.start();
    let mut script = Script::started("binance").say("trade BTC 1 1000 100 1\ntrade BTC 3 2000 101 1");
    for minute in 1..=70_i64 {
        let ms = minute * 60_000;
        script = script.at(ms).say(&format!("trade BTC {} {ms} 100 1", minute + 3));
        if minute == 1 {
            script = script.outcome("binance:BTC-USDT", Some((2, 2)), 1_000, "done").tick();
            script = script.outcome("binance:BTC-USDT", Some((2, 2)), 1_000, "done");
        }
    }
    let script = script.say("trade BTC 2 1500 50 1").tick();
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    let instrument: model::InstrumentId = "binance:BTC-USDT".parse().unwrap();
    let first = CandleAsk {
        range: Some(TimeRange { start: model::Time(0), end: model::Time(60_000_000) }),
        ..ask("1m", 1)
    };
    let answer = process.refine.candles().candles(first).await.unwrap();
    let bar = &answer.candles[0].bar;
    assert_eq!(
        (bar.low.to_string(), bar.trade_count, bar.revision),
        ("50".into(), Some(3), 1),
        "{instrument}"
    );
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_row_buffer_makes_refining_wait_and_loses_nothing() {
    let store = Arc::new(FakeStore::with_room(40));
    let world = World { folder: tempfile::tempdir().unwrap(), store };
    let process = world.start();
    let mut script = minutes();
    for step in 0..60 {
        script = script.trades([11 + step], 605_000 + step);
    }
    for part in 0..script.records.len() {
        let one = script.new_records().swap_remove(part);
        process.log.append(one).await.unwrap();
        runtime::sleep(Duration::from_millis(1)).await;
    }
    process.catch_up(script.records.len() as u64).await;
    assert_eq!(world.store.rows(TableName::Trades).len(), 70);
    assert!(world.store.commits() > 1);
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_start_the_newest_candles_before_the_end_are_meant() {
    let world = World::new();
    let process = world.start();
    let script = minutes().at(7_200_000).say("trade BTC 11 7200000 200 1").tick();
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    let candles = process.refine.candles();
    let closes = async |limit, end: i64| {
        let range = TimeRange { start: model::Time(0), end: model::Time(end) };
        let answer = candles.candles(CandleAsk { range: Some(range), ..ask("1m", limit) }).await.unwrap();
        let closes: Vec<_> = answer.candles.iter().map(|candle| candle.bar.close.to_string()).collect();
        (closes.join(" "), answer.coverage.range.start.0 / 60_000_000)
    };
    assert_eq!(closes(2, 360_000_000).await, ("104 105".into(), 4));
    assert_eq!(closes(1, 360_000_001).await, ("106".into(), 6));
    assert_eq!(closes(3, i64::MAX).await, ("110 110 200".into(), 118), "quiet minutes are empty");
    assert_eq!(closes(5, 60_000_000).await, (String::new(), -4));
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_of_trades_is_that_of_the_canonical_feed() {
    let world = World::new();
    let venue = model::VenueId::known("binance").unwrap();
    let settings = RefineSettings { venues: vec![(venue, Channel::RawTrades)], ..world.settings() };
    let process = world.start_with(settings);
    let script =
        Script::bare("binance").at(1_000).open(1, &["BTC@raw_trades"]).trades([1, 2, 5], 1_000).pass(1_000);
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    let instrument = "binance:BTC-USDT".parse().unwrap();
    let range = TimeRange { start: model::Time(1_000_000), end: model::Time(1_002_000) };
    for channel in [Channel::Trades, Channel::RawTrades] {
        let answer = process.refine.coverage().coverage(&instrument, channel, range).await;
        assert_eq!((answer.quality, answer.gaps.len()), (DataQuality::Partial, 1), "{channel}");
        assert_eq!(answer.gaps[0].channel, Channel::RawTrades);
    }
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hears_of_something_finds_it_shown() {
    let world = World::new();
    let process = world.start();
    let mut reader = process.refine.feed().subscribe();
    let (market, candles) = (process.refine.market(), process.refine.candles());
    let script = minutes().say("quote BTC 5 1000 99 101");
    process.write(&script, 0).await;
    let (mut has_quote, mut bars) = (false, 0);
    while !has_quote {
        for item in runtime::clock::within(PATIENCE, reader.next()).await.unwrap().unwrap().unwrap().iter() {
            match &item.news {
                News::Quote(quote) => {
                    has_quote = true;
                    assert_eq!(market.quote(&quote.instrument).unwrap().sequence, quote.sequence);
                }
                News::Bar(bar) => {
                    bars += 1;
                    let newest = candles.newest(&bar.instrument, Timeframe::MINUTE).unwrap().bar;
                    assert!(newest.open_time >= bar.open_time);
                }
                _ => {}
            }
        }
    }
    assert!(bars > 0);
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bucket_in_memory_is_answered_without_the_store() {
    let world = World::new();
    let process = world.start();
    let script = minutes().at(1_200_000).say("trade BTC 11 1200000 200 1").tick();
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    let one = |minute: i64| {
        let range = TimeRange {
            start: model::Time(minute * 60_000_000),
            end: model::Time((minute + 1) * 60_000_000),
        };
        CandleAsk { range: Some(range), ..ask("1m", 1) }
    };
    let candles = process.refine.candles();
    candles.candles(one(8)).await.unwrap();
    let scans = world.store.scans();
    for (minute, close) in [(9, "109"), (15, "110"), (16, "110"), (20, "200")] {
        let answer = candles.candles(one(minute)).await.unwrap();
        assert_eq!(answer.candles[0].bar.close.to_string(), close);
    }
    assert_eq!(world.store.scans(), scans);
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_candles_than_there_are_do_not_search_the_store_each_time() {
    let world = World::new();
    let process = world.start();
    let script = minutes();
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    process.refine.flush_now().await;
    let candles = process.refine.candles();
    let all = candles.candles(ask("3m", 50_000)).await.unwrap().candles;
    assert_eq!(all.len(), 4);
    let scans = world.store.scans();
    for (timeframe, limit, count) in [("1m", 50_000, 10), ("3m", 40_000, 4), ("173m", 50_000, 1)] {
        assert_eq!(candles.candles(ask(timeframe, limit)).await.unwrap().candles.len(), count, "{timeframe}");
    }
    let before = TimeRange { start: model::Time(0), end: model::Time(60_000_000) };
    let older = CandleAsk { range: Some(before), ..ask("1m", 10) };
    assert!(candles.candles(older).await.unwrap().candles.is_empty());
    assert_eq!(world.store.scans(), scans, "where history begins is known");
    let script = script.say("bar BTC -86400000 90 5 closed").tick();
    process.write(&script, script.records.len() - 2).await;
    process.catch_up(script.records.len() as u64).await;
    let with_older = candles.candles(ask("1m", 50_000)).await.unwrap().candles;
    assert_eq!(with_older.len(), 11, "a bar from before is not overlooked");
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn candles_after_a_restart_equal_those_of_a_run_that_went_on() {
    let first = minutes().say("bar BTC -600000 90 5 closed").pass(500);
    let half = first.records.len();
    let whole = first
        .session()
        .open(1, &["BTC@trades", "ETH@trades"])
        .trades([11, 12, 13], 606_000)
        .at(1_205_000)
        .say("trade BTC 14 1205000 140 2\ntrade BTC 15 1205001 150 3")
        .pass(2_000);
    let tell = async |refine: &Refine| {
        let (candles, mut told) = (refine.candles(), Vec::new());
        for timeframe in ["1m", "3m", "15m", "173m", "1d", "1w", "1M"] {
            // As a subscription does: candles first, then the newest one at every change.
            let answer = candles.candles(ask(timeframe, 20)).await.unwrap();
            let newest = candles.newest(&ask(timeframe, 1).instrument, ask(timeframe, 1).timeframe);
            assert_eq!(answer.candles.last(), newest.as_ref(), "{timeframe}");
            assert!(answer.candles.is_sorted_by_key(|candle| candle.bar.open_time), "oldest first");
            told.push((answer.candles, answer.coverage.quality));
        }
        told
    };
    let world = World::new();
    let process = world.start();
    process.write(&whole, 0).await;
    process.catch_up(whole.records.len() as u64).await;
    let continuous = tell(&process.refine).await;
    process.tasks.close(PATIENCE).await;

    let world = World::new();
    let process = world.start();
    let mut begun = whole.clone();
    begun.records.truncate(half);
    process.write(&begun, 0).await;
    process.catch_up(half as u64).await;
    process.tasks.close(PATIENCE).await;
    let process = world.start();
    process.write(&whole, half).await;
    process.catch_up(whole.records.len() as u64).await;
    assert_eq!(tell(&process.refine).await, continuous);
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_waited_twenty_seconds_for_a_commit_that_a_full_disk_refused() {
    let world = World::new();
    let closing_max = Duration::from_millis(300);
    let process = world.start_with(RefineSettings { closing_max, ..world.settings() });
    let script = minutes();
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    world.store.set_stuck(true);
    assert!(process.tasks.close(PATIENCE / 2).await.is_empty(), "closing gives up the commit");
    assert_eq!(process.refine.committed().0, 0);
    assert!(process.log.durable().0 >= script.records.len() as u64, "the log has everything");

    world.store.set_stuck(false);
    world.store.crash();
    let process = world.start();
    process.catch_up(script.records.len() as u64).await;
    assert_eq!(world.store.rows(TableName::Trades).len(), 10);
    assert!(process.tasks.close(PATIENCE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instrument_without_a_past_stopped_who_looked_after_all_of_them() {
    let world = World::new();
    let process = world.start();
    let script = Script::started("binance").at(20_000).trades([1, 2], 19_000).pass(500);
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    let instrument: model::InstrumentId = "binance:BTC-USDT".parse().unwrap();
    assert!(process.refine.set_past(&instrument, crate::PastCover::default()));
    assert!(process.tasks.close(PATIENCE).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_had_come_at_any_place_is_found_again_in_the_log() {
    let world = World::new();
    let process = world.start();
    let mut reader = process.refine.feed().subscribe();
    // Two connections overlap, frames hold several trades, a hole is filled late, trades come again.
    let mut script = Script::started("binance").at(20_000);
    script = script.trades([1, 2, 3], 19_000).open(2, &["BTC@trades"]);
    script = script.frame(2, "trade BTC 3 19002 100 1\ntrade BTC 4 19003 100 1\ntrade BTC 5 19003 100 1");
    script = script.say("trade BTC 4 19003 100 1\ntrade BTC 8 19010 100 1").tick();
    script = script.at(21_000).say("trade ETH 77 20000 5 1").trades([9, 10], 20_500);
    script = script
        .answer("trades BTC", "trade BTC 5 19003 100 1\ntrade BTC 6 19004 100 1\ntrade BTC 7 19005 100 1");
    // Trades that were asked for to judge a silence, or for the past, were taken for told.
    script = script.at(39_500).answer("newest BTC", "trade BTC 11 39000 100 1");
    script = script.answer("history trades BTC", "trade BTC 12 39001 100 1");
    let script = script.at(40_000).trades([11, 12], 39_000).pass(500);
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    process.refine.flush_now().await;
    let instrument: model::InstrumentId = "binance:BTC-USDT".parse().unwrap();
    let mut told = Vec::new();
    while told.len() < 13 {
        for item in runtime::clock::within(PATIENCE, reader.next()).await.unwrap().unwrap().unwrap().iter() {
            if let News::Trade(trade) = &item.news {
                told.push((item.position, item.index, trade.clone()));
            }
        }
    }
    process.tasks.close(PATIENCE).await;
    // As after a restart: nothing is known but the log and the tables.
    let process = world.start();
    let past = process.refine.past();
    for (at, (position, index, _)) in told.iter().enumerate() {
        let seen = past.seen(&instrument, *position).await.unwrap().unwrap();
        let stored: Vec<_> =
            told.iter().map(|(_, _, trade)| trade).filter(|trade| trade.instrument == instrument).collect();
        let is_new = |key: &TradeKey| {
            let first = stored.iter().find(|trade| TradeKey::of(trade).as_ref() == Some(key)).unwrap();
            first.received_time == seen.received
        };
        let known = seen.through(*index, is_new);
        let mut left: Vec<_> = stored
            .iter()
            .filter(|trade| trade.received_time >= seen.since)
            .filter(|trade| !known.contains(&TradeKey::of(trade).unwrap()))
            .map(|trade| trade.trade_id)
            .collect();
        let mut after: Vec<_> = told[at + 1..]
            .iter()
            .filter(|(_, _, trade)| trade.instrument == instrument)
            .map(|(_, _, trade)| trade.trade_id)
            .collect();
        left.sort_unstable();
        after.sort_unstable();
        assert_eq!(left, after, "after {position}.{index}");
    }
    let (last, _, _) = told.last().unwrap();
    let whole = past.seen(&instrument, *last).await.unwrap();
    let all = script.records.len() as u64;
    let with_spans = |spans| crate::past::LogPast { spans, ..process.refine.past.clone() };
    let short = with_spans([1, 2, 2]).seen(&instrument, *last).await.unwrap();
    assert_eq!(short, None, "so few records do not prove what came before");
    assert_eq!(with_spans([1, 2, all]).seen(&instrument, *last).await.unwrap(), whole);
    let beyond = model::LogPosition(script.records.len() as u64 + 100);
    assert!(past.seen(&instrument, beyond).await.unwrap().is_none(), "the log was cut before it");
    process.tasks.close(PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_before_the_start_is_no_news() {
    let world = World::new();
    let script = minutes();
    let process = world.start();
    process.write(&script, 0).await;
    process.catch_up(script.records.len() as u64).await;
    let reader = process.refine.feed().subscribe();
    drop(reader);
    process.tasks.close(PATIENCE).await;
    // The states are lost, so that everything is replayed.
    std::fs::remove_dir_all(world.folder.path().join("state")).unwrap();
    let process = world.start();
    let mut reader = process.refine.feed().subscribe();
    let after = script.records.len();
    let script = script.session().open(1, &["BTC@trades"]).say("trade BTC 11 700000 100 1").tick();
    process.write(&script, after).await;
    let mut first = None;
    while first.is_none() {
        let batch = runtime::clock::within(PATIENCE, reader.next()).await.unwrap().unwrap().unwrap();
        first = batch.iter().map(|item| item.position.0 as usize).next();
    }
    assert!(first.unwrap() > after, "{first:?} was told, {after} records stood before the start");
    process.tasks.close(PATIENCE).await;
}

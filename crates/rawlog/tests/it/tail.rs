//! Appending and reading while both go on; closing, reopening, full queues.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::LogPosition;
use rawlog::{Error, LogClosed, LogState};
use runtime::clock::{Stopwatch, within};

use crate::world::{SOON, World, assert_records, record};

#[tokio::test]
async fn positions_go_on_after_reopening() {
    let world = World::new();
    assert_eq!((world.report.first, world.report.last), (LogPosition(1), LogPosition(0)));
    world.append(1..101).await;
    let world = world.reopen(|_| {}).await;
    assert_eq!((world.report.last, world.report.torn.len()), (LogPosition(100), 0));
    assert_eq!((world.log.written(), world.log.durable()), (LogPosition(100), LogPosition(100)));
    world.append(101..151).await;
    assert_eq!(world.files("seg").len(), 1, "a started segment is written on");
    assert_records(&world.read(0), 1..=150);
    assert_records(&world.read(99), 100..=150);
}

#[tokio::test]
async fn many_small_segments_read_as_one_log() {
    let world = World::with(|settings| settings.segment_bytes = 2_000);
    for start in (1..1_001).step_by(100) {
        world.append(start..start + 100).await;
    }
    assert!(world.files("seg").len() > 50);
    assert_records(&world.read(0), 1..=1_000);
    assert_records(&world.read(512), 513..=1_000);
    let segments = world.log.segments();
    assert!(segments.windows(2).all(|pair| pair[0].last.0 + 1 == pair[1].first.0), "{segments:?}");
    let on_disk: u64 = world.files("seg").iter().map(|path| path.metadata().unwrap().len()).sum();
    assert_eq!(world.log.bytes(), on_disk);
    let world = world.reopen(|settings| settings.segment_bytes = 2_000).await;
    assert_eq!(world.log.segments(), segments, "what is found is what was written");
    assert_records(&world.read(0), 1..=1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_reader_sees_each_record_before_the_next_is_written() {
    let world = World::with(|settings| settings.segment_bytes = 3_000);
    let mut reader = world.log.reader(LogPosition(0)).unwrap();
    for number in 1..=200 {
        world.log.append(record(number)).await.unwrap();
        let mut records = Vec::new();
        let watch = Stopwatch::start();
        let is_open = if number % 2 == 0 {
            reader.next_blocking(&mut records, 10, SOON).unwrap()
        } else {
            reader.next(&mut records, 10, SOON).await.unwrap()
        };
        assert!(is_open && watch.elapsed() < SOON);
        assert_records(&records, [number]);
    }
}

#[tokio::test]
async fn a_reader_waits_no_longer_than_told() {
    let world = World::new();
    let mut reader = world.log.reader(LogPosition(0)).unwrap();
    let mut records = Vec::new();
    assert!(reader.next_blocking(&mut records, 10, Duration::from_millis(5)).unwrap());
    assert!(reader.next(&mut records, 10, Duration::from_millis(5)).await.unwrap());
    assert!(records.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_writes_what_is_queued_and_ends_readers() {
    let world = World::new();
    let (log, mut reader) = (world.log.clone(), world.log.reader(LogPosition(0)).unwrap());
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    let reading = runtime::tasks::blocking(move || {
        let mut records = Vec::new();
        while reader.next_blocking(&mut records, 100, SOON).unwrap() {}
        flag.store(true, Ordering::Relaxed);
        records
    });
    let writing = async {
        log.append_many((1..5_001).map(record).collect()).await.unwrap();
        world.close().await
    };
    let (records, _folder) = tokio::join!(reading, writing);
    assert_records(&records.unwrap(), 1..=5_000);
    assert!(ended.load(Ordering::Relaxed));
    assert_eq!((log.state(), log.durable()), (LogState::Closed, LogPosition(5_000)));
    assert_eq!(log.append(record(1)).await, Err(LogClosed));
    assert_eq!(log.append_many(vec![record(1)]).await, Err(LogClosed));
    assert_eq!(log.wait_durable(LogPosition(5_000)).await, Ok(()));
    assert_eq!(log.wait_durable(LogPosition(5_001)).await, Err(LogClosed));
    assert_eq!(log.wait_durable_blocking(LogPosition(5_001)), Err(LogClosed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appenders_at_once_lose_and_double_nothing() {
    let world = World::with(|settings| {
        settings.queue_records = 16;
        settings.segment_bytes = 50_000;
    });
    let mut appenders = Vec::new();
    for appender in 0..4_u64 {
        let log = world.log.clone();
        appenders.push(async move {
            for index in 0..500 {
                let mut one = record(1);
                one.connection = u32::try_from(appender * 3_000_000 + index * 3).unwrap();
                let mut two = one.clone();
                let mut three = one.clone();
                (two.connection, three.connection) = (one.connection + 1, one.connection + 2);
                log.append(one).await.unwrap();
                log.append_many(vec![two, three]).await.unwrap();
            }
        });
    }
    futures_join(appenders).await;
    world.log.wait_durable(LogPosition(6_000)).await.unwrap();
    let records = world.read(0);
    assert_eq!(records.len(), 6_000);
    for appender in 0..4 {
        let own: Vec<u32> =
            records.iter().map(|record| record.connection).filter(|id| id / 3_000_000 == appender).collect();
        assert!(own.iter().copied().eq(appender * 3_000_000..appender * 3_000_000 + 1_500));
    }
    let pairs = records.windows(2).filter(|pair| pair[0].connection % 3 == 1);
    assert!(
        pairs.into_iter().all(|pair| pair[1].connection == pair[0].connection + 1),
        "a pair was torn apart"
    );
}

/// Runs futures side by side on this task.
async fn futures_join(futures: Vec<impl Future<Output = ()>>) {
    let mut waiting: Vec<_> = futures.into_iter().map(Box::pin).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_reader_is_refused_where_there_is_nothing_to_read() {
    let world = World::new();
    world.append(1..11).await;
    let error = world.log.reader(LogPosition(11)).unwrap_err();
    assert!(matches!(error, Error::Beyond { .. }) && error.to_string().contains("ends at 10"), "{error}");
}

#[tokio::test]
async fn an_emptied_folder_goes_on_behind_what_the_tables_hold() {
    let world = World::with(|settings| settings.not_before = LogPosition(41));
    assert_eq!(world.log.first_position(), LogPosition(42));
    world.log.append(record(42)).await.unwrap();
    world.log.wait_durable(LogPosition(42)).await.unwrap();
    assert_records(&world.read(41), [42]);
    let world = world.reopen(|settings| settings.not_before = LogPosition(99)).await;
    world.log.append(record(100)).await.unwrap();
    world.log.wait_durable(LogPosition(100)).await.unwrap();
    assert_records(&world.read(41), [42, 100]);
    assert_eq!(world.log.counts().damaged_count, 57, "the positions in between are known to be lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_durable_was_synced_within_the_promised_time() {
    let world = World::new();
    for number in 1..=50 {
        world.log.append(record(number)).await.unwrap();
        within(SOON, world.log.wait_durable(LogPosition(number))).await.unwrap().unwrap();
    }
    let counts = world.log.counts();
    assert_eq!(counts.record_count, 50);
    assert!(counts.sync_count <= 50 && counts.write_count <= 50, "{counts:?}");
}

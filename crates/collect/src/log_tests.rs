//! Journeys into the real log: what is read back from disk is what the venue said.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::LogPosition;
use rawlog::{Log, LogSettings, LogState, Record, RecordKind};
use runtime::{SystemClock, Tasks};
use tokio::sync::watch;

use crate::journal::Journal;
use crate::testing::{Plan, Say, Server, World};

const COUNT: i64 = 5_000;

fn read_back(directory: &std::path::Path, tasks: &Tasks) -> Vec<Record> {
    let (log, report) = Log::open(LogSettings::new(directory), SystemClock::shared(), tasks).unwrap();
    assert!(report.torn.is_empty() && report.damage.is_empty());
    let mut reader = log.reader(LogPosition(0)).unwrap();
    let (mut records, mut last) = (Vec::new(), usize::MAX);
    while last != records.len() {
        last = records.len();
        assert!(reader.next_blocking(&mut records, 100_000, Duration::from_millis(50)).unwrap());
    }
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_venue_said_stands_in_the_log_whole_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = Server::start(&["BTCUSDT"]).await;
    let tasks = Tasks::new();
    let settings = LogSettings { segment_bytes: 256 << 10, ..LogSettings::new(folder.path()) };
    let (log, _report) = Log::open(settings, SystemClock::shared(), &tasks).unwrap();
    let journal = Journal::new(log.clone(), SystemClock::shared());
    let unused = (Arc::<Mutex<_>>::default(), watch::channel(LogState::Open).0);
    let world = World::start_on(Plan::default(), (server, address), (journal, unused.0, unused.1));
    world
        .wait("the stream", |world| world.status().connection_count == 1 && world.status().frames_total == 1)
        .await;
    world.server.say(Say::Flood(COUNT));
    let all = u64::try_from(COUNT).unwrap() + 1;
    world.wait("the last trade", |world| world.status().frames_total == all).await;
    assert!(world.tasks.close(Duration::from_secs(3)).await.is_empty());
    drop(world);
    assert!(tasks.close(Duration::from_secs(5)).await.is_empty());
    drop(log);

    let tasks = Tasks::new();
    let directory = folder.path().to_owned();
    let readers = tasks.clone();
    let records = runtime::tasks::blocking(move || read_back(&directory, &readers)).await.unwrap();
    let positions: Vec<u64> = records.iter().map(|record| record.position.0).collect();
    assert!(positions.iter().copied().eq(1..=records.len() as u64));
    let kinds: Vec<RecordKind> =
        records.iter().map(|record| record.kind).filter(|kind| *kind != RecordKind::Tick).collect();
    assert_eq!(
        kinds[..6],
        [
            RecordKind::Session,
            RecordKind::Answer,
            RecordKind::Answer,
            RecordKind::Opened,
            RecordKind::Sent,
            RecordKind::Text,
        ]
    );
    assert_eq!(kinds.last(), Some(&RecordKind::Closed));
    let texts = records.iter().filter(|record| record.kind == RecordKind::Text).skip(1);
    let ids = texts.map(|record| {
        let text = std::str::from_utf8(&record.payload).unwrap();
        text.split("\"a\":").nth(1).unwrap().split(',').next().unwrap().parse::<i64>().unwrap()
    });
    assert!(ids.eq(1..=COUNT));
    tasks.close(Duration::from_secs(3)).await;
}

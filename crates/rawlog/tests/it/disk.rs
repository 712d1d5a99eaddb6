//! Full disks and full queues: appenders wait, nothing is lost, nobody has to do anything.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{LogPosition, Nanos};
use rawlog::{DiskSpace, LogSettings, LogState, RecordKind};
use runtime::clock::within;

use crate::world::{SOON, World, assert_records, eventually, record};

/// A disk with as much room as it is told.
#[derive(Debug)]
struct Disk(AtomicU64);

impl DiskSpace for Disk {
    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(self.0.load(Ordering::Relaxed))
    }
}

fn disk(free_bytes: u64) -> Arc<Disk> {
    Arc::new(Disk(AtomicU64::new(free_bytes)))
}

fn reserve(disk: &Arc<Disk>) -> impl FnOnce(&mut LogSettings) {
    let disk = Arc::clone(disk);
    |settings| {
        settings.disk = disk;
        settings.disk_reserve_bytes = 1_000;
        settings.queue_records = 4;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_capture_loudly_and_resumes_by_itself() {
    let disk = disk(5_000);
    let world = World::with(reserve(&disk));
    let mut states = world.log.watch_state();
    world.append(1..4).await;

    disk.0.store(999, Ordering::Relaxed);
    let log = world.log.clone();
    let appending = async move {
        for number in 4..3_000 {
            log.append(record(number)).await.unwrap();
        }
    };
    let mut appending = Box::pin(appending);
    let full = states.wait_for(|state| matches!(state, LogState::DiskFull { free_bytes: 999 }));
    let full = tokio::select! {
        full = within(SOON, full) => full.map(|state| *state.unwrap()),
        () = &mut appending => panic!("appending did not wait"),
    };
    assert_eq!(full, Some(LogState::DiskFull { free_bytes: 999 }));
    let stood_at = world.log.written();
    assert!(within(Duration::from_millis(700), &mut appending).await.is_none(), "appending did not wait");
    assert_eq!(world.log.written(), stood_at, "nothing is written below the reserve");

    disk.0.store(2_000, Ordering::Relaxed);
    within(SOON, appending).await.expect("appending goes on");
    world.log.wait_durable(LogPosition(3_000)).await.unwrap();
    assert_eq!(world.log.state(), LogState::Open);
    let mut records = world.read(0);
    let resumed = records.remove(stood_at.0 as usize);
    assert_eq!((resumed.kind, resumed.position.0), (RecordKind::Resumed, stood_at.0 + 1));
    assert!(String::from_utf8_lossy(&resumed.payload).starts_with("the disk was full for"));
    for record in records.iter_mut().filter(|record| record.position > stood_at) {
        record.position.0 -= 1;
    }
    assert_records(&records, 1..3_000);
    assert_eq!(world.log.counts().disk_full_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_can_be_opened_and_closed_while_the_disk_is_full() {
    let disk = disk(0);
    let world = World::with(reserve(&disk));
    world.log.append(record(1)).await.unwrap();
    let log = world.log.clone();
    eventually(|| matches!(log.state(), LogState::DiskFull { .. })).await;
    let folder = world.close().await;
    assert_eq!(log.state(), LogState::Closed);
    assert_eq!(log.counts().lost_count, 1, "what finds no room at all is counted");
    let world = World::over(folder);
    assert_eq!(world.report.last, LogPosition(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_for_a_full_disk_was_lost_at_closing_though_the_reserve_was_there() {
    let disk = disk(5_000);
    let world = World::with(reserve(&disk));
    world.append(1..4).await;
    disk.0.store(999, Ordering::Relaxed);
    let log = world.log.clone();
    let mut number = 4;
    // Records for which the space was not looked at yet may still pass.
    while !matches!(log.state(), LogState::DiskFull { .. }) {
        let _waits = within(Duration::from_millis(5), log.append(record(number))).await.map(|_| number += 1);
    }
    let last = number - 1;
    assert!(!log.is_idle());
    log.spend_reserve();
    eventually(|| log.is_idle()).await;
    let folder = world.close().await;
    assert_eq!(log.counts().lost_count, 0);
    let world = World::over(folder);
    let mut records = world.read(0);
    let resumed = records.iter().position(|record| {
        record.kind == RecordKind::Resumed && record.payload.starts_with(b"the disk was full for")
    });
    records.remove(resumed.expect("the standstill is told"));
    let received: Vec<Nanos> = records.iter().map(|record| record.received).collect();
    assert_eq!(received, (1..=last).map(|number| record(number).received).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appending_waits_while_the_queue_is_full() {
    let disk = disk(0);
    let world = World::with(reserve(&disk));
    let log = world.log.clone();
    for number in 1..=4 {
        within(SOON, log.append(record(number))).await.expect("there are four places").unwrap();
    }
    assert!(within(Duration::from_millis(50), log.append(record(5))).await.is_none(), "the fifth must wait");
    assert!(within(Duration::from_millis(50), log.append_many(vec![record(5)])).await.is_none());
    disk.0.store(10_000, Ordering::Relaxed);
    within(SOON, log.append_many((5..30).map(record).collect()))
        .await
        .expect("more than fit go as one")
        .unwrap();
    log.wait_durable(LogPosition(30)).await.unwrap();
    let mut records = world.read(0);
    records.retain(|record| record.kind != RecordKind::Resumed);
    let numbers: Vec<i64> = records.iter().map(|record| record.received.0).collect();
    assert!(numbers.into_iter().eq(
        (1..30).filter(|number| *number != 12 - 1 && *number != 23).map(|number| record(number).received.0)
    ));
}

/// A disk with room by its own account, on which some writes fail half way.
#[derive(Debug, Default)]
struct Liar {
    writes: AtomicU64,
}

impl DiskSpace for Liar {
    fn free_bytes(&self, _folder: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn write_all_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        let number = self.writes.fetch_add(1, Ordering::Relaxed);
        if number % 3 == 1 {
            file.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            let kind =
                if number % 2 == 1 { io::ErrorKind::StorageFull } else { io::ErrorKind::QuotaExceeded };
            return Err(kind.into());
        }
        file.write_all_at(bytes, offset)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_fail_half_way_for_want_of_room_lose_and_double_nothing() {
    let disk = Arc::new(Liar::default());
    let world = World::with(|settings: &mut LogSettings| {
        settings.disk = Arc::<Liar>::clone(&disk);
        settings.queue_records = 64;
    });
    for number in 1..=6 {
        world.append(number * 100..number * 100 + 100).await;
    }
    let counts = world.log.counts();
    assert!(counts.disk_full_count > 0, "{counts:?}");
    assert_eq!(world.log.state(), LogState::Open);
    let folder = world.close().await;
    let reports = rawlog::inspect::verify(folder.path()).unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty() && report.tail_bytes == 0), "{reports:?}");
    let world = World::over(folder);
    let mut records = world.read(0);
    let count = records.len() as u64;
    records.retain(|record| !record.payload.starts_with(b"the disk was full for"));
    assert_eq!(count - records.len() as u64, counts.disk_full_count);
    let numbers: Vec<i64> = records.iter().map(|record| record.received.0).collect();
    assert!(numbers.into_iter().eq((100..700).map(|number| record(number).received.0)));
}

#[tokio::test]
async fn large_records_take_more_places() {
    let disk = disk(0);
    let world = World::with(reserve(&disk));
    let mut large = record(1);
    large.payload = vec![b'x'; 13_000].into();
    world.log.append(large.clone()).await.unwrap();
    assert!(within(Duration::from_millis(50), world.log.append(record(2))).await.is_none());
    disk.0.store(10_000, Ordering::Relaxed);
    within(SOON, world.log.append(record(2))).await.unwrap().unwrap();
    world.log.wait_durable(LogPosition(3)).await.unwrap();
    assert_eq!(world.read(1)[0].payload, large.payload);
}

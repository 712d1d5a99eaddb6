//! Archives give back every record, other tools can read them, and retention keeps what the tables lack.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::LogPosition;
use rawlog::{LogSettings, SegmentForm, inspect};

use crate::world::{World, assert_records, eventually, files, record};

fn archiving(settings: &mut LogSettings) {
    settings.archive = true;
    settings.segment_bytes = 60_000;
}

/// Waits until only the segment being written is raw.
async fn archived(world: &World) {
    let log = world.log.clone();
    eventually(|| log.segments().iter().filter(|segment| segment.form == SegmentForm::Raw).count() == 1)
        .await;
}

/// A closed folder with archives of 1,000 records each or so, and its records' count.
async fn world_with(count: u64) -> World {
    let world = World::with(archiving);
    for start in (1..=count).step_by(500) {
        world.append(start..(start + 500).min(count + 1)).await;
    }
    archived(&world).await;
    world
}

#[tokio::test]
async fn archives_give_back_every_record_from_any_position() {
    let world = world_with(6_000).await;
    let archives = world.files("mcap");
    assert!(archives.len() > 5 && world.files("seg").len() == 1, "{archives:?}");
    assert!(world.files("part").is_empty());
    assert_records(&world.read(0), 1..=6_000);
    for after in [1, 77, 1_000, 3_333, 5_999] {
        assert_records(&world.read(after), after + 1..=6_000);
    }
    let segments = world.log.segments();
    let world = world.reopen(archiving).await;
    assert_eq!(world.log.segments(), segments);
    assert_records(&world.read(4_321), 4_322..=6_000);
    let (sizes, log_bytes) = (segments.iter().map(|segment| segment.bytes).sum::<u64>(), world.log.bytes());
    assert_eq!(sizes, log_bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_crosses_from_archives_into_what_is_being_written() {
    let world = world_with(3_000).await;
    let mut reader = world.log.reader(LogPosition(100)).unwrap();
    let mut records = Vec::new();
    reader.next(&mut records, 50, crate::world::SOON).await.unwrap();
    for start in (3_001..9_001).step_by(1_000) {
        world.append(start..start + 1_000).await;
        while reader.position().0 < start + 500 {
            assert!(reader.next(&mut records, 700, crate::world::SOON).await.unwrap());
        }
    }
    archived(&world).await;
    while reader.position().0 < 9_000 {
        assert!(reader.next_blocking(&mut records, 700, crate::world::SOON).unwrap());
    }
    assert_records(&records, 101..=9_000);
}

#[tokio::test]
async fn any_mcap_reader_sees_topics_times_and_payloads() {
    let world = world_with(1_500).await;
    let path = world.files("mcap").remove(0);
    let bytes = fs::read(path).unwrap();
    let messages: Vec<_> = mcap::MessageStream::new(&bytes).unwrap().map(Result::unwrap).collect();
    assert!(messages.len() > 100);
    let mut topics = BTreeSet::new();
    for (message, number) in messages.iter().zip(1..) {
        let wanted = record(number);
        let venue = wanted.venue.map_or("house", model::VenueId::as_str);
        assert_eq!(message.channel.topic, format!("{venue}/{}", wanted.kind.as_str()));
        assert_eq!(message.channel.metadata["connection"], wanted.connection.to_string());
        assert_eq!((message.log_time, message.sequence), (wanted.received.0 as u64, number as u32));
        assert_eq!(*message.data, *wanted.payload);
        topics.insert(message.channel.topic.clone());
    }
    let summary = mcap::Summary::read(&bytes).unwrap().unwrap();
    let known: BTreeSet<_> = summary.channels.values().map(|channel| channel.topic.clone()).collect();
    assert_eq!(known, topics);
    assert_eq!(summary.stats.unwrap().message_count, messages.len() as u64);
}

#[tokio::test]
async fn archives_are_inspected_like_raw_segments() {
    let world = world_with(4_000).await;
    let (directory, segments) = (world.directory().to_owned(), world.log.segments());
    assert_eq!(inspect::segments(&directory).unwrap(), segments);
    let mut records = inspect::records(&directory, LogPosition(1_234)).unwrap();
    let found: Vec<_> = records.by_ref().map(Result::unwrap).collect();
    assert_records(&found, 1_235..=4_000);
    world.append(4_001..6_001).await;
    let found: Vec<_> = records.by_ref().map(Result::unwrap).collect();
    assert_records(&found, 4_001..=6_000);
    let reports = inspect::verify(&directory).unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty() && report.tail_bytes == 0), "{reports:?}");
    assert_eq!(reports.iter().map(|report| report.good_count).sum::<u64>(), 6_000);
    let missing = inspect::records(Path::new("no such folder"), LogPosition(0));
    assert!(missing.unwrap_err().to_string().contains("list log folder no such folder"));
}

#[tokio::test]
async fn a_changed_byte_of_an_archive_is_found_and_costs_at_most_one_chunk() {
    let world = world_with(3_000).await;
    let (path, last) = (world.files("mcap").remove(0), world.log.segments()[0].last.0);
    let folder = world.close().await;
    let whole = fs::read(&path).unwrap();
    for at in (0..whole.len()).step_by(whole.len() / 20).chain((whole.len() - 200..whole.len()).step_by(11)) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x11;
        fs::write(&path, bytes).unwrap();
        let report = inspect::verify(folder.path()).unwrap().remove(0);
        assert!(!report.damage.is_empty(), "the byte at {at} is not missed");
        assert_eq!((&report.damage[0].path, report.good_count + report.lost_count()), (&path, last), "{at}");
        let records: Vec<_> =
            inspect::records(folder.path(), LogPosition(0)).unwrap().filter_map(Result::ok).collect();
        let behind = records.iter().position(|record| record.position.0 > last).unwrap();
        assert_eq!(behind as u64, report.good_count, "{at}");
        assert_records(&records[behind..], last + 1..=3_000);
    }
}

#[tokio::test]
async fn a_damaged_segment_is_kept_raw() {
    let world = World::with(|settings| settings.segment_bytes = 60_000);
    world.append(1..3_001).await;
    let folder = world.close().await;
    let path = files(folder.path(), "seg").remove(1);
    let mut bytes = fs::read(&path).unwrap();
    bytes[3_000] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let world = World::over_with(folder, archiving);
    let log = world.log.clone();
    eventually(|| log.segments().iter().filter(|segment| segment.form == SegmentForm::Raw).count() == 2)
        .await;
    assert_eq!(fs::read(&path).unwrap(), bytes);
    assert_eq!(world.read(0).len(), 2_999);
}

#[tokio::test]
async fn what_a_crash_left_of_archiving_is_cleared_away() {
    let world = world_with(3_000).await;
    let archives = world.files("mcap");
    let folder = world.close().await;
    // Between rename and removal both forms exist; the raw one may be anything, as it is not needed.
    fs::write(archives[0].with_extension("seg"), "half").unwrap();
    fs::write(folder.path().join("00000000000000000001.mcap.part"), "half").unwrap();
    // An archive that can not be opened yields to a raw form.
    let raw = World::with(|settings| settings.segment_bytes = 60_000);
    raw.append(1..3_001).await;
    let raw_files = raw.files("seg");
    let second = raw_files.iter().find(|path| path.file_stem() == archives[1].file_stem());
    if let Some(second) = second {
        fs::copy(second, archives[1].with_extension("seg")).unwrap();
        fs::write(&archives[1], "nothing").unwrap();
    }
    let world = World::over(folder);
    assert!(world.files("part").is_empty());
    assert!(!archives[0].with_extension("seg").exists());
    assert_records(&world.read(0), 1..=3_000);
}

#[tokio::test]
async fn retention_by_size_deletes_nothing_the_tables_lack() {
    let world = World::with(|settings| {
        settings.segment_bytes = 10_000;
        settings.keep_bytes = Some(0);
    });
    world.append(1..2_001).await;
    let segments = world.log.segments();
    let allowed = segments[3].last.0 - 1;
    world.log.allow_trim(LogPosition(allowed));
    let log = world.log.clone();
    let third = segments[3].first;
    eventually(|| log.first_position() == third).await;
    world.append(2_001..2_011).await;
    assert_eq!(log.first_position(), third, "a segment that is held only in part stays whole");
    assert_records(&world.read(third.0 - 1), third.0..=2_010);
    let error = log.reader(LogPosition(third.0 - 2)).unwrap_err().to_string();
    assert!(error.contains("already deleted by retention") && error.contains(&third.to_string()), "{error}");
    assert!(inspect::records(world.directory(), LogPosition(5)).is_err());

    world.log.allow_trim(LogPosition(2_010));
    eventually(|| log.segments().len() == 1).await;
    assert_records(&world.read(log.first_position().0 - 1), log.first_position().0..=2_010);
}

#[tokio::test]
async fn retention_by_age_waits_for_the_clock_and_the_tables() {
    let world = World::with(|settings| {
        settings.segment_bytes = 10_000;
        settings.keep_age = Some(Duration::from_hours(1));
    });
    world.append(1..1_001).await;
    world.clock.advance(Duration::from_mins(30));
    world.append(1_001..2_001).await;
    let half = world.log.segments().into_iter().rfind(|segment| segment.last.0 < 1_001).unwrap();
    world.log.allow_trim(LogPosition(2_000));
    let (log, clock) = (world.log.clone(), Arc::clone(&world.clock));
    runtime::sleep(Duration::from_millis(300)).await;
    assert_eq!(log.first_position(), LogPosition(1), "nothing is an hour old");
    clock.advance(Duration::from_secs(1_801));
    // The segment that was open at the half hour is not an hour old by its last record.
    eventually(|| log.first_position().0 > half.first.0).await;
    runtime::sleep(Duration::from_millis(300)).await;
    assert!(log.first_position().0 <= 1_001);
    assert_records(&world.read(1_000), 1_001..=2_000);
}

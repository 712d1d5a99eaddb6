//! Torn tails, changed bytes, lost headers: what is good stays, what is not is named.

use std::fs;
use std::path::Path;

use model::LogPosition;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestRunner;
use rawlog::{Error, Log, LogSettings, inspect};
use runtime::{SystemClock, Tasks};
use tempfile::TempDir;

use crate::world::{World, assert_records, files, record, settings};

const HEADER_BYTES: u64 = 40;
const HEAD_BYTES: u64 = 28;

/// Where each record of a single raw segment starts, and where the last one ends.
fn offsets(count: u64) -> Vec<u64> {
    let mut offsets = vec![HEADER_BYTES];
    for number in 1..=count {
        let length = HEAD_BYTES + record(number).payload.len() as u64;
        offsets.push(offsets.last().unwrap() + length);
    }
    offsets
}

async fn folder_with(count: u64) -> TempDir {
    let world = World::new();
    world.append(1..count + 1).await;
    world.close().await
}

fn copy(source: &Path) -> TempDir {
    let target = TempDir::new().unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, target.path().join(path.file_name().unwrap())).unwrap();
    }
    target
}

#[tokio::test]
async fn a_torn_tail_is_cut_and_the_log_goes_on_behind_the_last_good_record() {
    let source = folder_with(6).await;
    let offsets = offsets(6);
    for length in [0, 39, 40, 41, offsets[1] - 1, offsets[1], offsets[5] + 27, offsets[6] - 1, offsets[6]] {
        let folder = copy(source.path());
        let path = files(folder.path(), "seg").remove(0);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..length as usize]).unwrap();
        let good = offsets.iter().filter(|offset| **offset <= length).count().saturating_sub(1) as u64;
        let world = World::over(folder);
        assert_eq!(world.report.last, LogPosition(good), "{length}");
        world.append(good + 1..good + 3).await;
        assert_records(&world.read(0), 1..=good + 2);
        world.close().await;
    }
}

#[tokio::test]
async fn zeros_or_nonsense_behind_the_last_record_are_a_torn_tail() {
    for tail in [vec![0; 5_000], vec![0xff; 300], b"GET / HTTP/1.1\r\n".repeat(20)] {
        let folder = folder_with(20).await;
        let path = files(folder.path(), "seg").remove(0);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(&tail);
        fs::write(&path, bytes).unwrap();
        let world = World::over(folder);
        assert_eq!(world.report.torn[0].bytes, tail.len() as u64);
        world.append(21..31).await;
        assert_records(&world.read(0), 1..=30);
        assert!(world.report.torn[0].kept.as_ref().unwrap().to_str().unwrap().ends_with(".seg.torn-1"));
    }
}

#[tokio::test]
async fn a_hole_before_good_records_at_the_end_loses_only_the_hole() {
    let folder = folder_with(20).await;
    let offsets = offsets(20);
    let path = files(folder.path(), "seg").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[offsets[9] as usize..offsets[12] as usize].fill(0);
    fs::write(&path, bytes).unwrap();
    let world = World::over(folder);
    assert_eq!((world.report.last, world.report.torn.len()), (LogPosition(20), 0));
    assert_eq!(
        (world.report.damage[0].first, world.report.damage[0].last),
        (LogPosition(10), LogPosition(12))
    );
    world.append(21..23).await;
    assert_records(&world.read(0), (1..=9).chain(13..=22));
}

#[tokio::test]
async fn any_changed_byte_of_an_older_segment_costs_at_most_its_record() {
    let world = World::with(|settings| settings.segment_bytes = 900);
    for number in 1..=30 {
        world.append(number..number + 1).await;
    }
    let source = world.close().await;
    let first = files(source.path(), "seg").remove(0);
    let count = inspect::segments(source.path()).unwrap()[0].last.0;
    let (offsets, whole) = (offsets(count), fs::read(&first).unwrap());
    for at in 0..whole.len() {
        let folder = copy(source.path());
        let path = files(folder.path(), "seg").remove(0);
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        fs::write(&path, bytes).unwrap();
        let hit = offsets.iter().filter(|offset| **offset <= at as u64).count() as u64;
        let wanted: Vec<u64> = (1..=30).filter(|position| *position != hit).collect();

        let reports = inspect::verify(folder.path()).unwrap();
        let damage: Vec<_> = reports.iter().flat_map(|report| &report.damage).collect();
        assert_eq!(damage.len(), 1, "{at}: {damage:?}");
        let offset = if hit == 0 { 0 } else { offsets[hit as usize - 1] };
        assert_eq!((&damage[0].path, damage[0].offset), (&path, offset), "{at}");
        assert_eq!(reports.iter().map(|report| report.good_count).sum::<u64>(), wanted.len() as u64);

        if at % 23 == 0 {
            let world = World::over(folder);
            let mut reader = world.log.reader(LogPosition(0)).unwrap();
            assert_records(&crate::world::drain(&mut reader, LogPosition(30)), wanted);
            assert_eq!(reader.take_damage().len(), 1);
            assert_eq!(world.log.counts().damaged_count, u64::from(hit > 0));
            world.close().await;
        } else {
            let records: Vec<_> =
                inspect::records(folder.path(), LogPosition(0)).unwrap().map(Result::unwrap).collect();
            assert_records(&records, wanted);
        }
    }
}

#[tokio::test]
async fn a_cut_or_missing_older_segment_loses_only_its_own_records() {
    let world = World::with(|settings| settings.segment_bytes = 900);
    world.append(1..41).await;
    let segments = world.log.segments();
    let folder = world.close().await;
    let path = &segments[1].path;
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    fs::remove_file(&segments[3].path).unwrap();
    let world = World::over(folder);
    let records = world.read(0);
    let kept = |position: u64| {
        let lost = segments[3].first.0..=segments[3].last.0;
        let cut = segments[1].first.0..=segments[1].last.0;
        !lost.contains(&position) && !cut.contains(&position)
    };
    let positions: Vec<u64> = records.iter().map(|record| record.position.0).collect();
    assert!((1..=40).filter(|position| kept(*position)).all(|position| positions.contains(&position)));
    assert!(positions.contains(&segments[1].first.0) && !positions.contains(&segments[1].last.0));
    assert_eq!(world.log.counts().damaged_count, 40 - positions.len() as u64);
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let folder = folder_with(3).await;
    let path = files(folder.path(), "seg").remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 2;
    let checksum = crc32c::crc32c(&bytes[..36]);
    bytes[36..40].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = Log::open(settings(folder.path()), SystemClock::shared(), &Tasks::new()).unwrap_err();
    assert!(
        matches!(error, Error::Version { version: 2, .. }) && error.to_string().contains("run a newer"),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn a_folder_that_can_not_be_used_is_refused_with_the_remedy() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let open = |path: &Path| {
        Log::open(LogSettings::new(path), SystemClock::shared(), &Tasks::new()).unwrap_err().to_string()
    };
    let error = open(&file);
    assert!(error.contains("make log folder") && error.contains("move away what is in its place"), "{error}");
    let error = open(&file.join("log"));
    assert!(error.contains("must be a directory"), "{error}");
    let error = inspect::records(&folder.path().join("absent"), LogPosition(0)).unwrap_err().to_string();
    assert!(error.contains("check the path"), "{error}");
}

/// What a disk, or a hand, may do to a file.
#[derive(Clone, Debug)]
enum Wound {
    Flip(Index, u8),
    Zero(Index, usize),
    Cut(Index),
    Insert(Index, Vec<u8>),
}

fn any_wound() -> impl Strategy<Value = Wound> {
    prop_oneof![
        (any::<Index>(), 1_u8..).prop_map(|(at, flip)| Wound::Flip(at, flip)),
        (any::<Index>(), 1_usize..600).prop_map(|(at, length)| Wound::Zero(at, length)),
        any::<Index>().prop_map(Wound::Cut),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..50))
            .prop_map(|(at, bytes)| Wound::Insert(at, bytes)),
    ]
}

fn hurt(bytes: &mut Vec<u8>, wound: &Wound) {
    if bytes.is_empty() {
        return;
    }
    match wound {
        Wound::Flip(at, flip) => {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        Wound::Zero(at, length) => {
            let at = at.index(bytes.len());
            let end = (at + length).min(bytes.len());
            bytes[at..end].fill(0);
        }
        Wound::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Wound::Insert(at, added) => {
            let at = at.index(bytes.len());
            bytes.splice(at..at, added.iter().copied());
        }
    }
}

#[tokio::test]
async fn whatever_happens_to_files_no_record_is_invented_and_every_loss_is_counted() {
    let world = World::with(|settings| settings.segment_bytes = 1_500);
    world.append(1..61).await;
    let source = world.close().await;
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, cases: 48, ..Default::default() });
    let wounds = prop::collection::vec((any::<Index>(), any_wound()), 1..6);
    let result = runner.run(&wounds, |wounds| {
        let folder = copy(source.path());
        let paths = files(folder.path(), "seg");
        for (which, wound) in &wounds {
            let path = which.get(&paths);
            let mut bytes = fs::read(path).unwrap();
            hurt(&mut bytes, wound);
            fs::write(path, bytes).unwrap();
        }
        let reports = inspect::verify(folder.path()).unwrap();
        let good: u64 = reports.iter().map(|report| report.good_count).sum();
        let lost: u64 = reports.iter().map(inspect::SegmentReport::lost_count).sum();
        let last = reports.last().map_or(0, |report| report.segment.last.0);
        prop_assert_eq!(good + lost, last);
        let mut records = inspect::records(folder.path(), LogPosition(0)).unwrap();
        let found: Vec<_> = records.by_ref().map(Result::unwrap).collect();
        prop_assert_eq!(found.len() as u64, good);
        let positions: Vec<u64> = found.iter().map(|record| record.position.0).collect();
        prop_assert!(positions.is_sorted_by(|one, other| one < other));
        assert_records(&found, positions);
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
}

//! Every form the log ever had on disk stays readable. `UPDATE_GOLDEN=1` writes the files of the newest version anew.

use std::fs;
use std::path::{Path, PathBuf};

use model::LogPosition;
use rawlog::inspect;
use tempfile::TempDir;

use crate::world::{World, assert_records, eventually};

const RECORDS: u64 = 24;

fn fixture(name: &str) -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")).join("fixtures").join(name)
}

fn read(fixture: &Path, name: &str) {
    let folder = TempDir::new().unwrap();
    fs::copy(fixture, folder.path().join(name)).unwrap();
    let records: Vec<_> =
        inspect::records(folder.path(), LogPosition(0)).unwrap().map(Result::unwrap).collect();
    assert_records(&records, 1..=RECORDS);
    let report = inspect::verify(folder.path()).unwrap().remove(0);
    assert_eq!((report.good_count, report.damage, report.tail_bytes), (RECORDS, vec![], 0));
}

#[tokio::test]
async fn raw_segments_of_version_1_are_read_and_written_byte_for_byte() {
    let world = World::new();
    world.append(1..RECORDS + 1).await;
    let written = fs::read(world.files("seg").remove(0)).unwrap();
    let golden = fixture("version-1.seg");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &written).unwrap();
    }
    assert!(fs::read(&golden).unwrap() == written, "the form on disk changed: that needs a new version");
    read(&golden, "00000000000000000001.seg");
}

#[tokio::test]
async fn archives_of_version_1_are_read() {
    let golden = fixture("version-1.mcap");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let world = World::new();
        world.append(1..RECORDS + 1).await;
        let bytes = world.log.bytes();
        let world = world
            .reopen(|settings| {
                settings.archive = true;
                settings.segment_bytes = bytes;
            })
            .await;
        world.append(RECORDS + 1..RECORDS + 2).await;
        let log = world.log.clone();
        eventually(|| log.segments()[0].form == rawlog::SegmentForm::Archive).await;
        fs::copy(world.files("mcap").remove(0), &golden).unwrap();
    }
    read(&golden, "00000000000000000001.mcap");
}

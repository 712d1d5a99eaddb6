//! Cases for the saved form.

use std::path::{Path, PathBuf};

use crate::fakes::{self, BYBIT, Script};
use crate::output::Output;
use crate::state;

/// A house in which every part of the form holds something. Never change it: make another for a new version.
fn script() -> Script {
    Script::started("binance")
        .open(2, &["BTC@trades", "BTC@book"])
        .trades([1, 2, 5], 1_000)
        .say("quote BTC 7 1000 99 101\nbar BTC 0 100 5 closed\nbroken BTC")
        .frame(2, "book BTC 3 4 - 1001 99x1 101x1")
        .answer("book BTC", "snap BTC 4 4 - 0 90x1,99x9 102x1")
        .pass(1_000)
        .outcome("binance:BTC-USDT", Some((3, 3)), 1_000, "not_at_venue")
        .frame(2, "book BTC 9 9 - 2001 99x2 -")
        .venue(BYBIT)
        .answer("listing", "list page BTC more")
        .open(7, &["BTC@trades"])
        .frame(7, "trade BTC n1 2500 50 1\nmark BTC 2500 50")
        .closed(7)
        .pass(500)
        .venue("binance")
        .trades([9], 4_000)
}

fn golden(name: &str) -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")).join("fixtures").join(name)
}

#[test]
fn states_of_earlier_versions_are_read() {
    for name in ["state_v1.bin", "state_v2.bin"] {
        reads(name);
    }
}

fn reads(name: &str) {
    let golden = std::fs::read(golden(name)).expect("the golden file is there");
    let restored = state::restore(fakes::rules(), &golden).unwrap();
    let mut house = fakes::house();
    for record in &script().records {
        house.take(record, &mut Output::default());
    }
    assert_eq!(restored.counts, house.counts);
    assert_eq!(restored.open_wishes(), house.open_wishes());
    let holes = |house: &crate::house::House| {
        house.tracks.iter().map(|track| track.ledger.holes.clone()).collect::<Vec<_>>()
    };
    assert_eq!(holes(&restored), holes(&house));
}

#[test]
fn states_of_today_are_as_in_the_golden_file() {
    let path = golden("state_v3.bin");
    let mut house = fakes::house();
    let mut out = Output::default();
    for record in &script().records {
        house.take(record, &mut out);
    }
    let saved = state::save(&house);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &saved).unwrap();
    }
    let golden = std::fs::read(&path).expect("the golden file is there");
    assert!(golden == saved, "the form changed: a new version is needed, and this file stays");
    let restored = state::restore(fakes::rules(), &golden).unwrap();
    assert!(state::save(&restored) == golden);
    assert_eq!(restored.counts, house.counts);
    assert_eq!(restored.open_wishes(), house.open_wishes());
    let named =
        |house: &crate::house::House| house.desks.iter().map(|desk| desk.named.len()).collect::<Vec<_>>();
    assert_eq!(named(&restored), [2, 1]);
}

#[test]
fn foreign_and_cut_states_are_refused() {
    let saved = state::save(&fakes::house());
    assert!(state::restore(fakes::rules(), &[]).is_err());
    assert!(state::restore(fakes::rules(), &[99, 1, 2]).is_err());
    assert!(state::restore(fakes::rules(), &saved[..saved.len() - 1]).is_err());
}

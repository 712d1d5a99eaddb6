//! Cases for the control state.

use model::Time;

use crate::{Budget, Control, Error};

fn budget(host: &str, weight_used: u32, banned_until: Option<i64>) -> Budget {
    Budget {
        host: host.into(),
        window_start: Time(1_723_161_240_000_000),
        weight_used,
        banned_until: banned_until.map(Time),
        endpoints: Vec::new(),
    }
}

#[test]
fn budgets_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    {
        let control = Control::open(&path).unwrap();
        assert_eq!(control.load_budgets().unwrap(), []);
        control.save_budget(&budget("https://b", 5, None)).unwrap();
        control.save_budget(&budget("https://a", 7, Some(9))).unwrap();
        control.save_budget(&budget("https://b", 6, Some(-1))).unwrap();
    }
    let control = Control::open(&path).unwrap();
    let expect = [budget("https://a", 7, Some(9)), budget("https://b", 6, Some(-1))];
    assert_eq!(control.load_budgets().unwrap(), expect);
    assert_eq!(control.schema_version().unwrap(), 12);
}

#[test]
fn what_endpoints_were_asked_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let endpoint = |path: &str, questions| crate::BudgetEndpoint {
        path: path.into(),
        questions,
        weight: 20 * questions,
        bans: 1,
        recent: 3,
        recent_time: Time(77),
    };
    let mut budget = budget("https://a", 7, None);
    budget.endpoints = vec![endpoint("/a", 5), endpoint("/b", 6)];
    let control = Control::open(&path).unwrap();
    control.save_budget(&budget).unwrap();
    budget.endpoints[1] = endpoint("/b", 60);
    control.save_budget(&budget).unwrap();
    drop(control);
    assert_eq!(Control::open(&path).unwrap().load_budgets().unwrap(), [budget]);
}

#[test]
fn two_handles_share_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let (one, two) = (Control::open(&path).unwrap(), Control::open(&path).unwrap());
    one.save_budget(&budget("https://a", 1, None)).unwrap();
    two.save_budget(&budget("https://a", 2, None)).unwrap();
    assert_eq!(one.load_budgets().unwrap(), [budget("https://a", 2, None)]);
}

#[test]
fn a_file_that_is_no_database_is_named_with_the_remedy_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let bytes = b"this was never a database, only some bytes that somebody put here".repeat(100);
    std::fs::write(&path, &bytes).unwrap();
    let error = Control::open(&path).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Corrupt { .. }), "{text}");
    assert!(text.contains("control.sqlite") && text.contains("move it away"), "{text}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_damaged_page_is_found_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let control = Control::open(&path).unwrap();
    for host in 0..500 {
        control.save_budget(&budget(&format!("https://host-{host}.example"), host, None)).unwrap();
    }
    drop(control);
    let mut bytes = std::fs::read(&path).unwrap();
    let last_page = bytes.len() - 4_096;
    bytes[last_page..].fill(0xa5);
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(Control::open(&path).unwrap_err(), Error::Corrupt { .. }));
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let control = Control::open(&path).unwrap();
    control
        .with("write", |connection| connection.execute("UPDATE schema_version SET version = 99", []))
        .unwrap();
    drop(control);
    let error = Control::open(&path).unwrap_err();
    assert!(matches!(error, Error::TooNew { version: 99, .. }), "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let error = Control::open("/nowhere/at/all/control.sqlite").unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all/control.sqlite"), "{error}");
}

#[test]
fn a_rewritten_file_of_an_archive_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let control = Control::open(folder.path().join("control.sqlite")).unwrap();
    let first = crate::ArchiveRecord {
        venue: "binance".into(),
        path: "/data/x.zip".into(),
        instrument: "binance:BTC-USDT".parse().unwrap(),
        channel: model::Channel::Trades,
        days: (model::Date(19_000), model::Date(19_030)),
        state: crate::FileState::Quarantined,
        reason: "line 3: bad".into(),
        checksum: "aa".into(),
        tag: "t1".into(),
        size_bytes: 10,
        rows_added: 1,
        rows_known: 2,
        rows_twice: 3,
        rows_missing: 4,
        ids: Some((-5, 7)),
        versions: 1,
        settled_time: Time(1),
    };
    assert_eq!(control.settle_archive_file(&first).unwrap(), 1);
    assert_eq!(control.settle_archive_file(&first).unwrap(), 1, "the same content is no new version");
    assert_eq!(control.archive_file("binance", "/data/x.zip").unwrap(), Some(first.clone()));
    let second = crate::ArchiveRecord {
        state: crate::FileState::Imported,
        reason: String::new(),
        checksum: "bb".into(),
        ids: None,
        versions: 2,
        ..first.clone()
    };
    assert_eq!(control.settle_archive_file(&second).unwrap(), 2);
    let days = |first: i32, last: i32| (model::Date(first), model::Date(last));
    let found =
        |first, last| control.archive_files(&second.instrument, second.channel, days(first, last)).unwrap();
    assert_eq!(found(19_030, 19_040), std::slice::from_ref(&second));
    assert_eq!(found(19_031, 19_040), []);
    assert_eq!(control.archive_file("bybit", "/data/x.zip").unwrap(), None);
    let id = &second.instrument;
    assert_eq!(control.archive_instruments().unwrap(), std::slice::from_ref(id));
    assert_eq!(control.archive_first_day(id, second.channel).unwrap(), Some(second.days.0));
    assert_eq!(control.archive_first_day(id, model::Channel::Klines).unwrap(), None);
}

#[test]
fn the_first_frontier_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("control.sqlite");
    let (btc, eth) = ("binance:BTC-USDT".parse().unwrap(), "bybit-linear:ETH-USDT-PERP".parse().unwrap());
    let control = Control::open(&file).unwrap();
    assert_eq!(control.frontier(&btc).unwrap(), None);
    control.keep_frontier(&btc, (Some(7), Time(100))).unwrap();
    control.keep_frontier(&btc, (Some(9), Time(200))).unwrap();
    control.keep_frontier(&eth, (None, Time(300))).unwrap();
    drop(control);
    let control = Control::open(&file).unwrap();
    assert_eq!(control.frontier(&btc).unwrap(), Some((Some(7), Time(100))));
    assert_eq!(control.frontier(&eth).unwrap(), Some((None, Time(300))));
    control.forget_frontier(&eth).unwrap();
    assert_eq!(control.frontier(&eth).unwrap(), None);
    assert_eq!(control.oldest_file(&eth, model::Channel::Trades).unwrap(), None);
    control.keep_oldest_file(&eth, model::Channel::Trades, model::Date(5)).unwrap();
    assert_eq!(control.oldest_file(&eth, model::Channel::Trades).unwrap(), Some(model::Date(5)));
}

#[test]
fn spans_without_bars_are_remembered_until_they_have_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("control.sqlite");
    let btc = "binance:BTC-USDT".parse().unwrap();
    let (one, two) = ((Time(1), Time(5)), (Time(7), Time(9)));
    let control = Control::open(&file).unwrap();
    control.note_unfolded(&btc, &[two, one]).unwrap();
    control.note_unfolded(&btc, &[two]).unwrap();
    drop(control);
    let control = Control::open(&file).unwrap();
    assert_eq!(control.unfolded(&btc).unwrap(), [one, two]);
    control.forget_unfolded(&btc, &[one]).unwrap();
    assert_eq!(control.unfolded(&btc).unwrap(), [two]);
    assert_eq!(control.unfolded(&"binance:ETH-USDT".parse().unwrap()).unwrap(), []);
}

#[test]
fn a_job_goes_from_one_process_to_another_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("control.sqlite");
    let (command, house) = (Control::open(&file).unwrap(), Control::open(&file).unwrap());
    assert_eq!(house.take_job(Time(1)).unwrap(), None);
    let ask = crate::JobAsk {
        kind: "backfill".into(),
        venue: "binance".into(),
        instruments: vec!["BTCUSDT".into(), "ETHUSDT".into()],
        days: (Some(model::Date(19_000)), None),
        flags: vec!["keep".into()],
        parallel: 4,
        ..crate::JobAsk::default()
    };
    let [first, second, third] = [2, 3, 4].map(|now| command.add_job(&ask, Time(now)).unwrap());
    let taken = house.take_job(Time(5)).unwrap().unwrap();
    assert_eq!((taken.id, &taken.ask, taken.state), (first, &ask, crate::JobState::Running));
    let progress = crate::Progress {
        phase: "archive_recovery of BTCUSDT".into(),
        files_done: 1,
        running: vec![("BTCUSDT 2024-08-01.zip".into(), 5, 10)],
        budgets: vec![("binance".into(), 20, 6_000)],
        ..crate::Progress::default()
    };
    let lines = ["one".to_owned(), "two".to_owned()];
    assert!(!house.tell_job(first, (&progress, &lines[..1]), Time(6)).unwrap());
    command.cancel_job(first).unwrap();
    assert!(house.tell_job(first, (&progress, &lines[1..]), Time(7)).unwrap(), "it is called off");
    assert_eq!(command.job(first).unwrap().unwrap().progress, progress);
    assert_eq!(command.job_lines(first, 1).unwrap(), [(2, "two".to_owned())]);
    house.settle_job(first, (crate::JobState::Cancelled, "why"), Time(8)).unwrap();
    // One that waits is called off at once; one whose process was killed waits again.
    command.cancel_job(second).unwrap();
    assert_eq!(house.take_job(Time(9)).unwrap().unwrap().id, third);
    drop(house);
    let house = Control::open(&file).unwrap();
    assert_eq!(house.take_job(Time(10)).unwrap(), None);
    assert_eq!((house.revive_jobs().unwrap(), house.open_jobs().unwrap()[0].id), (1, third));
    assert_eq!(house.take_job(Time(11)).unwrap().unwrap().id, third);
}

#[test]
fn a_file_is_read_without_being_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control.sqlite");
    let read =
        |path: &std::path::Path| Control::open_to_read(path).and_then(|control| control.canonical_method());
    assert!(read(&path).is_err());
    let control = Control::open(&path).unwrap();
    control.choose_canonical_method(1).unwrap();
    assert_eq!(read(&path).unwrap(), Some(1));
    let reader = Control::open_to_read(&path).unwrap();
    assert!(reader.choose_canonical_method(2).is_err());
    drop(control);
    assert_eq!(read(&path).unwrap(), Some(1));
}

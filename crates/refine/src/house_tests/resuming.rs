//! The fold, three ways: whole, in pieces, and killed at any record, even in the middle of a commit.

use model::LogPosition;
use tables::TableStore;

use crate::checkpoint::Checkpoint;
use crate::fakes::{self, BYBIT, FakeStore, Script, rules};
use crate::house::House;
use crate::output::Output;
use crate::state;

/// A session with everything in it: holes, answers, outcomes, two venues, books, late trades, a restart.
fn script() -> Script {
    let mut script = Script::started("binance").open(2, &["BTC@trades", "BTC@book"]);
    for step in 0..40_i64 {
        let ms = 1_000 + step * 7_000;
        let id = step * 3 + 1;
        script = script
            .at(ms)
            .say(&format!("trade BTC {id} {ms} {} 0.5", 100 + step % 7))
            .say(&format!("trade BTC {} {ms} 101 0.25\nquote BTC {id} {ms} 99 101", id + 1));
        script = match step % 5 {
            0 if step % 10 == 0 => script.say("broken BTC"),
            0 => script,
            1 => script.frame(2, &format!("trade BTC {} {ms} 98 1", id + 2)),
            _ => script.say(&format!("trade BTC {} {ms} 98 1", id + 2)),
        };
        script =
            script.frame(2, &format!("book BTC {} {} - {ms} 99x{step} 101x1", step * 2 + 1, step * 2 + 2));
        script = script.pass(750);
        if step == 3 {
            script = script.answer("book BTC", "snap BTC 4 4 - 0 90x1,99x9 102x1");
        }
        if step % 10 == 6 {
            let hole = (step - 1) * 3 + 3;
            script = script.answer("trades BTC", &format!("trade BTC {hole} {} 97 2", ms - 6_900));
        }
        if step == 20 {
            script = script.closed(2).session().answer("listing", "list BTC:halted ETH");
            script = script.open(1, &["BTC@trades"]).open(2, &["BTC@trades", "BTC@book"]);
        }
        if step == 25 {
            script = script.outcome("binance:BTC-USDT", Some((1, 48)), 0, "done");
        }
    }
    script = script.venue(BYBIT).answer("listing", "list BTC").open(7, &["BTC@trades"]);
    for step in 0..12_i64 {
        let ms = 300_000 + step * 9_000;
        script = script.at(ms).frame(7, &format!("trade BTC n{step} {ms} 50 1\nmark BTC {ms} 50")).pass(500);
        if step == 6 {
            script = script.closed(7).pass(5_000).open(8, &["BTC@trades"]);
            script = script.answer("trades BTC", &format!("trade BTC x {} 51 1", ms + 2_000));
            script =
                script.outcome("bybit-linear:BTC-USDT", None, ms - 1_000, "done").open(7, &["BTC@trades"]);
        }
    }
    let end = script.now_ms + 70_000;
    script.at(end).tick().pass(250)
}

/// What a process does, one record at a time, with a flush every so many records.
struct Process<'a> {
    store: &'a FakeStore,
    states: Vec<Checkpoint>,
    flush_every: u64,
}

impl Process<'_> {
    fn take_up(&self) -> House {
        let positions = self.store.positions();
        match self.states.iter().rev().find(|state| state.is_covered(&positions)) {
            Some(checkpoint) => state::restore(rules(), &checkpoint.state).unwrap(),
            None => fakes::house(),
        }
    }

    /// Runs until the record after which it is killed, if any; `tables` of the flush at hand are committed by then.
    fn live(&mut self, script: &Script, killed_after: Option<u64>, tables: usize) {
        let mut house = self.take_up();
        let mut out = Output::default();
        let mut since = std::collections::BTreeSet::new();
        let after = house.position;
        for record in script.records.iter().filter(|record| record.position > after) {
            house.take(record, &mut out);
            assert!(out.recompute.is_empty(), "everything is held in memory here");
            for rows in out.take_rows() {
                since.insert(rows.table);
                self.store.append(rows).unwrap();
            }
            let is_end = killed_after == Some(record.position.0);
            if record.position.0.is_multiple_of(self.flush_every) || is_end {
                let tables_in = std::mem::take(&mut since).into_iter().collect();
                let state = state::save(&house);
                self.states.push(Checkpoint { position: record.position, tables: tables_in, state });
                self.store.commit_some(record.position, if is_end { tables } else { usize::MAX });
            }
            if is_end {
                return self.store.crash();
            }
        }
        self.store.commit_some(LogPosition(u64::MAX), usize::MAX);
    }
}

fn whole(script: &Script) -> FakeStore {
    let store = FakeStore::default();
    Process { store: &store, states: Vec::new(), flush_every: u64::MAX }.live(script, None, 0);
    store
}

#[test]
fn the_script_has_everything_in_it() {
    let store = whole(&script());
    for (table, rows) in store.all_rows() {
        let expected = !matches!(table, tables::TableName::Funding | tables::TableName::OpenInterest);
        assert_eq!(!rows.is_empty(), expected, "{table}");
    }
    let gaps = store.seen(tables::TableName::Gaps).join("\n");
    for word in ["filled", "missing", "stopped", "disconnected", "beyond_history", "undecodable"] {
        assert!(gaps.contains(word), "no gap is {word}:\n{gaps}");
    }
    let bars = store.seen(tables::TableName::Bars).join("\n");
    assert!(bars.contains(" 1 "), "a bar is revised: {bars}");
}

#[test]
fn killed_anywhere_and_resumed_the_rows_are_the_same() {
    let script = script();
    let expect = whole(&script).all_rows();
    for killed_after in 1..=script.records.len() as u64 {
        let store = FakeStore::default();
        let mut process = Process { store: &store, states: Vec::new(), flush_every: 37 };
        process.live(&script, Some(killed_after), (killed_after % 7) as usize);
        process.live(&script, None, 0);
        assert_eq!(store.all_rows(), expect, "killed after {killed_after}");
    }
}

#[test]
fn killed_often_the_rows_are_the_same() {
    let script = script();
    let expect = whole(&script).all_rows();
    let store = FakeStore::default();
    let mut process = Process { store: &store, states: Vec::new(), flush_every: 11 };
    for killed_after in (5..script.records.len() as u64).step_by(13) {
        process.live(&script, Some(killed_after), (killed_after % 4) as usize);
    }
    process.live(&script, None, 0);
    assert_eq!(store.all_rows(), expect);
}

#[test]
fn saved_and_taken_up_the_state_is_the_same() {
    let script = script();
    let (mut house, mut out) = (fakes::house(), Output::default());
    for record in &script.records {
        house.take(record, &mut out);
        let bytes = state::save(&house);
        house = state::restore(rules(), &bytes).unwrap();
        assert_eq!(state::save(&house), bytes, "after {}", record.position);
    }
}

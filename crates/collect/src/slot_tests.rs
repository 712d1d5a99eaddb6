//! Cases for slots, at given times.

use std::sync::Arc;
use std::time::Duration;

use model::{Channel, Nanos};
use venues::Stream;

use super::{Deed, Running, Slot, SlotRules};
use crate::link::{Command, LinkEnd, link};

const RULES: SlotRules = SlotRules {
    lifetime: Some(Duration::from_secs(1_000)),
    handover_max: Duration::from_secs(10),
    reconnect: (Duration::from_secs(1), Duration::from_secs(8)),
};

fn at(seconds: i64) -> Nanos {
    Nanos(seconds * 1_000_000_000)
}

fn slot() -> Slot {
    let stream = Stream { key: "k".into(), channel: Channel::Trades, instrument: None, route: "" };
    Slot::new("ws://venue".into(), vec![stream], 0, (1, &RULES))
}

/// Expects the slot to want a connection now, and gives it one.
fn open(slot: &mut Slot, number: u32, now: Nanos) -> LinkEnd {
    assert_eq!(slot.turn(&RULES, now), Deed::Open);
    let (link, end) = link(number, &Arc::default());
    slot.opened(Running::new(link));
    end
}

fn works(end: &LinkEnd, now: Nanos) {
    end.show(|state| {
        state.opened = Some(now);
        state.has_data = true;
        state.may_take_over = true;
        state.is_settled = true;
    });
}

fn told(end: &mut LinkEnd) -> Option<String> {
    end.commands.try_receive().map(|command| format!("{command:?}"))
}

#[test]
fn failed_connections_are_tried_again_ever_later() {
    let mut slot = slot();
    let mut waits = Vec::new();
    let mut now = at(0);
    for number in 0..8 {
        let end = open(&mut slot, number, now);
        end.show(|state| state.ended = Some("refused".into()));
        let failed = now;
        while slot.turn(&RULES, now) == Deed::Nothing {
            now.0 += 10_000_000;
        }
        waits.push((now.0 - failed.0) / 1_000_000);
    }
    assert!((500..=1_010).contains(&waits[0]), "{waits:?}");
    assert!(waits[7] >= 4_000 && waits.iter().all(|wait| *wait <= 8_010), "{waits:?}");
    assert!(slot.take_trouble().unwrap().contains("ws://venue (7): refused"));
}

#[test]
fn a_connection_that_lived_well_is_replaced_soon() {
    let mut slot = slot();
    for number in 0..5 {
        let start = i64::from(number) * 100;
        let end = open(&mut slot, number, at(start));
        works(&end, at(start));
        drop(end);
        assert_eq!(slot.turn(&RULES, at(start + 50)), Deed::Nothing);
        assert!(slot.take_trouble().unwrap().contains("broke off"));
    }
}

#[test]
fn the_successor_takes_over_once_it_may() {
    let mut slot = slot();
    let mut old = open(&mut slot, 1, at(0));
    works(&old, at(0));
    assert_eq!(slot.turn(&RULES, at(1)), Deed::Nothing);
    old.show(|state| state.wants_successor = Some("the venue announced its end".into()));
    let new = open(&mut slot, 2, at(2));
    assert_eq!(slot.turn(&RULES, at(3)), Deed::Nothing);
    works(&new, at(3));
    assert_eq!(slot.turn(&RULES, at(3)), Deed::Nothing);
    assert_eq!(told(&mut old), None, "both run for a moment");
    assert_eq!(slot.turn(&RULES, at(4)), Deed::Nothing);
    assert_eq!(told(&mut old).unwrap(), "Close(\"replaced\")");
    assert_eq!(slot.turn(&RULES, at(5)), Deed::Nothing);
    assert!(slot.is_well());
}

#[test]
fn a_successor_that_lacks_a_busy_stream_takes_over_after_a_while() {
    let mut slot = slot();
    let mut old = open(&mut slot, 1, at(0));
    works(&old, at(0));
    old.show(|state| state.wants_successor = Some("quiet".into()));
    let new = open(&mut slot, 2, at(1));
    works(&new, at(1));
    new.show(|state| state.may_take_over = false);
    assert_eq!(slot.turn(&RULES, at(10)), Deed::Nothing);
    assert_eq!(told(&mut old), None);
    assert_eq!(slot.turn(&RULES, at(11)), Deed::Nothing);
    assert!(told(&mut old).is_some());
}

#[test]
fn a_successor_steps_in_at_once_when_the_old_one_ends() {
    let mut slot = slot();
    let old = open(&mut slot, 1, at(0));
    works(&old, at(0));
    old.show(|state| state.wants_successor = Some("end".into()));
    let _new = open(&mut slot, 2, at(1));
    drop(old);
    assert_eq!(slot.turn(&RULES, at(2)), Deed::Nothing);
    assert_eq!(slot.turn(&RULES, at(60)), Deed::Nothing);
}

#[test]
fn a_failed_successor_is_tried_again_while_the_old_one_serves() {
    let mut slot = slot();
    let mut old = open(&mut slot, 1, at(0));
    works(&old, at(0));
    old.show(|state| state.wants_successor = Some("end".into()));
    drop(open(&mut slot, 2, at(1)));
    assert_eq!(slot.turn(&RULES, at(1)), Deed::Nothing);
    let _new = open(&mut slot, 3, at(9));
    assert_eq!(told(&mut old), None);
}

#[test]
fn the_lifetime_is_not_used_to_the_end() {
    let mut slot = slot();
    let old = open(&mut slot, 1, at(0));
    works(&old, at(0));
    assert_eq!(slot.turn(&RULES, at(849)), Deed::Nothing);
    let _new = open(&mut slot, 2, at(950));
}

#[test]
fn a_slot_without_streams_closes() {
    let mut slot = slot();
    let mut end = open(&mut slot, 1, at(0));
    slot.streams.clear();
    assert_eq!(slot.turn(&RULES, at(1)), Deed::Nothing);
    assert!(told(&mut end).unwrap().starts_with("Close"));
    assert!(slot.is_over());
}

#[test]
fn a_connection_that_takes_no_commands_is_replaced() {
    let mut slot = slot();
    let _stuck = open(&mut slot, 1, at(0));
    for _ in 0..1_000 {
        slot.tell(|| Command::Renew("k".into()));
    }
    let _new = open(&mut slot, 2, at(5));
}

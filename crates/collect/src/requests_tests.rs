//! Cases for requests: pace, answers in their order, refusals, missing answers.

use std::sync::Arc;

use model::{Channel, Nanos};

use super::{Outcome, Requests};
use crate::board::Board;
use crate::testing::{facts, instrument, venue_with};

fn at(millis: i64) -> Nanos {
    Nanos(millis * 1_000_000)
}

/// Requests about streams of that many instruments, and the messages sent so far.
fn asked(count: usize, gap_ms: u64) -> (Requests, Arc<Board>) {
    let venue = venue_with(venues::Facts { message_gap_ms_min: gap_ms, ..facts() });
    let board = Arc::new(Board::new(venue.facts().id));
    let instruments: Vec<_> = (0..count).map(|number| instrument(&format!("C{number}"), "USDT")).collect();
    let mut requests = Requests::new(venue);
    let new = requests.want(venue.streams(&instruments, &[Channel::Trades]), &board);
    assert_eq!(new, (0..count).collect::<Vec<_>>());
    (requests, board)
}

fn carried(indices: impl IntoIterator<Item = usize>) -> Outcome {
    Outcome { carried: indices.into_iter().collect(), ..Outcome::default() }
}

#[test]
fn messages_keep_the_venues_pace() {
    let (mut requests, _board) = asked(450, 300);
    let times: Vec<i64> =
        (0..1_000).step_by(50).filter(|time| requests.next_message(at(*time)).is_some()).collect();
    assert_eq!(times, [0, 300, 600]);
}

#[test]
fn answers_belong_to_requests_in_their_order() {
    let (mut requests, _board) = asked(450, 0);
    while requests.next_message(at(0)).is_some() {}
    assert_eq!(requests.answered(None, at(1)), carried(0..200));
    assert_eq!(requests.take_carries(at(2)), None);
    assert_eq!(requests.answered(None, at(3)), carried(200..400));
    assert!(!requests.is_settled());
    // The list is written after a second even if some answers are out.
    assert_eq!(requests.take_carries(at(1_100)).unwrap().lines().count(), 400);
    assert_eq!(requests.answered(None, at(1_200)), carried(400..450));
    assert!(requests.is_settled());
    assert_eq!(requests.take_carries(at(1_200)).unwrap().lines().count(), 450);
    assert_eq!(requests.answered(None, at(1_300)), Outcome::default());
}

#[test]
fn the_culprit_of_a_refusal_is_found_by_halves() {
    let (mut requests, _board) = asked(100, 0);
    let (mut refused, mut count, mut message_count) = (Vec::new(), 0, 0);
    while let Some(text) = requests.next_message(at(0)) {
        message_count += 1;
        let is_bad = text.contains("\"c37usdt@aggTrade\"");
        let outcome = requests.answered(is_bad.then_some("bad topic"), at(0));
        refused.extend(outcome.refused);
        count += outcome.carried.len();
    }
    assert_eq!((refused, count), (vec![37], 99));
    assert!(message_count < 20);
}

#[test]
fn what_is_subscribed_already_is_no_refusal() {
    let (mut requests, _board) = asked(2, 0);
    requests.next_message(at(0)).unwrap();
    assert_eq!(requests.answered(Some("error: topic already subscribed"), at(0)), carried(0..2));
}

#[test]
fn unanswered_requests_are_repeated_and_then_given_up() {
    let (mut requests, _board) = asked(2, 0);
    requests.next_message(at(0)).unwrap();
    requests.saw(1, at(100));
    // The stream that brings data needs no answer.
    assert_eq!(requests.overdue(at(5_001)), carried([1]));
    assert!(requests.next_message(at(5_001)).unwrap().contains("[\"c0usdt@aggTrade\"]"));
    assert_eq!(requests.overdue(at(10_003)), Outcome::default());
    requests.next_message(at(10_003)).unwrap();
    assert!(requests.overdue(at(15_005)).is_hopeless);
}

#[test]
fn a_renewed_stream_is_not_carried_until_the_venue_agrees_again() {
    let (mut requests, board) = asked(2, 0);
    requests.next_message(at(0)).unwrap();
    requests.answered(None, at(0));
    requests.take_carries(at(0)).unwrap();
    assert_eq!(requests.renew("c1usdt@aggTrade", at(1)), Some(1));
    assert_eq!(requests.renew("c1usdt@aggTrade", at(1)), None, "it is on its way");
    assert_eq!(requests.renew("unknown", at(1)), None);
    assert!(requests.next_message(at(1)).unwrap().contains("UNSUBSCRIBE"));
    assert!(requests.next_message(at(1)).unwrap().contains("\"SUBSCRIBE"));
    requests.saw(1, at(2));
    requests.answered(None, at(2));
    assert_eq!(requests.take_carries(at(1_500)).unwrap(), "c0usdt@aggTrade");
    assert_eq!(requests.answered(None, at(1_600)), carried([1]));
    assert_eq!(requests.take_carries(at(1_600)).unwrap(), "c0usdt@aggTrade\nc1usdt@aggTrade");
    drop(requests);
    assert!(board.status().streams.iter().all(|stream| stream.health == model::status::StreamHealth::Down));
}

#[test]
fn streams_come_and_go_under_the_same_index() {
    let (mut requests, board) = asked(3, 0);
    requests.next_message(at(0)).unwrap();
    requests.answered(None, at(0));
    let stream = requests.stream(1).clone();
    assert_eq!(requests.unwant(&[stream.key.clone(), "other".into()], at(1)), [1]);
    assert!(requests.next_message(at(1)).unwrap().contains("UNSUBSCRIBE"));
    requests.answered(None, at(1));
    assert_eq!(requests.take_carries(at(1)).unwrap(), "c0usdt@aggTrade\nc2usdt@aggTrade");
    assert_eq!(requests.want(vec![stream], &board), Vec::<usize>::new());
    requests.next_message(at(2)).unwrap();
    assert_eq!(requests.answered(None, at(2)), carried([1]));
}

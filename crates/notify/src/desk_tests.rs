//! Cases for what is sent when.

use std::time::Duration;

use model::{Time, VenueId};
use proptest::prelude::*;

use super::*;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn rules() -> Rules {
    Rules { kinds: Kind::ALL.into_iter().collect(), ..Rules::default() }
}

fn message(severity: Severity, title: &str) -> Message {
    Message::new(Kind::Error, severity, title, Time(0))
}

fn gap(venue: &str, symbol: usize, cause: &str) -> Message {
    let title = format!("gap opened on {venue} S{symbol}");
    Message::new(Kind::GapOpened, Severity::Warning, title, Time(0))
        .of_venue(VenueId::known(venue).unwrap())
        .with("cause", cause)
        .with("first_id", symbol as i64)
        .gathered("gaps opened")
}

/// Everything that may go now.
fn sent(desk: &mut Desk, now: Duration) -> Vec<Letter> {
    let mut letters = Vec::new();
    while let Next::Send(letter) = desk.next(now) {
        letters.push(*letter);
    }
    letters
}

fn titles(letters: &[Letter]) -> Vec<&str> {
    letters.iter().map(|letter| letter.message.title.as_str()).collect()
}

#[test]
fn an_outage_of_seven_hundred_symbols_is_one_message_for_each_venue() {
    let mut desk = Desk::new(rules());
    for symbol in 0..700 {
        let venue = if symbol % 7 == 0 { "bybit" } else { "binance" };
        let cause = if symbol % 10 == 0 { "dropped" } else { "disconnected" };
        desk.take(gap(venue, symbol, cause), Duration::from_millis(10 * symbol as u64));
    }
    assert!(matches!(desk.next(seconds(10)), Next::Wait(wait) if wait == seconds(20)));
    let letters = sent(&mut desk, seconds(31));
    assert_eq!(titles(&letters), ["100 gaps opened on bybit", "600 gaps opened on binance"]);
    let binance = &letters[1].message;
    assert!(binance.text.starts_with("gap opened on binance S1\n"), "{}", binance.text);
    assert!(binance.text.ends_with("\n… and 590 more"), "{}", binance.text);
    assert_eq!(binance.fields, [("cause", "disconnected 540, dropped 60".into())]);
    assert_eq!(letters.iter().map(|letter| letter.count).sum::<u64>(), 700);
}

#[test]
fn a_single_gap_is_told_as_it_is_and_what_goes_on_is_gathered_for_longer() {
    let mut desk = Desk::new(rules());
    desk.take(gap("binance", 7, "dropped"), seconds(0));
    let letters = sent(&mut desk, seconds(30));
    assert_eq!(titles(&letters), ["gap opened on binance S7"]);
    assert_eq!(letters[0].message.fields.len(), 2);
    let mut told = Vec::new();
    for second in 30..1_000 {
        desk.take(gap("binance", second as usize, "dropped"), seconds(second));
        told.extend(sent(&mut desk, seconds(second)).iter().map(|letter| letter.count));
    }
    assert_eq!(told, [61, 121, 241, 241, 241], "30 s, then 60, 120, and 240 at most");
    let _last = sent(&mut desk, seconds(2_000));
    let _forgotten = sent(&mut desk, seconds(3_000));
    desk.take(gap("binance", 8, "dropped"), seconds(3_000));
    assert_eq!(sent(&mut desk, seconds(3_030)).len(), 1, "after a lull the wait is short again");
}

#[test]
fn the_last_place_of_a_minute_takes_everything_that_waits() {
    let mut desk = Desk::new(Rules { per_minute: 3, ..rules() });
    for number in 0..20 {
        desk.take(message(Severity::Info, &format!("m{number}")), seconds(0));
    }
    let letters = sent(&mut desk, seconds(0));
    assert_eq!(titles(&letters), ["m0", "m1", "18 messages in one"]);
    assert_eq!((letters[2].count, letters[2].parts.len()), (18, 18));
    assert!(letters[2].message.text.starts_with("m2\nm3\n"), "{}", letters[2].message.text);
    desk.take(message(Severity::Critical, "fire"), seconds(59));
    assert!(matches!(desk.next(seconds(59)), Next::Wait(wait) if wait == seconds(1)));
    assert_eq!(titles(&sent(&mut desk, seconds(60))), ["fire"]);
}

#[test]
fn the_critical_goes_first() {
    let mut desk = Desk::new(rules());
    desk.take(message(Severity::Info, "calm"), seconds(0));
    desk.take(message(Severity::Critical, "fire"), seconds(0));
    assert_eq!(titles(&sent(&mut desk, seconds(0))), ["fire", "calm"]);
}

#[test]
fn a_full_desk_loses_the_oldest_of_the_mildest_and_says_so() {
    let mut desk = Desk::new(Rules { waiting_max: 3, ..rules() });
    for (severity, title) in [
        (Severity::Critical, "a"),
        (Severity::Info, "b"),
        (Severity::Warning, "c"),
        (Severity::Info, "d"),
        (Severity::Warning, "e"),
        (Severity::Info, "f"),
    ] {
        desk.take(message(severity, title), seconds(0));
    }
    assert_eq!(desk.lost_total(), 3, "b, d, and f, which is the mildest itself");
    let letters = sent(&mut desk, seconds(0));
    assert_eq!(titles(&letters), ["a", "c", "e"]);
    assert_eq!(letters.iter().map(|letter| letter.lost).collect::<Vec<_>>(), [3, 0, 0]);
}

#[test]
fn what_goes_on_is_told_once_in_a_while_and_its_end_once() {
    let mut desk = Desk::new(Rules { severity_min: Severity::Warning, ..rules() });
    let raise =
        |desk: &mut Desk, at| desk.take(message(Severity::Critical, "full").raised("disk"), seconds(at));
    let over = |desk: &mut Desk, at| desk.take(message(Severity::Info, "ok").over("disk"), seconds(at));
    over(&mut desk, 0);
    for at in 0..3_600 {
        raise(&mut desk, at);
    }
    assert_eq!(titles(&sent(&mut desk, seconds(3_599))), ["full"], "nothing was over before");
    raise(&mut desk, 3_600);
    let letters = sent(&mut desk, seconds(3_600));
    assert_eq!(letters[0].message.fields, [("raised_again", 3_599_i64.into())]);
    over(&mut desk, 3_700);
    over(&mut desk, 3_701);
    assert_eq!(titles(&sent(&mut desk, seconds(3_700))), ["ok"], "however mild");
    raise(&mut desk, 3_702);
    assert_eq!(titles(&sent(&mut desk, seconds(3_702))), ["full"], "it began anew");
}

#[test]
fn what_is_not_chosen_is_not_told_nor_its_end() {
    let kinds = [Kind::Disk].into_iter().collect();
    let mut desk = Desk::new(Rules { kinds, ..rules() });
    desk.take(message(Severity::Critical, "x").raised("x"), seconds(0));
    desk.take(message(Severity::Info, "y").over("x"), seconds(1));
    assert!(desk.is_empty());
}

#[test]
fn what_came_back_goes_first_after_its_wait_or_is_given_up_when_it_is_old() {
    let mut desk = Desk::new(rules());
    desk.take(message(Severity::Info, "a"), seconds(0));
    let Next::Send(letter) = desk.next(seconds(0)) else { panic!("nothing to send") };
    desk.put_back(*letter, seconds(7), seconds(1));
    desk.take(message(Severity::Info, "b"), seconds(2));
    assert!(matches!(desk.next(seconds(2)), Next::Wait(wait) if wait == seconds(6)));
    let Next::Send(letter) = desk.next(seconds(8)) else { panic!("nothing to send") };
    assert_eq!(letter.message.title, "a");
    desk.put_back(*letter, seconds(7), seconds(8));
    let letters = sent(&mut desk, seconds(6 * 3_600 + 1));
    assert_eq!(titles(&letters), ["b"]);
    assert_eq!(letters[0].lost, 1);
}

#[test]
fn while_closing_nothing_is_gathered_any_more() {
    let mut desk = Desk::new(Rules { per_minute: 1, ..rules() });
    desk.take(message(Severity::Info, "a"), seconds(0));
    assert_eq!(sent(&mut desk, seconds(0)).len(), 1);
    for symbol in 0..5 {
        desk.take(gap("binance", symbol, "dropped"), seconds(1));
    }
    desk.take(message(Severity::Info, "closing"), seconds(1));
    assert!(matches!(desk.next(seconds(1)), Next::Wait(_)));
    desk.close();
    assert_eq!(titles(&sent(&mut desk, seconds(1))), ["closing", "5 gaps opened on binance"]);
    assert!(desk.is_empty());
}

proptest! {
    /// Whatever comes, nothing is told twice or forgotten: sent and lost together are what came.
    #[test]
    fn everything_is_sent_or_counted_as_lost(
        steps in proptest::collection::vec((0_u64..40, 0_usize..4, 0_u8..6), 1..300),
        (per_minute, waiting_max) in (1_usize..6, 1_usize..12),
    ) {
        let mut desk = Desk::new(Rules { per_minute, waiting_max, keep: seconds(300), ..rules() });
        let (mut now, mut came, mut told, mut lost) = (Duration::ZERO, 0, 0, 0);
        let mut times: Vec<Duration> = Vec::new();
        for (wait, kind, answer) in steps {
            now += seconds(wait);
            desk.take(match kind {
                0 => gap("binance", 1, "dropped"),
                1 => gap("bybit", 1, "dropped"),
                2 => message(Severity::Info, "x"),
                _ => message(Severity::Critical, "y"),
            }, now);
            came += 1;
            prop_assert!(desk.waiting_count() <= waiting_max);
            if let Next::Send(letter) = desk.next(now) {
                times.push(now);
                match answer {
                    0 => desk.put_back(*letter, seconds(5), now),
                    1 => desk.give_up(&letter),
                    _ => {
                        told += letter.count;
                        lost += letter.lost;
                    }
                }
            }
        }
        for (at, time) in times.iter().enumerate() {
            let within = times[..=at].iter().filter(|other| **other + seconds(60) > *time).count();
            prop_assert!(within <= per_minute, "{within} in a minute");
        }
        desk.close();
        now += seconds(60);
        for letter in sent(&mut desk, now) {
            told += letter.count;
            lost += letter.lost;
        }
        prop_assert_eq!(told + desk.lost_total(), came);
        prop_assert_eq!(lost + desk.lost, desk.lost_total());
        prop_assert!(desk.is_empty());
    }
}

//! Cases for silence, on a virtual clock of quarter seconds and seeded markets.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Nanos;

use super::{Cause, History, Silence, Verdict};

const SECOND: i64 = 1_000_000_000;

/// A small generator of numbers in `0..1`, so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Waiting time of a random process with that mean.
    fn wait(&mut self, mean: f64) -> i64 {
        (-mean * (1.0 - self.roll()).ln() * SECOND as f64) as i64
    }
}

#[derive(Clone, Copy)]
enum Pulse {
    /// A message each so many seconds.
    Steady(f64),
    /// Messages at random, that many seconds apart in the mean.
    Random(f64),
}

struct Market {
    silence: Silence,
    pulses: Vec<Pulse>,
    next: Vec<i64>,
    mute: BTreeMap<usize, i64>,
    dice: Dice,
    now: i64,
}

impl Market {
    fn new(pulses: Vec<Pulse>) -> Self {
        let mut silence = Silence::default();
        for index in 0..pulses.len() {
            assert_eq!(silence.add(None, History::default()), index);
            silence.arm(index, Nanos(0));
        }
        let mut market = Self {
            silence,
            next: vec![0; pulses.len()],
            pulses,
            mute: BTreeMap::new(),
            dice: Dice(42),
            now: 0,
        };
        for index in 0..market.pulses.len() {
            market.next[index] = market.wait(index);
        }
        market
    }

    fn wait(&mut self, index: usize) -> i64 {
        match self.pulses[index] {
            Pulse::Steady(every) => (every * SECOND as f64) as i64,
            Pulse::Random(mean) => self.dice.wait(mean),
        }
    }

    /// Lets so many seconds pass; returns each verdict with its time in seconds.
    fn run(&mut self, seconds: i64) -> Vec<(f64, Verdict)> {
        let end = self.now + seconds * SECOND;
        let mut verdicts = Vec::new();
        while self.now < end {
            self.now += SECOND / 4;
            for index in 0..self.pulses.len() {
                while self.next[index] <= self.now {
                    let at = self.next[index];
                    if self.mute.get(&index).is_none_or(|since| at < *since) {
                        self.silence.saw(index, Nanos(at));
                    }
                    self.next[index] = at + self.wait(index).max(1);
                }
            }
            if let Some(verdict) = self.silence.look(Nanos(self.now)) {
                verdicts.push((self.now as f64 / SECOND as f64, verdict));
            }
        }
        verdicts
    }
}

/// 200 streams as a venue has them: books and tickers that tick, trades that come at random, and sleepy symbols.
fn two_hundred() -> Vec<Pulse> {
    (0..200)
        .map(|index| match index % 5 {
            0 => Pulse::Steady(0.1),
            1 => Pulse::Steady(1.0),
            2 => Pulse::Random(0.1),
            3 => Pulse::Random(7.0),
            _ => Pulse::Random(90.0),
        })
        .collect()
}

#[test]
fn one_mute_busy_stream_of_two_hundred_is_named_within_five_seconds() {
    for (index, after) in [(10, 180), (11, 180), (12, 180), (100, 15), (101, 20), (102, 30), (197, 700)] {
        let mut market = Market::new(two_hundred());
        assert_eq!(market.run(after), [], "no alarm before the fault");
        market.mute.insert(index, market.now);
        let verdicts = market.run(6);
        let (at, verdict) = verdicts.first().unwrap_or_else(|| panic!("stream {index} stays unnoticed"));
        let Verdict::Mutes(mutes) = verdict else { panic!("{verdict:?}") };
        assert_eq!(mutes.iter().map(|mute| mute.index).collect::<Vec<_>>(), [index]);
        assert_eq!((mutes[0].cause, mutes[0].cures), (Cause::Fell, 0));
        assert!(at - (after as f64) < 5.0, "stream {index} is named after {:.2} s", at - after as f64);
    }
}

#[test]
fn ten_minutes_of_a_quiet_market_raise_no_alarm() {
    let quiet = (0..200).map(|index| Pulse::Random(1.5 + f64::from(index % 50) * 4.0)).collect();
    assert_eq!(Market::new(quiet).run(600), []);
}

#[test]
fn an_hour_of_an_ordinary_market_raises_no_alarm() {
    assert_eq!(Market::new(two_hundred()).run(3_600), []);
}

#[test]
fn streams_around_a_message_a_second_that_come_at_random_raise_few_alarms() {
    let pulses = (0..100).map(|index| Pulse::Random(0.3 + f64::from(index) * 0.01)).collect();
    let verdicts = Market::new(pulses).run(600);
    assert!(verdicts.len() <= 1, "{verdicts:?}");
}

#[test]
fn a_quiet_symbol_that_dies_is_not_called_mute_for_a_quarter_of_an_hour() {
    let mut market = Market::new(two_hundred());
    market.run(300);
    market.mute.insert(3, market.now);
    assert_eq!(market.run(600), []);
    let verdicts = market.run(3_600);
    assert!(matches!(&verdicts[0].1, Verdict::Mutes(mutes) if mutes[0].index == 3), "{verdicts:?}");
}

#[test]
fn a_mute_connection_is_one_alarm_not_two_hundred() {
    let mut market = Market::new(two_hundred());
    market.run(120);
    for index in 0..200 {
        market.mute.insert(index, market.now);
    }
    let verdicts = market.run(5);
    let [(at, Verdict::Hush(mutes))] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert!(at - 120.0 < 5.0);
    assert!(mutes.len() >= 100, "{}", mutes.len());
}

#[test]
fn cures_come_again_ever_later_until_data_comes() {
    let mut market = Market::new(two_hundred());
    market.run(120);
    market.mute.insert(0, market.now);
    let cures: Vec<(f64, u32)> = market
        .run(60)
        .into_iter()
        .map(|(at, verdict)| match verdict {
            Verdict::Mutes(mutes) => (at - 120.0, mutes[0].cures),
            Verdict::Hush(_) => panic!("others speak"),
        })
        .collect();
    assert_eq!(cures.iter().map(|(_, cures)| *cures).collect::<Vec<_>>(), [0, 1, 2, 3]);
    let waits: Vec<f64> = cures.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    assert_eq!(waits, [5.0, 10.0, 20.0]);
    market.mute.clear();
    assert_eq!(market.run(30), []);
    // The fault taught nothing: the next one is found as fast.
    market.mute.insert(0, market.now);
    assert!(market.run(5).len() == 1);
}

#[test]
fn first_data_that_is_due_and_does_not_come_is_an_alarm() {
    let mut silence = Silence::default();
    let (due, idle) = (Some(Duration::from_secs(10)), None);
    silence.add(due, History::default());
    silence.add(idle, History::default());
    for index in 0..2 {
        silence.arm(index, Nanos(0));
    }
    assert_eq!(silence.look(Nanos(10 * SECOND)), None);
    let Some(Verdict::Mutes(mutes)) = silence.look(Nanos(10 * SECOND + 1)) else { panic!("no alarm") };
    assert_eq!((mutes.len(), mutes[0].index, mutes[0].cause), (1, 0, Cause::NoFirstData));
    assert!(silence.saw(0, Nanos(11 * SECOND)));
    assert_eq!(silence.look(Nanos(600 * SECOND)), None);
}

#[test]
fn time_in_which_we_did_not_listen_is_nobodys_silence() {
    let mut market = Market::new(vec![Pulse::Steady(0.5); 4]);
    market.run(60);
    market.silence.forgive(Duration::from_secs(100));
    assert_eq!(market.silence.look(Nanos(market.now + 101 * SECOND)), None);
}

#[test]
fn what_was_learnt_serves_the_next_connection() {
    let mut market = Market::new(vec![Pulse::Steady(0.2), Pulse::Steady(0.2), Pulse::Random(0.05)]);
    market.run(60);
    let mut next = Silence::default();
    next.add(None, market.silence.history(0).clone());
    next.arm(0, Nanos(market.now));
    assert_eq!(next.look(Nanos(market.now + 2 * SECOND)), None);
    let Some(Verdict::Mutes(mutes)) = next.look(Nanos(market.now + 4 * SECOND)) else { panic!("no alarm") };
    assert_eq!(mutes[0].cause, Cause::NoFirstData);
}

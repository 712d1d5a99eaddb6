//! Cases for silence, on a virtual clock of quarter seconds and seeded markets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::{Channel, Nanos, Time};

use super::{Cause, History, Mute, Silence, Verdict};
use crate::doubts::{Finding, finding};

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
    /// Whether the venue answers when it is asked about a silence.
    answers: bool,
    question_count: u32,
    /// Questions on their way: which stream, and when it was asked about.
    asked: Vec<(usize, i64)>,
    /// What happened lately, whether it was sent or not.
    happened: Vec<VecDeque<i64>>,
}

impl Market {
    fn answering(pulses: Vec<Pulse>) -> Self {
        Self { answers: true, ..Self::new(pulses) }
    }

    fn new(pulses: Vec<Pulse>) -> Self {
        let mut silence = Silence::default();
        for index in 0..pulses.len() {
            assert_eq!(silence.add(None, History::default()), index);
            silence.arm(index, Nanos(0));
        }
        let mut market = Self {
            silence,
            answers: false,
            question_count: 0,
            asked: Vec::new(),
            happened: vec![VecDeque::new(); pulses.len()],
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
                    self.happened[index].push_back(at);
                    if self.happened[index].len() > 60 {
                        self.happened[index].pop_front();
                    }
                    self.next[index] = at + self.wait(index).max(1);
                }
            }
            if let Some(verdict) = self.silence.look(Nanos(self.now)) {
                verdicts.push((self.now as f64 / SECOND as f64, verdict));
            }
            let mutes: Vec<Mute> = self.ask();
            if !mutes.is_empty() {
                verdicts.push((self.now as f64 / SECOND as f64, Verdict::Mutes(mutes)));
            }
        }
        verdicts
    }

    /// Takes the answers to the last look's questions, and asks anew.
    fn ask(&mut self) -> Vec<Mute> {
        let mut mutes = Vec::new();
        for (index, asked) in std::mem::take(&mut self.asked) {
            let Some(since) = self.silence.doubted_since(index) else { continue };
            let times: Vec<Time> = self.happened[index]
                .iter()
                .filter(|at| **at <= asked)
                .map(|at| Nanos(*at).to_time())
                .collect();
            let span = (since.to_time(), Nanos(asked).to_time());
            match finding(Channel::Trades, span, &times) {
                Finding::Missed => mutes.extend(self.silence.missed(index, Nanos(self.now))),
                Finding::Quiet => self.silence.was_quiet(index, true),
                Finding::Unclear => {}
            }
        }
        for doubt in self.silence.doubts(Nanos(self.now)) {
            if self.answers {
                self.silence.asked(doubt);
                self.asked.push((doubt.index, self.now));
                self.question_count += 1;
            }
        }
        mutes
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

/// A hundred streams of one to three messages a second that come at random.
fn random_hundred() -> Vec<Pulse> {
    (0..100).map(|index| Pulse::Random(0.33 + f64::from(index) * 0.0067)).collect()
}

#[test]
fn random_streams_of_a_message_a_second_took_a_quarter_of_a_minute_to_be_named() {
    let (mut late, mut named) = (0, 0);
    for index in (0..100).step_by(3) {
        let mut market = Market::answering(random_hundred());
        market.dice = Dice(1_000 + index as u64);
        assert_eq!(market.run(150), [], "no alarm before the fault");
        market.mute.insert(index, market.now);
        let verdicts = market.run(5);
        let is_named = |(_, verdict): &(f64, Verdict)| matches!(verdict, Verdict::Mutes(mutes) if mutes.iter().any(|mute| mute.index == index));
        if verdicts.iter().any(is_named) {
            named += 1;
            continue;
        }
        // The market itself said nothing in time: nobody could know.
        let since = market.silence.history(index).last.expect("it spoke before").0;
        let missed = market.happened[index].iter().find(|at| **at > since + SECOND / 4);
        let is_noticeable = missed.is_some_and(|at| *at < market.now - 2 * SECOND);
        late += u32::from(is_noticeable);
    }
    assert_eq!(late, 0, "{named} named");
    assert!(named >= 32, "{named} of 34 named");
}

#[test]
fn streams_that_come_at_random_raise_no_alarm_where_the_venue_is_asked() {
    let mut market = Market::answering(random_hundred());
    assert_eq!(market.run(600), []);
    let per_minute = market.question_count / 10;
    assert!(per_minute <= 300, "{per_minute} questions a minute");
    let sleepy = (0..200).map(|index| Pulse::Random(1.5 + f64::from(index % 50) * 4.0)).collect();
    let mut market = Market::answering(sleepy);
    assert_eq!(market.run(600), []);
    let per_minute = market.question_count / 10;
    assert!(per_minute <= 300, "{per_minute} questions a minute");
}

#[test]
fn a_market_that_falls_quiet_is_no_mute_one() {
    let mut market = Market::answering(vec![Pulse::Steady(0.2), Pulse::Random(0.1)]);
    assert_eq!(market.run(120), []);
    market.pulses = vec![Pulse::Steady(3_600.0); 2];
    market.next.fill(i64::MAX);
    assert_eq!(market.run(600), []);
}

#[test]
fn a_stream_that_was_accepted_and_never_sent_was_not_noticed() {
    let mut market = Market::answering(vec![Pulse::Random(0.5), Pulse::Random(0.5)]);
    market.mute.insert(0, 0);
    let verdicts = market.run(5);
    let [(_, Verdict::Mutes(mutes))] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!((mutes.len(), mutes[0].index, mutes[0].cause), (1, 0, Cause::NoFirstData));
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
    assert!(!next.is_every_busy_one_heard(), "the connection before must not leave yet");
    assert_eq!(next.look(Nanos(market.now + 2 * SECOND)), None);
    let Some(Verdict::Mutes(mutes)) = next.look(Nanos(market.now + 4 * SECOND)) else { panic!("no alarm") };
    assert_eq!(mutes[0].cause, Cause::NoFirstData);
}

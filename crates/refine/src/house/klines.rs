//! What the venue's klines prove: minutes that lack theirs are asked for, and minutes whose trades fall short are doubted.

use derivations::MinuteBars;
use model::time::MINUTE;
use model::{Bar, Channel, Decimal, GapCause, Nanos, Time, Timeframe, Wish};
use venues::TradeIds;

use super::House;
use crate::klines::{CHECK_AGAIN, Check, KlineFindings, LATE, STRIKES_MAX, TRIES_MAX};
use crate::ledger::{Findings, Stretch};
use crate::output::Output;
use crate::presence;

/// What to do with a check.
enum Verdict {
    /// It is settled.
    Over,
    /// Trades may still come.
    Later,
    /// The venue is to be asked.
    Doubt,
}

impl House {
    /// A closed 1-minute kline of the venue.
    pub(super) fn kline_came(&mut self, at: usize, bar: &Bar, is_new: bool, out: &mut Output) {
        if bar.timeframe != Timeframe::MINUTE {
            return;
        }
        let now = self.now;
        let track = &mut self.tracks[at];
        let mut findings = KlineFindings::default();
        track.klines.came(&bar.instrument, bar.open_time, now, &mut findings);
        let has_no_numbers = self.desks[track.desk].venue.facts().trade_ids == TradeIds::Distinct;
        if is_new && has_no_numbers && track.bars.held(bar.open_time) {
            track.klines.check_later(bar.open_time, bar.volume, now);
            self.checked.insert(at);
        }
        self.tell_klines(at, findings, out);
    }

    /// Once a minute of a venue: which minutes lack their kline.
    pub(super) fn look_for_klines(&mut self, desk: usize, out: &mut Output) {
        let Some(venue_now) = self.desks[desk].clock.at(self.now) else { return };
        let edge = venue_now.plus_micros(-LATE).minute_start();
        if self.desks[desk].klines_edge == Some(edge) {
            return;
        }
        self.desks[desk].klines_edge = Some(edge);
        let is_numbered = self.desks[desk].venue.facts().trade_ids == TradeIds::Contiguous;
        let slot = presence::place(Channel::Klines).expect("klines are followed");
        for at in 0..self.tracks.len() {
            let track = &mut self.tracks[at];
            let presence = &track.presences[slot];
            let (Some(start), None) = (presence.start, presence.down) else { continue };
            if track.desk != desk || presence.carriers == 0 {
                continue;
            }
            let mut minutes = track.klines.minutes_due(start, venue_now);
            // Where numbers prove that nobody traded, no kline needs to come.
            minutes.retain(|minute| {
                let is_empty = is_numbered && volume(&track.bars, *minute) == Some(Decimal::ZERO);
                !is_empty && !track.has_venue_minute(*minute)
            });
            let mut findings = KlineFindings::default();
            let fell = presence.absences.last().copied();
            let is_outage = |minute: &Time| fell.is_some_and(|fell| *minute < fell.last);
            let split = minutes.partition_point(is_outage);
            let cause = fell.map_or(GapCause::Dropped, |fell| fell.cause);
            let instrument = track.ledger.instrument.clone();
            track.klines.open(&instrument, &minutes[..split], (cause, self.now), &mut findings);
            track.klines.open(&instrument, &minutes[split..], (GapCause::Dropped, self.now), &mut findings);
            track.klines.wish_again(&instrument, self.now, &mut findings);
            self.tell_klines(at, findings, out);
        }
    }

    /// What became of asking for klines.
    pub(super) fn klines_outcome(&mut self, at: usize, first: Time, cause: GapCause, out: &mut Output) {
        let instrument = self.tracks[at].instrument().clone();
        let mut findings = KlineFindings::default();
        self.tracks[at].klines.outcome(&instrument, first, (cause, self.now), &mut findings);
        self.tell_klines(at, findings, out);
    }

    fn tell_klines(&mut self, at: usize, findings: KlineFindings, out: &mut Output) {
        if !findings.gaps.is_empty() {
            self.touch(at, out);
        }
        for gap in findings.gaps {
            out.gap(gap);
        }
        out.wishes.extend(findings.wishes.into_iter().map(Wish::Fill));
    }

    /// Compares minutes with their klines where the time for it has come.
    pub(super) fn check_minutes(&mut self, out: &mut Output) {
        let waiting: Vec<usize> = self.checked.iter().copied().collect();
        for at in waiting {
            let checks = std::mem::take(&mut self.tracks[at].klines.checks);
            for check in checks {
                if let Some(check) = self.check(at, check, out) {
                    self.tracks[at].klines.checks.push_back(check);
                }
            }
            if self.tracks[at].klines.checks.is_empty() {
                self.checked.remove(&at);
            }
        }
    }

    /// One minute; returns what is left to be done.
    fn check(&mut self, at: usize, mut check: Check, out: &mut Output) -> Option<Check> {
        let now = self.now;
        if now < check.due {
            return Some(check);
        }
        check.due = Nanos(now.0 + CHECK_AGAIN);
        check.tries += 1;
        match self.judge_minute(at, &check) {
            Verdict::Over => None,
            Verdict::Later => (check.tries < TRIES_MAX).then_some(check),
            Verdict::Doubt => {
                let last = check.minute.plus_micros(MINUTE - 1);
                let mut findings = Findings::default();
                check.is_asked = self.tracks[at].ledger.doubt((check.minute, last), now, &mut findings);
                self.report(at, findings, out);
                check.is_asked.then_some(check)
            }
        }
    }

    fn judge_minute(&mut self, at: usize, check: &Check) -> Verdict {
        let track = &mut self.tracks[at];
        let end = check.minute.plus_micros(MINUTE);
        let stretch = track.ledger.stretch(check.minute, end);
        match stretch {
            Stretch::Outside => return Verdict::Over,
            Stretch::Unsettled => return Verdict::Later,
            Stretch::Torn | Stretch::Whole => {}
        }
        if track.bars.closed_through() < end {
            return Verdict::Later;
        }
        let Some(ours) = volume(&track.bars, check.minute) else { return Verdict::Over };
        let most = ours.checked_add(track.klines.volume_apart(check.minute)).unwrap_or(ours);
        if most >= check.volume {
            // More than the kline counts is nothing lost: its rule differs, and proves nothing here.
            if ours == check.volume {
                track.klines.strikes = 0;
            }
            return Verdict::Over;
        }
        if !check.is_asked {
            return if track.klines.strikes < STRIKES_MAX { Verdict::Doubt } else { Verdict::Over };
        }
        if stretch == Stretch::Whole {
            // The venue's own list of trades reached over the minute and agrees with ours.
            track.klines.strikes += 1;
            if track.klines.strikes == STRIKES_MAX {
                tracing::warn!(instrument = %track.ledger.instrument, kline = %check.volume, trades = %ours,
                    "klines count more than the venue's own trades; they prove nothing until one agrees");
            }
        }
        Verdict::Over
    }
}

/// Volume of the minute's market trades; `None` if they are no longer held.
fn volume(bars: &MinuteBars, minute: Time) -> Option<Decimal> {
    match bars.bar(minute) {
        Some(bar) => Some(bar.volume),
        None => bars.held(minute).then_some(Decimal::ZERO),
    }
}

//! A trade's way: clock, ledger, bar, row.

use derivations::Taken;
use model::{Source, Trade};

use super::{FORMING_EVERY, House, Reach};
use crate::ledger::{Findings, Judgement, Kind, Verdict};
use crate::output::Output;

impl House {
    pub(super) fn trade(&mut self, desk: usize, trade: Trade, out: &mut Output) {
        if trade.source == Source::Stream {
            self.pass_time(desk, trade.venue_time, out);
            self.desks[desk].latency = Some(trade.received_time.0 - trade.venue_time.0);
        }
        let at = self.track(desk, &trade.instrument);
        if trade.source == Source::Stream {
            self.prove(at, trade.venue_time, out);
        }
        let moment = self.moment(desk);
        let judgement = self.tracks[at].ledger.judge(&trade, moment);
        if trade.source == Source::Rest {
            self.note_reach(at, &trade, judgement);
        }
        match judgement {
            Judgement::Duplicate => self.counts.duplicates_total += 1,
            Judgement::Unwanted => {}
            Judgement::New(verdict) => self.record(at, verdict, trade, out),
        }
    }

    /// A trade of the stream came over the connection at hand.
    fn prove(&mut self, at: usize, venue_time: model::Time, out: &mut Output) {
        let mut findings = Findings::default();
        self.tracks[at].ledger.prove((self.speaker, venue_time), self.now, &mut findings);
        if !findings.gaps.is_empty() {
            self.report(at, findings, out);
        }
    }

    /// The venue's clock shows that time now; minutes it has passed are closed first.
    pub(super) fn pass_time(&mut self, desk: usize, venue_time: model::Time, out: &mut Output) {
        self.desks[desk].clock.advance(venue_time, self.now, self.rules.bar_grace);
        self.close_minutes(desk, out);
    }

    fn note_reach(&mut self, at: usize, trade: &Trade, judgement: Judgement) {
        if !matches!(self.tracks[at].ledger.kind, Kind::Timed(_)) {
            return;
        }
        let time = trade.venue_time;
        let reach = self.reach.get_or_insert(Reach { track: at, oldest: time, known: None });
        if reach.track == at {
            reach.oldest = reach.oldest.min(time);
            if judgement == Judgement::Duplicate {
                reach.known = Some(reach.known.map_or(time, |known| known.min(time)));
            }
        }
    }

    fn record(&mut self, at: usize, verdict: Verdict, trade: Trade, out: &mut Output) {
        let moment = self.moment(self.tracks[at].desk);
        let now = self.now;
        let track = &mut self.tracks[at];
        let mut taken = track.bars.take_trade(&trade);
        if let Taken::TooOld(minute) = taken
            && track.ledger.is_fresh_minute(minute)
        {
            taken = track.bars.take_fresh(&trade);
        }
        let mut findings = Findings::default();
        track.ledger.accept(verdict, &trade, moment, &mut findings);
        track.trades_total += 1;
        self.counts.trades_total += 1;
        if !(trade.price.survives_f64() && trade.quantity.survives_f64()) {
            self.counts.inexact_total += 1;
        }
        let is_forming_due = now.0 - track.forming_told.0 >= FORMING_EVERY;
        let is_hole_near = verdict != Verdict::Next && verdict != Verdict::Loose;
        if is_hole_near && !self.late.contains(&at) {
            self.late.push(at);
        }
        match taken {
            Taken::Open => {
                track.is_forming_changed = true;
                self.forming.insert(at);
            }
            Taken::Late => {
                if !self.late.contains(&at) {
                    self.late.push(at);
                }
            }
            Taken::TooOld(minute) => out.recompute(&trade.instrument, minute),
            Taken::Apart => track.klines.note_apart(&trade),
            Taken::Refused => {
                tracing::warn!(instrument = %trade.instrument, price = %trade.price, quantity = %trade.quantity,
                    "trade left out of bars: its numbers do not fit");
            }
        }
        out.trade(trade);
        self.touch(at, out);
        if is_hole_near || !findings.gaps.is_empty() || !findings.wishes.is_empty() {
            self.report(at, findings, out);
        }
        if taken == Taken::Open && is_forming_due {
            self.tell_forming(at, out);
        }
    }
}

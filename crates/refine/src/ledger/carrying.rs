//! What the lives of connections mean for a stream: who carries it, and what nobody carried.

use model::{GapCause, Nanos, Time};

use super::timed;
use super::{Findings, Kind, Ledger};

impl Ledger {
    /// One more connection carries the stream. `venue_now` is the venue's time.
    pub(crate) fn carried(&mut self, venue_now: Option<Time>, now: Nanos, findings: &mut Findings) {
        self.version += 1;
        self.carriers += 1;
        let newest = self.newest;
        let Kind::Timed(timed) = &mut self.kind else { return };
        match (timed.down.take(), venue_now, self.start) {
            (Some(down), Some(venue_now), _) => {
                self.open_span(down.since, venue_now, (down.cause, now), findings);
            }
            (None, Some(venue_now), None) => self.start = Some(venue_now),
            // Nobody knows whether the connections so far bring it, and what comes now would hide what they did not.
            (None, Some(venue_now), Some(start)) if self.carriers > 1 && timed.proven.is_empty() => {
                let since = timed.seen(newest).unwrap_or(start).max(start);
                self.open_span(since, venue_now, (GapCause::Silent, now), findings);
            }
            (down, _, _) => timed.down = down,
        }
    }

    /// A trade of the stream came over a connection. If it is the first one of all that stand, the time since the newest
    /// trade is a hole: that the venue agreed to send the stream does not say that it did.
    pub(crate) fn prove(
        &mut self,
        (connection, venue_time): (u32, Time),
        now: Nanos,
        findings: &mut Findings,
    ) {
        let newest = self.newest;
        let Kind::Timed(timed) = &mut self.kind else { return };
        if timed.proven.contains(&connection) {
            return;
        }
        let is_first = timed.proven.is_empty();
        timed.proven.push(connection);
        if is_first
            && timed.down.is_none()
            && let (Some(start), Some(seen)) = (self.start, timed.seen(newest))
            && seen.max(start) < venue_time
        {
            self.open_span(seen.max(start), venue_time, (GapCause::Silent, now), findings);
        }
    }

    /// The venue's clock is known now: a quiet stream that is carried counts as observed from here.
    pub(crate) fn begin(&mut self, venue_now: Time) {
        self.version += 1;
        if self.start.is_none() && self.carriers > 0 && matches!(self.kind, Kind::Timed(_)) {
            self.start = Some(venue_now);
        }
    }

    /// A connection no longer carries the stream. What it said of other streams proves nothing of this one: venues
    /// agree to a subscription and send none of it, and nobody may have noticed yet.
    pub(crate) fn dropped(&mut self, connection: u32, cause: GapCause) {
        self.version += 1;
        self.carriers = self.carriers.saturating_sub(1);
        let newest = self.newest;
        if let Kind::Timed(timed) = &mut self.kind {
            timed.proven.retain(|proven| *proven != connection);
        }
        if let Kind::Timed(timed) = &mut self.kind
            && self.carriers == 0
            && timed.down.is_none()
            && let Some(start) = self.start
        {
            let since = timed.seen(newest).unwrap_or(start).max(start);
            timed.down = Some(timed::Down { since, cause });
        }
        if self.carriers == 0 || cause == GapCause::Stopped {
            self.befall(cause);
        }
    }

    /// The stream stood still since its newest trade though a connection carries it.
    pub(crate) fn stood_still(&mut self, cause: GapCause, since: Option<Time>) {
        self.version += 1;
        if let Kind::Timed(timed) = &mut self.kind {
            timed.proven.clear();
        }
        if let Kind::Timed(timed) = &mut self.kind
            && timed.down.is_none()
            && let Some(start) = self.start
        {
            let seen = timed.seen(self.newest);
            timed.down = Some(timed::Down { since: since.or(seen).unwrap_or(start).max(start), cause });
        }
        self.befall(cause);
    }

    /// Capture goes on after standing still: what a carried stream sent meanwhile is a hole.
    pub(crate) fn resumed(
        &mut self,
        (since, venue_now): (Option<Time>, Option<Time>),
        (cause, now): (GapCause, Nanos),
        findings: &mut Findings,
    ) {
        self.version += 1;
        if self.carriers == 0 {
            return;
        }
        self.befall(cause);
        if let (Kind::Timed(timed), Some(start), Some(venue_now)) = (&mut self.kind, self.start, venue_now) {
            let since = timed.down.take().map(|down| down.since).or(since).unwrap_or(start).max(start);
            self.open_span(since, venue_now.max(since), (cause, now), findings);
        }
    }
}

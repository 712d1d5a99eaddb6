//! Where a market stands in its own time.

use crate::market::{Bar, MINUTE_MS, Market, ORIGIN_MS, Tick};

/// What happens next on a market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Trade,
    Quote,
    MinuteEnd,
}

/// A market's place between what happened and what will.
pub(super) struct Cursor {
    pub(super) minute: i64,
    pub(super) bar: Bar,
    /// When a quote was last sent.
    pub(super) quoted_ms: i64,
    /// Price of the last trade that was sent.
    pub(super) told_price: i64,
    /// Number and time of the last best bid and ask, where the venue numbers them.
    pub(super) best: (i64, i64),
    /// When best bid and ask changed without being sent yet.
    pub(super) restless_ms: Option<i64>,
    block: Vec<Tick>,
    at: usize,
    quote_ms: Option<i64>,
}

impl Cursor {
    /// A market right after a moment.
    pub(super) fn starting(market: &Market, start_ms: i64) -> Self {
        let minute = start_ms.div_euclid(MINUTE_MS);
        let block = market.minute(minute);
        let at = block.partition_point(|tick| tick.at_ms <= start_ms);
        let close = market.close_before(minute * MINUTE_MS);
        let mut bar = Bar::empty(close);
        for tick in &block[..at] {
            bar.take(market, tick);
        }
        let told_price = bar.close;
        let best = ((start_ms - ORIGIN_MS) / 10, start_ms);
        Self {
            minute,
            bar,
            quoted_ms: 0,
            told_price,
            best,
            restless_ms: None,
            block,
            at,
            quote_ms: Some(start_ms + 1),
        }
    }

    /// When something happens next, and what.
    pub(super) fn next(&self) -> (i64, Due) {
        let trade = self.block.get(self.at).map(|tick| (tick.at_ms, Due::Trade));
        let quote = self.quote_ms.map(|at| (at, Due::Quote));
        let end = Some(((self.minute + 1) * MINUTE_MS, Due::MinuteEnd));
        let all = [trade, quote, end].into_iter().flatten();
        all.min_by_key(|(at, _)| *at).unwrap_or((i64::MAX, Due::MinuteEnd))
    }

    /// Takes the next trade.
    pub(super) fn take_trade(&mut self, market: &Market) -> Tick {
        let tick = self.block[self.at];
        self.at += 1;
        self.bar.take(market, &tick);
        // Two quotes to a trade: one with it, one half way to the next.
        let gap = self.block.get(self.at).map_or(0, |next| next.at_ms - tick.at_ms);
        if gap >= 2 {
            self.quote_ms = Some(tick.at_ms + gap / 2);
        }
        tick
    }

    /// The planned quote was sent.
    pub(super) fn take_quote(&mut self) {
        self.quote_ms = None;
    }

    /// Ends the minute; returns which it was, and its bar.
    pub(super) fn turn(&mut self, market: &Market) -> (i64, Bar) {
        let done = (self.minute, self.bar);
        self.minute += 1;
        self.block = market.minute(self.minute);
        self.at = 0;
        self.bar = Bar::empty(done.1.close);
        done
    }
}

//! Trades of the past: by id where the venue numbers them, by time until the first id is known, or the newest few where it
//! gives no others.

use std::ops::Range;

use model::time::MINUTE;
use model::{Event, GapCause, Time, Trade};
use venues::HistoryAsk as Question;

use super::questions::{End, Fetching, Page};
use super::{HistoryEnd, HistoryWish, Lacking};

/// So far inside the venue's reach we stay: the reach moves on while we ask.
const AGE_MARGIN: i64 = 2 * MINUTE;
/// How often the venue may call a range too old that it gave a moment before.
const TOO_OLD_MAX: u32 = 4;

/// Where a walk from id to id stands.
#[derive(Clone, Copy)]
struct Walk {
    /// The next id.
    next: i64,
    /// The time of the trade before.
    before: Option<Time>,
}

impl Fetching<'_> {
    pub(super) async fn trades_by_id(&mut self, first: i64, last: i64) -> Result<(), End> {
        let page = i64::from(self.post.venue.facts().history.trades_page);
        let mut walk = Walk { next: first, before: None };
        let (mut empty, mut too_old) = (false, 0);
        while walk.next <= last {
            self.left(Some(HistoryWish::TradeIds { first: walk.next, last }));
            let count = last.saturating_sub(walk.next).saturating_add(1).clamp(1, page.max(1)) as u32;
            let question = self.page_at(walk.next, count);
            match self.ask(&question).await? {
                Page::NotOffered => {
                    self.lack_ids(&mut walk, (last, None), GapCause::Refused);
                }
                Page::TooOld => {
                    too_old += 1;
                    if too_old > TOO_OLD_MAX {
                        let what = format!("{} calls everything too old", self.post.venue.facts().id);
                        return Err(End(HistoryEnd::GaveUp(what)));
                    }
                    match self.oldest_given().await? {
                        Some((id, time)) if id <= last => {
                            self.lack_ids(&mut walk, (id - 1, Some(time)), GapCause::BeyondHistory);
                        }
                        oldest => {
                            let time = oldest.map(|(_, time)| time);
                            self.lack_ids(&mut walk, (last, time), GapCause::BeyondHistory);
                        }
                    }
                }
                Page::Rows(rows) => {
                    let trades = numbered(rows, walk.next);
                    // What has just happened may not be in the answers yet, so nothing is believed once only.
                    if trades.is_empty() && !std::mem::replace(&mut empty, true) {
                        self.patience.pause().await?;
                        continue;
                    }
                    if trades.is_empty() {
                        self.lack_ids(&mut walk, (last, None), GapCause::NotAtVenue);
                    } else {
                        empty = false;
                        self.walk_on(&mut walk, trades, |trade| trade.trade_id <= Some(last), last).await?;
                    }
                }
            }
        }
        self.left(None);
        Ok(())
    }

    pub(super) async fn trades_by_time(&mut self, range: Range<Time>) -> Result<(), End> {
        let rules = &self.post.venue.facts().history;
        if rules.trades_page == 0 {
            return self.recent_trades(range).await;
        }
        let end = range.end.min(self.venue_time());
        let later = end.max(range.start)..range.end;
        let mut start = range.start;
        while start < end {
            self.left(Some(HistoryWish::TradesByTime { range: start..range.end }));
            if let Some(oldest) = self.oldest_moment().filter(|oldest| *oldest > start) {
                self.lack_span((start, oldest.min(end)), GapCause::BeyondHistory);
                start = oldest;
                continue;
            }
            let span = rules.trades_span_max.map(|span| start.plus_micros(span.as_micros() as i64));
            let until = span.map_or(end, |until| until.min(end));
            let (instrument, channel) = (self.instrument, self.post.channel);
            match self.ask(&Question::TradesWithin { instrument, channel, start, end: until }).await? {
                Page::NotOffered => {
                    self.lack_span((start, end), GapCause::Refused);
                    start = end;
                }
                Page::TooOld => {
                    self.lack_span((start, until), GapCause::BeyondHistory);
                    start = until;
                }
                Page::Rows(rows) => {
                    let mut trades = numbered(rows, i64::MIN);
                    trades.retain(|trade| (start..until).contains(&trade.venue_time));
                    start = match trades.first().and_then(|trade| trade.trade_id) {
                        Some(first) => self.trades_from((first, trades), end, range.end).await?,
                        None => until,
                    };
                }
            }
        }
        self.left((!later.is_empty()).then_some(HistoryWish::TradesByTime { range: later }));
        Ok(())
    }

    /// Goes on by id until the end of the range. Returns the moment from which time has to lead again: the end, unless the
    /// venue meanwhile gives no more of that age.
    async fn trades_from(
        &mut self,
        (first, mut trades): (i64, Vec<Trade>),
        end: Time,
        wanted: Time,
    ) -> Result<Time, End> {
        let mut walk = Walk { next: first, before: None };
        loop {
            let is_over = trades.last().is_none_or(|trade| trade.venue_time >= end);
            self.walk_on(&mut walk, trades, |trade| trade.venue_time < end, i64::MAX).await?;
            if is_over {
                return Ok(end);
            }
            let reached = walk.before.unwrap_or(end).plus_micros(1);
            self.left(Some(HistoryWish::TradesByTime { range: reached..wanted }));
            let question = self.page_at(walk.next, self.post.venue.facts().history.trades_page);
            trades = match self.ask(&question).await? {
                Page::Rows(rows) => numbered(rows, walk.next),
                Page::TooOld | Page::NotOffered => return Ok(reached),
            };
        }
    }

    /// The newest trades, where the venue gives no others.
    async fn recent_trades(&mut self, range: Range<Time>) -> Result<(), End> {
        let (instrument, channel) = (self.instrument, self.post.channel);
        let end = range.end.min(self.venue_time());
        let later = end.max(range.start)..range.end;
        let rows = match self.ask(&Question::RecentTrades { instrument, channel }).await? {
            Page::Rows(rows) => rows,
            Page::TooOld | Page::NotOffered => Vec::new(),
        };
        let mut trades: Vec<Trade> = rows.into_iter().filter_map(trade).collect();
        trades.sort_by_key(|trade| trade.venue_time);
        // Of the oldest moment some may be left out.
        let known = trades.first().map_or(end, |oldest| oldest.venue_time.plus_micros(1)).min(end);
        if range.start < known {
            self.lack_span((range.start, known), GapCause::BeyondHistory);
        }
        trades.retain(|trade| (range.start..end).contains(&trade.venue_time));
        self.hand(trades.into_iter().map(Event::Trade).collect()).await?;
        self.left((!later.is_empty()).then_some(HistoryWish::TradesByTime { range: later }));
        Ok(())
    }

    /// Takes a page: notes the ids that are not on it, up to `last`, and hands over what is wanted of it.
    async fn walk_on(
        &mut self,
        walk: &mut Walk,
        trades: Vec<Trade>,
        is_wanted: impl Fn(&Trade) -> bool,
        last: i64,
    ) -> Result<(), End> {
        let mut wanted = Vec::with_capacity(trades.len());
        for trade in trades {
            let Some(id) = trade.trade_id else { continue };
            if !is_wanted(&trade) {
                // By time, a jump before a trade that is too late is none of ours.
                if last < i64::MAX && walk.next <= last {
                    self.lack_ids(walk, (last, Some(trade.venue_time)), GapCause::NotAtVenue);
                }
                break;
            }
            if id > walk.next {
                self.lack_ids(walk, (id - 1, Some(trade.venue_time)), GapCause::NotAtVenue);
            }
            *walk = Walk { next: id + 1, before: Some(trade.venue_time) };
            wanted.push(Event::Trade(trade));
        }
        self.hand(wanted).await
    }

    /// Notes ids from the next one up to `last`, and goes on behind them.
    fn lack_ids(&mut self, walk: &mut Walk, (last, behind): (i64, Option<Time>), cause: GapCause) {
        if walk.next <= last {
            let ids = Some((walk.next, last));
            self.report.lacking.push(Lacking { ids, times: (walk.before, behind), cause });
            walk.next = last.saturating_add(1);
        }
    }

    /// The oldest trade that the venue still gives by time, where its reach is bounded.
    async fn oldest_given(&mut self) -> Result<Option<(i64, Time)>, End> {
        let rules = &self.post.venue.facts().history;
        let Some(mut start) = self.oldest_moment() else { return Ok(None) };
        let now = self.venue_time();
        while start < now {
            let span = rules.trades_span_max.map(|span| start.plus_micros(span.as_micros() as i64));
            let until = span.map_or(now, |until| until.min(now));
            let (instrument, channel) = (self.instrument, self.post.channel);
            let page = self.ask(&Question::TradesWithin { instrument, channel, start, end: until }).await?;
            if let Page::Rows(rows) = page
                && let Some(oldest) = numbered(rows, i64::MIN).first()
                && let Some(id) = oldest.trade_id
            {
                return Ok(Some((id, oldest.venue_time)));
            }
            start = until;
        }
        Ok(None)
    }

    fn oldest_moment(&self) -> Option<Time> {
        let age = self.post.venue.facts().history.trades_age_max?;
        Some(self.venue_time().plus_micros(AGE_MARGIN - age.as_micros() as i64))
    }
}

impl<'a> Fetching<'a> {
    const fn page_at(&self, first_id: i64, count: u32) -> Question<'a> {
        Question::TradesFromId { instrument: self.instrument, channel: self.post.channel, first_id, count }
    }
}

fn trade(event: Event) -> Option<Trade> {
    match event {
        Event::Trade(trade) => Some(trade),
        _ => None,
    }
}

/// The trades from an id on, in order of their ids, each once.
fn numbered(rows: Vec<Event>, from: i64) -> Vec<Trade> {
    let is_numbered = |trade: &Trade| trade.trade_id.is_some_and(|id| id >= from);
    let mut trades: Vec<Trade> = rows.into_iter().filter_map(trade).filter(is_numbered).collect();
    trades.sort_by_key(|trade| trade.trade_id);
    trades.dedup_by_key(|trade| trade.trade_id);
    trades
}

//! Bybit's tickers of linear contracts: a snapshot, then differences that name only what changed.

use std::borrow::Cow;

use model::{Decimal, Event, MarkPrice, OpenInterest};

use crate::contract::DecodeError;
use crate::moment::moment;
use crate::scan::{Scan, Scanner, need};

use super::decoder::{Context, Ticker};
use super::stream::Head;

/// One field that a frame names, with its new value; empty text means that there is none.
enum Change {
    Mark(Option<Decimal>),
    Index(Option<Decimal>),
    Rate(Option<Decimal>),
    NextFunding(Option<i64>),
    Hours(Option<i32>),
    Interest(Option<Decimal>),
    Value(Option<Decimal>),
}

/// What a frame says.
pub(crate) struct TickerRow<'a> {
    symbol: Option<Cow<'a, str>>,
    changes: Vec<Change>,
}

/// Reads the data of a frame.
pub(crate) fn row<'a>(scanner: &mut Scanner<'a>) -> Scan<TickerRow<'a>> {
    let mut row = TickerRow { symbol: None, changes: Vec::new() };
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        let change = match key {
            b"symbol" => {
                row.symbol = Some(scanner.text("symbol")?);
                continue;
            }
            b"markPrice" => Change::Mark(scanner.decimal_if_any("markPrice")?),
            b"indexPrice" => Change::Index(scanner.decimal_if_any("indexPrice")?),
            b"fundingRate" => Change::Rate(scanner.decimal_if_any("fundingRate")?),
            b"nextFundingTime" => {
                Change::NextFunding(integer_if_any(scanner, "nextFundingTime")?.filter(|next| *next != 0))
            }
            b"fundingIntervalHour" => {
                let hours = integer_if_any(scanner, "fundingIntervalHour")?;
                Change::Hours(hours.and_then(|hours| i32::try_from(hours).ok()).filter(|hours| *hours > 0))
            }
            b"openInterest" => Change::Interest(scanner.decimal_if_any("openInterest")?),
            b"openInterestValue" => Change::Value(scanner.decimal_if_any("openInterestValue")?),
            _ => {
                scanner.skip()?;
                continue;
            }
        };
        row.changes.push(change);
    }
    Ok(row)
}

fn integer_if_any(scanner: &mut Scanner<'_>, field: &'static str) -> Scan<Option<i64>> {
    if scanner.pass(b"\"\"") || scanner.pass(b"null") {
        return Ok(None);
    }
    scanner.integer(field).map(Some)
}

/// Merges what a frame says into what is known, and tells of what it changed.
pub(crate) fn merge(
    row: TickerRow<'_>,
    head: &Head<'_>,
    context: &mut Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    let symbol = need(row.symbol, "symbol")?;
    let instrument = context.symbols.find(&symbol)?;
    let time = moment(need(head.time, "ts")?, "ts", context.received)?;
    let known = context.tickers.get(&*symbol);
    let mut ticker = match known {
        Some(known) if !head.is_snapshot => known.clone(),
        _ => Ticker::default(),
    };
    // Two connections may carry one topic: a difference that another has overtaken would undo newer values.
    if head.cross_sequence.is_some_and(|sequence| sequence < ticker.sequence) {
        return Ok(());
    }
    ticker.sequence = head.cross_sequence.unwrap_or(ticker.sequence);
    let interest_before = known.filter(|_| !head.is_snapshot).and_then(|known| known.open_interest);
    let is_marked = apply(&mut ticker, row.changes);
    let next_funding_time = match ticker.next_funding {
        Some(next) => Some(moment(next, "nextFundingTime", context.received)?),
        None => None,
    };
    if let (true, Some(mark_price)) = (is_marked, ticker.mark_price) {
        events.push(Event::MarkPrice(MarkPrice {
            instrument: instrument.clone(),
            time,
            mark_price,
            index_price: ticker.index_price,
            // Dated futures pay no funding: they have no next time.
            funding_rate: ticker.funding_rate.filter(|_| next_funding_time.is_some()),
            next_funding_time,
            interval_hours: ticker.interval_hours,
            received_time: context.received,
        }));
    }
    if let Some(quantity) = ticker.open_interest.filter(|quantity| interest_before != Some(*quantity)) {
        events.push(Event::OpenInterest(OpenInterest {
            instrument,
            time,
            quantity,
            value: ticker.open_value,
            received_time: context.received,
        }));
    }
    if let Some(hours) = ticker.interval_hours {
        remember(&mut context.funding_hours, &symbol, hours);
    }
    remember(&mut context.tickers, &symbol, ticker);
    Ok(())
}

fn remember<T>(values: &mut crate::symbols::BySymbol<T>, symbol: &str, value: T) {
    match values.get_mut(symbol) {
        Some(known) => *known = value,
        None => drop(values.insert(symbol.into(), value)),
    }
}

/// Whether what belongs to the mark price was named.
fn apply(ticker: &mut Ticker, changes: Vec<Change>) -> bool {
    let mut is_marked = false;
    for change in changes {
        is_marked |= !matches!(change, Change::Interest(_) | Change::Value(_));
        match change {
            Change::Mark(value) => ticker.mark_price = value,
            Change::Index(value) => ticker.index_price = value,
            Change::Rate(value) => ticker.funding_rate = value,
            Change::NextFunding(value) => ticker.next_funding = value,
            Change::Hours(value) => ticker.interval_hours = value,
            Change::Interest(value) => ticker.open_interest = value,
            Change::Value(value) => ticker.open_value = value,
        }
    }
    is_marked
}

/// A funding interval given in minutes, in hours.
pub(crate) fn hours_of_minutes(minutes: i64) -> Result<Option<i32>, DecodeError> {
    match minutes {
        1..=43_200 if minutes % 60 == 0 => Ok(i32::try_from(minutes / 60).ok()),
        // Zero on dated futures. Half-hourly funding would need another unit: nothing is better than a wrong number.
        0..=43_200 => Ok(None),
        _ => Err(DecodeError::Malformed(format!("fundingInterval is no count of minutes: {minutes}"))),
    }
}

//! What Bybit answers over REST: an envelope with a code, and lists that begin with the newest.

use std::borrow::Cow;

use model::{
    Bar, BarSource, BarState, Event, Funding, InstrumentId, Notice, OpenInterest, Source, Time, Timeframe,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::contract::{DecodeError, Purpose};
use crate::moment::{moment, nearest_hour};
use crate::scan::{Scan, Scanner, need};
use crate::wire::{Exact, exact_if_any, hours_between, parse};

use super::decoder::Context;
use super::listing;
use super::stream::{Print, print};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    ret_code: i64,
    #[serde(default, borrow)]
    ret_msg: Cow<'a, str>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    time: Option<i64>,
}

/// Reads one answer.
pub(crate) fn read(
    purpose: &Purpose,
    body: &[u8],
    context: &mut Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    if let Purpose::History(inner) = purpose {
        return read(inner, body, context, events);
    }
    let envelope: Envelope<'_> = parse(body, "answer")?;
    // Errors come with HTTP status 200, too.
    if envelope.ret_code != 0 {
        let reason = format!("{} {}", envelope.ret_code, envelope.ret_msg).into();
        events.push(Event::Notice(Notice::Refused { request: "".into(), reason }));
        return Ok(());
    }
    let result = need(envelope.result, "result")?.get().as_bytes();
    match purpose {
        Purpose::Listing => events.push(Event::Listing(listing::read(result, context)?)),
        Purpose::Trades { symbol } | Purpose::Newest { symbol } => {
            trades(result, &context.symbols.find(symbol)?, context, events)?;
        }
        Purpose::Klines { symbol, timeframe } => {
            // The venue's own clock tells whether a minute is over; ours may be ahead of it.
            let now = envelope.time.map(|time| moment(time, "time", context.received)).transpose()?;
            let instrument = context.symbols.find(symbol)?;
            let about = (&instrument, *timeframe);
            klines(result, about, (context, now.unwrap_or(context.received)), events)?;
        }
        Purpose::Funding { symbol } => {
            funding(result, &context.symbols.find(symbol)?, symbol, (context, events))?;
        }
        Purpose::OpenInterest { symbol } => {
            open_interest(result, &context.symbols.find(symbol)?, context, events)?;
        }
        Purpose::ServerTime => {
            need(envelope.time, "time")?;
            events.push(Event::Notice(Notice::Ignored));
        }
        // Books come in the stream, numbered otherwise; intervals stand in the listing.
        Purpose::Book { .. } | Purpose::FundingIntervals | Purpose::History(_) => {
            return Err(DecodeError::UnknownKind(format!("answer for {}", purpose.to_text()).into()));
        }
    }
    Ok(())
}

/// `{"retCode":0,…,"time":…}`.
pub(crate) fn server_time(body: &[u8]) -> Scan<Time> {
    let envelope: Envelope<'_> = parse(body, "server time")?;
    // The answer is what tells the time, so it is only held against the far future.
    moment(need(envelope.time, "time")?, "time", Time(4_102_444_800_000_000))
}

fn number(text: &str, field: &'static str) -> Scan<i64> {
    text.parse().map_err(|_| DecodeError::Malformed(format!("{field} is no integer: {text:?}")))
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct Rows<T> {
    list: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PrintRow<'a> {
    #[serde(borrow)]
    exec_id: Cow<'a, str>,
    price: Exact,
    size: Exact,
    #[serde(borrow)]
    side: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    is_block_trade: bool,
}

fn trades(result: &[u8], instrument: &InstrumentId, context: &Context, events: &mut Vec<Event>) -> Scan<()> {
    let rows: Rows<PrintRow<'_>> = parse(result, "recent trades")?;
    for row in rows.list.iter().rev() {
        let venue_time = moment(number(&row.time, "time")?, "time", context.received)?;
        events.push(print(
            &Print {
                id: &row.exec_id,
                side: &row.side,
                price: row.price.0,
                quantity: row.size.0,
                is_block: row.is_block_trade,
            },
            (instrument.clone(), venue_time, Source::Rest),
            context,
        )?);
    }
    Ok(())
}

fn klines(
    result: &[u8],
    about: (&InstrumentId, Timeframe),
    (context, now): (&Context, Time),
    events: &mut Vec<Event>,
) -> Scan<()> {
    let rows: Rows<&RawValue> = parse(result, "klines")?;
    for row in rows.list.iter().rev() {
        events.push(kline(row.get().as_bytes(), about, (context, now))?);
    }
    Ok(())
}

/// `["start","open","high","low","close","volume","turnover"]`.
fn kline(
    row: &[u8],
    (instrument, timeframe): (&InstrumentId, Timeframe),
    (context, now): (&Context, Time),
) -> Scan<Event> {
    let mut scanner = Scanner::new(row);
    let mut items = scanner.list()?;
    let mut start = None;
    let mut numbers = [None; 6];
    let mut position = 0_usize;
    while scanner.item(&mut items)? {
        match position {
            0 => start = Some(scanner.integer("start")?),
            1..=6 => numbers[position - 1] = Some(scanner.decimal("kline")?),
            _ => drop(scanner.skip()?),
        }
        position += 1;
    }
    scanner.finish()?;
    let open_time = moment(need(start, "start")?, "start", context.received)?;
    let close_time = timeframe.bucket_end(open_time).plus_micros(-1);
    let [open, high, low, close, volume, turnover] = numbers;
    Ok(Event::Bar(Bar {
        instrument: instrument.clone(),
        timeframe,
        open_time,
        open: need(open, "open")?,
        high: need(high, "high")?,
        low: need(low, "low")?,
        close: need(close, "close")?,
        volume: need(volume, "volume")?,
        quote_volume: need(turnover, "turnover")?,
        trade_count: None,
        taker_buy_volume: None,
        source: BarSource::Venue,
        // The newest row may still be open, and no field says so.
        state: if close_time < now { BarState::Closed } else { BarState::Forming },
        revision: 0,
        available_time: context.received,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FundingRow<'a> {
    funding_rate: Exact,
    #[serde(borrow)]
    funding_rate_timestamp: Cow<'a, str>,
}

fn funding(
    result: &[u8],
    instrument: &InstrumentId,
    symbol: &str,
    (context, events): (&Context, &mut Vec<Event>),
) -> Scan<()> {
    let rows: Rows<FundingRow<'_>> = parse(result, "funding rates")?;
    let mut before = None;
    for row in rows.list.iter().rev() {
        let written = number(&row.funding_rate_timestamp, "fundingRateTimestamp")?;
        let time = nearest_hour(moment(written, "fundingRateTimestamp", context.received)?);
        let known = || context.funding_hours.get(symbol).copied();
        events.push(Event::Funding(Funding {
            instrument: instrument.clone(),
            time,
            rate: row.funding_rate.0,
            interval_hours: before.and_then(|before| hours_between(before, time)).or_else(known),
            mark_price: None,
            received_time: context.received,
            source: Source::Rest,
        }));
        before = Some(time);
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterestRow<'a> {
    open_interest: Exact,
    #[serde(default, deserialize_with = "exact_if_any")]
    open_interest_value: Option<Exact>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
}

fn open_interest(
    result: &[u8],
    instrument: &InstrumentId,
    context: &Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    let rows: Rows<InterestRow<'_>> = parse(result, "open interest")?;
    for row in rows.list.iter().rev() {
        events.push(Event::OpenInterest(OpenInterest {
            instrument: instrument.clone(),
            time: moment(number(&row.timestamp, "timestamp")?, "timestamp", context.received)?,
            quantity: row.open_interest.0,
            value: row.open_interest_value.as_ref().map(|value| value.0),
            received_time: context.received,
        }));
    }
    Ok(())
}

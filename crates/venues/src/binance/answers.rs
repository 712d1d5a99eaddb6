//! What Binance answers over REST.

use std::borrow::Cow;
use std::collections::BTreeMap;

use model::{
    Bar, BarSource, BarState, Event, Funding, InstrumentId, Notice, OpenInterest, Source, Time, Timeframe,
};
use serde::Deserialize;

use crate::contract::{DecodeError, Purpose};
use crate::moment::{moment, nearest_hour};
use crate::scan::{Scan, Scanner, need};
use crate::wire::{Exact, parse};

use super::decoder::Context;
use super::trades::Print;
use super::{book, listing, prices, stream};

/// Funding interval of symbols that `fundingInfo` does not name.
const FUNDING_HOURS_USUAL: i32 = 8;

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
    let mut scanner = Scanner::new(body);
    if Scanner::new(body).pass(br#"{"code":"#) {
        let fields = scanner.object()?;
        events.push(stream::reply(&mut scanner, fields)?);
        return scanner.finish();
    }
    match purpose {
        Purpose::Listing => events.push(Event::Listing(listing::read(body, context)?)),
        Purpose::Trades { symbol } | Purpose::Newest { symbol } => {
            trades(&mut scanner, &context.symbols.find(symbol)?, context, events)?;
        }
        Purpose::Book { symbol } => {
            let fields = scanner.object()?;
            events.push(book::snapshot(&mut scanner, fields, (symbol, Source::Rest), context)?);
            scanner.finish()?;
        }
        Purpose::Klines { symbol, timeframe } => {
            klines(&mut scanner, (&context.symbols.find(symbol)?, *timeframe), context, events)?;
        }
        // Its past is a list.
        Purpose::OpenInterest { .. } if body.first() == Some(&b'[') => {
            interest_history(body, context, events)?;
        }
        Purpose::OpenInterest { .. } => {
            let fields = scanner.object()?;
            events.push(prices::open_interest(&mut scanner, fields, context)?);
            scanner.finish()?;
        }
        Purpose::Funding { symbol } => funding(body, symbol, context, events)?,
        Purpose::FundingIntervals => {
            context.funding_hours = Some(funding_hours(body)?);
            events.push(Event::Notice(Notice::Ignored));
        }
        Purpose::ServerTime => {
            server_time(body)?;
            events.push(Event::Notice(Notice::Ignored));
        }
        Purpose::History(_) => return Err(DecodeError::UnknownKind(purpose.to_text().into())),
    }
    Ok(())
}

/// The code of `{"code":-4166,"msg":"…"}`.
pub(crate) fn error_code(body: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
    }
    parse::<Refusal>(body, "refusal").ok().map(|refusal| refusal.code)
}

/// `{"serverTime":…}`.
pub(crate) fn server_time(body: &[u8]) -> Scan<Time> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Clock {
        server_time: i64,
    }
    let clock: Clock = parse(body, "server time")?;
    // The answer is what tells the time, so it is only held against the far future.
    moment(clock.server_time, "serverTime", Time(4_102_444_800_000_000))
}

fn trades(
    scanner: &mut Scanner<'_>,
    instrument: &InstrumentId,
    context: &Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    let mut rows = scanner.list()?;
    while scanner.item(&mut rows)? {
        let mut print = Print::default();
        let mut fields = scanner.object()?;
        while let Some(key) = scanner.key(&mut fields)? {
            match key {
                b"a" | b"id" => print.id = Some(scanner.integer("trade id")?),
                b"p" | b"price" => print.price = Some(scanner.decimal("price")?),
                b"q" | b"qty" => print.quantity = Some(scanner.decimal("quantity")?),
                b"f" => print.first_id = Some(scanner.integer("f")?),
                b"l" => print.last_id = Some(scanner.integer("l")?),
                b"T" | b"time" => print.time = Some(scanner.integer("trade time")?),
                b"m" | b"isBuyerMaker" => print.is_buyer_maker = Some(scanner.boolean("maker flag")?),
                _ => drop(scanner.skip()?),
            }
        }
        need(print.id, "trade id")?;
        print.push(instrument.clone(), Source::Rest, context, events)?;
    }
    scanner.finish()
}

fn klines(
    scanner: &mut Scanner<'_>,
    about: (&InstrumentId, Timeframe),
    context: &Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    let mut rows = scanner.list()?;
    while scanner.item(&mut rows)? {
        events.push(kline(scanner, about, context)?);
    }
    scanner.finish()
}

/// Open time, open, high, low, close, volume, close time, quote volume, count of trades, taker's base volume, and more.
fn kline(
    scanner: &mut Scanner<'_>,
    (instrument, timeframe): (&InstrumentId, Timeframe),
    context: &Context,
) -> Scan<Event> {
    let mut times = [None; 3];
    let mut numbers = [None; 10];
    let mut items = scanner.list()?;
    let mut position = 0_usize;
    while scanner.item(&mut items)? {
        match position {
            0 => times[0] = Some(scanner.integer("open time")?),
            6 => times[1] = Some(scanner.integer("close time")?),
            8 => times[2] = Some(scanner.integer("count of trades")?),
            1..=5 | 7 | 9 => numbers[position] = Some(scanner.decimal("kline")?),
            _ => drop(scanner.skip()?),
        }
        position += 1;
    }
    let [open_time, close_time, count] = times;
    let open_time = moment(need(open_time, "open time")?, "open time", context.received)?;
    let close_time = moment(need(close_time, "close time")?, "close time", context.received)?;
    // Where buckets of three days begin is the venue's matter; their length is not.
    if !(open_time..timeframe.bucket_end(open_time)).contains(&close_time) {
        return Err(DecodeError::Malformed(format!(
            "a bar from {open_time} to {close_time} is longer than {timeframe}"
        )));
    }
    Ok(Event::Bar(Bar {
        instrument: instrument.clone(),
        timeframe,
        open_time,
        open: need(numbers[1], "open")?,
        high: need(numbers[2], "high")?,
        low: need(numbers[3], "low")?,
        close: need(numbers[4], "close")?,
        volume: need(numbers[5], "volume")?,
        quote_volume: need(numbers[7], "quote volume")?,
        trade_count: Some(need(count, "count of trades")?),
        taker_buy_volume: Some(need(numbers[9], "taker's volume")?),
        source: BarSource::Venue,
        // The last row may still be open, and no field says so.
        state: if close_time < context.received { BarState::Closed } else { BarState::Forming },
        revision: 0,
        available_time: context.received,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FundingRow<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    funding_time: i64,
    funding_rate: Exact,
    #[serde(default, deserialize_with = "crate::wire::exact_if_any")]
    mark_price: Option<Exact>,
}

fn funding(body: &[u8], asked: &str, context: &Context, events: &mut Vec<Event>) -> Scan<()> {
    let rows: Vec<FundingRow<'_>> = parse(body, "funding rates")?;
    let mut before: BTreeMap<&str, Time> = BTreeMap::new();
    for row in &rows {
        let time = nearest_hour(moment(row.funding_time, "fundingTime", context.received)?);
        let instrument = match context.symbols.known(&row.symbol) {
            Some(instrument) => instrument,
            // Asked for all, the venue also tells of contracts that are no longer listed.
            None if asked.is_empty() => continue,
            None => return Err(DecodeError::UnknownSymbol(asked.into())),
        };
        let hours = before
            .insert(&row.symbol, time)
            .and_then(|before| crate::wire::hours_between(before, time))
            .or_else(|| {
                let known = context.funding_hours.as_ref()?;
                Some(known.get(&*row.symbol).copied().unwrap_or(FUNDING_HOURS_USUAL))
            });
        events.push(Event::Funding(Funding {
            instrument,
            time,
            rate: row.funding_rate.0,
            interval_hours: hours,
            mark_price: row.mark_price.as_ref().map(|price| price.0),
            received_time: context.received,
            source: Source::Rest,
        }));
    }
    Ok(())
}

/// Samples of the past, `openInterestHist`.
fn interest_history(body: &[u8], context: &Context, events: &mut Vec<Event>) -> Scan<()> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row<'a> {
        #[serde(borrow)]
        symbol: Cow<'a, str>,
        sum_open_interest: Exact,
        #[serde(default, deserialize_with = "crate::wire::exact_if_any")]
        sum_open_interest_value: Option<Exact>,
        timestamp: i64,
    }
    let rows: Vec<Row<'_>> = parse(body, "open interest")?;
    for row in &rows {
        events.push(Event::OpenInterest(OpenInterest {
            instrument: context.symbols.find(&row.symbol)?,
            time: moment(row.timestamp, "timestamp", context.received)?,
            quantity: row.sum_open_interest.0,
            value: row.sum_open_interest_value.as_ref().map(|value| value.0),
            received_time: context.received,
        }));
    }
    Ok(())
}

fn funding_hours(body: &[u8]) -> Scan<BTreeMap<Box<str>, i32>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Row {
        symbol: Box<str>,
        funding_interval_hours: i32,
    }
    let rows: Vec<Row> = parse(body, "funding intervals")?;
    Ok(rows.into_iter().map(|row| (row.symbol, row.funding_interval_hours)).collect())
}

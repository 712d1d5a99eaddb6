//! Best prices and books, as Binance writes them in streams and in answers.

use model::{BookUpdate, Event, Notice, Quote, Source, Time};

use crate::contract::DecodeError;
use crate::moment::moment;
use crate::scan::{Scan, Scanner, Within, need};

use super::decoder::{COIN_MARGINED, Context};

/// Best bid and ask. Spot gives no time.
pub(crate) fn quote(
    scanner: &mut Scanner<'_>,
    mut fields: Within,
    context: &Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    let (mut symbol, mut sequence, mut time, mut event_time, mut market) = (None, None, None, None, 0);
    let (mut bid_price, mut bid_quantity, mut ask_price, mut ask_quantity) = (None, None, None, None);
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"u" => sequence = Some(scanner.integer("u")?),
            b"s" => symbol = Some(scanner.text("s")?),
            b"b" => bid_price = Some(scanner.decimal("b")?),
            b"B" => bid_quantity = Some(scanner.decimal("B")?),
            b"a" => ask_price = Some(scanner.decimal("a")?),
            b"A" => ask_quantity = Some(scanner.decimal("A")?),
            b"T" => time = Some(scanner.integer("T")?),
            b"E" => event_time = Some(scanner.integer("E")?),
            b"st" => market = scanner.integer("st")?,
            _ => drop(scanner.skip()?),
        }
    }
    if market == COIN_MARGINED {
        events.push(Event::Notice(Notice::Ignored));
        return Ok(());
    }
    let quote = Quote {
        instrument: context.symbols.find(&need(symbol, "s")?)?,
        venue_time: time_or_receipt(time.or(event_time), context)?,
        sequence: need(sequence, "u")?,
        bid_price: need(bid_price, "b")?,
        bid_quantity: need(bid_quantity, "B")?,
        ask_price: need(ask_price, "a")?,
        ask_quantity: need(ask_quantity, "A")?,
        received_time: context.received,
    };
    // An empty side is written as zeros; a quote has two sides.
    if quote.bid_price.is_zero() || quote.ask_price.is_zero() {
        events.push(Event::Notice(Notice::Ignored));
        return Ok(());
    }
    events.push(Event::Quote(quote));
    Ok(())
}

/// A difference of the book.
pub(crate) fn depth(
    scanner: &mut Scanner<'_>,
    mut fields: Within,
    stream: Option<&str>,
    (context, events): (&Context, &mut Vec<Event>),
) -> Scan<()> {
    let (mut symbol, mut time, mut event_time, mut market) = (None, None, None, 0);
    let (mut first, mut last, mut previous) = (None, None, None);
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"s" => symbol = Some(scanner.text("s")?),
            b"U" => first = Some(scanner.integer("U")?),
            b"u" => last = Some(scanner.integer("u")?),
            b"pu" => previous = Some(scanner.integer("pu")?),
            b"b" => bids = scanner.levels("b")?,
            b"a" => asks = scanner.levels("a")?,
            b"T" => time = Some(scanner.integer("T")?),
            b"E" => event_time = Some(scanner.integer("E")?),
            b"st" => market = scanner.integer("st")?,
            _ => drop(scanner.skip()?),
        }
    }
    // Partial depth of USD-M looks like a difference but is the whole top of the book.
    if market == COIN_MARGINED || stream.is_some_and(is_partial_depth) {
        events.push(Event::Notice(Notice::Ignored));
        return Ok(());
    }
    events.push(Event::Book(BookUpdate {
        instrument: context.symbols.find(&need(symbol, "s")?)?,
        venue_time: time_or_receipt(time.or(event_time), context)?,
        is_snapshot: false,
        first_sequence: need(first, "U")?,
        last_sequence: need(last, "u")?,
        previous_sequence: previous,
        bids,
        asks,
        received_time: context.received,
        source: Source::Stream,
    }));
    Ok(())
}

fn is_partial_depth(stream: &str) -> bool {
    stream
        .split_once("@depth")
        .is_some_and(|(_, behind)| behind.starts_with(|first: char| first.is_ascii_digit()))
}

/// A whole book whose symbol stands in the stream's name: partial depth of spot, or a recorder's snapshot.
pub(crate) fn levels(
    scanner: &mut Scanner<'_>,
    fields: Within,
    stream: Option<&str>,
    context: &Context,
) -> Scan<Event> {
    let stream = stream.ok_or_else(|| DecodeError::Malformed("a book that names no symbol".into()))?;
    if is_partial_depth(stream) {
        scanner.skip_fields(fields)?;
        return Ok(Event::Notice(Notice::Ignored));
    }
    let symbol = stream.split('@').next().unwrap_or_default().to_uppercase();
    snapshot(scanner, fields, (&symbol, Source::Stream), context)
}

/// A whole book: `{"lastUpdateId":…,"bids":…,"asks":…}`, on USD-M with times.
pub(crate) fn snapshot(
    scanner: &mut Scanner<'_>,
    mut fields: Within,
    (symbol, source): (&str, Source),
    context: &Context,
) -> Scan<Event> {
    let (mut last, mut time, mut event_time) = (None, None, None);
    let (mut bids, mut asks) = (Vec::new(), Vec::new());
    let (mut has_bids, mut has_asks) = (false, false);
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"lastUpdateId" => last = Some(scanner.integer("lastUpdateId")?),
            b"T" => time = Some(scanner.integer("T")?),
            b"E" => event_time = Some(scanner.integer("E")?),
            b"bids" => {
                bids = scanner.levels("bids")?;
                has_bids = true;
            }
            b"asks" => {
                asks = scanner.levels("asks")?;
                has_asks = true;
            }
            _ => drop(scanner.skip()?),
        }
    }
    let last = need(last, "lastUpdateId")?;
    need(has_bids.then_some(()), "bids")?;
    need(has_asks.then_some(()), "asks")?;
    Ok(Event::Book(BookUpdate {
        instrument: context.symbols.find(symbol)?,
        venue_time: time_or_receipt(time.or(event_time), context)?,
        is_snapshot: true,
        first_sequence: last,
        last_sequence: last,
        previous_sequence: None,
        bids,
        asks,
        received_time: context.received,
        source,
    }))
}

/// The venue's time, or that of receipt where it gives none.
pub(crate) fn time_or_receipt(time: Option<i64>, context: &Context) -> Scan<Time> {
    time.map_or(Ok(context.received), |time| moment(time, "event time", context.received))
}

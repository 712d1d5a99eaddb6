//! Bars, mark prices and open interest, as Binance writes them in streams and in answers.

use model::{Bar, BarSource, BarState, Event, MarkPrice, Notice, OpenInterest, Timeframe};

use crate::moment::moment;
use crate::scan::{Scan, Scanner, Within, need};

use super::book::time_or_receipt;
use super::decoder::{COIN_MARGINED, Context};

/// A bar on its way or closed, `{"k":{…}}`.
pub(crate) fn kline(scanner: &mut Scanner<'_>, mut fields: Within, context: &Context) -> Scan<Event> {
    let mut event = None;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"k" => event = Some(bar(scanner, context)?),
            _ => drop(scanner.skip()?),
        }
    }
    need(event, "k")
}

fn bar(scanner: &mut Scanner<'_>, context: &Context) -> Scan<Event> {
    let (mut symbol, mut open_time, mut interval, mut is_closed, mut count) = (None, None, None, None, None);
    let (mut open, mut high, mut low, mut close) = (None, None, None, None);
    let (mut volume, mut quote_volume, mut taker_buy) = (None, None, None);
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"s" => symbol = Some(scanner.text("s")?),
            b"t" => open_time = Some(scanner.integer("t")?),
            b"i" => interval = Some(scanner.word("i")?),
            b"x" => is_closed = Some(scanner.boolean("x")?),
            b"o" => open = Some(scanner.decimal("o")?),
            b"h" => high = Some(scanner.decimal("h")?),
            b"l" => low = Some(scanner.decimal("l")?),
            b"c" => close = Some(scanner.decimal("c")?),
            b"v" => volume = Some(scanner.decimal("v")?),
            b"q" => quote_volume = Some(scanner.decimal("q")?),
            b"V" => taker_buy = Some(scanner.decimal("V")?),
            b"n" => count = Some(scanner.integer("n")?),
            _ => drop(scanner.skip()?),
        }
    }
    // Seconds are bars at the venue but not in the house.
    let Ok(timeframe) = need(interval, "i")?.parse::<Timeframe>() else {
        return Ok(Event::Notice(Notice::Ignored));
    };
    Ok(Event::Bar(Bar {
        instrument: context.symbols.find(&need(symbol, "s")?)?,
        timeframe,
        open_time: moment(need(open_time, "t")?, "t", context.received)?,
        open: need(open, "o")?,
        high: need(high, "h")?,
        low: need(low, "l")?,
        close: need(close, "c")?,
        volume: need(volume, "v")?,
        quote_volume: need(quote_volume, "q")?,
        trade_count: Some(need(count, "n")?),
        taker_buy_volume: Some(need(taker_buy, "V")?),
        source: BarSource::Venue,
        state: if need(is_closed, "x")? { BarState::Closed } else { BarState::Forming },
        revision: 0,
        available_time: context.received,
    }))
}

/// Mark price with the running funding rate.
pub(crate) fn mark_price(scanner: &mut Scanner<'_>, mut fields: Within, context: &Context) -> Scan<Event> {
    let (mut symbol, mut time, mut mark, mut index) = (None, None, None, None);
    let (mut rate, mut next, mut market) = (None, 0, 0);
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"s" => symbol = Some(scanner.text("s")?),
            b"E" => time = Some(scanner.integer("E")?),
            b"p" => mark = Some(scanner.decimal("p")?),
            b"i" => index = scanner.decimal_if_any("i")?,
            b"r" => rate = scanner.decimal_if_any("r")?,
            b"T" => next = scanner.integer("T")?,
            b"st" => market = scanner.integer("st")?,
            _ => drop(scanner.skip()?),
        }
    }
    if market == COIN_MARGINED {
        return Ok(Event::Notice(Notice::Ignored));
    }
    // Dated futures pay no funding: their next time is 0, and the rate beside it means nothing.
    let next_funding_time = if next == 0 { None } else { Some(moment(next, "T", context.received)?) };
    Ok(Event::MarkPrice(MarkPrice {
        instrument: context.symbols.find(&need(symbol, "s")?)?,
        time: moment(need(time, "E")?, "E", context.received)?,
        mark_price: need(mark, "p")?,
        index_price: index,
        funding_rate: rate.filter(|_| next_funding_time.is_some()),
        next_funding_time,
        interval_hours: None,
        received_time: context.received,
    }))
}

/// `{"symbol":…,"openInterest":…,"time":…}`.
pub(crate) fn open_interest(scanner: &mut Scanner<'_>, mut fields: Within, context: &Context) -> Scan<Event> {
    let (mut symbol, mut quantity, mut time) = (None, None, None);
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"symbol" => symbol = Some(scanner.text("symbol")?),
            b"openInterest" => quantity = Some(scanner.decimal("openInterest")?),
            b"time" => time = Some(scanner.integer("time")?),
            _ => drop(scanner.skip()?),
        }
    }
    Ok(Event::OpenInterest(OpenInterest {
        instrument: context.symbols.find(&need(symbol, "symbol")?)?,
        time: time_or_receipt(time, context)?,
        quantity: need(quantity, "openInterest")?,
        value: None,
        received_time: context.received,
    }))
}

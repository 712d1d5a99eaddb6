//! What Bybit says on its topics: trades, books, bars, and replies to our messages. Tickers are read in `tickers`.

use std::borrow::Cow;

use model::{
    Bar, BarSource, BarState, BookLevel, BookUpdate, Condition, Decimal, Event, Notice, Quote, Side, Source,
    Time, Timeframe, Trade,
};

use crate::contract::DecodeError;
use crate::moment::moment;
use crate::scan::{Scan, Scanner, need};

use super::decoder::{Context, Top};
use super::tickers::{self, TickerRow};

/// Topics that exist and that the house does not use, sorted.
const IGNORED: &[&str] = &["adlAlert", "allLiquidation", "insurance", "liquidation", "priceLimit"];

/// What stands beside the data of a frame.
#[derive(Default)]
pub(crate) struct Head<'a> {
    topic: Option<&'a str>,
    pub(crate) is_snapshot: bool,
    pub(crate) time: Option<i64>,
    matching_time: Option<i64>,
    pub(crate) cross_sequence: Option<i64>,
}

/// The data of a frame, read but not judged yet.
enum Data<'a> {
    Prints(Vec<PrintRow<'a>>),
    Levels(LevelsRow<'a>),
    Bars(Vec<BarRow<'a>>),
    Ticker(TickerRow<'a>),
    Ignored,
}

#[derive(Default)]
struct PrintRow<'a> {
    symbol: Option<Cow<'a, str>>,
    time: Option<i64>,
    side: Option<&'a str>,
    price: Option<Decimal>,
    quantity: Option<Decimal>,
    id: Option<&'a str>,
    is_block: bool,
}

#[derive(Default)]
struct LevelsRow<'a> {
    symbol: Option<Cow<'a, str>>,
    bids: Vec<BookLevel>,
    asks: Vec<BookLevel>,
    update: Option<i64>,
}

#[derive(Default)]
struct BarRow<'a> {
    start: Option<i64>,
    interval: Option<&'a str>,
    open: Option<Decimal>,
    high: Option<Decimal>,
    low: Option<Decimal>,
    close: Option<Decimal>,
    volume: Option<Decimal>,
    turnover: Option<Decimal>,
    is_closed: Option<bool>,
}

/// Reads one frame.
pub(crate) fn read(payload: &[u8], context: &mut Context, events: &mut Vec<Event>) -> Scan<()> {
    let mut scanner = Scanner::new(payload);
    let (mut head, mut data, mut data_at, mut keys) = (Head::default(), None, None, Vec::new());
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"topic" => head.topic = Some(scanner.word("topic")?),
            b"type" => head.is_snapshot = scanner.word("type")? == "snapshot",
            b"ts" => head.time = Some(scanner.integer("ts")?),
            b"cts" => head.matching_time = Some(scanner.integer("cts")?),
            b"cs" => head.cross_sequence = Some(scanner.integer("cs")?),
            b"data" => {
                if let Some(topic) = head.topic {
                    data = Some(read_data(topic, &mut scanner, context)?);
                } else {
                    data_at = Some(scanner);
                    scanner.skip()?;
                }
            }
            _ => {
                keys.push(key);
                scanner.skip()?;
            }
        }
    }
    scanner.finish()?;
    let Some(topic) = head.topic else {
        events.push(reply(payload, &keys)?);
        return Ok(());
    };
    if let Some(mut scanner) = data_at {
        data = Some(read_data(topic, &mut scanner, context)?);
    }
    match need(data, "data")? {
        Data::Prints(rows) => {
            for row in rows {
                events.push(trade(&row, context)?);
            }
        }
        Data::Levels(row) if depth(topic) == Some("1") => events.push(quote(row, &head, context)?),
        Data::Levels(row) => events.push(book(row, &head, context)?),
        Data::Bars(rows) => {
            for row in rows {
                events.push(bar(&row, topic, context)?);
            }
        }
        Data::Ticker(row) => tickers::merge(row, &head, context, events)?,
        Data::Ignored => {}
    }
    if events.is_empty() {
        events.push(Event::Notice(Notice::Ignored));
    }
    Ok(())
}

fn read_data<'a>(topic: &str, scanner: &mut Scanner<'a>, context: &Context) -> Scan<Data<'a>> {
    let name = topic.split('.').next().unwrap_or_default();
    Ok(match name {
        "publicTrade" => {
            let mut rows = Vec::new();
            let mut list = scanner.list()?;
            while scanner.item(&mut list)? {
                rows.push(print_row(scanner)?);
            }
            Data::Prints(rows)
        }
        "orderbook" if depth(topic).is_some_and(|depth| depth.bytes().all(|byte| byte.is_ascii_digit())) => {
            Data::Levels(levels_row(scanner)?)
        }
        "kline" => {
            let mut rows = Vec::new();
            let mut list = scanner.list()?;
            while scanner.item(&mut list)? {
                rows.push(bar_row(scanner)?);
            }
            Data::Bars(rows)
        }
        "tickers" if context.is_linear => Data::Ticker(tickers::row(scanner)?),
        // Spot tickers carry neither a best level nor a mark; `orderbook.rpi` and `.full` are other books.
        name if name == "tickers" || name == "orderbook" || IGNORED.contains(&name) => {
            scanner.skip()?;
            Data::Ignored
        }
        name => return Err(DecodeError::UnknownKind(name.chars().take(64).collect::<String>().into())),
    })
}

/// The middle part of a topic: depth of a book, interval of a bar.
fn depth(topic: &str) -> Option<&str> {
    topic.split('.').nth(1)
}

fn print_row<'a>(scanner: &mut Scanner<'a>) -> Scan<PrintRow<'a>> {
    let mut row = PrintRow::default();
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"T" => row.time = Some(scanner.integer("T")?),
            b"s" => row.symbol = Some(scanner.text("s")?),
            b"S" => row.side = Some(scanner.word("S")?),
            b"v" => row.quantity = Some(scanner.decimal("v")?),
            b"p" => row.price = Some(scanner.decimal("p")?),
            b"i" => row.id = Some(scanner.word("i")?),
            b"BT" => row.is_block = scanner.boolean("BT")?,
            _ => drop(scanner.skip()?),
        }
    }
    Ok(row)
}

fn levels_row<'a>(scanner: &mut Scanner<'a>) -> Scan<LevelsRow<'a>> {
    let mut row = LevelsRow::default();
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"s" => row.symbol = Some(scanner.text("s")?),
            b"b" => row.bids = scanner.levels("b")?,
            b"a" => row.asks = scanner.levels("a")?,
            b"u" => row.update = Some(scanner.integer("u")?),
            _ => drop(scanner.skip()?),
        }
    }
    Ok(row)
}

fn bar_row<'a>(scanner: &mut Scanner<'a>) -> Scan<BarRow<'a>> {
    let mut row = BarRow::default();
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"start" => row.start = Some(scanner.integer("start")?),
            b"interval" => row.interval = Some(scanner.word("interval")?),
            b"open" => row.open = Some(scanner.decimal("open")?),
            b"high" => row.high = Some(scanner.decimal("high")?),
            b"low" => row.low = Some(scanner.decimal("low")?),
            b"close" => row.close = Some(scanner.decimal("close")?),
            b"volume" => row.volume = Some(scanner.decimal("volume")?),
            b"turnover" => row.turnover = Some(scanner.decimal("turnover")?),
            b"confirm" => row.is_closed = Some(scanner.boolean("confirm")?),
            _ => drop(scanner.skip()?),
        }
    }
    Ok(row)
}

fn trade(row: &PrintRow<'_>, context: &Context) -> Scan<Event> {
    let instrument = context.symbols.find(need(row.symbol.as_deref(), "s")?)?;
    let venue_time = moment(need(row.time, "T")?, "T", context.received)?;
    print(
        &Print {
            id: need(row.id, "i")?,
            side: need(row.side, "S")?,
            price: need(row.price, "p")?,
            quantity: need(row.quantity, "v")?,
            is_block: row.is_block,
        },
        (instrument, venue_time, Source::Stream),
        context,
    )
}

/// The fields of a print, whatever they are called where it came from.
pub(crate) struct Print<'a> {
    /// A number on spot, a UUID on linear contracts.
    pub(crate) id: &'a str,
    /// Taker's side.
    pub(crate) side: &'a str,
    /// Price.
    pub(crate) price: Decimal,
    /// Quantity.
    pub(crate) quantity: Decimal,
    /// Agreed off the book.
    pub(crate) is_block: bool,
}

/// The trade that a print makes.
pub(crate) fn print(
    print: &Print<'_>,
    (instrument, venue_time, source): (model::InstrumentId, Time, Source),
    context: &Context,
) -> Scan<Event> {
    let taker_side = match print.side {
        "Buy" => Side::Buy,
        "Sell" => Side::Sell,
        other => return Err(DecodeError::Malformed(format!("side is neither Buy nor Sell: {other:?}"))),
    };
    if print.price.is_negative() || print.quantity.is_negative() {
        return Err(DecodeError::Malformed("a trade below zero".into()));
    }
    let number = if context.is_linear { None } else { print.id.parse::<i64>().ok() };
    Ok(Event::Trade(Trade {
        instrument,
        venue_time,
        trade_id: number,
        venue_trade_id: if number.is_none() { Some(print.id.into()) } else { None },
        price: print.price,
        quantity: print.quantity,
        taker_side,
        first_trade_id: None,
        last_trade_id: None,
        condition: if print.is_block { Condition::Block } else { Condition::Market },
        received_time: context.received,
        source,
    }))
}

/// Whether the levels are the whole book: said so, or the service was restarted and counts from 1 again.
fn is_whole(head: &Head<'_>, update: i64) -> bool {
    head.is_snapshot || update == 1
}

fn book_time(head: &Head<'_>, context: &Context) -> Scan<Time> {
    let time = need(head.matching_time.or(head.time), "ts")?;
    moment(time, "ts", context.received)
}

fn book(row: LevelsRow<'_>, head: &Head<'_>, context: &Context) -> Scan<Event> {
    let update = need(row.update, "u")?;
    Ok(Event::Book(BookUpdate {
        instrument: context.symbols.find(&need(row.symbol, "s")?)?,
        venue_time: book_time(head, context)?,
        is_snapshot: is_whole(head, update),
        first_sequence: update,
        last_sequence: update,
        previous_sequence: None,
        bids: row.bids,
        asks: row.asks,
        received_time: context.received,
        source: Source::Stream,
    }))
}

fn quote(row: LevelsRow<'_>, head: &Head<'_>, context: &mut Context) -> Scan<Event> {
    let symbol = need(row.symbol, "s")?;
    let instrument = context.symbols.find(&symbol)?;
    let venue_time = book_time(head, context)?;
    let sequence = need(row.update, "u")?;
    let mut top = match context.tops.get(&*symbol) {
        Some(top) if !is_whole(head, sequence) => *top,
        _ => Top::default(),
    };
    best(&mut top.bid, &row.bids);
    best(&mut top.ask, &row.asks);
    match context.tops.get_mut(&*symbol) {
        Some(known) => *known = top,
        None => drop(context.tops.insert(symbol.into(), top)),
    }
    let (Some(bid), Some(ask)) = (top.bid, top.ask) else { return Ok(Event::Notice(Notice::Ignored)) };
    Ok(Event::Quote(Quote {
        instrument,
        venue_time,
        sequence,
        bid_price: bid.price,
        bid_quantity: bid.quantity,
        ask_price: ask.price,
        ask_quantity: ask.quantity,
        received_time: context.received,
    }))
}

fn best(side: &mut Option<BookLevel>, changes: &[BookLevel]) {
    for level in changes {
        if !level.quantity.is_zero() {
            *side = Some(*level);
        } else if side.is_some_and(|known| known.price == level.price) {
            *side = None;
        }
    }
}

fn bar(row: &BarRow<'_>, topic: &str, context: &Context) -> Scan<Event> {
    // Futures are named `BTCUSDT-14AUG26`; no symbol is known to hold a dot, but none needs to be cut at one.
    let symbol = need(topic.splitn(3, '.').nth(2), "symbol in the topic")?;
    let interval = need(row.interval, "interval")?;
    let timeframe = match interval {
        "D" => Timeframe::minutes(1_440),
        "W" => Some(Timeframe::Week),
        "M" => Some(Timeframe::Month),
        minutes => minutes.parse().ok().and_then(Timeframe::minutes),
    };
    let refuse = || DecodeError::Malformed(format!("interval is none: {interval:?}"));
    Ok(Event::Bar(Bar {
        instrument: context.symbols.find(symbol)?,
        timeframe: timeframe.ok_or_else(refuse)?,
        open_time: moment(need(row.start, "start")?, "start", context.received)?,
        open: need(row.open, "open")?,
        high: need(row.high, "high")?,
        low: need(row.low, "low")?,
        close: need(row.close, "close")?,
        volume: need(row.volume, "volume")?,
        quote_volume: need(row.turnover, "turnover")?,
        trade_count: None,
        taker_buy_volume: None,
        source: BarSource::Venue,
        state: if need(row.is_closed, "confirm")? { BarState::Closed } else { BarState::Forming },
        revision: 0,
        available_time: context.received,
    }))
}

/// `{"success":true,"ret_msg":"","conn_id":"…","req_id":"1","op":"subscribe"}`.
fn reply(payload: &[u8], keys: &[&[u8]]) -> Scan<Event> {
    let mut scanner = Scanner::new(payload);
    let (mut is_accepted, mut words, mut request, mut operation) = (None, "".into(), "".into(), "");
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"success" => is_accepted = Some(scanner.boolean("success")?),
            b"ret_msg" => words = scanner.text("ret_msg")?,
            b"req_id" => request = scanner.text("req_id")?,
            b"op" => operation = scanner.word("op")?,
            _ => drop(scanner.skip()?),
        }
    }
    Ok(Event::Notice(match is_accepted {
        _ if operation == "pong" || words == "pong" => Notice::Pong,
        Some(true) => Notice::Accepted { request: request.into() },
        Some(false) => Notice::Refused { request: request.into(), reason: words.into() },
        None => {
            let shown: Vec<_> = keys.iter().take(8).map(|key| String::from_utf8_lossy(key)).collect();
            return Err(DecodeError::UnknownKind(format!("an object of {}", shown.join(", ")).into()));
        }
    }))
}

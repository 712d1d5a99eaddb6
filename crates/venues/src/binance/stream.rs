//! What Binance says on its streams, wrapped (`{"stream":…,"data":…}`) or not.

use model::{Event, Notice, Source};

use crate::contract::DecodeError;
use crate::scan::{Scan, Scanner, Within, need};

use super::decoder::{COIN_MARGINED, Context};
use super::trades::Print;
use super::{book, prices};

/// What a message is, told by its first field where it can be.
enum Kind<'a> {
    /// It names itself in `e`.
    Named(&'a str),
    /// Best bid and ask of spot, which has no name.
    BookTicker,
    /// A whole book without symbol: partial depth of spot, or a recorder's snapshot.
    Levels,
    /// A recorder's open interest.
    OpenInterest,
    /// An answer to SUBSCRIBE and its like.
    Reply,
    /// None of these; its keys.
    Strange(String),
}

/// Reads one frame.
pub(crate) fn read(payload: &[u8], context: &Context, events: &mut Vec<Event>) -> Scan<()> {
    let mut scanner = Scanner::new(payload);
    // The venue writes the wrapper in this order and without blanks; anything else takes the long way.
    if scanner.pass(br#"{"stream":"#)
        && let Ok(stream) = scanner.word("stream")
        && scanner.pass(br#","data":"#)
    {
        message(&mut scanner, Some(stream), context, events)?;
        scanner.skip_fields(Within::AFTER_FIRST)?;
        return scanner.finish();
    }
    let mut scanner = Scanner::new(payload);
    if scanner.ahead() == b'{'
        && let (stream, Some(mut data)) = unwrap(&mut scanner)?
    {
        return message(&mut data, stream, context, events);
    }
    let mut scanner = Scanner::new(payload);
    message(&mut scanner, None, context, events)?;
    scanner.finish()
}

/// Finds name and data of a wrapper in any order; the whole frame has been walked through then.
pub(crate) fn unwrap<'a>(scanner: &mut Scanner<'a>) -> Scan<(Option<&'a str>, Option<Scanner<'a>>)> {
    let (mut stream, mut data) = (None, None);
    let mut wrapper = scanner.object()?;
    while let Some(key) = scanner.key(&mut wrapper)? {
        match key {
            b"stream" => stream = Some(scanner.word("stream")?),
            b"data" => {
                data = Some(*scanner);
                scanner.skip()?;
            }
            _ => drop(scanner.skip()?),
        }
    }
    scanner.finish()?;
    Ok((stream, data))
}

fn message(
    scanner: &mut Scanner<'_>,
    stream: Option<&str>,
    context: &Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    if scanner.ahead() != b'[' {
        return single(scanner, stream, context, events);
    }
    let mut rows = scanner.list()?;
    while scanner.item(&mut rows)? {
        match single(scanner, stream, context, events) {
            // A stream over all instruments names new ones before the listing was asked for again.
            Ok(()) | Err(DecodeError::UnknownSymbol(_)) => {}
            Err(error) => return Err(error),
        }
        events.pop_if(|event| matches!(event, Event::Notice(Notice::Ignored)));
    }
    if events.is_empty() {
        events.push(Event::Notice(Notice::Ignored));
    }
    Ok(())
}

// Events are large, so the frequent ones are pushed where they are made.
fn single(
    scanner: &mut Scanner<'_>,
    stream: Option<&str>,
    context: &Context,
    events: &mut Vec<Event>,
) -> Scan<()> {
    let (kind, fields) = if scanner.pass(br#"{"e":"#) {
        (Kind::Named(scanner.word("e")?), Within::AFTER_FIRST)
    } else {
        (kind(*scanner)?, scanner.object()?)
    };
    let event = match kind {
        Kind::Named("aggTrade") => return trade(scanner, fields, b"a", (context, events)),
        Kind::Named("trade") => return trade(scanner, fields, b"t", (context, events)),
        Kind::Named("bookTicker") | Kind::BookTicker => {
            return book::quote(scanner, fields, context, events);
        }
        Kind::Named("depthUpdate") => return book::depth(scanner, fields, stream, (context, events)),
        Kind::Named("kline") => prices::kline(scanner, fields, context)?,
        Kind::Named("markPriceUpdate") => prices::mark_price(scanner, fields, context)?,
        Kind::Named("serverShutdown") => {
            scanner.skip_fields(fields)?;
            Event::Notice(Notice::ClosingSoon)
        }
        Kind::Named(name) if IGNORED.contains(&name) => {
            scanner.skip_fields(fields)?;
            Event::Notice(Notice::Ignored)
        }
        Kind::Named(name) => {
            return Err(DecodeError::UnknownKind(name.chars().take(64).collect::<String>().into()));
        }
        Kind::Levels => book::levels(scanner, fields, stream, context)?,
        Kind::OpenInterest => prices::open_interest(scanner, fields, context)?,
        Kind::Reply => reply(scanner, fields)?,
        Kind::Strange(keys) => return Err(DecodeError::UnknownKind(keys.into())),
    };
    events.push(event);
    Ok(())
}

/// Streams that exist and that the house does not use, sorted.
const IGNORED: &[&str] = &[
    "1dTicker",
    "1hTicker",
    "24hrMiniTicker",
    "24hrTicker",
    "4hTicker",
    "assetIndexUpdate",
    "avgPrice",
    "blockTrade",
    "compositeIndex",
    "continuous_kline",
    "contractInfo",
    "forceOrder",
    "indexPriceUpdate",
    "indexPrice_kline",
    "markPrice_kline",
    "referencePrice",
    "tradingSession",
];

fn kind(mut scanner: Scanner<'_>) -> Scan<Kind<'_>> {
    let start = scanner;
    if scanner.pass(br#"{"u":"#) && scanner.integer("u").is_ok() && scanner.pass(br#","s":"#) {
        return Ok(Kind::BookTicker);
    }
    scanner = start;
    let (mut keys, mut name) = (Vec::new(), None);
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        keys.push(key);
        if key == b"e" {
            name = Some(scanner.word("e")?);
        } else {
            scanner.skip()?;
        }
    }
    let has = |key: &[u8]| keys.contains(&key);
    Ok(match name {
        Some(name) => Kind::Named(name),
        None if [&b"u"[..], b"s", b"b", b"B", b"a", b"A"].iter().all(|key| has(key)) => Kind::BookTicker,
        None if has(b"lastUpdateId") => Kind::Levels,
        None if has(b"openInterest") => Kind::OpenInterest,
        None if has(b"result") || has(b"error") || has(b"code") => Kind::Reply,
        None => {
            let shown: Vec<_> = keys.iter().take(8).map(|key| String::from_utf8_lossy(key)).collect();
            Kind::Strange(format!("an object of {}", shown.join(", ")))
        }
    })
}

fn trade(
    scanner: &mut Scanner<'_>,
    mut fields: Within,
    id_key: &[u8],
    (context, events): (&Context, &mut Vec<Event>),
) -> Scan<()> {
    let (mut print, mut symbol, mut market) = (Print::default(), None, 0);
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            // Raw spot trades of 2019 also carry order ids `a` and `b`.
            key if key == id_key => print.id = Some(scanner.integer("trade id")?),
            b"s" => symbol = Some(scanner.text("s")?),
            b"p" => print.price = Some(scanner.decimal("p")?),
            b"q" => print.quantity = Some(scanner.decimal("q")?),
            b"f" => print.first_id = Some(scanner.integer("f")?),
            b"l" => print.last_id = Some(scanner.integer("l")?),
            b"T" => print.time = Some(scanner.integer("T")?),
            b"m" => print.is_buyer_maker = Some(scanner.boolean("m")?),
            b"X" => print.kind = Some(scanner.word("X")?),
            b"st" => market = scanner.integer("st")?,
            _ => drop(scanner.skip()?),
        }
    }
    if market == COIN_MARGINED {
        events.push(Event::Notice(Notice::Ignored));
        return Ok(());
    }
    let instrument = context.symbols.find(&need(symbol, "s")?)?;
    print.push(instrument, Source::Stream, context, events)
}

/// `{"result":null,"id":1}`, `{"error":{"code":2,"msg":"…"},"id":1}` or `{"code":2,"msg":"…"}`.
pub(crate) fn reply(scanner: &mut Scanner<'_>, mut fields: Within) -> Scan<Event> {
    let (mut request, mut code, mut words, mut is_refused) = (String::new(), None, None, false);
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"id" => {
                let id = String::from_utf8_lossy(scanner.skip()?);
                request = id.trim_matches('"').chars().take(64).collect();
            }
            b"error" if scanner.ahead() == b'{' => {
                is_refused = true;
                let mut error = scanner.object()?;
                while let Some(key) = scanner.key(&mut error)? {
                    match key {
                        b"code" => code = Some(scanner.integer("code")?),
                        b"msg" => words = Some(scanner.text("msg")?),
                        _ => drop(scanner.skip()?),
                    }
                }
            }
            b"code" => {
                is_refused = true;
                code = Some(scanner.integer("code")?);
            }
            b"msg" => words = Some(scanner.text("msg")?),
            _ => drop(scanner.skip()?),
        }
    }
    let request = request.into();
    if !is_refused {
        return Ok(Event::Notice(Notice::Accepted { request }));
    }
    let words = words.unwrap_or_default();
    let reason = code.map_or_else(|| words.to_string(), |code| format!("{code} {words}")).into();
    Ok(Event::Notice(Notice::Refused { request, reason }))
}

//! What a Binance frame is, at a glance. Decoding it is left to `stream`.

use crate::contract::Peek;
use crate::scan::{Scan, Scanner};

use super::stream::unwrap;

/// Tells a frame by its first bytes where the venue writes as it always does.
pub(crate) fn peek(payload: &[u8]) -> Peek<'_> {
    let mut scanner = Scanner::new(payload);
    if scanner.pass(br#"{"stream":"#)
        && let Ok(stream) = scanner.word("stream")
    {
        return data(stream);
    }
    walk(payload).unwrap_or(Peek::Unknown)
}

fn data(stream: &str) -> Peek<'_> {
    if stream == "!serverShutdown" { Peek::ClosingSoon } else { Peek::Data(stream) }
}

fn walk(payload: &[u8]) -> Scan<Peek<'_>> {
    let mut scanner = Scanner::new(payload);
    let (mut is_accepted, mut words, mut is_closing) = (false, None, false);
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"stream" => return Ok(data(scanner.word("stream")?)),
            b"e" => is_closing = scanner.word("e")? == "serverShutdown",
            b"result" => {
                is_accepted = true;
                scanner.skip()?;
            }
            b"error" if scanner.ahead() == b'{' => {
                words = words.or(Some(""));
                let mut error = scanner.object()?;
                while let Some(key) = scanner.key(&mut error)? {
                    match key {
                        b"msg" => words = Some(scanner.word("msg").unwrap_or("")),
                        _ => drop(scanner.skip()?),
                    }
                }
            }
            b"code" => {
                words = words.or(Some(""));
                scanner.skip()?;
            }
            b"msg" => words = Some(scanner.word("msg").unwrap_or("")),
            _ => drop(scanner.skip()?),
        }
    }
    Ok(match words {
        Some(words) => Peek::Refused(words),
        None if is_closing => Peek::ClosingSoon,
        None if is_accepted => Peek::Accepted,
        None => Peek::Unknown,
    })
}

/// The stream a data frame belongs to, also where it is not wrapped. Speeds are those the house subscribes to.
pub(crate) fn key_of(payload: &[u8]) -> Option<String> {
    if let Peek::Data(key) = peek(payload) {
        return Some(key.to_owned());
    }
    let mut scanner = Scanner::new(payload);
    if scanner.ahead() == b'[' {
        let mut rows = scanner.list().ok()?;
        let is_mark_prices =
            scanner.item(&mut rows).ok()? && names(scanner).ok()?.event == Some("markPriceUpdate");
        return is_mark_prices.then(|| "!markPrice@arr@1s".to_owned());
    }
    if unwrap(&mut scanner).ok()?.1.is_some() {
        return None;
    }
    let names = names(Scanner::new(payload)).ok()?;
    let suffix = match names.event {
        Some("aggTrade") => "@aggTrade",
        Some("trade") => "@trade",
        Some("bookTicker") => "@bookTicker",
        Some("depthUpdate") => "@depth@100ms",
        Some("kline") => "@kline_1m",
        Some("markPriceUpdate") => "@markPrice@1s",
        None if names.is_quote => "@bookTicker",
        _ => return None,
    };
    Some(format!("{}{suffix}", names.symbol?.to_lowercase()))
}

struct Names<'a> {
    event: Option<&'a str>,
    symbol: Option<&'a str>,
    is_quote: bool,
}

fn names(mut scanner: Scanner<'_>) -> Scan<Names<'_>> {
    let (mut event, mut symbol, mut has_bid, mut has_ask) = (None, None, false, false);
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"e" => event = Some(scanner.word("e")?),
            b"s" => symbol = Some(scanner.word("s")?),
            _ => {
                has_bid |= key == b"B";
                has_ask |= key == b"A";
                scanner.skip()?;
            }
        }
    }
    Ok(Names { event, symbol, is_quote: has_bid && has_ask })
}

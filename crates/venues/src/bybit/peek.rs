//! What a Bybit frame is, at a glance. Decoding it is left to `stream`.

use crate::contract::Peek;
use crate::scan::{Scan, Scanner};

/// Tells a frame by its topic, mostly its first field; without one it is a reply.
pub(crate) fn peek(payload: &[u8]) -> Peek<'_> {
    let mut scanner = Scanner::new(payload);
    if scanner.pass(br#"{"topic":"#)
        && let Ok(topic) = scanner.word("topic")
    {
        return Peek::Data(topic);
    }
    walk(payload).unwrap_or(Peek::Unknown)
}

fn walk(payload: &[u8]) -> Scan<Peek<'_>> {
    let mut scanner = Scanner::new(payload);
    let (mut is_accepted, mut words, mut operation) = (None, "", "");
    let mut fields = scanner.object()?;
    while let Some(key) = scanner.key(&mut fields)? {
        match key {
            b"topic" => return Ok(Peek::Data(scanner.word("topic")?)),
            b"success" => is_accepted = Some(scanner.boolean("success")?),
            // Words with escapes are shown by the decoder only.
            b"ret_msg" => match scanner.word("ret_msg") {
                Ok(text) => words = text,
                Err(_) => drop(scanner.skip()?),
            },
            b"op" => operation = scanner.word("op")?,
            _ => drop(scanner.skip()?),
        }
    }
    Ok(match is_accepted {
        _ if operation == "pong" || words == "pong" => Peek::Pong,
        Some(true) => Peek::Accepted,
        Some(false) => Peek::Refused(words),
        None => Peek::Unknown,
    })
}

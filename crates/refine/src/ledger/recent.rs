//! Ids of the newest trades of a stream whose ids are mere names: enough to recognise what comes again.

use std::collections::{HashSet, VecDeque};

use model::time::MINUTE;
use model::{Time, Trade};

/// How long an id is remembered at least, on the venue's clock.
const SPAN: i64 = 10 * MINUTE;
/// Ids remembered however old they are: an answer with the most recent trades holds at most 1,000.
const COUNT_MIN: usize = 1_024;
/// Most ids remembered.
const COUNT_MAX: usize = 131_072;

/// A bounded set of ids, oldest first out.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecentIds {
    order: VecDeque<(Time, u128)>,
    known: HashSet<u128>,
    newest: Time,
}

impl RecentIds {
    pub(crate) fn contains(&self, id: u128) -> bool {
        self.known.contains(&id)
    }

    pub(crate) fn insert(&mut self, time: Time, id: u128) {
        if !self.known.insert(id) {
            return;
        }
        self.order.push_back((time, id));
        self.newest = self.newest.max(time);
        while let Some((oldest, id)) = self.order.front().copied() {
            let is_over = self.order.len() > COUNT_MAX;
            let is_old = self.order.len() > COUNT_MIN && self.newest.0 - oldest.0 > SPAN;
            if !is_over && !is_old {
                break;
            }
            self.order.pop_front();
            self.known.remove(&id);
        }
    }

    /// Oldest first, as they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Time, u128)> {
        self.order.iter().copied()
    }
}

/// The trade's id as a number: exact for UUIDs and numbers, 128 bits of hash for other texts.
pub(crate) fn key(trade: &Trade) -> u128 {
    match (trade.trade_id, trade.venue_trade_id.as_deref()) {
        (Some(id), _) => u128::from(id.unsigned_abs()),
        (None, Some(text)) => uuid(text).unwrap_or_else(|| hash(text)),
        // No id at all: time, price and quantity must do.
        (None, None) => hash(&format!(
            "{} {} {} {}",
            trade.venue_time.0,
            trade.price,
            trade.quantity,
            trade.taker_side.as_str()
        )),
    }
}

fn uuid(text: &str) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    let mut value = 0_u128;
    for (index, byte) in text.bytes().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        // Upper-case digits would be another text: ids are compared bytewise.
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        value = value << 4 | u128::from(digit);
    }
    Some(value)
}

/// FNV-1a with 128 bits.
fn hash(text: &str) -> u128 {
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

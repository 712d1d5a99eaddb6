//! Frames of a load: texts built once, with places for what changes from frame to frame.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use crate::market::{MINUTE_MS, Market, Protocol};

/// What a stream of a load carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carries {
    Trades,
    Quotes,
    Bars,
}

impl Carries {
    /// Out of ten frames of an instrument on all three kinds of streams, so many are of this one.
    pub(super) const fn weight(self) -> usize {
        match self {
            Self::Trades => 3,
            Self::Quotes => 5,
            Self::Bars => 2,
        }
    }

    /// What a stream's name stands for: the channel and the symbol, upper case.
    pub(super) fn named(protocol: Protocol, name: &str) -> Option<(Self, String)> {
        if protocol.is_bybit() {
            let (channel, symbol) = name.rsplit_once('.')?;
            let carries = match channel {
                "publicTrade" => Self::Trades,
                "orderbook.1" => Self::Quotes,
                "kline.1" => Self::Bars,
                _ => return None,
            };
            return Some((carries, symbol.to_owned()));
        }
        let (symbol, channel) = name.split_once('@')?;
        let carries = match channel {
            "aggTrade" => Self::Trades,
            "bookTicker" => Self::Quotes,
            "kline_1m" => Self::Bars,
            _ => return None,
        };
        Some((carries, symbol.to_uppercase()))
    }
}

/// Where a market of a load stands.
#[derive(Debug, Default)]
struct Standing {
    /// Place of the next trade.
    next: i64,
    /// Number of the next quote.
    update: i64,
    /// The running minute, and the place of its first trade.
    minute: i64,
    first: i64,
    /// The minute before, until its last bar was sent: which, first place, place after its last.
    closed: Option<(i64, i64, i64)>,
}

/// A market of a load. Every trade has the same price and quantity.
#[derive(Debug)]
pub(super) struct Flow {
    standing: Mutex<Standing>,
    /// Lots of each trade, and price in ticks.
    lots: i64,
    price: i64,
}

/// A stream of one client.
pub(super) struct Feed {
    pub(super) market: usize,
    pub(super) carries: Carries,
    /// Texts, each with what follows it.
    pieces: Vec<(String, Place)>,
}

/// What changes from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Now,
    Id,
    First,
    Last,
    Sequence,
    Open,
    End,
    IsClosed,
    Count,
    Volume,
    Turnover,
    Nothing,
}

/// Marks in the texts, by which they are cut.
const PLACES: &[(&str, Place)] = &[
    ("now", Place::Now),
    ("id", Place::Id),
    ("first", Place::First),
    ("last", Place::Last),
    ("sequence", Place::Sequence),
    ("open", Place::Open),
    ("end", Place::End),
    ("closed", Place::IsClosed),
    ("count", Place::Count),
    ("volume", Place::Volume),
    ("turnover", Place::Turnover),
];

impl Flow {
    /// A market whose next trade has this place.
    pub(super) fn new(market: &Market, next: i64, now_ms: i64) -> Self {
        let standing =
            Standing { next, first: next, minute: now_ms.div_euclid(MINUTE_MS), ..Standing::default() };
        Self {
            standing: Mutex::new(standing),
            lots: market.lots_expected(1).max(2),
            price: market.quote(now_ms).1.0,
        }
    }

    fn standing(&self, now_ms: i64) -> std::sync::MutexGuard<'_, Standing> {
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = now_ms.div_euclid(MINUTE_MS);
        if minute > standing.minute {
            standing.closed =
                (standing.next > standing.first).then_some((standing.minute, standing.first, standing.next));
            (standing.minute, standing.first) = (minute, standing.next);
        }
        standing
    }
}

impl Feed {
    /// A stream of a market.
    pub(super) fn new(
        (place, market, flow): (usize, &Market, &Flow),
        carries: Carries,
        wrapper: Option<&str>,
        now_ms: i64,
    ) -> Self {
        let text = match carries {
            Carries::Trades => trade(market, flow),
            Carries::Quotes => quote(market, now_ms),
            Carries::Bars => bar(market, flow),
        };
        let text = match wrapper {
            Some(name) => format!(r#"{{"stream":"{name}","data":{text}}}"#),
            None => text,
        };
        Self { market: place, carries, pieces: cut(&text) }
    }

    /// The next frame; none where a minute had no trade yet.
    pub(super) fn frame(&self, market: &Market, flow: &Flow, now_ms: i64) -> Option<String> {
        let mut standing = flow.standing(now_ms);
        let (mut id, mut minute, mut span, mut is_closed) = (0, standing.minute, (0, 0), false);
        match self.carries {
            Carries::Trades => {
                id = standing.next;
                standing.next += 1;
                span = (id, id + 1);
            }
            Carries::Quotes => {
                id = standing.update;
                standing.update += 1;
            }
            Carries::Bars => {
                span = (standing.first, standing.next);
                if let Some((of, first, end)) = standing.closed.take() {
                    (minute, span, is_closed) = (of, (first, end), true);
                }
                if span.0 == span.1 {
                    return None;
                }
            }
        }
        drop(standing);
        let length: usize = self.pieces.iter().map(|(text, _)| text.len() + 20).sum();
        let mut frame = String::with_capacity(length);
        let lots = i128::from(flow.lots) * i128::from(span.1 - span.0);
        for (text, place) in &self.pieces {
            frame.push_str(text);
            // Writing to a string cannot fail.
            let _written = match place {
                Place::Now => write!(frame, "{now_ms}"),
                Place::Id => self.write_id(&mut frame, market, id),
                Place::First => write!(frame, "{}", market.first_raw(span.0)),
                Place::Last => write!(frame, "{}", market.last_raw(span.1 - 1)),
                Place::Sequence => write!(frame, "{}", market.trade_sequence(id)),
                Place::Open => write!(frame, "{}", minute * MINUTE_MS),
                Place::End => write!(frame, "{}", (minute + 1) * MINUTE_MS - 1),
                Place::IsClosed => write!(frame, "{is_closed}"),
                Place::Count => {
                    write!(frame, "{}", market.last_raw(span.1 - 1) - market.first_raw(span.0) + 1)
                }
                Place::Volume => write!(frame, "{}", market.volume_text(lots)),
                Place::Turnover => write!(frame, "{}", market.value_text(lots * i128::from(flow.price))),
                Place::Nothing => Ok(()),
            };
        }
        Some(frame)
    }

    fn write_id(&self, frame: &mut String, market: &Market, id: i64) -> std::fmt::Result {
        match (self.carries, market.protocol) {
            (Carries::Trades, Protocol::BybitLinear) => frame.write_str(&market.trade_uuid(id)),
            (Carries::Trades, _) => write!(frame, "{}", market.trade_id(id)),
            _ => write!(frame, "{}", id + 1),
        }
    }
}

/// Cuts a text at its marks, `<id>` and the like.
fn cut(text: &str) -> Vec<(String, Place)> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        let (name, after) = after.split_once('>').unwrap_or((after, ""));
        let place = PLACES.iter().find(|(known, _)| *known == name);
        pieces.push((before.to_owned(), place.map_or(Place::Nothing, |(_, place)| *place)));
        rest = after;
    }
    pieces.push((rest.to_owned(), Place::Nothing));
    pieces
}

fn trade(market: &Market, flow: &Flow) -> String {
    let symbol = &market.spec.symbol;
    let (price, quantity) = (market.spec.tick.text(flow.price), market.spec.lot.text(flow.lots));
    match market.protocol {
        Protocol::Binance => format!(
            r#"{{"e":"aggTrade","E":<now>,"s":"{symbol}","a":<id>,"p":"{price}","q":"{quantity}","f":<first>,"l":<last>,"T":<now>,"m":false,"M":true}}"#
        ),
        Protocol::BinanceFutures => format!(
            r#"{{"e":"aggTrade","E":<now>,"a":<id>,"s":"{symbol}","p":"{price}","q":"{quantity}","nq":"{quantity}","f":<first>,"l":<last>,"T":<now>,"m":false,"st":1}}"#
        ),
        Protocol::Bybit => format!(
            r#"{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":<now>,"data":[{{"i":"<id>","T":<now>,"p":"{price}","v":"{quantity}","S":"Buy","seq":<sequence>,"s":"{symbol}","BT":false,"RPI":false}}]}}"#
        ),
        Protocol::BybitLinear => format!(
            r#"{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":<now>,"data":[{{"T":<now>,"s":"{symbol}","S":"Buy","v":"{quantity}","p":"{price}","L":"ZeroPlusTick","i":"<id>","BT":false,"RPI":false,"seq":<sequence>}}]}}"#
        ),
    }
}

fn quote(market: &Market, now_ms: i64) -> String {
    let (symbol, tick, lot) = (&market.spec.symbol, &market.spec.tick, &market.spec.lot);
    let (bid, ask) = market.quote(now_ms);
    let (bid, ask) = ((tick.text(bid.0), lot.text(bid.1)), (tick.text(ask.0), lot.text(ask.1)));
    let sides = format!(r#""b":"{}","B":"{}","a":"{}","A":"{}""#, bid.0, bid.1, ask.0, ask.1);
    match market.protocol {
        Protocol::Binance => format!(r#"{{"u":<id>,"s":"{symbol}",{sides}}}"#),
        Protocol::BinanceFutures => format!(
            r#"{{"e":"bookTicker","u":<id>,"s":"{symbol}","ps":"{symbol}",{sides},"T":<now>,"E":<now>,"st":1}}"#
        ),
        Protocol::Bybit | Protocol::BybitLinear => format!(
            r#"{{"topic":"orderbook.1.{symbol}","type":"snapshot","ts":<now>,"data":{{"s":"{symbol}","b":[["{}","{}"]],"a":[["{}","{}"]],"u":<id>,"seq":<sequence>}},"cts":<now>}}"#,
            bid.0, bid.1, ask.0, ask.1
        ),
    }
}

fn bar(market: &Market, flow: &Flow) -> String {
    let (symbol, price) = (&market.spec.symbol, market.spec.tick.text(flow.price));
    if market.protocol.is_bybit() {
        return format!(
            r#"{{"topic":"kline.1.{symbol}","data":[{{"start":<open>,"end":<end>,"interval":"1","open":"{price}","close":"{price}","high":"{price}","low":"{price}","volume":"<volume>","turnover":"<turnover>","confirm":<closed>,"timestamp":<now>}}],"ts":<now>,"type":"snapshot"}}"#
        );
    }
    // The aggressor always buys.
    format!(
        r#"{{"e":"kline","E":<now>,"s":"{symbol}","k":{{"t":<open>,"T":<end>,"s":"{symbol}","i":"1m","f":<first>,"L":<last>,"o":"{price}","c":"{price}","h":"{price}","l":"{price}","v":"<volume>","n":<count>,"x":<closed>,"q":"<turnover>","V":"<volume>","Q":"<turnover>","B":"0"}}}}"#
    )
}

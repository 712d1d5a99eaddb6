//! Two venues whose frames are lines of words: one numbers its trades, one names them.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{
    Bar, BarSource, BarState, BookLevel, BookUpdate, Channel, Condition, Event, Instrument, InstrumentId,
    InstrumentKind, InstrumentStatus, Listing, MarkPrice, Nanos, OpenInterest, Quote, Side, Source, Time,
    Timeframe, Trade, VenueId,
};
use venues::contract::{
    Allowance, BookRule, ConnectionPlan, DecodeError, Decoder, DefaultEndpoints, Endpoints, Facts, Frame,
    HistoryAsk, HistoryRefusal, HistoryRules, Origin, Peek, Poll, Purpose, RestLimits, RestRequest, Stream,
    TradeIds, Venue,
};

use super::number;

struct Words(std::sync::LazyLock<Facts>);

const fn facts(
    id: &'static str,
    trade_ids: TradeIds,
    book_rule: BookRule,
) -> (&'static str, TradeIds, BookRule) {
    (id, trade_ids, book_rule)
}

fn build((id, trade_ids, book_rule): (&'static str, TradeIds, BookRule)) -> Facts {
    let allowance = Allowance { count: 1, per: Duration::from_secs(1) };
    Facts {
        id: VenueId::known(id).unwrap(),
        endpoints: DefaultEndpoints { rest: "", stream: "" },
        channels: &[
            Channel::Trades,
            Channel::RawTrades,
            Channel::Quotes,
            Channel::Book,
            Channel::Klines,
            Channel::MarkPrices,
            Channel::OpenInterest,
        ],
        trade_ids,
        book_rule,
        streams_max: 1,
        message_gap_ms_min: 0,
        ping_every: None,
        lifetime: None,
        connects: allowance,
        rest: RestLimits {
            weight: allowance,
            is_clock_window: false,
            used_header: None,
            bans: &[],
            pools: &[],
        },
        history: HistoryRules::NONE,
        first_data: &[],
    }
}

static NUMBERED: Words = Words(std::sync::LazyLock::new(|| {
    build(facts("binance", TradeIds::Contiguous, BookRule::FirstFollowsLast))
}));
static CHAINED: Words = Words(std::sync::LazyLock::new(|| {
    build(facts("binance-futures", TradeIds::Contiguous, BookRule::PreviousIsLast))
}));
static NAMED: Words = Words(std::sync::LazyLock::new(|| {
    build(facts("bybit-linear", TradeIds::Distinct, BookRule::StreamSnapshots))
}));

pub(crate) fn lookup(id: VenueId) -> Option<&'static dyn Venue> {
    [&NUMBERED, &CHAINED, &NAMED].into_iter().find(|venue| venue.0.id == id).map(|venue| venue as &dyn Venue)
}

impl Venue for Words {
    fn facts(&self) -> &'static Facts {
        // The statics above live as long as the process.
        lookup_facts(self.0.id)
    }

    fn streams(&self, instruments: &[Instrument], channels: &[Channel]) -> Vec<Stream> {
        let stream = |instrument: &Instrument, channel: Channel| Stream {
            key: format!("{}@{channel}", instrument.symbol).into(),
            channel,
            instrument: Some(instrument.id.clone()),
            route: "",
        };
        instruments
            .iter()
            .flat_map(|known| channels.iter().map(move |channel| stream(known, *channel)))
            .collect()
    }

    fn connections(&self, _: &Endpoints, _: Vec<Stream>) -> Vec<ConnectionPlan> {
        Vec::new()
    }

    fn subscribe(&self, _: &[Stream], _: bool, _: u64) -> Vec<String> {
        Vec::new()
    }

    fn ping(&self, _: u64) -> Option<String> {
        None
    }

    fn peek<'a>(&self, _: &'a [u8]) -> Peek<'a> {
        Peek::Unknown
    }

    fn polls(&self, _: &[Instrument], _: &[Channel]) -> Vec<Poll> {
        Vec::new()
    }

    fn listing(&self, _: Option<&str>) -> RestRequest {
        RestRequest { path: "/listing".into(), weight: 1, purpose: Purpose::Listing }
    }

    fn history(&self, _: &HistoryAsk<'_>) -> Result<RestRequest, HistoryRefusal> {
        Err(HistoryRefusal::NotOffered)
    }

    fn server_time(&self, _: &[u8]) -> Option<Time> {
        None
    }

    fn decoder(&self, _: Nanos) -> Box<dyn Decoder> {
        Box::new(WordDecoder { venue: self.0.id, known: BTreeMap::new() })
    }
}

fn lookup_facts(id: VenueId) -> &'static Facts {
    let all: [&'static Words; 3] = [&NUMBERED, &CHAINED, &NAMED];
    &all.into_iter().find(|venue| venue.0.id == id).unwrap().0
}

struct WordDecoder {
    venue: VenueId,
    known: BTreeMap<String, InstrumentId>,
}

impl Decoder for WordDecoder {
    fn decode(&mut self, frame: &Frame<'_>, emit: &mut dyn FnMut(Event)) -> Result<(), DecodeError> {
        let text = std::str::from_utf8(frame.payload).unwrap();
        let mut events = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            events.push(self.event(&words, frame).ok_or_else(|| DecodeError::Malformed(line.to_owned()))?);
        }
        events.into_iter().for_each(emit);
        Ok(())
    }

    fn learn(&mut self, instruments: &[Instrument]) {
        self.known = instruments.iter().map(|known| (known.symbol.to_string(), known.id.clone())).collect();
    }

    fn save(&self) -> Vec<u8> {
        vec![1]
    }

    fn restore(&mut self, _: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

impl WordDecoder {
    fn event(&mut self, words: &[&str], frame: &Frame<'_>) -> Option<Event> {
        let received_time = frame.received.to_time();
        let source = if matches!(frame.origin, Origin::Stream) { Source::Stream } else { Source::Rest };
        if words[0] == "list" {
            return Some(self.listing(words, received_time));
        }
        let instrument = self.known.get(*words.get(1)?)?.clone();
        let time = |text: &str| Time::from_millis(text.parse().unwrap()).unwrap();
        Some(match words {
            ["trade" | "fund", _, id, at, price, quantity] => Event::Trade(Trade {
                instrument,
                venue_time: time(at),
                trade_id: id.parse().ok(),
                venue_trade_id: id.parse::<i64>().is_err().then(|| (*id).into()),
                price: number(price),
                quantity: number(quantity),
                taker_side: Side::Buy,
                first_trade_id: None,
                last_trade_id: None,
                condition: if words[0] == "fund" { Condition::InsuranceFund } else { Condition::Market },
                received_time,
                source,
            }),
            ["quote", _, sequence, at, bid, ask] => Event::Quote(Quote {
                instrument,
                venue_time: time(at),
                sequence: sequence.parse().unwrap(),
                bid_price: number(bid),
                bid_quantity: number("1"),
                ask_price: number(ask),
                ask_quantity: number("1"),
                received_time,
            }),
            ["book" | "snap", _, first, last, previous, at, bids, asks] => Event::Book(BookUpdate {
                instrument,
                venue_time: time(at),
                is_snapshot: words[0] == "snap",
                first_sequence: first.parse().unwrap(),
                last_sequence: last.parse().unwrap(),
                previous_sequence: previous.parse().ok(),
                bids: levels(bids),
                asks: levels(asks),
                received_time,
                source,
            }),
            ["bar", ..] => return bar(instrument, words, received_time),
            ["mark", _, at, price] => Event::MarkPrice(MarkPrice {
                instrument,
                time: time(at),
                mark_price: number(price),
                index_price: None,
                funding_rate: None,
                next_funding_time: None,
                interval_hours: None,
                received_time,
            }),
            ["interest", _, at, quantity] => Event::OpenInterest(OpenInterest {
                instrument,
                time: time(at),
                quantity: number(quantity),
                value: None,
                received_time,
            }),
            _ => return None,
        })
    }

    /// `list BTC ETH:halted` is complete, `list page BTC more` and `list page ETH last` are pages.
    fn listing(&mut self, words: &[&str], received_time: Time) -> Event {
        let is_page = words.get(1) == Some(&"page");
        let instruments: Vec<Instrument> = words[1..]
            .iter()
            .filter(|word| !matches!(**word, "page" | "more" | "last"))
            .map(|word| {
                let (base, status) = word.split_once(':').unwrap_or((word, ""));
                let id = InstrumentId::new(self.venue, base, "USDT", InstrumentKind::Spot);
                let mut listed = Instrument::named(id, base);
                listed.tick_size = Some(number("0.01"));
                if status == "halted" {
                    listed.status = InstrumentStatus::Halted;
                }
                listed
            })
            .collect();
        let known = instruments.iter().map(|known| (known.symbol.to_string(), known.id.clone()));
        self.known.extend(known);
        let next_page = words.contains(&"more").then(|| "2".into());
        Event::Listing(Listing {
            venue: self.venue,
            instruments,
            is_complete: !is_page,
            next_page,
            received_time,
        })
    }
}

fn bar(instrument: InstrumentId, words: &[&str], received_time: Time) -> Option<Event> {
    let [_, _, at, price, volume, state] = words else { return None };
    Some(Event::Bar(Bar {
        instrument,
        timeframe: Timeframe::MINUTE,
        open_time: Time::from_millis(at.parse().unwrap()).unwrap(),
        open: number(price),
        high: number(price),
        low: number(price),
        close: number(price),
        volume: number(volume),
        quote_volume: number(volume),
        trade_count: Some(i64::from(*volume != "0")),
        taker_buy_volume: None,
        source: BarSource::Venue,
        state: if *state == "closed" { BarState::Closed } else { BarState::Forming },
        revision: 0,
        available_time: received_time,
    }))
}

fn levels(words: &str) -> Vec<BookLevel> {
    let level = |word: &str| {
        let (price, quantity) = word.split_once('x').unwrap();
        BookLevel { price: number(price), quantity: number(quantity) }
    };
    words.split(',').filter(|word| *word != "-").map(level).collect()
}

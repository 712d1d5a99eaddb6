//! Reads the fixtures of a venue and prints events in a line each.

use std::path::PathBuf;

use model::{BookLevel, Decimal, Event, Instrument, Listing, Nanos, Notice};
use serde::Deserialize;
use serde_json::value::RawValue;
use venues::{Decoder, Frame, Origin, Purpose, Venue};

/// One line of `stream.jsonl`: a frame as the venue writes it, or text that is no JSON.
#[derive(Deserialize)]
struct Line<'a> {
    received: i64,
    origin: &'a str,
    #[serde(borrow)]
    frame: Option<&'a RawValue>,
    text: Option<String>,
}

/// A frame with its place.
pub(crate) struct Sample {
    pub(crate) payload: Vec<u8>,
    pub(crate) received: Nanos,
    /// `None` for a stream.
    pub(crate) purpose: Option<Purpose>,
}

impl Sample {
    pub(crate) fn frame<'a>(&'a self, payload: &'a [u8]) -> Frame<'a> {
        let origin = self.purpose.as_ref().map_or(Origin::Stream, Origin::Rest);
        Frame { payload, received: self.received, origin }
    }
}

pub(crate) const RECEIVED: Nanos = Nanos(1_791_383_690_000_000_000);

pub(crate) fn path(venue: &dyn Venue, name: &str) -> PathBuf {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")).join("fixtures");
    folder.join(venue.facts().id.as_str()).join(name)
}

pub(crate) fn samples(venue: &dyn Venue) -> Vec<Sample> {
    let text = std::fs::read_to_string(path(venue, "stream.jsonl")).expect("each venue has fixtures");
    text.lines()
        .map(|line| {
            let line: Line<'_> = serde_json::from_str(line).expect("the fixture's own form");
            let payload = match (line.frame, line.text) {
                (Some(frame), _) => frame.get().as_bytes().to_vec(),
                (None, text) => text.expect("frame or text").into_bytes(),
            };
            let purpose =
                (line.origin != "stream").then(|| Purpose::from_text(line.origin).expect("a known purpose"));
            Sample { payload, received: Nanos(line.received), purpose }
        })
        .collect()
}

pub(crate) fn decode(decoder: &mut dyn Decoder, frame: &Frame<'_>) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    match decoder.decode(frame, &mut |event| events.push(event)) {
        Ok(()) => Ok(events),
        Err(error) => {
            assert!(events.is_empty(), "a refused frame has emitted nothing");
            Err(error.to_string())
        }
    }
}

/// A decoder that has read the venue's listing, and the listing.
pub(crate) fn decoder(venue: &dyn Venue) -> (Box<dyn Decoder>, Listing) {
    let body = std::fs::read(path(venue, "listing.json")).expect("each venue has a listing");
    let mut decoder = venue.decoder(RECEIVED);
    let frame = Frame { payload: &body, received: RECEIVED, origin: Origin::Rest(&Purpose::Listing) };
    let events = decode(&mut *decoder, &frame).expect("the listing decodes");
    match events.into_iter().next() {
        Some(Event::Listing(listing)) => (decoder, listing),
        other => panic!("a listing gives a listing, not {other:?}"),
    }
}

fn any(value: Option<impl ToString>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

fn levels(levels: &[BookLevel]) -> String {
    let shown: Vec<_> = levels.iter().map(|level| format!("{}x{}", level.price, level.quantity)).collect();
    format!("[{}]", shown.join(" "))
}

fn number(value: Option<Decimal>) -> String {
    any(value)
}

pub(crate) fn show_instrument(one: &Instrument) -> String {
    format!(
        "{} symbol {} {}/{} settled in {} {} tick {} lot {} min {} notional {} size {} listed {}",
        one.id,
        one.symbol,
        one.base,
        one.quote,
        one.settle,
        one.status.as_str(),
        number(one.tick_size),
        number(one.lot_size),
        number(one.quantity_min),
        number(one.notional_min),
        one.contract_size,
        any(one.listed_time),
    )
}

/// One line for an event; receipt times are left out, as each event has its frame's.
pub(crate) fn show(event: &Event) -> String {
    match event {
        Event::Trade(trade) => format!(
            "trade {} {} id {} / {} {} {} x {} of {}..{} {} from {}",
            trade.instrument,
            trade.venue_time,
            any(trade.trade_id),
            any(trade.venue_trade_id.as_deref()),
            trade.taker_side.as_str(),
            trade.price,
            trade.quantity,
            any(trade.first_trade_id),
            any(trade.last_trade_id),
            trade.condition.as_str(),
            trade.source.as_str(),
        ),
        Event::Quote(quote) => format!(
            "quote {} {} #{} {} x {} / {} x {}",
            quote.instrument,
            quote.venue_time,
            quote.sequence,
            quote.bid_price,
            quote.bid_quantity,
            quote.ask_price,
            quote.ask_quantity,
        ),
        Event::Book(book) => format!(
            "{} {} {} {}..{} after {} {} / {} from {}",
            if book.is_snapshot { "snapshot" } else { "changes" },
            book.instrument,
            book.venue_time,
            book.first_sequence,
            book.last_sequence,
            any(book.previous_sequence),
            levels(&book.bids),
            levels(&book.asks),
            book.source.as_str(),
        ),
        Event::Bar(bar) => format!(
            "bar {} {} {} {} {} {} {} volume {} quote {} trades {} bought {} {} {} known {}",
            bar.instrument,
            bar.timeframe,
            bar.open_time,
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            bar.volume,
            bar.quote_volume,
            any(bar.trade_count),
            number(bar.taker_buy_volume),
            bar.source.as_str(),
            bar.state.as_str(),
            bar.available_time,
        ),
        other => show_seldom(other),
    }
}

fn show_seldom(event: &Event) -> String {
    match event {
        Event::MarkPrice(mark) => format!(
            "mark {} {} {} index {} rate {} due {} every {} h",
            mark.instrument,
            mark.time,
            mark.mark_price,
            number(mark.index_price),
            number(mark.funding_rate),
            any(mark.next_funding_time),
            any(mark.interval_hours),
        ),
        Event::Funding(funding) => format!(
            "funding {} {} {} every {} h mark {}",
            funding.instrument,
            funding.time,
            funding.rate,
            any(funding.interval_hours),
            number(funding.mark_price),
        ),
        Event::OpenInterest(open) => {
            format!(
                "open interest {} {} {} worth {}",
                open.instrument,
                open.time,
                open.quantity,
                number(open.value)
            )
        }
        Event::Listing(listing) => format!(
            "listing {} of {} complete {} next {}",
            listing.venue,
            listing.instruments.len(),
            listing.is_complete,
            any(listing.next_page.as_deref()),
        ),
        Event::Notice(Notice::Accepted { request }) => format!("accepted {request:?}"),
        Event::Notice(Notice::Refused { request, reason }) => format!("refused {request:?} {reason:?}"),
        Event::Notice(Notice::ClosingSoon) => "closing soon".into(),
        Event::Notice(Notice::Pong) => "pong".into(),
        Event::Notice(Notice::Ignored) => "ignored".into(),
        other => panic!("shown elsewhere: {other:?}"),
    }
}

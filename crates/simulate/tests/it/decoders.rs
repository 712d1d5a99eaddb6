//! Every kind of generated frame and answer, read by the house's own decoders: two witnesses of one protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Channel, Event, Instrument, Nanos, Timeframe, VenueId};
use venues::{Frame, HistoryAsk, Origin, Peek, Purpose, Venue};

use crate::world::{Client, TestWorld, settings};

fn name(event: &Event) -> &'static str {
    match event {
        Event::Trade(_) => "trade",
        Event::Quote(_) => "quote",
        Event::Book(_) => "book",
        Event::Bar(_) => "bar",
        Event::MarkPrice(_) => "mark",
        Event::Funding(_) => "funding",
        Event::OpenInterest(_) => "open interest",
        Event::Listing(_) => "listing",
        Event::Notice(_) => "notice",
    }
}

const RECEIVED: Nanos = Nanos(1_795_000_000_000_000_000);

async fn listing(world: &TestWorld, venue: &dyn Venue) -> Vec<Instrument> {
    let (mut found, mut page) = (Vec::new(), None::<String>);
    loop {
        let request = venue.listing(page.as_deref());
        let answer = world.get(venue.facts().id.as_str(), &request.path).await;
        let frame = Frame {
            payload: answer.body.as_bytes(),
            received: RECEIVED,
            origin: Origin::Rest(&request.purpose),
        };
        let mut next = None;
        let mut take = |event| {
            if let Event::Listing(listing) = event {
                found.extend(listing.instruments);
                next = listing.next_page.map(String::from);
            }
        };
        venue.decoder(RECEIVED).decode(&frame, &mut take).unwrap();
        page = next;
        if page.is_none() {
            return found;
        }
    }
}

async fn check(venue: &str, expect: &[&str]) {
    let world = TestWorld::start(settings()).await;
    let venue = venues::venue(VenueId::known(venue).unwrap()).unwrap();
    let id = venue.facts().id.as_str();
    let all = listing(&world, venue).await;
    let trading: Vec<Instrument> =
        all.into_iter().filter(|known| known.status == model::InstrumentStatus::Trading).collect();
    assert_eq!(trading.len(), 4);
    let mut decoder = venue.decoder(RECEIVED);
    decoder.learn(&trading);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();

    for purpose_path in questions(venue, &trading) {
        let (purpose, path) = purpose_path;
        let answer = world.get(id, &path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        let frame =
            Frame { payload: answer.body.as_bytes(), received: RECEIVED, origin: Origin::Rest(&purpose) };
        let mut take = |event: Event| *counts.entry(name(&event)).or_default() += 1;
        decoder.decode(&frame, &mut take).unwrap_or_else(|error| panic!("{path}: {error}: {}", answer.body));
    }

    let channels: Vec<Channel> = venue.facts().channels.to_vec();
    let endpoints = venues::Endpoints {
        rest: format!("http://{}", world.address(id)),
        stream: format!("ws://{}", world.address(id)),
    };
    for plan in venue.connections(&endpoints, venue.streams(&trading, &channels)) {
        let path = plan.url.strip_prefix(&endpoints.stream).unwrap().to_owned();
        let mut client = Client::open(&world.address(id), &path).await.unwrap();
        for text in venue.subscribe(&plan.streams, true, 1) {
            client.say(&text).await;
            runtime::sleep(Duration::from_millis(250)).await;
        }
        for _ in 0..400 {
            let text = client.text().await;
            assert!(!matches!(venue.peek(text.as_bytes()), Peek::Unknown | Peek::Refused(_)), "{text}");
            let frame = Frame { payload: text.as_bytes(), received: RECEIVED, origin: Origin::Stream };
            let mut take = |event: Event| *counts.entry(name(&event)).or_default() += 1;
            decoder.decode(&frame, &mut take).unwrap_or_else(|error| panic!("{error}: {text}"));
        }
    }
    let kinds: Vec<&str> = counts.keys().copied().filter(|kind| *kind != "notice").collect();
    assert_eq!(kinds, expect);
    world.end().await;
}

fn questions(venue: &dyn Venue, trading: &[Instrument]) -> Vec<(Purpose, String)> {
    let instrument = &trading[0];
    let polls = venue.polls(trading, venue.facts().channels);
    let mut all: Vec<(Purpose, String)> =
        polls.into_iter().map(|poll| (poll.request.purpose, poll.request.path)).collect();
    let now = RECEIVED.to_time();
    let asks = [
        HistoryAsk::RecentTrades { instrument, channel: Channel::Trades },
        HistoryAsk::NewestTrades { instrument },
        HistoryAsk::TradesFromId { instrument, channel: Channel::Trades, first_id: 1, count: 10 },
        HistoryAsk::Book { instrument },
        HistoryAsk::Klines {
            instrument,
            timeframe: Timeframe::MINUTE,
            start: now.plus_micros(-3_600_000_000),
            end: now,
        },
    ];
    for ask in &asks {
        // Ids from the beginning of time are refused by futures, which is true to the venue.
        let is_old = matches!(ask, HistoryAsk::TradesFromId { .. });
        if let (Ok(request), false) = (venue.history(ask), is_old) {
            all.push((request.purpose, request.path));
        }
    }
    all
}

#[tokio::test]
async fn binance_spot() {
    check("binance", &["bar", "book", "listing", "quote", "trade"]).await;
}

#[tokio::test]
async fn binance_futures() {
    check(
        "binance-futures",
        &["bar", "book", "funding", "listing", "mark", "open interest", "quote", "trade"],
    )
    .await;
}

#[tokio::test]
async fn bybit_spot() {
    check("bybit", &["bar", "book", "listing", "quote", "trade"]).await;
}

#[tokio::test]
async fn bybit_linear() {
    check("bybit-linear", &["bar", "book", "funding", "listing", "mark", "open interest", "quote", "trade"])
        .await;
}

//! The source of frames for benches.

use std::collections::BTreeMap;

use model::{Channel, Event, Instrument, Nanos, VenueId};
use runtime::{SystemClock, Tasks};
use serde_json::json;
use simulate::load::{self, Load, LoadSettings};
use venues::{Frame, Origin, Peek, Venue};

use crate::world::{Client, request};

const RECEIVED: Nanos = Nanos(1_795_000_000_000_000_000);

async fn start(venue: &str, tasks: &Tasks) -> Load {
    let settings = LoadSettings {
        venue: VenueId::known(venue).unwrap(),
        port: 0,
        events_per_second: 5_000,
        instruments: 20,
    };
    load::start(settings, SystemClock::shared(), tasks).await.unwrap()
}

async fn listing(address: &str, venue: &dyn Venue) -> Vec<Instrument> {
    let asked = venue.listing(None);
    let answer = request("GET", address, &asked.path, "").await;
    let (mut found, origin) = (Vec::new(), Origin::Rest(&asked.purpose));
    let frame = Frame { payload: answer.body.as_bytes(), received: RECEIVED, origin };
    let mut take = |event| {
        if let Event::Listing(listing) = event {
            found.extend(listing.instruments);
        }
    };
    venue.decoder(RECEIVED).decode(&frame, &mut take).unwrap();
    found
}

/// Every frame of the load is understood by the house's own decoders, in the mix that was promised.
async fn check(name: &str) {
    let tasks = Tasks::new();
    let load = start(name, &tasks).await;
    let address = load.address().to_string();
    let venue = venues::venue(VenueId::known(name).unwrap()).unwrap();
    let instruments = listing(&address, venue).await;
    let mut decoder = venue.decoder(RECEIVED);
    decoder.learn(&instruments);
    let streams = venue.streams(&instruments, &[Channel::Trades, Channel::Quotes, Channel::Klines]);
    let endpoints =
        venues::Endpoints { rest: format!("http://{address}"), stream: format!("ws://{address}") };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ids: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut clients = Vec::new();
    for plan in venue.connections(&endpoints, streams) {
        let path = plan.url.strip_prefix(&endpoints.stream).unwrap().to_owned();
        let mut client = Client::open(&address, &path).await.unwrap();
        for text in venue.subscribe(&plan.streams, true, 1) {
            client.say(&text).await;
        }
        clients.push(client);
    }
    // Futures put trades and bars on one connection, quotes on another: both are read by turns.
    let mut turns = 0;
    while counts.values().sum::<usize>() < 3_000 {
        let at = turns % clients.len();
        turns += 1;
        let text = clients[at].text().await;
        assert!(!matches!(venue.peek(text.as_bytes()), Peek::Unknown | Peek::Refused(_)), "{text}");
        let frame = Frame { payload: text.as_bytes(), received: RECEIVED, origin: Origin::Stream };
        let mut take = |event: Event| {
            let name = match event {
                Event::Trade(trade) => {
                    if let Some(id) = trade.trade_id {
                        ids.entry(trade.instrument.to_string()).or_default().push(id);
                    }
                    "trades"
                }
                Event::Quote(_) => "quotes",
                Event::Bar(_) => "bars",
                _ => return,
            };
            *counts.entry(name).or_default() += 1;
        };
        decoder.decode(&frame, &mut take).unwrap_or_else(|error| panic!("{error}: {text}"));
    }
    if venue.facts().trade_ids == venues::TradeIds::Contiguous {
        for ids in ids.values() {
            assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{ids:?}");
        }
    }
    let sent = [load.trades_sent(), load.quotes_sent(), load.bars_sent()];
    let all: u64 = sent.iter().sum();
    for (sent, tenths) in sent.into_iter().zip([3, 5, 2]) {
        assert!((tenths * 80..tenths * 120).contains(&(sent * 1_000 / all)), "{sent} of {all}");
    }
    assert_eq!(counts.len(), 3, "{counts:?}");
    drop(clients);
    assert!(tasks.close(std::time::Duration::from_secs(3)).await.is_empty());
}

#[tokio::test]
async fn binance_spot_sends_all_three_kinds() {
    check("binance").await;
}

#[tokio::test]
async fn binance_futures_sends_all_three_kinds() {
    check("binance-futures").await;
}

#[tokio::test]
async fn bybit_spot_sends_all_three_kinds() {
    check("bybit").await;
}

#[tokio::test]
async fn bybit_linear_sends_all_three_kinds() {
    check("bybit-linear").await;
}

#[tokio::test]
async fn frames_flow_with_contiguous_ids() {
    let tasks = Tasks::new();
    let load = start("binance-futures", &tasks).await;
    let address = load.address().to_string();
    let listing = request("GET", &address, "/fapi/v1/exchangeInfo", "").await;
    assert!(listing.body.contains("BTCUSDT"));
    let mut client = Client::open(&address, "/market/stream").await.unwrap();
    let names = json!(["btcusdt@aggTrade", "ethusdt@aggTrade", "ethusdt@bookTicker"]);
    client.say(&json!({"method": "SUBSCRIBE", "params": names, "id": 1}).to_string()).await;
    let mut last = None;
    for _ in 0..500 {
        let frame = client.json(|frame| frame["stream"] == "btcusdt@aggTrade").await;
        let data = &frame["data"];
        let id = data["a"].as_i64().unwrap();
        assert!(data["E"].is_i64() && data["f"].as_i64() <= data["l"].as_i64());
        assert!(last.is_none_or(|last| id == last + 1));
        last = Some(id);
    }
    load.flow(false);
    assert!(load.trades_sent() >= 1_000 && load.quotes_sent() >= 800);
    drop(client);
    assert!(tasks.close(std::time::Duration::from_secs(3)).await.is_empty());
}

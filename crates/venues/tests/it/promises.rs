//! What every venue promises to those who drive it.

use std::collections::{BTreeSet, HashSet};

use model::{Channel, Event, Instrument, InstrumentId, InstrumentKind, InstrumentStatus, Time, Timeframe};
use serde_json::Value;
use venues::{
    Endpoints, Frame, HistoryAsk, HistoryRefusal, Origin, Peek, Purpose, RestRequest, Stream, TradeIds,
    VENUES, Venue,
};

use crate::fixture::{RECEIVED, decode, decoder, samples};

fn all_channels() -> Vec<Channel> {
    Channel::ALL.iter().map(|(channel, _)| *channel).collect()
}

fn endpoints(venue: &dyn Venue) -> Endpoints {
    let known = venue.facts().endpoints;
    Endpoints { rest: known.rest.into(), stream: known.stream.into() }
}

/// Many instruments shaped like the venue's first, with names as long as they get.
fn many(venue: &dyn Venue, count: usize) -> Vec<Instrument> {
    let (_, listing) = decoder(venue);
    let model = listing.instruments[0].clone();
    (0..count)
        .map(|index| Instrument {
            symbol: format!("1000000TEST{index:04}USDT").into(),
            id: InstrumentId::new(venue.facts().id, &format!("1000000TEST{index:04}"), "USDT", model.kind),
            ..model.clone()
        })
        .collect()
}

#[test]
fn venues_are_sorted_and_found() {
    let ids: Vec<_> = VENUES.iter().map(|venue| venue.facts().id).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    for id in ids {
        assert_eq!(venues::venue(id).map(|venue| venue.facts().id), Some(id));
    }
    assert!(venues::venue(model::VenueId::known("okx").unwrap()).is_none());
}

#[test]
fn saved_state_goes_on_where_it_stood() {
    for venue in VENUES {
        let (mut whole, listing) = decoder(*venue);
        let mut pieces = venue.decoder(RECEIVED);
        pieces.learn(&listing.instruments);
        pieces.restore(&whole.save()).unwrap();
        for sample in samples(*venue) {
            let frame = sample.frame(&sample.payload);
            let wanted = decode(&mut *whole, &frame);
            assert_eq!(decode(&mut *pieces, &frame), wanted);
            let state = pieces.save();
            assert_eq!(state, pieces.save(), "the same state is written the same way");
            let mut next = venue.decoder(sample.received);
            next.restore(&state).unwrap();
            next.learn(&listing.instruments);
            pieces = next;
        }
        for foreign in [&b""[..], b"{}", b"\x00\x01", br#"{"form":"other 1"}"#] {
            assert!(venue.decoder(RECEIVED).restore(foreign).is_err(), "{}", venue.facts().id);
        }
    }
}

#[test]
fn a_refused_frame_changes_no_state() {
    for venue in VENUES {
        let (mut decoder, _) = decoder(*venue);
        for sample in samples(*venue) {
            let before = decoder.save();
            if decode(&mut *decoder, &sample.frame(&sample.payload)).is_err() {
                assert_eq!(decoder.save(), before);
            }
        }
    }
}

#[test]
fn streams_name_what_frames_show() {
    for venue in VENUES {
        let (mut decoder, listing) = decoder(*venue);
        let keys: HashSet<Box<str>> = venue
            .streams(&listing.instruments, &all_channels())
            .into_iter()
            .map(|stream| stream.key)
            .collect();
        let mut seen = HashSet::new();
        for sample in samples(*venue).iter().filter(|sample| sample.purpose.is_none()) {
            let Some(key) = venue.key_of(&sample.payload) else { continue };
            if keys.contains(key.as_str()) {
                seen.insert(key);
                continue;
            }
            // What is shown under another key is a stream that the house does not ask for.
            let events = decode(&mut *decoder, &sample.frame(&sample.payload)).unwrap_or_default();
            let is_foreign =
                ["depth20", "depth5", "1s", "orderbook.200", "kline.D", "kline.2h", "!markPrice"]
                    .iter()
                    .any(|part| key.contains(part));
            assert!(
                is_foreign || events.iter().all(|event| matches!(event, Event::Notice(_))),
                "{}: {key} is no stream of ours",
                venue.facts().id
            );
        }
        assert!(seen.len() >= 4, "{}: {seen:?}", venue.facts().id);
    }
}

#[test]
fn one_key_is_one_stream() {
    for venue in VENUES {
        let channels: Vec<_> =
            all_channels().into_iter().filter(|channel| *channel != Channel::RawTrades).collect();
        let streams = venue.streams(&many(*venue, 50), &channels);
        let keys: BTreeSet<_> = streams.iter().map(|stream| &stream.key).collect();
        assert_eq!(keys.len(), streams.len());
        for stream in &streams {
            assert!(venue.facts().channels.contains(&stream.channel));
        }
    }
}

fn check_limits(venue: &dyn Venue, url: &str, streams: &[Stream]) {
    let facts = venue.facts();
    assert!(!streams.is_empty() && streams.len() <= facts.streams_max, "{url}: {}", streams.len());
    assert!(url.starts_with(facts.endpoints.stream), "{url}");
    let routes: HashSet<_> = streams.iter().map(|stream| stream.route).collect();
    assert_eq!(routes.len(), 1, "one route per connection");
    assert!(url.contains(streams[0].route));
    let mut named = Vec::new();
    for message in venue.subscribe(streams, true, 1) {
        let message: Value = serde_json::from_str(&message).unwrap();
        let names = message["params"].as_array().or(message["args"].as_array()).unwrap();
        let names_max = match facts.id.as_str() {
            "bybit" => 10,
            _ => 200,
        };
        assert!(!names.is_empty() && names.len() <= names_max);
        named.extend(names.iter().map(|name| name.as_str().unwrap().to_owned()));
    }
    let wanted: Vec<_> = streams.iter().map(|stream| stream.key.to_string()).collect();
    assert_eq!(named, wanted, "every stream is named once, in order");
    if facts.id.as_str().starts_with("bybit") {
        assert!(named.iter().map(|name| name.len() + 3).sum::<usize>() <= 21_000);
    }
}

#[test]
fn connections_stay_within_the_limits() {
    for venue in VENUES {
        for count in [1, 3, 700] {
            let streams = venue.streams(&many(*venue, count), &all_channels());
            let total = streams.len();
            let plans = venue.connections(&endpoints(*venue), streams);
            assert_eq!(plans.iter().map(|plan| plan.streams.len()).sum::<usize>(), total);
            for plan in &plans {
                check_limits(*venue, &plan.url, &plan.streams);
            }
        }
        assert!(venue.connections(&endpoints(*venue), Vec::new()).is_empty());
        assert!(venue.subscribe(&[], true, 1).is_empty());
    }
}

#[test]
fn requests_are_numbered_and_can_be_taken_back() {
    for venue in VENUES {
        let streams = venue.streams(&many(*venue, 100), &all_channels());
        let messages = venue.subscribe(&streams, false, 7);
        assert!(messages.len() > 1);
        for (number, message) in (7..).zip(&messages) {
            let message: Value = serde_json::from_str(message).unwrap();
            let id = message.get("id").or(message.get("req_id")).unwrap().to_string();
            assert_eq!(id.trim_matches('"'), number.to_string());
            assert!(message.to_string().to_lowercase().contains("unsubscribe"));
        }
    }
}

#[test]
fn delisted_and_announced_instruments_have_no_streams() {
    for venue in VENUES {
        let mut instruments = many(*venue, 2);
        instruments[0].status = InstrumentStatus::Delisted;
        instruments[1].status = InstrumentStatus::Announced;
        assert!(venue.streams(&instruments, &[Channel::Trades, Channel::Quotes]).is_empty());
    }
}

#[test]
fn glances_tell_control_frames() {
    let venue = |name: &str| venues::venue(model::VenueId::known(name).unwrap()).unwrap();
    let spot = venue("binance");
    assert_eq!(spot.peek(br#"{"result":null,"id":1}"#), Peek::Accepted);
    assert_eq!(spot.peek(br#"{"id":1,"result":null}"#), Peek::Accepted);
    assert_eq!(spot.peek(br#"{"error":{"code":2,"msg":"no"},"id":1}"#), Peek::Refused("no"));
    assert_eq!(spot.peek(br#"{"code":2,"msg":"no"}"#), Peek::Refused("no"));
    assert_eq!(spot.peek(br#"{"e":"serverShutdown","E":1}"#), Peek::ClosingSoon);
    assert_eq!(spot.peek(br#"{"stream":"!serverShutdown","data":{}}"#), Peek::ClosingSoon);
    assert_eq!(spot.peek(br#"{"data":{"e":"trade"},"stream":"a@trade"}"#), Peek::Data("a@trade"));
    assert_eq!(spot.peek(br#"{"e":"trade","s":"BTCUSDT"}"#), Peek::Unknown);
    assert_eq!(spot.peek(b"<html>"), Peek::Unknown);
    let bybit = venue("bybit");
    assert_eq!(bybit.peek(br#"{"success":true,"ret_msg":"","op":"subscribe"}"#), Peek::Accepted);
    assert_eq!(bybit.peek(br#"{"success":true,"ret_msg":"pong","op":"ping"}"#), Peek::Pong);
    assert_eq!(bybit.peek(br#"{"op":"pong","args":["1"]}"#), Peek::Pong);
    assert_eq!(bybit.peek(br#"{"success":false,"ret_msg":"no","op":"subscribe"}"#), Peek::Refused("no"));
    assert_eq!(bybit.peek(br#"{"type":"snapshot","topic":"kline.1.A","data":[]}"#), Peek::Data("kline.1.A"));
    assert_eq!(bybit.ping(5).as_deref(), Some(r#"{"req_id":"5","op":"ping"}"#));
    assert_eq!(spot.ping(5), None);
}

#[test]
fn keys_are_the_same_with_and_without_wrapper() {
    for name in ["binance", "binance-futures"] {
        let venue = venues::venue(model::VenueId::known(name).unwrap()).unwrap();
        let mut compared = 0;
        for sample in samples(venue) {
            let Ok(frame) = serde_json::from_slice::<Value>(&sample.payload) else { continue };
            let (Some(stream), Some(data)) = (frame.get("stream"), frame.get("data")) else { continue };
            let stream = stream.as_str().unwrap();
            let Some(key) = venue.key_of(data.to_string().as_bytes()) else { continue };
            // The speed, depth and interval of other streams cannot be seen in the bare frame.
            if !["@depth5", "@depth20", "@kline_1s"].iter().any(|tail| stream.ends_with(tail)) {
                assert_eq!(key, stream);
                compared += 1;
            }
        }
        assert!(compared >= 8, "{name}: {compared}");
    }
}

fn check_question(venue: &dyn Venue, question: &RestRequest) {
    assert!(question.path.starts_with('/') && question.path.is_ascii(), "{}", question.path);
    assert!(!question.path.contains([' ', '"', '{']), "{}", question.path);
    let path = question.path.split('?').next().unwrap_or_default();
    let is_pooled = venue.facts().rest.pools.iter().any(|pool| pool.paths.contains(&path));
    assert_eq!(question.weight == 0, is_pooled, "{}: what weighs nothing is counted apart", question.path);
    assert_eq!(Purpose::from_text(&question.purpose.to_text()).as_ref(), Some(&question.purpose));
}

#[test]
fn questions_are_well_formed_and_their_answers_known() {
    for venue in VENUES {
        let (_, listing) = decoder(*venue);
        let answered: HashSet<String> = samples(*venue)
            .iter()
            .filter_map(|sample| sample.purpose.as_ref())
            .chain([&Purpose::Listing])
            .map(|purpose| purpose.to_text().split(' ').next().unwrap_or_default().to_owned())
            .collect();
        let mut questions = vec![venue.listing(None), venue.listing(Some("first%3DA%26last%3DB"))];
        let polls = venue.polls(&listing.instruments, &all_channels());
        assert!(polls.iter().any(|poll| poll.request.purpose == Purpose::ServerTime));
        assert!(polls.iter().any(|poll| poll.request.purpose == Purpose::Listing));
        questions.extend(polls.into_iter().map(|poll| poll.request));
        for instrument in &listing.instruments {
            let (start, end) = (Time(1_791_383_580_000_000), Time(1_791_383_700_000_000));
            let channel = Channel::Trades;
            for ask in [
                HistoryAsk::TradesFromId { instrument, channel, first_id: 5, count: 5_000 },
                HistoryAsk::RecentTrades { instrument, channel },
                HistoryAsk::RecentTrades { instrument, channel: Channel::RawTrades },
                HistoryAsk::NewestTrades { instrument },
                HistoryAsk::Book { instrument },
                HistoryAsk::Klines { instrument, timeframe: Timeframe::MINUTE, start, end },
                HistoryAsk::TradesWithin { instrument, channel, start, end },
                HistoryAsk::Funding { instrument, start, end },
                HistoryAsk::OpenInterest { instrument, period: Timeframe::Minutes(5), start, end },
            ] {
                questions.extend(venue.history(&ask).ok());
            }
        }
        for question in &questions {
            check_question(*venue, question);
            let purpose = question.purpose.to_text();
            // The newest trades come in the form of all trades.
            let name = purpose.split(' ').next().unwrap_or_default().replace("newest", "trades");
            assert!(answered.contains(&name), "{}: no fixture answers {name}", venue.facts().id);
        }
    }
}

#[test]
fn polls_stay_within_the_weight() {
    for venue in VENUES {
        let rest = venue.facts().rest.weight;
        let allowed = f64::from(rest.count) / rest.per.as_secs_f64();
        for count in [1, 40, 700] {
            let polls = venue.polls(&many(*venue, count), &all_channels());
            let spent: f64 =
                polls.iter().map(|poll| f64::from(poll.request.weight) / poll.every.as_secs_f64()).sum();
            assert!(spent <= allowed / 3.0, "{}: {spent} of {allowed} per second", venue.facts().id);
        }
    }
}

#[test]
fn history_costs_what_the_venue_says() {
    let cases = [
        ("binance", "TradesFromId", "/api/v3/aggTrades?symbol=BTCUSDT&fromId=5&limit=1000", 4),
        ("binance", "TradesFromId raw", "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=5&limit=1000", 25),
        ("binance", "RecentTrades", "/api/v3/aggTrades?symbol=BTCUSDT&limit=1000", 4),
        ("binance", "RecentTrades raw", "/api/v3/trades?symbol=BTCUSDT&limit=1000", 25),
        ("binance", "Book", "/api/v3/depth?symbol=BTCUSDT&limit=1000", 50),
        ("binance-futures", "TradesFromId", "/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=5&limit=1000", 20),
        ("binance-futures", "RecentTrades", "/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1000", 20),
        ("binance-futures", "RecentTrades raw", "/fapi/v1/trades?symbol=BTCUSDT&limit=1000", 5),
        ("binance-futures", "Book", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20),
        ("bybit", "RecentTrades", "/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60", 1),
        (
            "bybit-linear",
            "RecentTrades",
            "/v5/market/recent-trade?category=linear&symbol=BTCUSDT&limit=1000",
            1,
        ),
    ];
    for (name, question, path, weight) in cases {
        let venue = venues::venue(model::VenueId::known(name).unwrap()).unwrap();
        let (_, listing) = decoder(venue);
        let instrument = &listing.instruments[0];
        let channel = if question.ends_with("raw") { Channel::RawTrades } else { Channel::Trades };
        let answer = match question.split(' ').next() {
            Some("TradesFromId") => {
                venue.history(&HistoryAsk::TradesFromId { instrument, channel, first_id: 5, count: 5_000 })
            }
            Some("RecentTrades") => venue.history(&HistoryAsk::RecentTrades { instrument, channel }),
            _ => venue.history(&HistoryAsk::Book { instrument }),
        };
        let answer = answer.unwrap();
        assert_eq!((answer.path.as_str(), answer.weight), (path, weight), "{name} {question}");
    }
}

#[test]
fn bars_are_asked_for_up_to_the_last_millisecond() {
    let (start, end) = (Time(1_791_383_580_000_000), Time(1_791_383_700_000_000));
    for (name, path) in [
        (
            "binance",
            "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=1791383580000&endTime=1791383699999&limit=2",
        ),
        (
            "binance-futures",
            "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=1791383580000&endTime=1791383699999&limit=2",
        ),
        (
            "bybit",
            "/v5/market/kline?category=spot&symbol=BTCUSDT&interval=1&start=1791383580000&end=1791383699999&limit=1000",
        ),
    ] {
        let venue = venues::venue(model::VenueId::known(name).unwrap()).unwrap();
        let (_, listing) = decoder(venue);
        let ask = HistoryAsk::Klines {
            instrument: &listing.instruments[0],
            timeframe: Timeframe::MINUTE,
            start,
            end,
        };
        assert_eq!(venue.history(&ask).unwrap().path, path);
    }
}

#[test]
fn the_past_is_asked_for_as_each_venue_writes_it() {
    let (start, end) = (Time(1_791_360_000_000_000), Time(1_791_446_400_000_000));
    let of = |name: &str, ask: &dyn Fn(&Instrument) -> Option<(String, u32)>| {
        let venue = venues::venue(model::VenueId::known(name).unwrap()).unwrap();
        ask(&decoder(venue).1.instruments[0])
    };
    let check =
        |name: &str, ask: fn(&Instrument, Time, Time) -> HistoryAsk<'_>, expect: Option<(&str, u32)>| {
            let venue = venues::venue(model::VenueId::known(name).unwrap()).unwrap();
            let told = of(name, &|instrument| {
                let request = venue.history(&ask(instrument, start, end)).ok()?;
                Some((
                    request.path.replace("1791360000000", "START").replace("1791446399999", "END"),
                    request.weight,
                ))
            });
            assert_eq!(told, expect.map(|(path, weight)| (path.to_owned(), weight)), "{name}");
        };
    let within: fn(&Instrument, Time, Time) -> HistoryAsk<'_> = |instrument, start, end| {
        HistoryAsk::TradesWithin { instrument, channel: Channel::Trades, start, end }
    };
    let span = "startTime=START&endTime=END";
    let spot = format!("/api/v3/aggTrades?symbol=BTCUSDT&{span}&limit=1000");
    check("binance", within, Some((&spot, 4)));
    check("binance-futures", within, Some((&spot.replace("/api/v3", "/fapi/v1"), 20)));
    check("bybit", within, None);
    let funding: fn(&Instrument, Time, Time) -> HistoryAsk<'_> =
        |instrument, start, end| HistoryAsk::Funding { instrument, start, end };
    check("binance", funding, None);
    check(
        "binance-futures",
        funding,
        Some((&format!("/fapi/v1/fundingRate?symbol=BTCUSDT&{span}&limit=1000"), 0)),
    );
    let path = format!("/v5/market/funding/history?category=linear&symbol=BTCUSDT&{span}&limit=200");
    check("bybit-linear", funding, Some((&path, 1)));
    let interest: fn(&Instrument, Time, Time) -> HistoryAsk<'_> = |instrument, start, end| {
        HistoryAsk::OpenInterest { instrument, period: Timeframe::Minutes(60), start, end }
    };
    let path = format!("/futures/data/openInterestHist?symbol=BTCUSDT&period=1h&{span}&limit=500");
    check("binance-futures", interest, Some((&path, 0)));
    let path =
        format!("/v5/market/open-interest?category=linear&symbol=BTCUSDT&intervalTime=1h&{span}&limit=200");
    check("bybit-linear", interest, Some((&path, 1)));
    let days: fn(&Instrument, Time, Time) -> HistoryAsk<'_> = |instrument, start, end| HistoryAsk::Klines {
        instrument,
        timeframe: Timeframe::Minutes(1_440),
        start,
        end,
    };
    check("binance", days, Some((&format!("/api/v3/klines?symbol=BTCUSDT&interval=1d&{span}&limit=1"), 2)));
    let path = "/v5/market/kline?category=linear&symbol=BTCUSDT&interval=D&start=START&end=END&limit=1000";
    check("bybit-linear", days, Some((path, 1)));
}

#[test]
fn what_cannot_be_asked_is_refused() {
    for venue in VENUES {
        let (_, listing) = decoder(*venue);
        let instrument = &listing.instruments[0];
        let by_id = |channel| HistoryAsk::TradesFromId { instrument, channel, first_id: 1, count: 1 };
        let has_ids = venue.facts().trade_ids == TradeIds::Contiguous;
        assert_eq!(venue.history(&by_id(Channel::Trades)).is_ok(), has_ids);
        if venue.facts().id.as_str() == "binance-futures" {
            assert_eq!(venue.history(&by_id(Channel::RawTrades)), Err(HistoryRefusal::NotOffered));
        }
    }
}

#[test]
fn answers_about_an_unknown_symbol_are_refused_by_name() {
    for venue in VENUES {
        let (mut decoder, _) = decoder(*venue);
        let purpose = Purpose::Trades { symbol: "NOPEUSDT".into() };
        let body = if venue.facts().id.as_str().starts_with("bybit") {
            &br#"{"retCode":0,"retMsg":"OK","result":{"list":[]},"time":1}"#[..]
        } else {
            b"[]"
        };
        let frame = Frame { payload: body, received: RECEIVED, origin: Origin::Rest(&purpose) };
        let error = decode(&mut *decoder, &frame).unwrap_err();
        assert!(error.contains("NOPEUSDT"), "{error}");
    }
}

#[test]
fn clocks_are_read_from_their_answers() {
    for venue in VENUES {
        let body = if venue.facts().id.as_str().starts_with("bybit") {
            &br#"{"retCode":0,"retMsg":"OK","result":{"timeSecond":"1791383690"},"time":1791383690123}"#[..]
        } else {
            br#"{"serverTime":1791383690123}"#
        };
        assert_eq!(venue.server_time(body), Some(Time(1_791_383_690_123_000)));
        for nonsense in [&b"{}"[..], b"", b"<html>", br#"{"serverTime":5}"#] {
            assert_eq!(venue.server_time(nonsense), None);
        }
    }
}

#[test]
fn instruments_have_ids_that_read_back() {
    for venue in VENUES {
        let (mut decoder, listing) = decoder(*venue);
        for instrument in &listing.instruments {
            let id: InstrumentId = instrument.id.as_str().parse().unwrap();
            assert_eq!(id, instrument.id);
            assert_eq!(id.kind(), instrument.kind);
            assert_eq!(id.venue(), venue.facts().id);
            assert!(
                instrument.kind != InstrumentKind::Spot
                    || !venue.facts().channels.contains(&Channel::Funding)
            );
        }
        decoder.learn(&listing.instruments);
    }
}

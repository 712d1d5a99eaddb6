//! Journeys of the whole room against a venue on loopback.

use std::sync::Arc;
use std::time::Duration;

use model::status::StreamHealth;
use model::{Channel, Gap, GapCause, GapState, InstrumentId, Time, Wish};
use rawlog::LogState;
use runtime::Tasks;

use crate::testing::{MemoryStore, Plan, Say, World, facts, lock, venue_with, venue_with_hasty_listing};
use crate::{CollectSettings, Wanted};

fn bitcoin() -> InstrumentId {
    "binance:BTC-USDT".parse().unwrap()
}

fn gap(first_id: i64, last_id: i64) -> Gap {
    Gap {
        instrument: bitcoin(),
        channel: Channel::Trades,
        first_id: Some(first_id),
        last_id: Some(last_id),
        first_time: Time(1),
        last_time: Time(2),
        state: GapState::Open,
        cause: GapCause::Dropped,
        source: None,
        found_time: Time(3),
        closed_time: None,
    }
}

async fn carrying(plan: Plan) -> World {
    let world = World::start(plan).await;
    world.wait_line("carries#").await;
    world
}

#[tokio::test]
async fn a_connection_is_written_down_from_its_opening_to_its_end() {
    let world = carrying(Plan::default()).await;
    world.server.trade("btcusdt", 1);
    world.wait_line("\"a\":1").await;
    world.server.say(Say::Text(r#"{"what":"is this"}"#.into()));
    world.wait_line("is this").await;
    let status = world.status();
    assert_eq!((status.connection_count, status.streams.len(), status.frames_total), (1, 2, 3));
    let health: Vec<_> = status.streams.iter().map(|stream| (&*stream.key, stream.health)).collect();
    assert_eq!(
        health,
        [("btcusdt@aggTrade", StreamHealth::Live), ("ethusdt@aggTrade", StreamHealth::Waiting)]
    );
    assert!(status.trouble.unwrap().contains("1 frame of an unknown form"));
    assert_eq!((status.rest.weight_used, status.rest.weight_max), (27, 6_000));
    assert!(status.clock_skew_micros.unwrap() < 0, "the venue lives in 2024");
    assert!(world.tasks.close(Duration::from_secs(3)).await.is_empty());
    assert_eq!(
        world.lines(),
        [
            &format!("session#0 collect {}", env!("CARGO_PKG_VERSION")),
            "answer#0 server_time 200 /api/v3/time",
            "answer#0 listing 200 /api/v3/exchangeInfo",
            "opened#1 url",
            r#"sent#1 {"method":"SUBSCRIBE","params":["btcusdt@aggTrade","ethusdt@aggTrade"],"id":1}"#,
            r#"text#1 {"result":null,"id":1}"#,
            "carries#1 btcusdt@aggTrade ethusdt@aggTrade",
            r#"text#1 {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":2,"s":"BTCUSDT","a":1,"p":"1.0","q":"1.0","f":1,"l":1,"T":1,"m":true,"M":true}}"#,
            r#"text#1 {"what":"is this"}"#,
            "closed#1 stopped",
        ]
    );
}

#[tokio::test]
async fn a_cut_connection_comes_back_and_carries_the_same() {
    let world = carrying(Plan::default()).await;
    world.server.say(Say::Cut);
    world.wait_line("carries#2 btcusdt@aggTrade ethusdt@aggTrade").await;
    let closed = world.lines_with("closed#1");
    assert_eq!(closed.len(), 1);
    assert!(
        world.lines().iter().position(|line| *line == closed[0])
            < world.lines().iter().position(|line| line == "opened#2 url")
    );
    assert_eq!(world.status().connects_total, 2);
    world.wait("the status is well", |world| world.status().trouble.is_none()).await;
}

#[tokio::test]
async fn an_announced_end_is_met_by_a_successor_first() {
    let world = carrying(Plan::default()).await;
    world.server.say(Say::Text(r#"{"e":"serverShutdown","E":1770123456789}"#.into()));
    world.wait_line("carries#2").await;
    assert_eq!(world.lines_with("closed#1"), Vec::<String>::new());
    world.server.trade("btcusdt", 1);
    world.wait_line("closed#1 replaced").await;
    assert_eq!(world.lines_with("\"a\":1").len(), 2, "both carried the stream meanwhile");
    world.wait("one connection", |world| world.status().connection_count == 1).await;
    world.server.trade("btcusdt", 2);
    world.wait_line("\"a\":2").await;
    assert_eq!(world.lines_with("opened#").len(), 2);
}

#[tokio::test]
async fn a_connection_is_replaced_before_its_lifetime_ends() {
    let venue = venue_with(venues::Facts { lifetime: Some(Duration::from_secs(1)), ..facts() });
    let plan = Plan {
        venue,
        change: |settings| settings.bounds.handover_max = Duration::from_millis(300),
        ..Plan::default()
    };
    let world = carrying(plan).await;
    world.wait_line("closed#1 replaced").await;
    let lines = world.lines();
    let at = |text: &str| lines.iter().position(|line| line.starts_with(text)).unwrap();
    assert!(at("carries#2") < at("closed#1"));
}

#[tokio::test]
async fn two_connections_may_carry_the_same() {
    let plan = Plan { change: |settings: &mut CollectSettings| settings.redundancy = 2, ..Plan::default() };
    let world = carrying(plan).await;
    world.wait("two connections", |world| world.lines_with("carries#").len() == 2).await;
    world.server.trade("btcusdt", 5);
    world.wait("both bring it", |world| world.lines_with("\"a\":5").len() == 2).await;
}

#[tokio::test]
async fn pings_are_answered_at_once() {
    let world = carrying(Plan::default()).await;
    world.server.say(Say::Ping);
    world.wait("a pong", |world| world.server.heard().contains(&"pong are you there".to_owned())).await;
}

#[tokio::test]
async fn a_message_past_the_bound_ends_the_connection_only() {
    let plan = Plan { change: |settings| settings.bounds.message_bytes_max = 10_000, ..Plan::default() };
    let world = carrying(plan).await;
    world.server.say(Say::Text("x".repeat(20_000)));
    world.wait_line("closed#1 a message was too long").await;
    world.wait_line("carries#2").await;
}

#[tokio::test]
async fn refused_streams_are_named_and_the_others_carried() {
    let plan = Plan { symbols: vec!["BTCUSDT", "REFUSEUSDT", "ETHUSDT"], ..Plan::default() };
    let world = carrying(plan).await;
    world.wait_line("carries#1 btcusdt@aggTrade ethusdt@aggTrade").await;
    world
        .wait("the refusal", |world| {
            world.status().trouble.is_some_and(|text| text.contains("refuses refuseusdt"))
        })
        .await;
    let status = world.status();
    let refused = status.streams.iter().find(|stream| &*stream.key == "refuseusdt@aggTrade").unwrap();
    assert_eq!(refused.health, StreamHealth::Down);
}

#[tokio::test]
async fn new_listings_are_picked_up_and_delistings_closed() {
    let world = carrying(Plan {
        venue: venue_with_hasty_listing(),
        symbols: vec!["BTCUSDT", "ETHUSDT", "XRPUSDT"],
        ..Plan::default()
    })
    .await;
    {
        let mut listed = lock(&world.server.listed);
        listed.retain(|(symbol, _)| symbol != "ETHUSDT");
        listed.push(("NEWUSDT".into(), "TRADING"));
    }
    world.wait_line("carries#1 btcusdt@aggTrade newusdt@aggTrade xrpusdt@aggTrade").await;
    let heard = world.server.heard();
    assert!(
        heard.iter().any(|text| text.contains("UNSUBSCRIBE") && text.contains("ethusdt@aggTrade")),
        "{heard:?}"
    );
    assert!(
        heard.iter().any(|text| text.contains("\"SUBSCRIBE") && text.contains("[\"newusdt@aggTrade\"]")),
        "{heard:?}"
    );
    assert_eq!(world.lines_with("opened#").len(), 1);
    assert_eq!(world.status().streams.len(), 3);
}

#[tokio::test]
async fn what_is_no_longer_traded_is_let_go_though_the_venue_still_names_it() {
    const DUE: &[(Channel, Duration)] = &[(Channel::Trades, Duration::from_secs(3))];
    let plan = Plan {
        venue: venue_with(venues::Facts { first_data: DUE, ..facts() }),
        symbols: vec!["BTCUSDT", "ETHUSDT", "XRPUSDT"],
        change: |settings| settings.listing_every = Some(Duration::from_millis(200)),
        ..Plan::default()
    };
    let world = carrying(plan).await;
    lock(&world.server.listed)[1].1 = "BREAK";
    world.wait_line("carries#1 btcusdt@aggTrade xrpusdt@aggTrade").await;
    world.server.trade("btcusdt", 1);
    // The others are due by now, and asked for anew; of the one that is gone nobody speaks.
    world.wait_line("mute#1 xrpusdt@aggTrade").await;
    assert_eq!(world.lines_with("mute#1 ethusdt"), Vec::<String>::new());
    assert_eq!(world.status().streams.len(), 2);
    lock(&world.server.listed)[1].1 = "TRADING";
    world.wait("it is carried again", |world| world.status().streams.len() == 3).await;
}

#[tokio::test]
async fn a_stream_that_fell_silent_makes_the_listing_be_asked_for() {
    const DUE: &[(Channel, Duration)] = &[(Channel::Trades, Duration::from_millis(500))];
    let plan = Plan {
        venue: venue_with(venues::Facts { first_data: DUE, ..facts() }),
        symbols: vec!["BTCUSDT", "ETHUSDT", "XRPUSDT"],
        change: |settings| settings.bounds.listing_doubt_min = Duration::from_millis(100),
        ..Plan::default()
    };
    let world = carrying(plan).await;
    world.server.trade("btcusdt", 1);
    world.server.trade("xrpusdt", 1);
    lock(&world.server.listed)[1].1 = "BREAK";
    // The listing is due in an hour.
    world.wait_line("mute#1 ethusdt@aggTrade").await;
    world.wait("it is let go", |world| world.status().streams.len() == 2).await;
    assert!(world.status().streams.iter().all(|stream| stream.health == StreamHealth::Live));
}

#[tokio::test]
async fn venues_behind_tls_are_believed_if_their_authority_is_named() {
    let (server, address) = crate::testing::Server::start(&["BTCUSDT"]).await;
    let outside = crate::testing::behind_tls(address).await;
    let plan = |change: fn(&mut CollectSettings)| Plan { change, ..Plan::default() };
    let wary = World::start_at(plan(encrypted), Arc::clone(&server), outside);
    wary.wait("the doubt", |world| {
        world.status().trouble.is_some_and(|trouble| trouble.contains("certificate"))
    })
    .await;
    assert_eq!(server.asked("/"), Vec::<String>::new());
    let trusting = plan(|settings| {
        encrypted(settings);
        settings.trusted = Some(crate::testing::authority());
    });
    let world = World::start_at(trusting, server, outside);
    world.wait_line("carries#1 btcusdt@aggTrade").await;
    world.server.trade("btcusdt", 1);
    world.wait_line("\"a\":1").await;
    world.wait_line("answer#0 listing 200").await;
    assert_eq!(world.status().trouble, None);
}

fn encrypted(settings: &mut CollectSettings) {
    let endpoints = &mut settings.venues[0].endpoints;
    endpoints.rest = endpoints.rest.replace("http:", "https:");
    endpoints.stream = endpoints.stream.replace("ws:", "wss:");
}

#[tokio::test]
async fn a_file_without_certificates_is_refused() {
    let (journal, _records, _state) = crate::journal::Journal::in_memory(runtime::SystemClock::shared());
    let file =
        std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("run by cargo")).join("Cargo.toml");
    let settings = CollectSettings { trusted: Some(file), ..CollectSettings::default() };
    let (_wishes, wishes_in) = runtime::queue("wishes", 1);
    let doors = (
        journal,
        Arc::new(crate::NoBudgetStore) as Arc<dyn crate::BudgetStore>,
        Arc::new(crate::NothingKnown) as Arc<dyn crate::Known>,
        wishes_in,
    );
    let error = crate::collector::start_with(&settings, doors, &Tasks::new(), venues::venue).err().unwrap();
    assert!(error.to_string().contains("it holds none; name a PEM file"), "{error}");
}

#[tokio::test]
async fn a_listing_that_lost_nearly_everything_is_not_believed() {
    let world = carrying(Plan {
        venue: venue_with_hasty_listing(),
        symbols: vec!["BTCUSDT", "ETHUSDT", "XRPUSDT"],
        ..Plan::default()
    })
    .await;
    lock(&world.server.listed).truncate(1);
    world
        .wait("the doubt", |world| {
            world.status().trouble.is_some_and(|text| text.contains("mistake of the venue"))
        })
        .await;
    assert_eq!(world.status().streams.len(), 3);
}

#[tokio::test]
async fn unknown_symbols_are_told() {
    let wanted = Wanted::Symbols(vec!["btc/usdt".into(), "DOGEUSDT".into()]);
    let world = carrying(Plan { wanted, ..Plan::default() }).await;
    assert_eq!(world.collector.unknown_symbols(), ["binance: DOGEUSDT"]);
    assert_eq!(world.lines_with("carries#"), ["carries#1 btcusdt@aggTrade"]);
    assert_eq!(world.collector.chosen_counts()[0].1, Some(1));
}

#[tokio::test]
async fn a_stream_without_first_data_is_called_mute_and_asked_for_anew() {
    const DUE: &[(Channel, Duration)] = &[(Channel::Trades, Duration::from_millis(500))];
    let venue = venue_with(venues::Facts { first_data: DUE, ..facts() });
    let world = carrying(Plan { venue, ..Plan::default() }).await;
    world.server.trade("btcusdt", 1);
    world.wait_line("mute#1 ethusdt@aggTrade").await;
    assert_eq!(world.lines_with("mute#").len(), 1);
    world.wait_line(r#"sent#1 {"method":"UNSUBSCRIBE","params":["ethusdt@aggTrade"],"id":2}"#).await;
    world.wait_line(r#"sent#1 {"method":"SUBSCRIBE","params":["ethusdt@aggTrade"],"id":3}"#).await;
    world.wait("status", |world| world.status().streams[1].health == StreamHealth::Mute).await;
    world.server.trade("ethusdt", 1);
    world.wait("status", |world| world.status().streams[1].health == StreamHealth::Live).await;
}

#[tokio::test]
async fn a_hole_is_asked_for_page_by_page_and_its_outcome_follows_the_answers() {
    let world = carrying(Plan::default()).await;
    *lock(&world.server.newest_trade) = 10_000;
    lock(&world.server.faults).push_back(("fromId=1100", 500, &[]));
    for _ in 0..3 {
        world.wishes.send(Wish::Fill(gap(100, 2_300))).await.unwrap();
    }
    world.wait_line("outcome#0 Some(100) Some(2300) done").await;
    let paths = world.server.asked("aggTrades");
    let firsts: Vec<&str> = paths.iter().map(|path| path.split("fromId=").nth(1).unwrap()).collect();
    assert_eq!(firsts, ["100&limit=1000", "1100&limit=1000", "1100&limit=1000", "2100&limit=201"]);
    let lines = world.lines_with("#0 ");
    let outcome = lines.iter().position(|line| line.starts_with("outcome")).unwrap();
    let answers: Vec<usize> =
        (0..lines.len()).filter(|index| lines[*index].contains("answer#0 trades BTCUSDT")).collect();
    assert_eq!(answers.len(), 4);
    assert!(answers.iter().all(|answer| *answer < outcome), "{lines:?}");
}

#[tokio::test]
async fn a_hole_that_the_venue_cannot_fill_ends_all_the_same() {
    let world = carrying(Plan::default()).await;
    *lock(&world.server.newest_trade) = 50;
    world.wishes.send(Wish::Fill(gap(40, 60))).await.unwrap();
    world.wait_line("outcome#0 Some(40) Some(60) done").await;
    for _ in 0..2 {
        lock(&world.server.faults).push_back(("fromId=7", 500, &[]));
    }
    world.wishes.send(Wish::Fill(gap(7, 7))).await.unwrap();
    world.wait_line("outcome#0 Some(7) Some(7) refused").await;
    assert_eq!(world.server.asked("fromId=7").len(), 2);
    let unknown = Gap { instrument: "binance:NOT-USDT".parse().unwrap(), ..gap(1, 2) };
    world.wishes.send(Wish::Fill(unknown)).await.unwrap();
    world.wait_line("outcome#0 Some(1) Some(2) refused").await;
    // A hole without ids is asked for once.
    let timed = Gap { first_id: None, last_id: None, ..gap(0, 0) };
    world.wishes.send(Wish::Fill(timed)).await.unwrap();
    world.wait_line("outcome#0 None None done").await;
}

#[tokio::test]
async fn what_the_venue_refused_for_good_was_asked_again_and_again() {
    let (server, address) = crate::testing::Server::start(&["BTCUSDT"]).await;
    for part in ["fromId=7", "klines"] {
        lock(&server.faults).push_back((part, 400, &[]));
    }
    let plan = Plan {
        change: |settings: &mut CollectSettings| settings.klines_history = Duration::from_hours(25),
        ..Plan::default()
    };
    let world = World::start_at(plan, Arc::clone(&server), address);
    world.wait_line("carries#1").await;
    world.wishes.send(Wish::Fill(gap(7, 7))).await.unwrap();
    world.wait_line("outcome#0 Some(7) Some(7) refused").await;
    assert_eq!(server.asked("fromId=7").len(), 1);
    world.wait("no klines to come", |world| !world.collector.is_fetching_klines(&bitcoin())).await;
    assert_eq!(server.asked("klines").len(), 2, "a page that was refused and one that was not");
}

#[tokio::test]
async fn what_the_venue_no_longer_gives_is_beyond_history_and_not_refused() {
    let world = carrying(Plan::default()).await;
    lock(&world.server.faults).push_back(("fromId=7", 400, &[("code", "-4166")]));
    world.wishes.send(Wish::Fill(gap(7, 7))).await.unwrap();
    world.wait_line("outcome#0 Some(7) Some(7) beyond_history").await;
}

#[tokio::test]
async fn klines_of_a_hole_are_asked_for_by_their_minutes() {
    let world = carrying(Plan::default()).await;
    let minutes = |first: i64, last: i64| Gap {
        channel: Channel::Klines,
        first_id: None,
        last_id: None,
        first_time: model::Time(first * model::time::MINUTE),
        last_time: model::Time(last * model::time::MINUTE),
        ..gap(0, 0)
    };
    world.wishes.send(Wish::Fill(minutes(28_718_000, 28_718_003))).await.unwrap();
    world.wait_line("outcome#0 None None done").await;
    let asked = world.server.asked("klines");
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].contains("startTime=1723080000000&endTime=1723080179999&limit=3"), "{asked:?}");
}

#[tokio::test]
async fn a_ban_stops_all_questions_also_of_the_next_process() {
    let store = Arc::new(MemoryStore::default());
    let plan = || Plan { venue: venue_with_hasty_listing(), store: store.clone(), ..Plan::default() };
    let world = carrying(plan()).await;
    lock(&world.server.faults).push_back(("aggTrades", 429, &[("retry-after", "120")]));
    world.wishes.send(Wish::Fill(gap(1, 1))).await.unwrap();
    world.wait_line("answer#0 trades BTCUSDT 429").await;
    world.wait("the ban", |world| world.status().rest.banned_until.is_some()).await;
    let asked = world.server.asked("/").len();
    runtime::sleep(Duration::from_millis(700)).await;
    assert_eq!(world.server.asked("/").len(), asked, "not even the listing is asked for");
    world
        .wait("the ban is kept", |_| {
            use crate::BudgetStore;
            store.load().iter().any(|state| state.banned_until.is_some())
        })
        .await;
    let address = {
        use crate::BudgetStore;
        store.load()[0].host.strip_prefix("http://").unwrap().parse().unwrap()
    };
    world.tasks.close(Duration::from_secs(3)).await;
    let again = World::start_at(plan(), Arc::clone(&world.server), address);
    again.wait_line("session#0").await;
    runtime::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.server.asked("/").len(), asked);
    assert!(again.status().rest.banned_until.is_some());
}

#[tokio::test]
async fn a_restart_amid_a_ban_collected_nothing_until_it_ended() {
    let (server, address) = crate::testing::Server::start(&["BTCUSDT"]).await;
    let store = Arc::new(MemoryStore::default());
    let in_an_hour = model::Time(runtime::SystemClock::shared().time().0 + 60 * model::time::MINUTE);
    crate::BudgetStore::save(
        &*store,
        &crate::BudgetState {
            host: format!("http://{address}"),
            window_start: model::Time(0),
            weight_used: 0,
            banned_until: Some(in_an_hour),
            endpoints: Vec::new(),
        },
    );
    let known = Arc::new(crate::testing::Remembered(&["BTC", "ETH"]));
    let world = World::start_at(Plan { store, known, ..Plan::default() }, Arc::clone(&server), address);
    world.wait_line("carries#1 btcusdt@aggTrade ethusdt@aggTrade").await;
    world.server.trade("btcusdt", 1);
    world.wait_line("\"a\":1").await;
    assert_eq!(server.asked("/"), Vec::<String>::new());
    assert!(world.collector.unknown_symbols().is_empty());
}

#[tokio::test]
async fn the_venues_word_replaces_what_was_listed_before_however_different() {
    let known = Arc::new(crate::testing::Remembered(&["OLD", "GONE", "DEAD", "BTC"]));
    let world = World::start(Plan { known, symbols: vec!["BTCUSDT", "NEWUSDT"], ..Plan::default() }).await;
    world
        .wait("the venue's listing is followed", |world| {
            world
                .lines_with("carries#1")
                .last()
                .is_some_and(|line| line == "carries#1 btcusdt@aggTrade newusdt@aggTrade")
        })
        .await;
    assert_eq!(world.status().trouble, None);
}

#[tokio::test]
async fn snapshots_and_renewals_are_carried_out_when_wished_for() {
    let world = carrying(Plan { channels: vec![Channel::Trades, Channel::Book], ..Plan::default() }).await;
    for _ in 0..5 {
        world.wishes.send(Wish::BookSnapshot(bitcoin())).await.unwrap();
    }
    world.wait_line("answer#0 book BTCUSDT 200").await;
    world.wishes.send(Wish::Resubscribe(bitcoin(), Channel::Book)).await.unwrap();
    world.wait_line(r#"{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":2}"#).await;
    world.wait_line(r#"{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":3}"#).await;
    world
        .wait("carried again", |world| {
            world.lines_with("carries#1").last().is_some_and(|line| line.contains("btcusdt@depth@100ms"))
        })
        .await;
    assert!(world.server.asked("depth").len() <= 2);
}

#[tokio::test]
async fn past_klines_are_fetched_in_the_venues_own_time() {
    let plan = Plan {
        change: |settings: &mut CollectSettings| settings.klines_history = Duration::from_hours(25),
        ..Plan::default()
    };
    let world = carrying(plan).await;
    world.wait("four pages", |world| world.server.asked("klines").len() == 4).await;
    // The venue's clock shows 2024-08-08T23:54:15Z.
    let first = world.server.asked("symbol=BTCUSDT")[0].clone();
    assert!(first.contains("startTime=1723101240000&endTime=1723161239999"), "{first}");
}

#[tokio::test]
async fn a_full_disk_stops_reading_and_loses_nothing_once_there_is_room() {
    let world = carrying(Plan::default()).await;
    world.log_state.send_replace(LogState::DiskFull { free_bytes: 1 });
    for id in 1..=500 {
        world.server.trade("btcusdt", id);
    }
    runtime::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.lines_with("aggTrade\",\"E").len(), 0);
    world.log_state.send_replace(LogState::Open);
    world.wait("all of them", |world| world.lines_with("aggTrade\",\"E").len() == 500).await;
    assert_eq!(world.lines_with("closed#").len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_arrives_whole_and_in_order() {
    const COUNT: i64 = 20_000;
    let world = carrying(Plan::default()).await;
    world.server.say(Say::Flood(COUNT));
    let frames = u64::try_from(COUNT).unwrap() + 1;
    world.wait("the count", |world| world.status().frames_total == frames).await;
    // A frame is counted before it is written.
    world.wait_line(&format!("\"a\":{COUNT},")).await;
    let ids: Vec<i64> = world
        .lines_with("aggTrade\",\"E")
        .iter()
        .map(|line| line.split("\"a\":").nth(1).unwrap().split(',').next().unwrap().parse().unwrap())
        .collect();
    assert!(ids.iter().copied().eq(1..=COUNT), "{} trades", ids.len());
}

#[tokio::test]
async fn contradicting_settings_are_refused_all_at_once() {
    let (journal, _records, _state) = crate::journal::Journal::in_memory(runtime::SystemClock::shared());
    let mut settings = CollectSettings { redundancy: 3, ..CollectSettings::default() };
    let venue = crate::VenueSettings {
        venue: model::VenueId::known("binance").unwrap(),
        endpoints: venues::Endpoints { rest: "api.binance.com".into(), stream: "wss://x/".into() },
        instruments: Wanted::All,
        channels: vec![],
        books: Wanted::None,
        raw_trades: false,
    };
    settings.venues = vec![venue.clone(), venue];
    let (_wishes, wishes_in) = runtime::queue("wishes", 1);
    let budgets = Arc::new(crate::NoBudgetStore) as Arc<dyn crate::BudgetStore>;
    let doors = (journal, budgets, Arc::new(crate::NothingKnown) as Arc<dyn crate::Known>, wishes_in);
    let error = crate::collector::start_with(&settings, doors, &Tasks::new(), venues::venue)
        .err()
        .unwrap()
        .to_string();
    for part in ["redundancy 3", "named twice", "\"api.binance.com\"", "\"wss://x/\""] {
        assert!(error.contains(part), "{error}");
    }
}

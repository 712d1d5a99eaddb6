//! Instruments come and go while the platform runs: new ones are recorded, delisted ones let go without an alarm.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, eventually, get, post};

const PATIENCE: Duration = Duration::from_mins(1);
const VENUES: [(&str, &str); 4] =
    [("binance", "spot"), ("binance-futures", "perp"), ("bybit", "spot"), ("bybit-linear", "perp")];

fn change(world: &World, path: &str, venue: &str, symbol: &str) {
    let body = json!({"venue": venue, "symbol": symbol}).to_string();
    let (status, answer) = post(&format!("{}{path}", world.admin), &body);
    assert_eq!(status, 200, "{answer}");
}

/// Keys of the streams of a symbol that the platform carries.
fn streams(address: &str, venue: &str, symbol: &str) -> Vec<(String, String)> {
    let (_, body) = get(&format!("http://{address}/api/v1/status"));
    let venues = body["venues"].as_array().into_iter().flatten();
    let mine = venues
        .filter(|other| other["venue"] == venue)
        .flat_map(|venue| venue["streams"].as_array().cloned().unwrap_or_default());
    let text = |stream: &Value, name: &str| stream[name].as_str().unwrap_or_default().to_owned();
    let keys = mine.map(|stream| (text(&stream, "key"), text(&stream, "health")));
    keys.filter(|(key, _)| key.to_uppercase().contains(symbol)).collect()
}

#[test]
fn new_listings_are_recorded_and_delistings_closed_while_running() {
    let world = World::start(&["--instruments", "4", "--rate", "900", "--seed", "5"]);
    world.configure(
        "instruments = \"all\"\nchannels = [\"trades\", \"quotes\", \"klines\"]\n",
        "[refine]\nflush_s = 1\n[collect]\nklines_history_minutes = 0\nlisting_s = 1\n",
    );
    let (mut process, address) = world.run();
    for (venue, _) in VENUES {
        eventually(PATIENCE, "the platform carries what is listed", || {
            let old = streams(&address, venue, "ETHUSDT");
            (old.len() == 3 && old.iter().all(|(_, health)| health == "live")).then_some(())
        });
        change(&world, "/list", venue, "NEWUSDT");
    }
    for (venue, _) in VENUES {
        eventually(PATIENCE, "what is new is carried", || {
            let new = streams(&address, venue, "NEWUSDT");
            (new.len() == 3 && new.iter().all(|(_, health)| health == "live")).then_some(())
        });
        change(&world, "/delist", venue, "ETHUSDT");
        change(&world, "/delist", venue, "NEWUSDT");
    }
    for (venue, _) in VENUES {
        eventually(PATIENCE, "what is gone is let go", || {
            let left = ["ETHUSDT", "NEWUSDT"].map(|symbol| streams(&address, venue, symbol).len());
            (left == [0, 0] && !streams(&address, venue, "BTCUSDT").is_empty()).then_some(())
        });
    }
    check_tables(&world);
    process.end();
    // The log names every alarm, whenever it was.
    let log = std::fs::read_to_string(world.place.path().join("run.log")).expect("the platform writes a log");
    let alarms: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("mute stream"))
        .filter(|line| ["ETHUSDT", "NEWUSDT"].iter().any(|gone| line.to_uppercase().contains(gone)))
        .collect();
    assert_eq!(alarms, Vec::<&str>::new());
}

fn check_tables(world: &World) {
    for (venue, kind) in VENUES {
        let id = |base: &str| match kind {
            "spot" => format!("{venue}:{base}-USDT"),
            _ => format!("{venue}:{base}-USDT-PERP"),
        };
        for base in ["ETH", "NEW"] {
            let instrument = id(base);
            let status = eventually(PATIENCE, "the table names the end", || {
                let rows = world.sql(&format!(
                    "select status from instruments where instrument = '{instrument}' order by valid_from desc limit 1"
                ));
                let status = rows.first().map(|row| row[0].clone())?;
                (status != "trading").then_some(status)
            });
            assert!(["delisted", "halted"].contains(&status.as_str()), "{instrument}: {status}");
            let gaps = world.sql(&format!("select cause, state from gaps where instrument = '{instrument}'"));
            assert_eq!(gaps, Vec::<Vec<String>>::new(), "{instrument}");
            let trades = world.sql(&format!("select count(*) from trades where instrument = '{instrument}'"));
            assert_ne!(trades[0][0], "0", "{instrument}");
        }
    }
}

//! Who is not looking is told: of starts and ends, of gaps, of a disk that runs full; over a Telegram and a webhook that refuse,
//! wait and hang, which nothing else waits for.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::world::{Process, World, eventually, get, get_text, post, tickhouse, until};

/// Longest wait for a message.
const PATIENCE: Duration = Duration::from_mins(1);
/// Closing takes three seconds at most; the machine may be busy.
const CLOSING_MAX: Duration = Duration::from_secs(15);

fn start(arguments: &[&str], sections: &str) -> World {
    let world = World::start(&[&["--venues", "binance"], arguments].concat());
    tell_both(&world);
    world.configure("channels = [\"trades\"]", &format!("[collect]\nklines_history_minutes = 0\n{sections}"));
    world
}

/// Names both receivers in `.env`, where secrets belong.
fn tell_both(world: &World) {
    let of =
        |receiver: &str, name: &str| world.receivers[receiver][name].as_str().expect("a text").to_owned();
    let variables = [
        ("TELEGRAM_API", of("telegram", "api")),
        ("TELEGRAM_TOKEN", of("telegram", "token")),
        ("TELEGRAM_CHAT_ID", of("telegram", "chat_id")),
        ("WEBHOOK", of("webhook", "url")),
        ("WEBHOOK_TOKEN", of("webhook", "token")),
    ];
    let lines = variables.map(|(name, value)| format!("TICKHOUSE__NOTIFY__{name}={value}\n"));
    std::fs::write(world.place.path().join(".env"), lines.concat()).expect("the test folder is writable");
}

fn told(world: &World) -> Value {
    get(&format!("{}/receivers", world.admin)).1
}

fn of<'a>(told: &'a Value, receiver: &'a str) -> impl Iterator<Item = &'a Value> {
    let received = told["received"].as_array().into_iter().flatten();
    received.filter(move |message| message["receiver"] == receiver).map(|message| &message["body"])
}

/// The texts of the chat.
fn chat(world: &World) -> Vec<String> {
    of(&told(world), "telegram").filter_map(|body| body["text"].as_str().map(str::to_owned)).collect()
}

/// What the webhook got of a kind, those in digests too.
fn hooked(world: &World, kind: &str) -> Vec<Value> {
    let told = told(world);
    let whole = of(&told, "webhook");
    let parts = of(&told, "webhook").flat_map(|body| body["messages"].as_array().into_iter().flatten());
    whole.chain(parts).filter(|body| body["kind"] == kind).cloned().collect()
}

fn wait_for_chat(world: &World, words: &str) -> String {
    until(PATIENCE, words, || {
        let chat = chat(world);
        chat.iter().find(|text| text.contains(words)).cloned().ok_or_else(|| format!("{chat:#?}"))
    })
}

fn wait_for_hook(world: &World, kind: &str) -> Value {
    until(PATIENCE, kind, || hooked(world, kind).pop().ok_or_else(|| told(world).to_string()))
}

fn order(world: &World, orders: &str) {
    let (status, answer) = post(&format!("{}/receivers", world.admin), orders);
    assert_eq!(status, 200, "{orders}: {answer}");
}

fn trades(address: &str) -> u64 {
    get(&format!("http://{address}/api/v1/status")).1["trades_total"].as_u64().expect("a number")
}

fn more_trades(address: &str, count: u64) {
    let before = trades(address);
    eventually(PATIENCE, "trades go on", || (trades(address) > before + count).then_some(()));
}

/// The secrets stand nowhere in what was said or written, but for `.env`.
fn hides_secrets(world: &World, said: &[String]) {
    let secrets: Vec<&str> =
        ["simulated-token-of-nobody", "simulated-path", "simulated-webhook-token"].into();
    for secret in &secrets {
        assert!(!said.iter().any(|text| text.contains(secret)), "{secret} was said");
    }
    let mut folders = vec![world.place.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path())
        {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.file_name().is_some_and(|name| name != ".env") {
                let bytes = std::fs::read(&entry).unwrap_or_default();
                for secret in &secrets {
                    let is_there = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                    assert!(!is_there, "{secret} stands in {}", entry.display());
                }
            }
        }
    }
}

/// What commands and pages say, in which a secret could stand.
fn sayings(place: &Path, address: &str) -> Vec<String> {
    let page = |path: &str| get_text(&format!("http://{address}{path}"));
    let command = |arguments: &[&str]| {
        let output = tickhouse(place, arguments);
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    vec![
        page("/api/v1/status"),
        page("/metrics"),
        command(&["config", "show"]),
        command(&["status", "--data", "data"]),
        command(&["doctor", "--offline", "--data", "data"]),
    ]
}

fn ends(mut process: Process) -> Duration {
    let started = Instant::now();
    let rest = process.end();
    assert!(rest.contains("closed: "), "{rest}");
    started.elapsed()
}

#[test]
fn an_outage_is_a_handful_of_messages_and_a_hanging_telegram_holds_up_nothing() {
    let world = start(
        &["--seed", "31", "--instruments", "40", "--rate", "900"],
        "[notify]\ngather_s = 2\nstreams_s = 3\n",
    );
    order(&world, "telegram:retry=2s,telegram:fail");
    let (process, address) = world.run();
    let start = wait_for_chat(&world, "recording binance");
    assert!(start.starts_with("tickhouse: recording binance\nversion "), "{start}");
    assert_eq!(wait_for_hook(&world, "start")["fields"]["venues"], "binance");
    more_trades(&address, 500);

    // Nobody gets through for some seconds: all forty streams have a hole.
    assert_eq!(post(&format!("{}/faults", world.admin), "refuse=1s+600s,cut=1s").0, 200);
    let silent = wait_for_hook(&world, "streams");
    assert_eq!((&silent["severity"], &silent["venue"]), (&"critical".into(), &"binance".into()), "{silent}");
    assert_eq!(post(&format!("{}/faults", world.admin), "none").0, 200);
    wait_for_chat(&world, "all streams of binance speak again");
    let gaps =
        |kind: &str| hooked(&world, kind).iter().filter_map(|body| body["count"].as_u64()).sum::<u64>();
    until(PATIENCE, "gaps are told of, and their end", || {
        let (opened, closed) = (gaps("gap_opened"), gaps("gap_closed"));
        if opened >= 20 && closed >= opened {
            Ok(())
        } else {
            Err(format!("{opened} opened, {closed} closed"))
        }
    });
    let texts = chat(&world);
    let about_gaps: Vec<&String> = texts.iter().filter(|text| text.contains("gap")).collect();
    assert!(
        about_gaps.iter().any(|text| text.contains("gaps opened on binance\ngap opened on binance ")),
        "{texts:#?}"
    );
    assert!(about_gaps.len() <= 20, "a handful, and not one for each: {texts:#?}");
    assert_eq!(told(&world)["too_early"], 0, "the wait that Telegram wanted was kept");
    assert_eq!(told(&world)["refused"]["telegram 429"], 1);
    let sayings = sayings(world.place.path(), &address);

    // Telegram hangs: everything else goes on, closing too, and the webhook is told of it.
    order(&world, "telegram:hang");
    more_trades(&address, 500);
    let took = ends(process);
    assert!(took < CLOSING_MAX, "{took:?}");
    assert_eq!(hooked(&world, "stop").len(), 1, "told before the process ended");
    assert!(!chat(&world).iter().any(|text| text.contains("closing")));
    order(&world, "none");
    hides_secrets(&world, &sayings);
}

#[test]
fn an_unclean_end_is_told_by_the_next_start_and_a_clean_one_by_itself() {
    let world = start(&["--seed", "32", "--instruments", "4", "--rate", "200"], "[notify]\ngather_s = 1\n");
    let (mut process, address) = world.run();
    more_trades(&address, 50);
    process.kill();
    assert_eq!(hooked(&world, "stop").len(), 0);
    // A command in between does not take the news away.
    assert_eq!(
        tickhouse(world.place.path(), &["verify", "-c", "tickhouse.toml"]).status.code().map(|_| ()),
        Some(())
    );
    let (process, address) = world.run();
    let unclean = wait_for_hook(&world, "unclean_end");
    assert_eq!(unclean["severity"], "warning", "{unclean}");
    wait_for_chat(&world, "did not close");
    more_trades(&address, 50);
    let took = ends(process);
    assert!(took < CLOSING_MAX, "{took:?}");
    let stops = hooked(&world, "stop");
    assert_eq!((stops.len(), &stops[0]["fields"]["is_clean"]), (1, &"true".into()), "{stops:?}");
    assert!(chat(&world).iter().any(|text| text.contains("closing")), "told before the process ended");
    let (process, _) = world.run();
    until(PATIENCE, "three starts", || {
        let count = hooked(&world, "start").len();
        if count == 3 { Ok(()) } else { Err(count.to_string()) }
    });
    assert_eq!(hooked(&world, "unclean_end").len(), 1, "the last run did close");
    ends(process);
}

#[test]
fn a_disk_that_runs_full_is_told_and_shown() {
    let low = "[data]\ndisk_warn_gib = 1000000\ndirectory = \"data\"\n";
    let world = start(&["--seed", "33", "--instruments", "2", "--rate", "50"], "");
    let file = world.place.path().join("tickhouse.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let write = |data: &str, more: &str| {
        let text = text.replace("[data]\ndirectory = \"data\"\n", data);
        std::fs::write(&file, format!("{text}{more}")).expect("the test folder is writable");
    };
    write(low, "");
    let (process, address) = world.run();
    let message = wait_for_hook(&world, "disk");
    assert_eq!((&message["severity"], &message["title"]), (&"warning".into(), &"the disk runs full".into()));
    assert!(message["fields"]["free_gib"].as_f64() > Some(0.0), "{message}");
    let (status, health) = get(&format!("http://{address}/health"));
    assert_eq!((status, &health["status"]), (200, &"degraded".into()), "{health}");
    assert!(
        health["reasons"][0].as_str().is_some_and(|reason| reason.starts_with("the disk runs full: ")),
        "{health}"
    );
    let metrics = get_text(&format!("http://{address}/metrics"));
    assert!(metrics.contains("tickhouse_disk_state{state=\"low\"} 1"), "{metrics}");
    let said = tickhouse(world.place.path(), &["status", "--data", "data"]);
    assert_eq!(said.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&said.stdout).contains("disk: low, "), "{said:?}");
    ends(process);

    // Below the reserve nothing is recorded.
    write("[data]\ndirectory = \"data\"\n", "[rawlog]\ndisk_reserve_mib = 10000000\n");
    let (mut process, address) = world.run();
    wait_for_chat(&world, "CRITICAL: tickhouse: the disk is full: nothing can be recorded");
    assert_eq!(get(&format!("http://{address}/health")).0, 503);
    process.signal("TERM");
    let _with_findings_or_not = process.ended();

    // And a house that cannot be opened says so as well.
    write("[data]\ndirectory = \"data\"\n", "[lake]\nlocation = \"/proc/nowhere\"\n");
    let output = tickhouse(world.place.path(), &["run", "-c", "tickhouse.toml"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    wait_for_chat(&world, "CRITICAL: tickhouse: could not start");
}

#[test]
fn messages_can_be_tried_out() {
    let world = start(&["--seed", "34", "--instruments", "2", "--rate", "50"], "");
    let place = world.place.path();
    let test = || {
        let output = tickhouse(place, &["notify", "test"]);
        (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(
        test(),
        (Some(0), "ok    telegram: took the message\nok    webhook: took the message\n".into())
    );
    assert_eq!(
        chat(&world),
        ["tickhouse: do you hear me?\nsomebody asked whether messages arrive here: they do"]
    );
    let env = place.join(".env");
    let text = std::fs::read_to_string(&env).expect("is there");
    let wrong =
        text.replace("simulated-token-of-nobody", "wrong-token").replace("simulated-path", "wrong-path");
    std::fs::write(&env, wrong).expect("the test folder is writable");
    let (code, said) = test();
    assert_eq!(code, Some(3), "{said}");
    assert!(
        said.contains("look  telegram: Telegram answers 401") && said.contains("look  webhook: "),
        "{said}"
    );
    assert!(!said.contains("wrong-token") && !said.contains("wrong-path"), "{said}");
    std::fs::write(&env, "TICKHOUSE__NOTIFY__TELEGRAM_TOKEN=1:wrong-token\n")
        .expect("the test folder is writable");
    let (code, said) = test();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("set notify.telegram_chat_id") && !said.contains("wrong-token"), "{said}");
}

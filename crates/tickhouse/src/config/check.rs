//! What a single value cannot show: settings that are good each by itself, but not together or not here.

use std::net::SocketAddr;

use super::{Config, Mistake, settings};

/// Adds the mistakes of a configuration whose values are each of their kind.
pub(super) fn check(config: &Config, mistakes: &mut Vec<Mistake>) {
    check_address(config, mistakes);
    for range in config.words("serve.allowed_ips") {
        if let Err(remedy) = range.parse::<serve::AllowedIps>() {
            mistakes.push(Mistake {
                place: config.origin("serve.allowed_ips").to_owned(),
                what: "serve.allowed_ips holds something that is no address".into(),
                remedy,
            });
        }
    }
    let published = config.text("btc.zmq");
    if !published.is_empty()
        && let Err(remedy) = collect::bitcoin_node::check_published(published)
    {
        mistakes.push(Mistake {
            place: config.origin("btc.zmq").to_owned(),
            what: "btc.zmq names nothing that can be listened to".into(),
            remedy,
        });
    }
    let filter = config.text("telemetry.filter");
    if let Err(what) = runtime::telemetry::check_filter(filter) {
        mistakes.push(Mistake {
            place: config.origin("telemetry.filter").to_owned(),
            what: format!("telemetry.filter = {filter:?} is no log filter: {what}"),
            remedy:
                "use error, warn, info or debug, or one of them with exceptions, as in info,collect=debug"
                    .into(),
        });
    }
    check_telegram(config, mistakes);
    if config.secret("notify.webhook").is_empty() && !config.secret("notify.webhook_token").is_empty() {
        mistakes.push(Mistake {
            place: config.origin("notify.webhook_token").to_owned(),
            what: "notify.webhook_token is set, but there is no webhook".into(),
            remedy: "set notify.webhook to its address, or leave the token out".into(),
        });
    }
    for venue in settings::enabled_venues(config) {
        for (name, remedy) in [
            ("instruments", "use \"all\" or symbols such as [\"BTCUSDT\"]"),
            ("channels", "use a list such as [\"trades\"]"),
        ] {
            let key = format!("venues.{venue}.{name}");
            if config.words(&key).is_empty() {
                mistakes.push(Mistake {
                    place: config.origin(&key).to_owned(),
                    what: format!("{key} is empty, so that nothing would be collected"),
                    remedy: format!("{remedy}, or set venues.{venue}.enabled = false"),
                });
            }
        }
    }
}

/// A bot without a chat tells nobody, and a chat without a bot is told by nobody.
fn check_telegram(config: &Config, mistakes: &mut Vec<Mistake>) {
    let (token, chat_id) = (config.secret("notify.telegram_token"), config.text("notify.telegram_chat_id"));
    let mut add = |key: &str, what: &str, remedy: String| {
        mistakes.push(Mistake { place: config.origin(key).to_owned(), what: what.into(), remedy });
    };
    match (token.is_empty(), chat_id.is_empty()) {
        (true, true) => return,
        (false, true) => add(
            "notify.telegram_token",
            "notify.telegram_token is set, but no chat is named that the bot should write to",
            "set notify.telegram_chat_id to the chat's number or @name, or leave the token out".into(),
        ),
        (true, false) => add(
            "notify.telegram_chat_id",
            "notify.telegram_chat_id is set, but no bot is named that should write to it",
            "set notify.telegram_token, as TICKHOUSE__NOTIFY__TELEGRAM_TOKEN in the environment or .env"
                .into(),
        ),
        (false, false) => {}
    }
    if let Some(remedy) = (!token.is_empty()).then(|| notify::check_token(token).err()).flatten() {
        add("notify.telegram_token", "notify.telegram_token cannot be a bot's token", remedy);
    }
    if let Some(remedy) = (!chat_id.is_empty()).then(|| notify::check_chat(chat_id).err()).flatten() {
        add("notify.telegram_chat_id", "notify.telegram_chat_id is no chat", remedy);
    }
}

/// Closed by default: beyond this machine only when somebody says so.
fn check_address(config: &Config, mistakes: &mut Vec<Mistake>) {
    let text = config.text("serve.address");
    let is_open = text.parse::<SocketAddr>().is_ok_and(|address| !address.ip().is_loopback());
    if is_open && !config.truth("serve.allow_remote") {
        mistakes.push(Mistake {
            place: config.origin("serve.address").to_owned(),
            what: format!("serve.address = {text:?} lets other machines in, and nobody is asked for a key"),
            remedy:
                "use 127.0.0.1, or, if the network itself keeps strangers out, set serve.allow_remote = true"
                    .into(),
        });
    }
}

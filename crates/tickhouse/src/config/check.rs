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

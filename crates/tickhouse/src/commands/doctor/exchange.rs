//! Whether an exchange can be reached: its name, its REST interface, its clock, its streams.

use std::time::Duration;

use model::VenueId;
use runtime::clock::within;
use runtime::{Clock, SystemClock};
use venues::{Purpose, Venue};

use super::Finding;
use crate::config::{Config, settings};

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A clock that is wrong by more is worth a look.
const SKEW_MAX_MS: i64 = 1_000;

/// Checks one exchange; the first thing that fails ends it, the rest would fail with it.
pub(super) async fn check(config: &Config, id: VenueId) -> Vec<(&'static str, Finding)> {
    let Some(venue) = venues::venue(id) else {
        return vec![("", Err("is not collected by this version: set enabled = false".into()))];
    };
    let endpoints = settings::endpoints(config, id);
    let mut found = Vec::new();
    match ask_clock(venue, &endpoints.rest).await {
        Ok((millis, skew)) => {
            found.push(("rest", Ok(format!("{} answers within {millis} ms", endpoints.rest))));
            found.push(("clock", judge(skew)));
        }
        Err(error) => found.push(("rest", Err(error))),
    }
    found.push(("stream", Box::pin(open_stream(&endpoints.stream)).await));
    found
}

/// How long the answer took, and the venue's clock minus ours, milliseconds.
async fn ask_clock(venue: &dyn Venue, rest: &str) -> Result<(i64, Option<i64>), String> {
    let polls = venue.polls(&[], &[]).into_iter().map(|poll| poll.request);
    let clock = polls.into_iter().find(|request| request.purpose == Purpose::ServerTime);
    let request = clock.unwrap_or_else(|| venue.listing(None));
    let explain = |error: reqwest::Error| format!("{rest} does not answer: {}", root(&error));
    let client = reqwest::Client::builder().timeout(ANSWER_MAX).build().map_err(explain)?;
    let asked = SystemClock.now();
    let sent = client.get(format!("{rest}{}", request.path)).send().await;
    let answer = match sent {
        Ok(answer) => answer,
        Err(error) => return Err(format!("{}; {}", explain(error), remedy(rest).await)),
    };
    let status = answer.status();
    let body = answer.bytes().await.map_err(explain)?;
    let answered = SystemClock.now();
    if !status.is_success() {
        return Err(format!(
            "{rest} answers {status}: it may not serve this country or address; set another rest origin under [venues.{}]",
            venue.facts().id
        ));
    }
    let middle = i64::midpoint(asked.0, answered.0) / 1_000;
    let skew = venue.server_time(&body).map(|time| (time.0 - middle) / 1_000);
    Ok(((answered.0 - asked.0) / 1_000_000, skew))
}

fn judge(skew_ms: Option<i64>) -> Finding {
    let Some(skew) = skew_ms else { return Ok("the exchange does not tell its time".into()) };
    if skew.abs() <= SKEW_MAX_MS {
        return Ok(format!("within {} ms of the exchange's", skew.abs().max(1)));
    }
    let direction = if skew > 0 { "behind" } else { "before" };
    Err(format!(
        "ours is {:.1} s {direction} the exchange's: set it by NTP (`timedatectl set-ntp true`)",
        skew.abs() as f64 / 1_000.0
    ))
}

async fn open_stream(origin: &str) -> Finding {
    use tokio_tungstenite::tungstenite::Error;
    match within(ANSWER_MAX, Box::pin(tokio_tungstenite::connect_async(format!("{origin}/")))).await {
        // Streams live under longer paths; that it is spoken to in HTTP at all is enough.
        Some(Ok(_) | Err(Error::Http(_))) => Ok(format!("{origin} answers")),
        Some(Err(error)) => Err(format!("{origin} cannot be opened: {error}; {}", remedy(origin).await)),
        None => Err(format!("{origin} does not answer within 10 s; {}", remedy(origin).await)),
    }
}

/// What to do about an origin that cannot be reached.
async fn remedy(origin: &str) -> String {
    let host = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "443"));
    match within(ANSWER_MAX, tokio::net::lookup_host(format!("{name}:{port}"))).await {
        Some(Ok(_)) => {
            format!("{name} has an address: check firewall and proxy (HTTPS_PROXY), or name another origin")
        }
        Some(Err(error)) => format!("the name {name} has no address ({error}): check DNS and the network"),
        None => format!("asking for the address of {name} takes too long: check DNS"),
    }
}

/// The innermost cause: the outer ones repeat the address.
fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    //! Cases for clocks.
    use super::*;

    #[test]
    fn a_wrong_clock_is_told_with_its_direction() {
        assert!(judge(Some(-20)).is_ok() && judge(None).is_ok());
        assert!(judge(Some(2_300)).is_err_and(|text| text.contains("2.3 s behind") && text.contains("NTP")));
        assert!(judge(Some(-61_000)).is_err_and(|text| text.contains("61.0 s before")));
    }
}

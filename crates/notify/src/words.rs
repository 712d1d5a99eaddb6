//! Single events in words: a gap, a start, an end.

use model::{Gap, GapState, Time, VenueId};

use crate::message::{Kind, Message, Severity};

/// A hole that was found, filled or given up.
pub fn gap(gap: &Gap, time: Time) -> Message {
    let (venue, pair) = (gap.instrument.venue(), gap.instrument.pair());
    let (kind, severity, one, many) = match gap.state {
        GapState::Open => (Kind::GapOpened, Severity::Warning, "gap opened", "gaps opened"),
        GapState::Filled => (Kind::GapClosed, Severity::Info, "gap filled", "gaps filled"),
        GapState::Missing => (Kind::GapClosed, Severity::Warning, "gap stays", "gaps that stay"),
    };
    let ids = match (gap.first_id, gap.last_id) {
        (Some(first), Some(last)) if first == last => format!("id {first}"),
        (Some(first), Some(last)) => format!("ids {first} to {last}"),
        _ => format!("{} to {}", gap.first_time, gap.last_time),
    };
    let channel = gap.channel.as_str();
    let mut message = Message::new(
        kind,
        severity,
        format!("{one} on {venue} {pair}: {channel}, {ids} ({})", gap.cause),
        time,
    )
    .of(&gap.instrument)
    .gathered(many)
    .with("state", gap.state.as_str())
    .with("cause", gap.cause.as_str())
    .with("channel", channel)
    .with("first_time", gap.first_time.millis())
    .with("last_time", gap.last_time.millis());
    if let (Some(first), Some(last)) = (gap.first_id, gap.last_id) {
        message = message.with("first_id", first).with("last_id", last);
    }
    message
}

/// The house stands.
pub fn started(version: &str, folder: &str, venues: &[VenueId], time: Time) -> Message {
    let venues: Vec<&str> = venues.iter().map(|venue| venue.as_str()).collect();
    // Without a venue there is the chain, or its price.
    let what =
        if venues.is_empty() { "recording".to_owned() } else { format!("recording {}", venues.join(", ")) };
    Message::new(Kind::Start, Severity::Info, what, time)
        .with_text(format!("version {version}, into {folder}"))
        .with("version", version)
        .with("folder", folder)
        .with("venues", venues.join(","))
}

/// The last run did not close.
pub fn unclean_end(process: u32, is_torn: bool, time: Time) -> Message {
    let text = if is_torn {
        "it was killed or lost its power; the torn end of the raw log was cut, what it lacks is fetched from the venues"
    } else {
        "it was killed or lost its power; the raw log is whole, what was missed since is fetched from the venues"
    };
    let title = format!("the last run (process {process}) did not close");
    Message::new(Kind::UncleanEnd, Severity::Warning, title, time).with_text(text)
}

/// The house closes: as asked, or because of what failed.
pub fn stopped(up_seconds: i64, trades: u64, failure: Option<&str>, time: Time) -> Message {
    let span = format!("{} h {} min", up_seconds / 3_600, up_seconds / 60 % 60);
    let (severity, title) = match failure {
        None => (Severity::Info, "closing".to_owned()),
        Some(what) => (Severity::Critical, format!("closing, because it cannot go on: {what}")),
    };
    Message::new(Kind::Stop, severity, title, time)
        .with_text(format!("after {span}, with {trades} trades recorded"))
        .with("up_seconds", up_seconds)
        .with("trades", trades)
        .with("is_clean", if failure.is_none() { "true" } else { "false" })
}

#[cfg(test)]
mod tests {
    //! Cases for words.
    use model::{Channel, GapCause};

    use super::*;

    #[test]
    fn a_gap_says_what_lacks_and_why() {
        let mut hole = Gap {
            instrument: "binance:BTC-USDT".parse().expect("an id"),
            channel: Channel::Trades,
            first_id: Some(101),
            last_id: Some(140),
            first_time: Time(0),
            last_time: Time(60_000_000),
            state: GapState::Open,
            cause: GapCause::Disconnected,
            source: None,
            found_time: Time(0),
            closed_time: None,
        };
        let title = |hole: &Gap| gap(hole, Time(0)).title;
        assert_eq!(title(&hole), "gap opened on binance BTC-USDT: trades, ids 101 to 140 (disconnected)");
        (hole.state, hole.last_id) = (GapState::Filled, Some(101));
        assert_eq!(title(&hole), "gap filled on binance BTC-USDT: trades, id 101 (disconnected)");
        (hole.state, hole.first_id, hole.last_id) = (GapState::Missing, None, None);
        assert_eq!(
            title(&hole),
            "gap stays on binance BTC-USDT: trades, 1970-01-01T00:00:00.000000Z to 1970-01-01T00:01:00.000000Z (disconnected)"
        );
    }
}

//! What becomes of venues over time: streams that bring nothing for long, and bans. Seeing them is left to the binary.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use model::status::{StreamHealth, VenueStatus};
use model::{Time, VenueId};

use crate::message::{Kind, Message, Severity};

/// Streams named in one message.
const NAMED_MAX: usize = 5;

/// Watches venues.
#[derive(Debug)]
pub struct VenueWatch {
    patience: Duration,
    /// Since when a stream brings nothing, by a clock that only goes forward.
    troubled: BTreeMap<VenueId, BTreeMap<Box<str>, Duration>>,
    /// Venues whose streams were told of.
    told: BTreeSet<VenueId>,
    bans: BTreeMap<VenueId, Time>,
}

impl VenueWatch {
    /// Streams may bring nothing for so long before it is told.
    pub fn new(patience: Duration) -> Self {
        Self { patience, troubled: BTreeMap::new(), told: BTreeSet::new(), bans: BTreeMap::new() }
    }

    /// Takes how venues are at `now`, which only goes forward; what there is to tell.
    pub fn see(&mut self, now: Duration, time: Time, venues: &[VenueStatus]) -> Vec<Message> {
        let mut messages = Vec::new();
        for venue in venues {
            messages.extend(self.see_streams(now, time, venue));
            messages.extend(self.see_ban(time, venue));
        }
        messages
    }

    fn see_streams(&mut self, now: Duration, time: Time, venue: &VenueStatus) -> Option<Message> {
        let before = self.troubled.remove(&venue.venue).unwrap_or_default();
        let is_troubled = |health| matches!(health, StreamHealth::Down | StreamHealth::Mute);
        let streams = venue.streams.iter().filter(|stream| is_troubled(stream.health));
        let since: BTreeMap<Box<str>, Duration> = streams
            .map(|stream| (stream.key.clone(), before.get(&stream.key).copied().unwrap_or(now)))
            .collect();
        let late: Vec<&str> =
            since.iter().filter(|(_, since)| **since + self.patience <= now).map(|(key, _)| &**key).collect();
        let name = venue.venue;
        let alarm = format!("streams.{name}");
        let (late_count, all_count) = (late.len(), venue.streams.len());
        let message = if late_count > 0 {
            self.told.insert(name);
            let are_all = late_count == all_count;
            let severity = if are_all { Severity::Critical } else { Severity::Warning };
            let title = if are_all {
                format!("no stream of {name} brings anything")
            } else {
                format!("{late_count} of {all_count} streams of {name} bring nothing")
            };
            let more = late_count.saturating_sub(NAMED_MAX);
            let named = late[..late_count.min(NAMED_MAX)].join(", ");
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let text = format!("for {} s or longer: {named}{more}", self.patience.as_secs());
            Some(Message::new(Kind::Streams, severity, title, time).with_text(text).raised(alarm))
        } else if since.is_empty() && self.told.remove(&name) {
            let title = format!("all streams of {name} speak again");
            Some(Message::new(Kind::Streams, Severity::Info, title, time).over(alarm))
        } else {
            None
        };
        self.troubled.insert(name, since);
        message.map(|message| message.of_venue(name).with("streams_in_trouble", late_count as u64))
    }

    fn see_ban(&mut self, time: Time, venue: &VenueStatus) -> Option<Message> {
        let name = venue.venue;
        let alarm = format!("ban.{name}");
        let message = match venue.rest.banned_until.filter(|until| *until > time) {
            Some(until) if self.bans.insert(name, until) != Some(until) => {
                let title = format!("{name} told us to stop asking over REST");
                Message::new(Kind::Ban, Severity::Warning, title, time)
                    .with_text(format!("until {until}; streams go on, repairs and history wait"))
                    .with("until", until.millis())
                    .raised(alarm)
            }
            Some(_) => return None,
            None => {
                self.bans.remove(&name)?;
                let title = format!("{name} may be asked over REST again");
                Message::new(Kind::Ban, Severity::Info, title, time).over(alarm)
            }
        };
        Some(message.of_venue(name))
    }
}

#[cfg(test)]
mod tests {
    //! Cases for streams and bans over time.
    use model::Channel;
    use model::status::{RestStatus, StreamStatus};

    use super::*;

    fn venue(healths: &[StreamHealth]) -> VenueStatus {
        let stream = |(number, health): (usize, &StreamHealth)| StreamStatus {
            instrument: None,
            channel: Channel::Trades,
            key: format!("s{number}").into(),
            health: *health,
            last_received: None,
            message_count: 0,
        };
        VenueStatus {
            venue: VenueId::known("binance").expect("a venue"),
            connection_count: 1,
            connects_total: 1,
            frames_total: 0,
            bytes_total: 0,
            streams: healths.iter().enumerate().map(stream).collect(),
            clock_skew_micros: None,
            rest: RestStatus::default(),
            trouble: None,
        }
    }

    fn titles(messages: &[Message]) -> Vec<&str> {
        messages.iter().map(|message| message.title.as_str()).collect()
    }

    #[test]
    fn streams_that_bring_nothing_for_long_are_told_and_their_end() {
        use StreamHealth::{Down, Live, Mute};
        let mut watch = VenueWatch::new(Duration::from_mins(1));
        let mut see = |second, healths: &[StreamHealth]| {
            let told = watch.see(Duration::from_secs(second), Time(0), &[venue(healths)]);
            titles(&told).join("|")
        };
        assert_eq!(see(0, &[Down, Down, Live]), "");
        assert_eq!(see(59, &[Down, Down, Live]), "");
        assert_eq!(see(60, &[Down, Live, Mute]), "1 of 3 streams of binance bring nothing");
        assert_eq!(
            see(61, &[Down, Live, Mute]),
            "1 of 3 streams of binance bring nothing",
            "the desk repeats"
        );
        assert_eq!(see(70, &[Live, Live, Mute]), "", "one is still doubtful");
        assert_eq!(see(80, &[Live, Live, Live]), "all streams of binance speak again");
        assert_eq!(see(90, &[Live, Live, Live]), "");
        assert_eq!(see(100, &[Down, Down]), "");
        assert_eq!(see(160, &[Down, Mute]), "no stream of binance brings anything");
    }

    #[test]
    fn a_ban_is_told_once_and_so_is_its_end() {
        let mut watch = VenueWatch::new(Duration::from_mins(1));
        let mut see = |time, until: Option<i64>| {
            let mut venue = venue(&[]);
            venue.rest.banned_until = until.map(Time);
            titles(&watch.see(Duration::ZERO, Time(time), &[venue])).join("|")
        };
        assert_eq!(see(0, None), "");
        assert_eq!(see(1, Some(10)), "binance told us to stop asking over REST");
        assert_eq!(see(2, Some(10)), "");
        assert_eq!(see(3, Some(20)), "binance told us to stop asking over REST", "for longer");
        assert_eq!(see(20, Some(20)), "binance may be asked over REST again");
        assert_eq!(see(21, Some(20)), "");
    }
}

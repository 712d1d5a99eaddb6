//! What can go wrong on command, and the words for it. Doing it is left to the servers.

use std::time::Duration;

use model::VenueId;

/// One thing that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultPlan {
    /// The venue it concerns; all if absent.
    pub venue: Option<VenueId>,
    /// What goes wrong.
    pub fault: Fault,
}

/// Kinds of trouble. Shares are of data frames, per connection; `every` is an average, jittered by the seed.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Frames are lost. They stay in the truth and in REST history.
    Drop(f64),
    /// Frames are sent twice.
    Repeat(f64),
    /// Frames swap places with the next one.
    Reorder(f64),
    /// Frames come late by so much, while others overtake them.
    Delay(f64, Duration),
    /// Frames are no JSON any more.
    Malformed(f64),
    /// Frames end early.
    Truncated(f64),
    /// Times are in microseconds all of a sudden.
    Micros(f64),
    /// Streams are accepted and stay silent, as on a wrong route; the share is of subscribed streams.
    WrongRoute(f64),
    /// A symbol's streams say nothing between two moments after the plan was made.
    Mute {
        /// The venue's symbol, upper case.
        symbol: String,
        /// From when.
        after: Duration,
        /// For how long.
        lasting: Duration,
    },
    /// Every connection is cut without a word, again and again.
    Cut(Duration),
    /// New connections are refused for a while, again and again.
    Refuse {
        /// How often.
        every: Duration,
        /// For how long.
        lasting: Duration,
    },
    /// REST answers 429 for a while, 418 to those who go on asking; again and again.
    Ban {
        /// How often.
        every: Duration,
        /// For how long.
        lasting: Duration,
    },
    /// Connections are closed after an announcement where the venue has one; again and again.
    Shutdown(Duration),
    /// Everything so far is forgotten.
    Nothing,
}

/// Reads a comma-separated list of faults.
///
/// | word | meaning |
/// |---|---|
/// | `drop=0.001` `repeat=0.001` `reorder=0.001` | share of data frames lost, doubled, swapped with the next |
/// | `delay=0.001:300ms` | share of frames late by so much |
/// | `malformed=0.001` `truncated=0.001` `micros=0.001` | share of frames broken, cut short, in another time unit |
/// | `wrong_route=0.05` | share of subscribed streams acked and mute |
/// | `mute=BTCUSDT@20s+15s` | the symbol is silent from 20 s on for 15 s |
/// | `cut=30s` `shutdown=60s` | connections end without or with announcement, on average so often |
/// | `refuse=60s+3s` `ban=60s+5s` | connections refused, REST answering 429/418, every 60 s for so long |
/// | `all` | a mix of all of these |
/// | `none` | forget all faults |
///
/// `binance:drop=0.01` concerns one venue only.
pub fn parse_faults(text: &str) -> Result<Vec<FaultPlan>, String> {
    let mut plans = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let (venue, rest) = match word.split_once(':') {
            Some((name, rest)) if VenueId::known(name).is_some() => (VenueId::known(name), rest),
            _ => (None, word),
        };
        if rest == "all" {
            plans.extend(
                parse_faults(ALL)?.into_iter().map(|plan| FaultPlan { venue: venue.or(plan.venue), ..plan }),
            );
            continue;
        }
        plans.push(FaultPlan {
            venue,
            fault: parse_fault(rest).map_err(|why| format!("fault {word:?}: {why}"))?,
        });
    }
    Ok(plans)
}

// Where ids are not numbered, a vanished frame shows by the closed kline of its whole minute only: whoever drops there too
// (`drop=…`) must let a minute pass before looking.
const ALL: &str = "binance:drop=0.002,binance-futures:drop=0.002,repeat=0.002,reorder=0.002,delay=0.002:300ms,\
    malformed=0.0005,truncated=0.0005,micros=0.0005,wrong_route=0.02,mute=BTCUSDT@20s+12s,cut=25s,refuse=45s+2s,\
    ban=60s+4s,shutdown=70s";

fn parse_fault(word: &str) -> Result<Fault, String> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    Ok(match name {
        "none" => Fault::Nothing,
        "drop" => Fault::Drop(share(value)?),
        "repeat" => Fault::Repeat(share(value)?),
        "reorder" => Fault::Reorder(share(value)?),
        "malformed" => Fault::Malformed(share(value)?),
        "truncated" => Fault::Truncated(share(value)?),
        "micros" => Fault::Micros(share(value)?),
        "wrong_route" => Fault::WrongRoute(share(value)?),
        "delay" => {
            let (part, by) = value.split_once(':').unwrap_or((value, "300ms"));
            Fault::Delay(share(part)?, duration(by)?)
        }
        "mute" => {
            let (symbol, when) = value.split_once('@').unwrap_or((value, "0s+15s"));
            if symbol.is_empty() {
                return Err("name a symbol: mute=BTCUSDT@20s+15s".into());
            }
            let (after, lasting) = when.split_once('+').ok_or("write mute=BTCUSDT@20s+15s")?;
            Fault::Mute {
                symbol: symbol.to_uppercase(),
                after: duration(after)?,
                lasting: duration(lasting)?,
            }
        }
        "cut" => Fault::Cut(pause(value)?),
        "shutdown" => Fault::Shutdown(pause(value)?),
        "refuse" | "ban" => {
            let (every, lasting) = value.split_once('+').unwrap_or((value, "3s"));
            let (every, lasting) = (pause(every)?, duration(lasting)?);
            if name == "ban" { Fault::Ban { every, lasting } } else { Fault::Refuse { every, lasting } }
        }
        _ => {
            return Err("unknown; know drop, repeat, reorder, delay, malformed, truncated, micros, wrong_route, mute, \
                        cut, refuse, ban, shutdown, all, none"
                .into());
        }
    })
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share: &f64| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text:?} is no share between 0 and 1"))
}

fn pause(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|span| {
        if span < Duration::from_millis(100) {
            Err(format!("{text:?} is too often; at least 100ms"))
        } else {
            Ok(span)
        }
    })
}

/// A duration such as `300ms` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let refuse = || format!("{text:?} is no duration; write 300ms, 20s, 5m or 1h");
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(refuse)?;
    let (number, unit) = text.split_at(at);
    let number: f64 = number.parse().ok().filter(|value| (0.0..1e9).contains(value)).ok_or_else(refuse)?;
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(refuse()),
    };
    Ok(Duration::from_secs_f64(number * seconds))
}

#[cfg(test)]
mod tests {
    //! Cases for the words.
    use super::*;

    #[test]
    fn words_become_faults() {
        let plans = parse_faults("drop=0.001, binance:cut=30s,mute=btcusdt@20s+15s,delay=0.1:250ms").unwrap();
        assert_eq!(plans[0], FaultPlan { venue: None, fault: Fault::Drop(0.001) });
        assert_eq!(plans[1].venue, VenueId::known("binance"));
        assert_eq!(
            plans[2].fault,
            Fault::Mute {
                symbol: "BTCUSDT".into(),
                after: Duration::from_secs(20),
                lasting: Duration::from_secs(15)
            }
        );
        assert_eq!(plans[3].fault, Fault::Delay(0.1, Duration::from_millis(250)));
    }

    #[test]
    fn all_is_everything() {
        let plans = parse_faults("all").unwrap();
        let kinds: std::collections::HashSet<_> =
            plans.iter().map(|plan| std::mem::discriminant(&plan.fault)).collect();
        assert_eq!(kinds.len(), 13);
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (text, reason) in [
            ("explode", "unknown; know drop"),
            ("drop=2", "no share"),
            ("cut=soon", "no duration"),
            ("cut=1ms", "too often"),
            ("mute=", "name a symbol"),
            ("mute=X@5s", "write mute"),
            ("nasdaq:drop=0.1", "unknown"),
        ] {
            let error = parse_faults(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

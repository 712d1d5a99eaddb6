//! What can go wrong with candles on command, and the words for it. Doing it is left to `spoil`.

use std::ops::Range;
use std::time::Duration;

use model::{PriceSource, Time};

/// One thing that goes wrong with the candles of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceFault {
    /// The source.
    pub source: PriceSource,
    /// What goes wrong.
    pub trouble: PriceTrouble,
    /// World time: of the candles, or of the questions where whole answers are wrong.
    pub span: Range<Time>,
}

/// Kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PriceTrouble {
    /// Prices are off by a share: -0.2 prints a fifth less.
    Skew(f64),
    /// Candles are not there.
    Silent,
    /// Prices are `null`.
    Nulls,
    /// The high lies below the low.
    Crossed,
    /// The volume is below zero.
    Negative,
    /// Every row comes twice.
    Twice,
    /// Questions are answered with a page that is no answer.
    Garbage,
    /// Questions are answered with 503.
    Down,
    /// Questions are answered as if they were too many, with so long to wait.
    Ban(Duration),
}

/// Reads a comma-separated list such as `bitstamp:skew=-0.2@now+1h,okx:silent@2026-10-07T14:20:00Z+30m`.
///
/// | word | meaning |
/// |---|---|
/// | `skew=-0.2` | candles of the span print a fifth less |
/// | `silent` `nulls` `crossed` `negative` `twice` | candles of the span are absent, have no prices, a high below the low, a volume below zero, come twice |
/// | `garbage` `down` `ban=5s` | questions within the span are answered with nonsense, 503, or told to wait |
///
/// `none` forgets all of them.
pub fn parse_price_faults(text: &str, now: Time) -> Result<Vec<PriceFault>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty() && *word != "none");
    words.map(|word| parse(word, now).map_err(|why| format!("price fault {word:?}: {why}"))).collect()
}

const FORM: &str = "write source:word[=value]@start+length, such as bitstamp:skew=-0.2@now+1h";

fn parse(word: &str, now: Time) -> Result<PriceFault, String> {
    let (source, rest) = word.split_once(':').ok_or(FORM)?;
    let names = || PriceSource::all().map(PriceSource::as_str).collect::<Vec<_>>().join(", ");
    let source =
        PriceSource::known(source).ok_or_else(|| format!("unknown source; use one of {}", names()))?;
    let (what, when) = rest.split_once('@').ok_or(FORM)?;
    let (start, length) = when.rsplit_once('+').ok_or(FORM)?;
    let start = if start == "now" { Some(now) } else { Time::parse(start) };
    let start = start.ok_or("the start is neither `now` nor a moment in UTC")?;
    let length = crate::faults::duration(length)?;
    let (name, value) = what.split_once('=').unwrap_or((what, ""));
    let trouble = match name {
        "skew" => {
            let share: f64 = value.parse().map_err(|_| "skew wants a share, such as -0.2")?;
            if !(share > -1.0 && share < 10.0) {
                return Err("a skew lies above -1 and below 10".into());
            }
            PriceTrouble::Skew(share)
        }
        "silent" => PriceTrouble::Silent,
        "nulls" => PriceTrouble::Nulls,
        "crossed" => PriceTrouble::Crossed,
        "negative" => PriceTrouble::Negative,
        "twice" => PriceTrouble::Twice,
        "garbage" => PriceTrouble::Garbage,
        "down" => PriceTrouble::Down,
        "ban" => PriceTrouble::Ban(crate::faults::duration(if value.is_empty() { "5s" } else { value })?),
        _ => {
            return Err(
                "unknown; know skew, silent, nulls, crossed, negative, twice, garbage, down, ban".into()
            );
        }
    };
    let end = start.plus_micros(i64::try_from(length.as_micros()).unwrap_or(i64::MAX));
    Ok(PriceFault { source, trouble, span: start..end })
}

#[cfg(test)]
mod tests {
    //! Cases for the words.
    use super::*;

    #[test]
    fn words_become_faults() {
        let now = Time(1_791_382_800_000_000);
        let hour = Duration::from_hours(1).as_micros() as i64;
        let faults = parse_price_faults(
            "bitstamp:skew=-0.2@now+1h, okx:ban=7s@2026-10-07T14:20:00Z+1h,coinbase:nulls@1791382800+1h",
            now,
        )
        .unwrap();
        let troubles: Vec<PriceTrouble> = faults.iter().map(|fault| fault.trouble).collect();
        let expect =
            [PriceTrouble::Skew(-0.2), PriceTrouble::Ban(Duration::from_secs(7)), PriceTrouble::Nulls];
        assert_eq!(troubles, expect);
        assert!(faults.iter().all(|fault| fault.span == (now..now.plus_micros(hour))));
        assert_eq!(parse_price_faults("none", now), Ok(Vec::new()));
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        for (text, reason) in [
            ("skew", "write source:word"),
            ("kraken:silent@now+1h", "use one of binance"),
            ("okx:silent", "write source:word"),
            ("okx:silent@soon+1h", "neither `now`"),
            ("okx:silent@now+long", "no duration"),
            ("okx:skew=-1@now+1h", "above -1"),
            ("okx:explode@now+1h", "know skew"),
        ] {
            let error = parse_price_faults(text, Time(0)).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}

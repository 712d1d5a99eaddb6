//! Rows of a price source as somebody posts them: read field by field, and checked; every refusal names the field.

mod fields;

use std::collections::BTreeMap;

use axum::http::StatusCode;
use model::{BUCKET, Decimal, Ohlcv, PriceSource, Time, VenuePrice};
use serde_json::value::RawValue;

use self::fields::Fields;
use crate::house::cut;
use crate::refusal::Refusal;

/// How far the poster's clock may run ahead of ours.
const SKEW_MAX: i64 = model::time::MINUTE;
/// The first block's day: nothing was worth anything before.
const FIRST: Time = Time(1_230_940_800_000_000);
/// Length of a word that tells how a row came about.
const WORD_MAX: usize = 40;
/// No bitcoin ever cost more, whatever it is paid in; what does is a mistake of digits.
const PRICE_MAX: Decimal = Decimal::new(1_000_000_000_000, 0);
/// More bitcoins will never be.
const VOLUME_MAX: Decimal = Decimal::new(21_000_000, 0);

const FIELDS: [&str; 14] = [
    "source",
    "bucket_start_utc",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quality_status",
    "data_source_mode",
    "child_interval",
    "child_count",
    "child_count_expected",
    "first_received_utc",
    "received_utc",
];

/// Rows of a body: one object or a list of them. Of two with the same bucket the later one counts.
pub(crate) fn read(body: &[u8], source: PriceSource, now: Time) -> Result<(Vec<VenuePrice>, usize), Refusal> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let rows: Result<Vec<Fields<'_>>, _> = if is_list {
        serde_json::from_slice(body)
    } else {
        serde_json::from_slice(body).map(|row| vec![row])
    };
    let rows = rows.map_err(|error| {
        refused(
            format!("the body is no row and no list of rows: {error}"),
            "send a JSON object or a list of objects",
        )
    })?;
    let count = rows.len();
    let mut by_bucket = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        let row = Row { fields: &row.0, source, now }.read().map_err(|mut refusal| {
            if is_list {
                refusal.message = format!("row {at}: {}", refusal.message).into();
            }
            refusal
        })?;
        by_bucket.insert(row.bucket, row);
    }
    let duplicates = count - by_bucket.len();
    Ok((by_bucket.into_values().collect(), duplicates))
}

fn refused(message: String, remedy: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_row", message, remedy)
}

struct Row<'a> {
    fields: &'a BTreeMap<String, &'a RawValue>,
    source: PriceSource,
    now: Time,
}

impl Row<'_> {
    fn read(&self) -> Result<VenuePrice, Refusal> {
        if let Some(name) = self.fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
            return Err(refused(
                format!("unknown field {:?}", cut(name)),
                format!("known are {}", FIELDS.join(", ")),
            ));
        }
        if let Some(name) = self.text("source")?.filter(|name| name != self.source.as_str()) {
            let message = format!("source is {:?}, the address names {}", cut(&name), self.source);
            return Err(refused(message, "post to the address of the row's source"));
        }
        let bucket = self.bucket()?;
        let price = self.price()?;
        let child_minutes = self.child_minutes()?;
        let expected = self.count("child_count_expected", 10 / child_minutes.max(1))?;
        if expected != 10 / child_minutes.max(1) {
            let message = format!("child_count_expected is {expected}, of {child_minutes}m there are others");
            return Err(refused(
                message,
                format!("ten minutes have {} of {child_minutes}m", 10 / child_minutes),
            ));
        }
        let (child_count, quality) = self.quality(expected)?;
        let (first_received, received) = self.received()?;
        Ok(VenuePrice {
            source: self.source,
            bucket,
            price,
            quality_status: quality.to_owned(),
            data_source_mode: self.word("data_source_mode", "remote")?,
            child_minutes,
            child_count,
            child_count_expected: expected,
            first_received_time: first_received,
            received_time: received,
        })
    }

    fn bucket(&self) -> Result<Time, Refusal> {
        let bucket = self.time("bucket_start_utc")?.ok_or_else(|| missing("bucket_start_utc"))?;
        if bucket.0.rem_euclid(BUCKET) != 0 {
            let message = format!("bucket_start_utc {bucket} is not on the grid of ten minutes");
            return Err(refused(message, "send the start of the ten minutes, such as 2024-08-08T12:10:00Z"));
        }
        if bucket < FIRST {
            return Err(refused(
                format!("bucket_start_utc {bucket} lies before 2009"),
                "send the time in milliseconds or as RFC 3339",
            ));
        }
        let end = bucket.plus_micros(BUCKET - SKEW_MAX);
        if end > self.now {
            let message = format!(
                "bucket_start_utc {bucket} lies in the future: its ten minutes are not over at {}",
                self.now
            );
            let remedy = "post a row once its ten minutes are over, and check both clocks";
            // Of the ten minutes that run now it will be right soon; the poster need not give it up.
            let is_soon = end.plus_micros(-BUCKET) <= self.now;
            return Err(if is_soon {
                Refusal::new(StatusCode::TOO_EARLY, "too_early", message, remedy)
            } else {
                refused(message, remedy)
            });
        }
        Ok(bucket)
    }

    fn price(&self) -> Result<Ohlcv, Refusal> {
        let number = |name: &'static str| self.number(name);
        let price = Ohlcv {
            open: number("open")?,
            high: number("high")?,
            low: number("low")?,
            close: number("close")?,
            volume: number("volume")?,
        };
        let Ohlcv { open, high, low, close, volume } = price;
        let zero = Decimal::default();
        for (name, value) in [("open", open), ("high", high), ("low", low), ("close", close)] {
            if value > PRICE_MAX {
                let message = format!("{name} {value} is no price of a bitcoin");
                return Err(refused(message, "check the digits and the unit"));
            }
            if value <= zero {
                return Err(refused(
                    format!("{name} {value} is not above 0"),
                    "leave out ten minutes without a price",
                ));
            }
        }
        for (name, value) in [("open", open), ("close", close), ("low", low)] {
            if high < value {
                return Err(refused(
                    format!("high {high} is below {name} {value}"),
                    "check the order of the fields",
                ));
            }
        }
        for (name, value) in [("open", open), ("close", close)] {
            if low > value {
                return Err(refused(
                    format!("low {low} is above {name} {value}"),
                    "check the order of the fields",
                ));
            }
        }
        if volume > VOLUME_MAX {
            let message = format!("volume {volume} is more than all bitcoins there will be");
            return Err(refused(message, "send the volume in BTC"));
        }
        if volume < zero {
            return Err(refused(format!("volume {volume} is negative"), "send the volume in BTC, 0 or more"));
        }
        Ok(price)
    }

    fn raw(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null")
    }

    fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text: Result<String, _> = serde_json::from_str(raw);
        text.map(Some)
            .map_err(|_| refused(format!("{name} is no text: {}", cut(raw)), "send it between quotes"))
    }

    /// Exact decimals come as text; numbers are taken digit for digit too.
    fn number(&self, name: &'static str) -> Result<Decimal, Refusal> {
        let raw = self.raw(name).ok_or_else(|| missing(name))?;
        let text = if raw.starts_with('"') { self.text(name)?.unwrap_or_default() } else { raw.to_owned() };
        text.parse().map_err(|_| {
            refused(format!("{name} is no decimal number: {}", cut(raw)), "send digits, such as \"61837.63\"")
        })
    }

    fn time(&self, name: &str) -> Result<Option<Time>, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(None) };
        let text = if raw.starts_with('"') { self.text(name)?.unwrap_or_default() } else { raw.to_owned() };
        let time = Time::parse(&text).filter(|time| (Time(0)..crate::rest::ask::TIME_MAX).contains(time));
        time.map(Some).ok_or_else(|| {
            refused(
                format!("{name} is no time: {}", cut(raw)),
                "send RFC 3339 in UTC, such as 2024-08-08T12:10:00Z",
            )
        })
    }

    fn count(&self, name: &str, usual: u16) -> Result<u16, Refusal> {
        let Some(raw) = self.raw(name) else { return Ok(usual) };
        let count = raw.parse::<u16>().ok().filter(|count| *count <= 600);
        count.ok_or_else(|| {
            refused(format!("{name} is no count: {}", cut(raw)), "send a whole number from 0 to 600")
        })
    }

    fn child_minutes(&self) -> Result<u16, Refusal> {
        let Some(text) = self.text("child_interval")? else { return Ok(1) };
        let minutes = text.strip_suffix('m').and_then(|digits| digits.parse().ok());
        minutes.filter(|minutes| matches!(minutes, 1 | 2 | 5 | 10)).ok_or_else(|| {
            refused(
                format!("child_interval is not 1m, 2m, 5m or 10m: {:?}", cut(&text)),
                "send the length of the candles that went in",
            )
        })
    }

    /// How many candles went in, and how whole that is: as it is told, else as the count tells it, else `unknown`. Nothing is
    /// claimed that nobody said, and what is said twice must agree.
    fn quality(&self, expected: u16) -> Result<(u16, &'static str), Refusal> {
        let count =
            if self.raw("child_count").is_some() { Some(self.count("child_count", 0)?) } else { None };
        if let Some(count) = count.filter(|count| *count > expected) {
            let message = format!("child_count {count} is above child_count_expected {expected}");
            return Err(refused(message, "count only the candles that ten minutes can have"));
        }
        let counted = count.map(|count| if count == expected { "complete" } else { "partial" });
        let told = match self.text("quality_status")?.as_deref() {
            None => counted.unwrap_or("unknown"),
            Some("complete") => "complete",
            Some("partial") => "partial",
            Some("unknown") => "unknown",
            Some(other) => {
                let message = format!("no such quality_status: {:?}", cut(other));
                return Err(refused(message, "send complete, partial or unknown"));
            }
        };
        if let (Some(count), Some(counted)) = (count, counted)
            && told != "unknown"
            && told != counted
        {
            let message =
                format!("quality_status is {told}, child_count {count} of {expected} says {counted}");
            return Err(refused(message, "send one of them, or both alike"));
        }
        let usual = if told == "complete" { expected } else { 0 };
        Ok((count.unwrap_or(usual), told))
    }

    /// When the first and the last of it were received.
    fn received(&self) -> Result<(Time, Time), Refusal> {
        let last = self.time("received_utc")?.unwrap_or(self.now);
        let first = self.time("first_received_utc")?.unwrap_or(last);
        if first > last {
            let message = format!("first_received_utc {first} lies after received_utc {last}");
            return Err(refused(message, "swap them"));
        }
        if last > self.now.plus_micros(SKEW_MAX) {
            let message = format!("received_utc {last} lies in the future: it is {}", self.now);
            return Err(refused(message, "check both clocks"));
        }
        Ok((first, last))
    }

    fn word(&self, name: &str, usual: &str) -> Result<String, Refusal> {
        let word = self.text(name)?.unwrap_or_else(|| usual.to_owned());
        let is_word = (1..=WORD_MAX).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
        if is_word {
            return Ok(word);
        }
        Err(refused(format!("{name} is no word: {:?}", cut(&word)), "send letters, digits and underscores"))
    }
}

fn missing(name: &str) -> Refusal {
    refused(
        format!("field {name} is missing"),
        format!("send {name}; see the guide on Bitcoin for all fields"),
    )
}

#[cfg(test)]
mod tests {
    //! Cases for what was not said, and what was said too early.
    use super::*;

    fn row(more: &str, now: &str) -> Result<VenuePrice, Refusal> {
        let body = format!(
            "{{\"bucket_start_utc\": \"2024-08-08T12:00:00Z\", \"open\": 2, \"high\": 3, \"low\": 1, \"close\": 2, \"volume\": 0{more}}}"
        );
        let source = PriceSource::known("binance").unwrap();
        let (mut rows, _) = read(body.as_bytes(), source, Time::parse(now).unwrap())?;
        Ok(rows.remove(0))
    }

    #[test]
    fn quality_is_what_was_said_and_nothing_more() {
        for (more, quality, count) in [
            ("", "unknown", 0),
            (r#", "quality_status": "complete""#, "complete", 10),
            (r#", "quality_status": "partial""#, "partial", 0),
            (r#", "quality_status": "unknown", "child_interval": "5m""#, "unknown", 0),
            (r#", "quality_status": "unknown", "child_count": 3"#, "unknown", 3),
            (r#", "quality_status": "partial", "child_count": 9"#, "partial", 9),
            (r#", "child_count": 10"#, "complete", 10),
            (r#", "child_count": 7"#, "partial", 7),
            (r#", "child_count": 2, "child_interval": "5m""#, "complete", 2),
        ] {
            let row = row(more, "2024-08-08T12:30:00Z").unwrap();
            assert_eq!((row.quality_status.as_str(), row.child_count), (quality, count), "{more}");
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for (more, part) in [
            (r#", "quality_status": "complete", "child_count": 5"#, "says partial"),
            (r#", "quality_status": "partial", "child_count": 10"#, "says complete"),
            (r#", "child_count_expected": 600, "child_count": 300"#, "child_count_expected is 600"),
            (r#", "child_interval": "5m", "child_count_expected": 10"#, "child_count_expected is 10"),
            (
                r#", "first_received_utc": "2024-08-08T12:11:00Z", "received_utc": "2024-08-08T12:10:00Z""#,
                "lies after",
            ),
            (r#", "received_utc": "2036-08-08T12:10:00Z""#, "in the future"),
            (r#", "low": 1"#, "\"low\" stands twice"),
        ] {
            let refusal = row(more, "2024-08-08T12:30:00Z").unwrap_err();
            assert!(refusal.status == 422 && refusal.message.contains(part), "{more}: {}", refusal.message);
        }
        let now = Time::parse("2024-08-08T12:30:00Z").unwrap();
        let source = PriceSource::known("binance").unwrap();
        for (price, volume, part) in [("1e30", "0", "no price"), ("2", "21000001", "more than all")] {
            let body = format!(
                "{{\"bucket_start_utc\": \"2024-08-08T12:00:00Z\", \"open\": {price}, \"high\": {price}, \"low\": {price}, \
                 \"close\": {price}, \"volume\": {volume}}}"
            );
            let refusal = read(body.as_bytes(), source, now).unwrap_err();
            assert!(refusal.message.contains(part), "{}", refusal.message);
        }
    }

    #[test]
    fn what_runs_still_is_early_and_what_is_far_ahead_is_wrong() {
        for (now, expect) in [
            ("2024-08-08T11:40:00Z", Some((422, "bad_row"))),
            ("2024-08-08T11:58:59Z", Some((422, "bad_row"))),
            ("2024-08-08T11:59:00Z", Some((425, "too_early"))),
            ("2024-08-08T12:08:59Z", Some((425, "too_early"))),
            ("2024-08-08T12:09:00Z", None),
        ] {
            let told = row("", now).err().map(|refusal| (refusal.status.as_u16(), refusal.code));
            assert_eq!(told, expect, "{now}");
        }
    }
}

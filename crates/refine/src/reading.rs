//! Rows read back from the store: Arrow columns to words of the house.

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, RecordBatch};
use model::{
    Bar, BarSource, BarState, Channel, Condition, Decimal, Gap, GapCause, GapState, Instrument, InstrumentId,
    InstrumentStatus, Side, Source, Time, Timeframe, Trade,
};
use tables::{DayCondition, DayCover, InstrumentRow, StoreError};

/// One batch with its columns found by name.
struct Reading<'a>(&'a RecordBatch);

impl<'a> Reading<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, StoreError> {
        self.0
            .column_by_name(name)
            .ok_or_else(|| StoreError::Failed(format!("rows read back lack column {name}")))
    }

    fn wrong(name: &str) -> StoreError {
        StoreError::Failed(format!("rows read back have another type in column {name}"))
    }

    fn text(&self, name: &str) -> Result<Vec<Option<&'a str>>, StoreError> {
        let column = self.column(name)?;
        if let Some(array) = column.as_string_opt::<i32>() {
            return Ok(array.iter().collect());
        }
        if let Some(array) = column.as_string_opt::<i64>() {
            return Ok(array.iter().collect());
        }
        column.as_string_view_opt().map(|array| array.iter().collect()).ok_or_else(|| Self::wrong(name))
    }

    fn times(&self, name: &str) -> Result<Vec<Time>, StoreError> {
        let array = self.column(name)?;
        let array = array.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| Self::wrong(name))?;
        Ok(array.values().iter().map(|micros| Time(*micros)).collect())
    }

    fn times_or_null(&self, name: &str) -> Result<Vec<Option<Time>>, StoreError> {
        let array = self.column(name)?;
        let array = array.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| Self::wrong(name))?;
        Ok(array.iter().map(|micros| micros.map(Time)).collect())
    }

    fn ints(&self, name: &str) -> Result<Vec<Option<i64>>, StoreError> {
        let array = self.column(name)?.as_primitive_opt::<Int64Type>().ok_or_else(|| Self::wrong(name))?;
        Ok(array.iter().collect())
    }

    fn smalls(&self, name: &str) -> Result<Vec<i32>, StoreError> {
        let array = self.column(name)?.as_primitive_opt::<Int32Type>().ok_or_else(|| Self::wrong(name))?;
        Ok(array.values().to_vec())
    }

    fn floats(&self, name: &str) -> Result<Vec<Decimal>, StoreError> {
        let array = self.column(name)?.as_primitive_opt::<Float64Type>().ok_or_else(|| Self::wrong(name))?;
        array.values().iter().map(|value| decimal(*value).ok_or_else(|| Self::wrong(name))).collect()
    }

    fn floats_or_null(&self, name: &str) -> Result<Vec<Option<Decimal>>, StoreError> {
        let array = self.column(name)?.as_primitive_opt::<Float64Type>().ok_or_else(|| Self::wrong(name))?;
        let read = |value: Option<f64>| value.map(|value| decimal(value).ok_or_else(|| Self::wrong(name)));
        array.iter().map(|value| read(value).transpose()).collect()
    }

    fn exact(&self, name: &str) -> Result<Vec<Option<Decimal>>, StoreError> {
        let array =
            self.column(name)?.as_primitive_opt::<Decimal128Type>().ok_or_else(|| Self::wrong(name))?;
        let scale = u8::try_from(array.scale()).map_err(|_| Self::wrong(name))?;
        Ok(array.iter().map(|value| value.map(|value| Decimal::new(value, scale))).collect())
    }
}

/// The decimal that a stored double prints as. Most have few digits, and need not be printed for that.
fn decimal(value: f64) -> Option<Decimal> {
    const POWERS: [f64; 11] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10];
    if value.abs() < 1e15 {
        for (scale, power) in (0_u8..).zip(POWERS) {
            let shifted = (value * power).round();
            if shifted.abs() >= 1e15 {
                break;
            }
            // The quotient of two exact doubles is rounded once, as when the venue's text was read.
            #[expect(clippy::float_cmp, reason = "the same double is what is asked for")]
            if shifted / power == value {
                return Some(Decimal::new(shifted as i128, scale));
            }
        }
    }
    Decimal::from_f64(value)
}

/// 1-minute bars of one instrument.
pub(crate) fn minute_bars(
    instrument: &InstrumentId,
    batches: &[RecordBatch],
) -> Result<Vec<Bar>, StoreError> {
    let mut bars = Vec::new();
    for batch in batches {
        let rows = Reading(batch);
        let (timeframes, sources) = (rows.text("timeframe")?, rows.text("source")?);
        let (open_times, available_times) = (rows.times("open_time")?, rows.times("available_time")?);
        let prices = [rows.floats("open")?, rows.floats("high")?, rows.floats("low")?, rows.floats("close")?];
        let sums = [rows.exact("volume")?, rows.exact("quote_volume")?, rows.exact("taker_buy_volume")?];
        let (counts, revisions) = (rows.ints("trade_count")?, rows.smalls("revision")?);
        for row in (0..batch.num_rows()).filter(|row| timeframes[*row] == Some("1m")) {
            let revision = revisions[row];
            bars.push(Bar {
                instrument: instrument.clone(),
                timeframe: Timeframe::MINUTE,
                open_time: open_times[row],
                open: prices[0][row],
                high: prices[1][row],
                low: prices[2][row],
                close: prices[3][row],
                volume: sums[0][row].unwrap_or_default(),
                quote_volume: sums[1][row].unwrap_or_default(),
                trade_count: counts[row],
                taker_buy_volume: sums[2][row],
                source: if sources[row] == Some("venue") { BarSource::Venue } else { BarSource::Trades },
                state: if revision > 0 { BarState::Revised } else { BarState::Closed },
                revision,
                available_time: available_times[row],
            });
        }
    }
    Ok(bars)
}

/// Columns of `trades` that [`trades`] reads.
pub(crate) const TRADE_COLUMNS: &[&str] =
    &["venue_time", "trade_id", "venue_trade_id", "price", "quantity", "taker_side", "condition"];

/// Trades of one instrument, with what bars need of them.
pub(crate) fn trades(instrument: &InstrumentId, batches: &[RecordBatch]) -> Result<Vec<Trade>, StoreError> {
    let mut trades = Vec::new();
    for batch in batches {
        let rows = Reading(batch);
        let (times, ids, texts) =
            (rows.times("venue_time")?, rows.ints("trade_id")?, rows.text("venue_trade_id")?);
        let (prices, quantities) = (rows.floats("price")?, rows.floats("quantity")?);
        let (sides, conditions) = (rows.text("taker_side")?, rows.text("condition")?);
        for row in 0..batch.num_rows() {
            trades.push(Trade {
                instrument: instrument.clone(),
                venue_time: times[row],
                trade_id: ids[row],
                venue_trade_id: texts[row].map(Into::into),
                price: prices[row],
                quantity: quantities[row],
                taker_side: if sides[row] == Some("sell") { Side::Sell } else { Side::Buy },
                first_trade_id: None,
                last_trade_id: None,
                condition: if conditions[row] == Some("market") {
                    Condition::Market
                } else {
                    Condition::Other
                },
                received_time: times[row],
                source: Source::Stream,
            });
        }
    }
    Ok(trades)
}

/// How a stored trade is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoredId<'a> {
    /// By a number.
    Number(i64),
    /// By a text.
    Text(&'a str),
}

/// Names and sources of stored trades; those without a name are left out.
pub(crate) fn stored_ids(
    batch: &RecordBatch,
    mut take: impl FnMut(StoredId<'_>, &str),
) -> Result<(), StoreError> {
    let rows = Reading(batch);
    let (ids, texts, sources) = (rows.ints("trade_id")?, rows.text("venue_trade_id")?, rows.text("source")?);
    for ((id, text), source) in ids.into_iter().zip(texts).zip(sources) {
        let id = id.map(StoredId::Number).or(text.map(StoredId::Text));
        if let (Some(id), Some(source)) = (id, source) {
            take(id, source);
        }
    }
    Ok(())
}

/// Days of one stream of one instrument, ascending.
pub(crate) fn days(channel: Channel, batches: &[RecordBatch]) -> Result<Vec<DayCover>, StoreError> {
    let mut days = Vec::new();
    for batch in batches {
        let rows = Reading(batch);
        let (channels, conditions, starts) =
            (rows.text("channel")?, rows.text("condition")?, rows.times("day")?);
        let counts = [rows.ints("row_count")?, rows.ints("missing")?, rows.ints("duplicates")?];
        let count = |figure: usize, row: usize| counts[figure][row].unwrap_or_default().unsigned_abs();
        for row in (0..batch.num_rows()).filter(|row| channels[*row] == Some(channel.as_str())) {
            days.push(DayCover {
                day: starts[row].date(),
                condition: conditions[row].and_then(DayCondition::named).unwrap_or(DayCondition::Pending),
                rows: count(0, row),
                missing: count(1, row),
                duplicates: count(2, row),
            });
        }
    }
    days.sort_by_key(|day| day.day);
    Ok(days)
}

/// Forms of instruments.
pub(crate) fn instruments(batches: &[RecordBatch]) -> Result<Vec<InstrumentRow>, StoreError> {
    let mut forms = Vec::new();
    for batch in batches {
        let rows = Reading(batch);
        let [ids, symbols, bases, quotes, settles, states] =
            ["instrument", "venue_symbol", "base", "quote", "settle", "status"].map(|name| rows.text(name));
        let (ids, symbols, bases, quotes, settles, states) =
            (ids?, symbols?, bases?, quotes?, settles?, states?);
        let [ticks, lots, quantities, notionals] =
            ["tick_size", "lot_size", "quantity_min", "notional_min"].map(|name| rows.floats_or_null(name));
        let (ticks, lots, quantities, notionals) = (ticks?, lots?, quantities?, notionals?);
        let (sizes, froms) = (rows.floats("contract_size")?, rows.times("valid_from")?);
        let (listed, ends) = (rows.times_or_null("listed_time")?, rows.times_or_null("valid_to")?);
        let owned = |text: Option<&str>| Box::<str>::from(text.unwrap_or_default());
        for row in 0..batch.num_rows() {
            let id: Option<InstrumentId> = ids[row].and_then(|id| id.parse().ok());
            let (Some(id), Some(status)) = (id, states[row].and_then(InstrumentStatus::named)) else {
                return Err(StoreError::Failed(format!(
                    "a row of instruments is not understood: {:?}",
                    ids[row]
                )));
            };
            let instrument = Instrument {
                symbol: owned(symbols[row]),
                base: owned(bases[row]),
                quote: owned(quotes[row]),
                settle: owned(settles[row]),
                kind: id.kind(),
                status,
                tick_size: ticks[row],
                lot_size: lots[row],
                quantity_min: quantities[row],
                notional_min: notionals[row],
                contract_size: sizes[row],
                listed_time: listed[row],
                id,
            };
            forms.push(InstrumentRow { instrument, valid_from: froms[row], valid_to: ends[row] });
        }
    }
    Ok(forms)
}

/// Gap rows of one instrument.
pub(crate) fn gaps(instrument: &InstrumentId, batches: &[RecordBatch]) -> Result<Vec<Gap>, StoreError> {
    let mut gaps = Vec::new();
    for batch in batches {
        let rows = Reading(batch);
        let (channels, states) = (rows.text("channel")?, rows.text("state")?);
        let (causes, sources) = (rows.text("cause")?, rows.text("source")?);
        let (first_ids, last_ids) = (rows.ints("first_id")?, rows.ints("last_id")?);
        let (first_times, last_times) = (rows.times("first_time")?, rows.times("last_time")?);
        let (found_times, closed_times) = (rows.times("found_time")?, rows.times_or_null("closed_time")?);
        for row in 0..batch.num_rows() {
            let names = (channels[row], states[row], causes[row]);
            let (Some(channel), Some(state), Some(cause)) = (
                names.0.and_then(Channel::named),
                names.1.and_then(GapState::named),
                names.2.and_then(GapCause::named),
            ) else {
                return Err(StoreError::Failed(format!("a gap row has words that are not known: {names:?}")));
            };
            gaps.push(Gap {
                instrument: instrument.clone(),
                channel,
                first_id: first_ids[row],
                last_id: last_ids[row],
                first_time: first_times[row],
                last_time: last_times[row],
                state,
                cause,
                source: sources[row].and_then(Source::named),
                found_time: found_times[row],
                closed_time: closed_times[row],
            });
        }
    }
    Ok(gaps)
}

#[cfg(test)]
mod tests {
    //! Cases for numbers read back.
    use super::*;

    #[test]
    fn doubles_become_the_digits_they_print() {
        for text in [
            "0",
            "0.00000001",
            "83143.5",
            "123456789.12345678",
            "-1.5",
            "1e300",
            "0.1",
            "0.30000000000000004",
        ] {
            let value: f64 = text.parse().unwrap();
            assert_eq!(decimal(value), Decimal::from_f64(value), "{text}");
        }
        assert_eq!(decimal(f64::NAN), None);
    }
}

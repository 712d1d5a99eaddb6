//! Tells the collector what is known from before: the venues' bars in the tables, and the instruments that refining knows.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use collect::Known;
use futures::future::BoxFuture;
use model::{BarSource, Instrument, InstrumentId, Time, VenueId};
use tables::{MarketView, TableName, TableScan, TableStore, TimeRange};

/// The tables and the market, as the collector sees them.
pub(crate) struct Stored {
    pub(crate) store: Arc<dyn TableStore>,
    pub(crate) market: Arc<dyn MarketView>,
}

impl Known for Stored {
    fn klines(&self, instrument: InstrumentId, start: Time, end: Time) -> BoxFuture<'_, Vec<Time>> {
        let scan = TableScan {
            instrument: Some(instrument.clone()),
            range: Some(TimeRange { start, end }),
            columns: vec!["open_time", "timeframe", "source"],
            ..TableScan::default()
        };
        Box::pin(async move {
            match self.store.scan(TableName::Bars, scan).await {
                Ok(batches) => batches.iter().flat_map(starts).collect(),
                Err(error) => {
                    tracing::warn!(%instrument, %error, "stored bars cannot be read: the venue's are fetched anew");
                    Vec::new()
                }
            }
        })
    }

    fn listed(&self, venue: VenueId) -> Vec<Instrument> {
        self.market.instruments().into_iter().filter(|instrument| instrument.id.venue() == venue).collect()
    }
}

/// Starts of the venue's 1-minute bars.
fn starts(batch: &RecordBatch) -> Vec<Time> {
    let column = |name: &str| batch.column_by_name(name);
    let times = column("open_time").and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let (Some(times), Some(timeframes), Some(sources)) = (times, column("timeframe"), column("source"))
    else {
        return Vec::new();
    };
    let (are_minutes, are_venues) = (equal(timeframes, "1m"), equal(sources, BarSource::Venue.as_str()));
    let wanted = are_minutes.into_iter().zip(are_venues).map(|(is_minute, is_venue)| is_minute && is_venue);
    times
        .values()
        .iter()
        .zip(wanted)
        .filter(|(_, is_wanted)| *is_wanted)
        .map(|(time, _)| Time(*time))
        .collect()
}

/// Which rows hold the word, in whichever form readers give texts back.
fn equal(column: &ArrayRef, word: &str) -> Vec<bool> {
    if let Some(array) = column.as_string_opt::<i32>() {
        return array.iter().map(|text| text == Some(word)).collect();
    }
    if let Some(array) = column.as_string_opt::<i64>() {
        return array.iter().map(|text| text == Some(word)).collect();
    }
    let views =
        column.as_string_view_opt().map(|array| array.iter().map(|text| text == Some(word)).collect());
    views.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    //! Cases for rows of bars.
    use super::*;
    use model::{Bar, BarState, Decimal, Timeframe};

    #[test]
    fn only_minutes_of_the_venue_count() {
        let bar = |minute: i64, timeframe: Timeframe, source: BarSource| Bar {
            instrument: "binance:BTC-USDT".parse().expect("an id"),
            timeframe,
            open_time: Time(minute * 60_000_000),
            source,
            state: BarState::Closed,
            open: Decimal::ONE,
            high: Decimal::ONE,
            low: Decimal::ONE,
            close: Decimal::ONE,
            volume: Decimal::ONE,
            quote_volume: Decimal::ONE,
            trade_count: None,
            taker_buy_volume: None,
            revision: 0,
            available_time: Time(0),
        };
        let rows = [
            bar(1, Timeframe::MINUTE, BarSource::Venue),
            bar(2, Timeframe::MINUTE, BarSource::Trades),
            bar(3, Timeframe::Minutes(15), BarSource::Venue),
            bar(4, Timeframe::MINUTE, BarSource::Venue),
        ];
        let batch = tables::Rows::Bars(rows.to_vec()).to_batch();
        assert_eq!(starts(&batch), [Time(60_000_000), Time(240_000_000)]);
    }
}

//! The slower series: funding, open interest and mark prices; and the coverage of any channel.

use std::sync::Arc;

use arrow_array::Array;
use axum::Json;
use axum::extract::State;
use model::{Channel, Instrument, Time};
use serde::Deserialize;
use tables::{TableName, TimeRange};
use utoipa::IntoParams;

use super::answered::Answered;
use super::ask::{Ask, Bounds, SymbolPath, Words};
use super::market::{SeriesAsk, coverage_of};
use super::rows::{self, Columns, millis, number, number_or_null};
use crate::dto::market::{FundingForm, MarkPriceForm, OpenInterestForm};
use crate::dto::{Answer, CoverageForm};
use crate::house::{House, cut};
use crate::refusal::{ErrorBody, Refusal};

type Rows<T> = Result<Json<Answer<Vec<T>>>, Refusal>;

struct Asked {
    house: Arc<House>,
    instrument: Instrument,
    bounds: Bounds,
    limit: usize,
}

impl Asked {
    fn read(house: Arc<House>, symbol: &str, ask: &SeriesAsk) -> Result<Self, Refusal> {
        let instrument = house.instrument(symbol, ask.venue.as_deref())?;
        let (bounds, limit) = ask.checked()?;
        Ok(Self { house, instrument, bounds, limit })
    }

    async fn rows(&self, table: TableName) -> Result<Vec<arrow_array::RecordBatch>, Refusal> {
        rows::read(&self.house, table, &self.instrument.id, self.bounds, self.limit).await
    }

    async fn answer<T>(&self, channel: Channel, data: Vec<T>, time: fn(&T) -> i64) -> Rows<T> {
        let answered = Answered::new(self.bounds, self.limit, &mut data.iter().map(time));
        let coverage = coverage_of(&self.house, &self.instrument, channel, answered).await;
        let message = format!("Retrieved {} rows", data.len());
        Ok(Json(Answer::new(data, message).with_coverage((&coverage).into())))
    }
}

/// Settled funding rates of one instrument, ascending.
#[utoipa::path(
    get, path = "/api/v1/data/funding/{symbol}", tag = "data",
    params(SymbolPath, SeriesAsk),
    responses((status = 200, description = "Funding rates", body = Answer<Vec<FundingForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn funding(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<SeriesAsk>,
) -> Rows<FundingForm> {
    let asked = Asked::read(house, &symbol, &ask)?;
    let mut data = Vec::new();
    for batch in asked.rows(TableName::Funding).await? {
        let columns = Columns::of(TableName::Funding, &batch);
        let (times, received) = (columns.time("time")?, columns.time("received_time")?);
        let (rates, marks) = (columns.float("rate")?, columns.float("mark_price")?);
        let (hours, sources) = (columns.small("interval_hours")?, columns.text("source")?);
        data.extend(columns.rows().map(|row| FundingForm {
            funding_time: millis(&times, row),
            rate: number(&rates, row),
            interval_hours: hours.is_valid(row).then(|| hours.value(row)),
            mark_price: number_or_null(&marks, row),
            received_time: millis(&received, row),
            source: sources.value(row).to_owned(),
        }));
    }
    asked.answer(Channel::Funding, data, |row| row.funding_time).await
}

/// Readings of open interest of one instrument, ascending.
#[utoipa::path(
    get, path = "/api/v1/data/open_interest/{symbol}", tag = "data",
    params(SymbolPath, SeriesAsk),
    responses((status = 200, description = "Readings", body = Answer<Vec<OpenInterestForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn open_interest(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<SeriesAsk>,
) -> Rows<OpenInterestForm> {
    let asked = Asked::read(house, &symbol, &ask)?;
    let mut data = Vec::new();
    for batch in asked.rows(TableName::OpenInterest).await? {
        let columns = Columns::of(TableName::OpenInterest, &batch);
        let (times, received) = (columns.time("time")?, columns.time("received_time")?);
        let (quantities, values) = (columns.float("quantity")?, columns.float("value")?);
        data.extend(columns.rows().map(|row| OpenInterestForm {
            timestamp: millis(&times, row),
            quantity: number(&quantities, row),
            value: number_or_null(&values, row),
            received_time: millis(&received, row),
        }));
    }
    asked.answer(Channel::OpenInterest, data, |row| row.timestamp).await
}

/// Mark prices of one instrument with the running funding rate, ascending.
#[utoipa::path(
    get, path = "/api/v1/data/mark_prices/{symbol}", tag = "data",
    params(SymbolPath, SeriesAsk),
    responses((status = 200, description = "Mark prices", body = Answer<Vec<MarkPriceForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn mark_prices(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<SeriesAsk>,
) -> Rows<MarkPriceForm> {
    let asked = Asked::read(house, &symbol, &ask)?;
    let mut data = Vec::new();
    for batch in asked.rows(TableName::MarkPrices).await? {
        let columns = Columns::of(TableName::MarkPrices, &batch);
        let (times, received) = (columns.time("time")?, columns.time("received_time")?);
        let (marks, indexes) = (columns.float("mark_price")?, columns.float("index_price")?);
        let (rates, next) = (columns.float("funding_rate")?, columns.time("next_funding_time")?);
        let hours = columns.small("interval_hours")?;
        data.extend(columns.rows().map(|row| MarkPriceForm {
            timestamp: millis(&times, row),
            mark_price: number(&marks, row),
            index_price: number_or_null(&indexes, row),
            funding_rate: number_or_null(&rates, row),
            next_funding_time: next.is_valid(row).then(|| millis(&next, row)),
            interval_hours: hours.is_valid(row).then(|| hours.value(row)),
            received_time: millis(&received, row),
        }));
    }
    asked.answer(Channel::MarkPrices, data, |row| row.timestamp).await
}

/// Which coverage.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CoverageAsk {
    /// Stream: trades (unless told), quotes, book, klines, mark_prices, funding or open_interest.
    #[param(pattern = "^(trades|quotes|book|klines|mark_prices|funding|open_interest)$")]
    channel: Option<String>,
    /// First moment, milliseconds since the epoch (or ISO); one day before the end unless told.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    start_time: Option<String>,
    /// Last moment, inclusive; now unless told.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    end_time: Option<String>,
    /// Venue of the symbol; the configured default venue unless told.
    #[param(min_length = 1)]
    venue: Option<String>,
}

/// What is known of a range of one stream: observed spans and holes, where everything came from, and each day's condition.
#[utoipa::path(
    get, path = "/api/v1/coverage/{symbol}", tag = "data",
    params(SymbolPath, CoverageAsk),
    responses((status = 200, description = "What is known of the range", body = Answer<CoverageForm>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn coverage(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<CoverageAsk>,
) -> Result<Json<Answer<CoverageForm>>, Refusal> {
    let instrument = house.instrument(&symbol, ask.venue.as_deref())?;
    let name = ask.channel.as_deref().unwrap_or("trades");
    let channel = channel(name)?;
    let bounds = Bounds::read(ask.start_time.as_deref(), ask.end_time.as_deref())?;
    let end = bounds.end.unwrap_or_else(|| house.clock.time());
    let day_before = Time(end.plus_micros(-model::time::DAY).0.max(0));
    let range = TimeRange { start: bounds.start.unwrap_or(day_before), end };
    let answer = house.doors.coverage.coverage(&instrument.id, channel, range).await;
    let ledger = house.doors.coverage.ledger(&instrument.id, channel, range).await?;
    let message = format!("Coverage of {name} of {}: {}", instrument.id, answer.quality.as_str());
    Ok(Json(Answer::new(CoverageForm::from(&answer).with_ledger(&ledger), message)))
}

/// Reads a channel.
pub(crate) fn channel(name: &str) -> Result<Channel, Refusal> {
    Channel::named(name).ok_or_else(|| {
        let names: Vec<&str> = Channel::ALL.iter().map(|(_, name)| *name).collect();
        Refusal::bad(
            "unknown_channel",
            format!("unknown channel {:?}", cut(name)),
            format!("choose {}", names.join(", ")),
        )
    })
}

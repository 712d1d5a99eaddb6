//! `/api/v1/data/trades/{symbol}`: recorded trades, and the newest id.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::{Channel, Time};
use serde::{Deserialize, Serialize};
use tables::{TableName, TableScan, TimeRange};
use utoipa::{IntoParams, ToSchema};

use super::ask::{self, Ask, Bounds, SymbolPath, Words};
use super::rows;
use crate::dto::{Answer, TradeForm};
use crate::house::House;
use crate::refusal::{ErrorBody, Refusal};

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 50_000;

/// Which trades.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TradesAsk {
    /// First moment, milliseconds since the epoch (or ISO). Without it and `from_id`, the newest trades are given.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64, example = 1_640_995_200_000_i64)]
    start_time: Option<String>,
    /// Last moment, inclusive.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    end_time: Option<String>,
    /// Most trades, 1 to 50000; 1000 unless told.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 50_000)]
    limit: Option<String>,
    /// First numeric id (Binance: aggregate id).
    #[param(value_type = Option<i64>, minimum = 0)]
    from_id: Option<String>,
    /// Venue of the symbol; the configured default venue unless told.
    #[param(min_length = 1)]
    venue: Option<String>,
}

/// Recorded trades of one instrument, ascending.
///
/// With `start_time` or `from_id` the first ones from there, otherwise the newest. `coverage` tells whether the range
/// is complete, and which holes it has.
#[utoipa::path(
    get, path = "/api/v1/data/trades/{symbol}", tag = "data",
    params(SymbolPath, TradesAsk),
    responses((status = 200, description = "Trades", body = Answer<Vec<TradeForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn trades(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<TradesAsk>,
) -> Result<Json<Answer<Vec<TradeForm>>>, Refusal> {
    let instrument = house.instrument(&symbol, ask.venue.as_deref())?;
    let bounds = Bounds::read(ask.start_time.as_deref(), ask.end_time.as_deref())?;
    let limit = ask::limit(ask.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let from_id = ask::id("from_id", ask.from_id.as_deref())?;
    let batches = match from_id {
        None => rows::read(&house, TableName::Trades, &instrument.id, bounds, limit).await?,
        Some(id) => {
            let scan = TableScan {
                instrument: Some(instrument.id.clone()),
                range: bounds.range(),
                at_least: Some(("trade_id", id)),
                limit: Some(limit),
                ..TableScan::default()
            };
            house.doors.store.scan(TableName::Trades, scan).await?
        }
    };
    let data = rows::trades(&batches)?;
    let range = answered_range(&house, bounds, from_id.is_some(), (&data, limit));
    let coverage = house.doors.coverage.coverage(&instrument.id, Channel::Trades, range).await;
    let message = format!("Retrieved {} trades", data.len());
    Ok(Json(Answer::new(data, message).with_coverage((&coverage).into())))
}

// The range that the answer speaks for: what was asked, cut where the limit cut it.
fn answered_range(
    house: &House,
    bounds: Bounds,
    has_id: bool,
    (data, limit): (&[TradeForm], usize),
) -> TimeRange {
    let at = |trade: Option<&TradeForm>| trade.and_then(|trade| Time::from_millis(trade.timestamp));
    let (first, last) = (at(data.first()), at(data.last()));
    let now = house.clock.time();
    let is_cut = data.len() >= limit;
    let is_forward = bounds.start.is_some() || has_id;
    let start = bounds.start.or(first).unwrap_or(now);
    let open_end = bounds.end.unwrap_or(now);
    let end =
        if is_forward && is_cut { last.map_or(open_end, |last| last.plus_micros(1_000)) } else { open_end };
    TimeRange { start, end: end.max(start) }
}

/// The newest trade id of an instrument.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewestTrade {
    /// The venue's symbol.
    symbol: String,
    /// Our id.
    instrument: String,
    /// The newest numeric id seen; null before the first trade, and where the venue's ids are texts.
    aggregate_id: Option<i64>,
    /// When the venue matched it, milliseconds.
    timestamp: Option<i64>,
}

/// Which venue.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct VenueAsk {
    /// Venue of the symbol; the configured default venue unless told.
    #[param(min_length = 1)]
    pub(crate) venue: Option<String>,
}

/// The newest trade id of one instrument, from memory.
#[utoipa::path(
    get, path = "/api/v1/data/trades/{symbol}/newest", tag = "data",
    params(SymbolPath, VenueAsk),
    responses((status = 200, description = "The newest id", body = Answer<NewestTrade>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn newest(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<VenueAsk>,
) -> Result<Json<Answer<NewestTrade>>, Refusal> {
    let instrument = house.instrument(&symbol, ask.venue.as_deref())?;
    let newest = house.doors.coverage.newest_trade(&instrument.id);
    let data = NewestTrade {
        symbol: instrument.symbol.to_string(),
        instrument: instrument.id.as_str().to_owned(),
        aggregate_id: newest.map(|(id, _)| id),
        timestamp: newest.map(|(_, time)| time.millis()),
    };
    let message = if newest.is_some() { "Newest trade" } else { "No numbered trade yet" };
    Ok(Json(Answer::new(data, message)))
}

//! `/api/v1/data/trades/{symbol}`: recorded trades, and the newest id.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::Channel;
use serde::{Deserialize, Serialize};
use tables::{TableName, TableScan};
use utoipa::{IntoParams, ToSchema};

use super::answered::Answered;
use super::ask::{self, Ask, Bounds, SymbolPath, Words};
use super::market::coverage_of;
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
    let answered = Answered::new(bounds, limit, &mut data.iter().map(|trade| trade.timestamp));
    let answered = Answered { is_forward: answered.is_forward || from_id.is_some(), ..answered };
    let coverage = coverage_of(&house, &instrument, Channel::Trades, answered).await;
    let message = format!("Retrieved {} trades", data.len());
    Ok(Json(Answer::new(data, message).with_coverage((&coverage).into())))
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
    /// The same as text, where it is beyond 2^53 and JavaScript would round it.
    #[serde(skip_serializing_if = "Option::is_none")]
    trade_id: Option<String>,
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
        trade_id: crate::dto::trade::id_text(newest.map(|(id, _)| id), None),
        timestamp: newest.map(|(_, time)| time.millis()),
    };
    let message = if newest.is_some() { "Newest trade" } else { "No numbered trade yet" };
    Ok(Json(Answer::new(data, message)))
}

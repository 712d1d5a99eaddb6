//! Quotes, books and instruments.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use model::{Channel, Instrument};
use serde::{Deserialize, Serialize};
use tables::{CoverageAnswer, TableName};
use utoipa::{IntoParams, ToSchema};

use super::answered::Answered;
use super::ask::{self, Ask, Bounds, SymbolPath, Words};
use super::rows::{self, Columns, millis, number};
use crate::dto::market::{BookForm, InstrumentForm, QuoteForm};
use crate::dto::{Answer, TradeForm};
use crate::house::House;
use crate::refusal::{ErrorBody, Refusal};

const LIMIT_DEFAULT: usize = 1_000;
const LIMIT_MAX: usize = 50_000;
const DEPTH_DEFAULT: usize = 20;
const DEPTH_MAX: usize = 5_000;

/// Which rows of a series.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SeriesAsk {
    /// First moment, milliseconds since the epoch (or ISO). Without it the newest rows are given.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    pub(crate) start_time: Option<String>,
    /// Last moment, inclusive.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    pub(crate) end_time: Option<String>,
    /// Most rows, 1 to 50000; 1000 unless told.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 50_000)]
    pub(crate) limit: Option<String>,
    /// Venue of the symbol; the configured default venue unless told.
    #[param(min_length = 1)]
    pub(crate) venue: Option<String>,
}

impl SeriesAsk {
    /// Bounds and limit, checked.
    pub(crate) fn checked(&self) -> Result<(Bounds, usize), Refusal> {
        let bounds = Bounds::read(self.start_time.as_deref(), self.end_time.as_deref())?;
        Ok((bounds, ask::limit(self.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?))
    }
}

/// Coverage of a channel over the range that an answer speaks for.
pub(crate) async fn coverage_of(
    house: &House,
    instrument: &Instrument,
    channel: Channel,
    answered: Answered,
) -> CoverageAnswer {
    let range = answered.range(house.clock.time());
    house.doors.coverage.coverage(&instrument.id, channel, range).await
}

/// Best bid and ask of one instrument, ascending.
///
/// Without bounds and limit, only the newest quote.
#[utoipa::path(
    get, path = "/api/v1/data/quotes/{symbol}", tag = "data",
    params(SymbolPath, SeriesAsk),
    responses((status = 200, description = "Quotes", body = Answer<Vec<QuoteForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn quotes(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<SeriesAsk>,
) -> Result<Json<Answer<Vec<QuoteForm>>>, Refusal> {
    let instrument = house.instrument(&symbol, ask.venue.as_deref())?;
    let (bounds, limit) = ask.checked()?;
    let is_newest_wanted = bounds.range().is_none() && ask.limit.is_none();
    let limit = if is_newest_wanted { 1 } else { limit };
    let newest = house.doors.market.quote(&instrument.id).filter(|_| is_newest_wanted);
    let data = match newest {
        Some(quote) => vec![QuoteForm::from(&quote)],
        None => stored_quotes(&house, &instrument, bounds, limit).await?,
    };
    let answered = Answered::new(bounds, limit, &mut data.iter().map(|quote| quote.timestamp));
    let coverage = coverage_of(&house, &instrument, Channel::Quotes, answered).await;
    let message = format!("Retrieved {} quotes", data.len());
    Ok(Json(Answer::new(data, message).with_coverage((&coverage).into())))
}

async fn stored_quotes(
    house: &House,
    instrument: &Instrument,
    bounds: Bounds,
    limit: usize,
) -> Result<Vec<QuoteForm>, Refusal> {
    let mut forms = Vec::new();
    for batch in rows::read(house, TableName::Quotes, &instrument.id, bounds, limit).await? {
        let columns = Columns::of(TableName::Quotes, &batch);
        let (times, received) = (columns.time("venue_time")?, columns.time("received_time")?);
        let sequences = columns.int("sequence")?;
        let (bids, bid_quantities) = (columns.float("bid_price")?, columns.float("bid_quantity")?);
        let (asks, ask_quantities) = (columns.float("ask_price")?, columns.float("ask_quantity")?);
        forms.extend(columns.rows().map(|row| QuoteForm {
            bid_price: number(&bids, row),
            bid_quantity: number(&bid_quantities, row),
            ask_price: number(&asks, row),
            ask_quantity: number(&ask_quantities, row),
            timestamp: millis(&times, row),
            sequence: sequences.value(row),
            received_time: millis(&received, row),
        }));
    }
    Ok(forms)
}

/// Which book.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct BookAsk {
    /// Most levels a side, 1 to 5000; 20 unless told.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 5_000)]
    depth: Option<String>,
    /// Venue of the symbol; the configured default venue unless told.
    #[param(min_length = 1)]
    venue: Option<String>,
}

/// The level-2 book of one instrument as it stands, from memory.
///
/// `is_stale` is true from the moment the chain of updates broke until the next snapshot.
#[utoipa::path(
    get, path = "/api/v1/data/books/{symbol}", tag = "data",
    params(SymbolPath, BookAsk),
    responses((status = 200, description = "The book", body = Answer<BookForm>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn books(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    Ask(ask): Ask<BookAsk>,
) -> Result<Json<Answer<BookForm>>, Refusal> {
    let instrument = house.instrument(&symbol, ask.venue.as_deref())?;
    let depth = ask::count("depth", ask.depth.as_deref(), DEPTH_DEFAULT, DEPTH_MAX)?;
    let Some(book) = house.doors.market.book(&instrument.id, depth) else {
        return Err(Refusal::unknown(
            "no_book",
            format!("no book is kept for {}", instrument.id),
            "books are kept only for instruments whose channel book is configured; wait for the first snapshot if it is",
        ));
    };
    let bounds = Bounds { start: None, end: None };
    let answered = Answered::new(bounds, 1, &mut std::iter::once(book.venue_time.millis()));
    let coverage = coverage_of(&house, &instrument, Channel::Book, answered).await;
    let message = if book.is_stale { "Book is stale: waiting for a snapshot" } else { "Book" };
    Ok(Json(Answer::new(BookForm::from(&book), message).with_coverage((&coverage).into())))
}

/// Which instruments.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InstrumentsAsk {
    /// Only this venue; all venues unless told.
    #[param(min_length = 1)]
    venue: Option<String>,
}

/// Every known instrument with its tick, lot and status, sorted by id.
#[utoipa::path(
    get, path = "/api/v1/data/instruments", tag = "data",
    params(InstrumentsAsk),
    responses((status = 200, description = "Instruments", body = Answer<Vec<InstrumentForm>>), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn instruments(
    State(house): State<Arc<House>>,
    Ask(ask): Ask<InstrumentsAsk>,
) -> Result<Json<Answer<Vec<InstrumentForm>>>, Refusal> {
    let venue = ask.venue.as_deref().map(|name| house.venue(Some(name))).transpose()?;
    let data: Vec<InstrumentForm> = house
        .doors
        .market
        .instruments()
        .iter()
        .filter(|instrument| venue.is_none_or(|venue| instrument.id.venue() == venue))
        .map(InstrumentForm::from)
        .collect();
    let message = format!("Retrieved {} instruments", data.len());
    Ok(Json(Answer::new(data, message)))
}

/// The newest news of an instrument.
#[derive(Serialize, ToSchema)]
pub(crate) struct Latest {
    /// The venue's symbol.
    symbol: String,
    /// Our id.
    instrument: String,
    /// Newest trade.
    trade: Option<TradeForm>,
    /// Newest quote.
    quote: Option<QuoteForm>,
}

/// Whose newest news.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LatestAsk {
    /// Symbol of the venue, or a full instrument id.
    #[param(required = true, example = "BTCUSDT", pattern = r"^\S+$")]
    symbol: Option<String>,
    /// Venue of the symbol; the configured default venue unless told.
    #[param(min_length = 1)]
    venue: Option<String>,
}

/// The newest trade and quote of one instrument.
#[utoipa::path(
    get, path = "/latest", tag = "data",
    params(LatestAsk),
    responses((status = 200, description = "The newest trade and quote", body = Latest), (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody))
)]
pub(crate) async fn latest(
    State(house): State<Arc<House>>,
    Ask(ask): Ask<LatestAsk>,
) -> Result<Json<Latest>, Refusal> {
    let Some(symbol) = ask.symbol.as_deref() else {
        return Err(Refusal::bad("bad_symbol", "no symbol was named", "such as /latest?symbol=BTCUSDT"));
    };
    let instrument = house.instrument(symbol, ask.venue.as_deref())?;
    let bounds = Bounds { start: None, end: None };
    let batches = rows::read(&house, TableName::Trades, &instrument.id, bounds, 1).await?;
    Ok(Json(Latest {
        symbol: instrument.symbol.to_string(),
        instrument: instrument.id.as_str().to_owned(),
        trade: rows::trades(&batches)?.pop(),
        quote: house.doors.market.quote(&instrument.id).as_ref().map(QuoteForm::from),
    }))
}

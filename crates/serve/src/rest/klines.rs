//! `/api/v1/data/klines/{symbol}`: candles of any timeframe.

use std::sync::Arc;

use arrow_array::TimestampMillisecondArray;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use model::{Decimal, Timeframe};
use serde::Deserialize;
use tables::{Candle, CandleAnswer, CandleAsk};
use utoipa::IntoParams;

use super::ask::{self, Ask, Bounds, SymbolPath, Words};
use super::form::{self, ArrowStream, Form};
use crate::dto::{Answer, CandleForm, Number};
use crate::house::House;
use crate::refusal::{ErrorBody, Refusal};

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 50_000;

/// Which candles.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct KlinesAsk {
    /// Minutes from 1 to 43200 (`15`, `15m`), hours (`4h`), days (`1d`), `1w` or `1M`; one minute unless told.
    #[param(
        example = "15m",
        pattern = "^(([1-9][0-9]{0,3}|[1-3][0-9]{4}|4[0-2][0-9]{3}|43[01][0-9]{2}|43200)m?|([1-9][0-9]?|[1-6][0-9]{2}|7[01][0-9]|720)h|([12]?[1-9]|[123]0)d|1w|1M)$"
    )]
    timeframe: Option<String>,
    /// Most candles, 1 to 50000; 500 unless told.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 50_000)]
    limit: Option<String>,
    /// First candle start, milliseconds since the epoch (or ISO). Without it the newest candles are given.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    start_time: Option<String>,
    /// Last candle start, inclusive.
    #[param(value_type = Option<i64>, minimum = 0, maximum = 7_258_118_399_999_i64)]
    end_time: Option<String>,
    /// Venue of the symbol; the configured default venue unless told.
    #[param(min_length = 1)]
    venue: Option<String>,
    /// `json`, `csv` or `arrow`; the Accept header decides unless told.
    #[param(pattern = "^(json|csv|arrow)$")]
    format: Option<String>,
}

/// Candles of one instrument, ascending.
///
/// Any timeframe is folded from 1-minute bars. A candle is `forming`, `closed` or `revised`; one of a quiet time is
/// empty, one of a time that was not observed is not complete or absent.
#[utoipa::path(
    get, path = "/api/v1/data/klines/{symbol}", tag = "data",
    params(SymbolPath, KlinesAsk),
    responses(
        (status = 200, description = "Candles", content(
            (Answer<Vec<CandleForm>> = "application/json"),
            (String = "text/csv"),
            (ArrowStream = "application/vnd.apache.arrow.stream"),
        )),
        (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody)
    )
)]
pub(crate) async fn klines(
    State(house): State<Arc<House>>,
    Words(symbol): Words,
    headers: HeaderMap,
    Ask(ask): Ask<KlinesAsk>,
) -> Result<Response, Refusal> {
    let instrument = house.instrument(&symbol, ask.venue.as_deref())?;
    let timeframe = timeframe(ask.timeframe.as_deref().unwrap_or("1"))?;
    let bounds = Bounds::read(ask.start_time.as_deref(), ask.end_time.as_deref())?;
    let limit = ask::limit(ask.limit.as_deref(), LIMIT_DEFAULT, LIMIT_MAX)?;
    let form = Form::wanted(ask.format.as_deref(), &headers, &[Form::Json, Form::Csv, Form::Arrow])?;
    let ask = CandleAsk { instrument: instrument.id, timeframe, range: bounds.range(), limit };
    // A range without a start asks for its newest candles.
    let mut answer = house.doors.candles.candles(ask).await?;
    if answer.candles.len() > limit {
        answer.candles.truncate(limit);
    }
    match form {
        Form::Csv => Ok(form::csv(csv(&answer.candles), &answer.coverage)),
        Form::Arrow => form::arrow(&batch(&answer.candles)?, &answer.coverage),
        Form::Json | Form::Table => Ok(json(&answer)),
    }
}

/// Reads a timeframe.
pub(crate) fn timeframe(text: &str) -> Result<Timeframe, Refusal> {
    text.parse().map_err(|error: model::TimeframeError| {
        Refusal::bad("bad_timeframe", error.to_string(), "such as timeframe=15, 173m, 4h, 1w or 1M")
    })
}

fn json(answer: &CandleAnswer) -> Response {
    let data: Vec<CandleForm> = answer.candles.iter().map(CandleForm::from).collect();
    let message = format!("Retrieved {} candles", data.len());
    Json(Answer::new(data, message).with_coverage((&answer.coverage).into())).into_response()
}

fn csv(candles: &[Candle]) -> String {
    let mut text =
        "candle_time,open,high,low,close,volume,trades_count,quote_volume,taker_buy_volume,status,revision,\
                    is_empty,is_complete,available_time,source\n"
            .to_owned();
    for candle in candles {
        let CandleForm {
            candle_time,
            open,
            high,
            low,
            close,
            volume,
            trades_count,
            quote_volume,
            taker_buy_volume,
            status,
            revision,
            is_empty,
            is_complete,
            available_time,
            source,
        } = CandleForm::from(candle);
        let digits = |number: Number| number.text().unwrap_or_default();
        let cells = [
            candle_time.to_string(),
            digits(open),
            digits(high),
            digits(low),
            digits(close),
            digits(volume),
            trades_count.map(|count| count.to_string()).unwrap_or_default(),
            digits(quote_volume),
            taker_buy_volume.map(digits).unwrap_or_default(),
            status.to_owned(),
            revision.to_string(),
            is_empty.to_string(),
            is_complete.to_string(),
            available_time.to_string(),
            source.to_owned(),
        ];
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

fn batch(candles: &[Candle]) -> Result<RecordBatch, Refusal> {
    let times = |of: fn(&Candle) -> model::Time| -> ArrayRef {
        let array =
            TimestampMillisecondArray::from_iter_values(candles.iter().map(|candle| of(candle).millis()));
        Arc::new(array.with_timezone("UTC"))
    };
    let floats = |of: fn(&Candle) -> Option<Decimal>| -> ArrayRef {
        Arc::new(candles.iter().map(|candle| of(candle).map(Decimal::to_f64)).collect::<Float64Array>())
    };
    let texts = |of: fn(&Candle) -> &'static str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(candles.iter().map(of)))
    };
    let truths = |of: fn(&Candle) -> bool| -> ArrayRef {
        Arc::new(candles.iter().map(|candle| Some(of(candle))).collect::<BooleanArray>())
    };
    let counts: Int64Array = candles.iter().map(|candle| candle.bar.trade_count).collect();
    let revisions = Int32Array::from_iter_values(candles.iter().map(|candle| candle.bar.revision));
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("candle_time", times(|candle| candle.bar.open_time), false),
        ("open", floats(|candle| Some(candle.bar.open)), false),
        ("high", floats(|candle| Some(candle.bar.high)), false),
        ("low", floats(|candle| Some(candle.bar.low)), false),
        ("close", floats(|candle| Some(candle.bar.close)), false),
        ("volume", floats(|candle| Some(candle.bar.volume)), false),
        ("trades_count", Arc::new(counts), true),
        ("quote_volume", floats(|candle| Some(candle.bar.quote_volume)), false),
        ("taker_buy_volume", floats(|candle| candle.bar.taker_buy_volume), true),
        ("status", texts(|candle| candle.bar.state.as_str()), false),
        ("revision", Arc::new(revisions), false),
        ("is_empty", truths(|candle| candle.is_empty), false),
        ("is_complete", truths(|candle| candle.is_complete), false),
        ("available_time", times(|candle| candle.bar.available_time), false),
        ("source", texts(|candle| candle.bar.source.as_str()), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|error| tables::StoreError::Failed(format!("put candles into columns: {error}")).into())
}

//! `POST /api/v1/sql`: reading questions, with limits on time, memory and rows.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use tables::QueryError;
use utoipa::{IntoParams, ToSchema};

use super::ask::{self, Ask};
use super::form::{ARROW_TYPE, ArrowStream, CSV_TYPE, Form, TEXT_TYPE};
use super::written;
use crate::house::House;
use crate::refusal::{ErrorBody, Refusal};

/// So many times what a body may have is read before the connection is given up.
const BODIES_THROWN_AWAY: usize = 16;
const FORMS: [Form; 4] = [Form::Json, Form::Csv, Form::Arrow, Form::Table];

/// A question.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SqlBody {
    /// One reading statement.
    #[schema(example = "SELECT instrument, count(*) FROM trades GROUP BY instrument")]
    query: String,
    /// `json` (unless told), `csv`, `arrow` or `table`.
    #[schema(pattern = "^(json|csv|arrow|table)$")]
    format: Option<String>,
    /// Give at most so many rows and say in `truncated` whether there were more.
    #[schema(minimum = 1, maximum = 1_000_000)]
    limit: Option<usize>,
}

/// How to answer a question sent as plain text.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SqlAsk {
    /// `json`, `csv`, `arrow` or `table`; the Accept header decides unless told.
    #[param(pattern = "^(json|csv|arrow|table)$")]
    format: Option<String>,
    /// Give at most so many rows.
    #[param(value_type = Option<usize>, minimum = 1, maximum = 1_000_000)]
    limit: Option<String>,
}

/// The answer to a question; written out batch by batch in this form.
#[derive(Serialize, ToSchema)]
pub(crate) struct SqlAnswer {
    /// Always true.
    success: bool,
    /// Names and types, in order.
    columns: Vec<SqlColumn>,
    /// One object per row.
    data: Vec<serde_json::Map<String, serde_json::Value>>,
    /// How many rows.
    row_count: usize,
    /// Whether `limit` cut the answer.
    truncated: bool,
    /// One sentence.
    message: String,
}

/// A column of an answer.
#[derive(Serialize, ToSchema)]
pub(crate) struct SqlColumn {
    /// Name.
    pub(crate) name: String,
    /// Arrow type.
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// Rows gathered within the limits.
pub(crate) struct Gathered {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) rows: usize,
    pub(crate) is_truncated: bool,
}

/// Answers one reading SQL statement over committed and fresh rows as one.
///
/// The body is JSON, or the bare statement as `text/plain`. Limits hold on time, memory and rows.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "sql",
    params(SqlAsk),
    request_body(content((SqlBody = "application/json"), (String = "text/plain"))),
    responses(
        (status = 200, description = "Rows", content(
            (SqlAnswer = "application/json"),
            (String = "text/csv"),
            (ArrowStream = "application/vnd.apache.arrow.stream"),
            (String = "text/plain"),
        )),
        (status = "4XX", description = "Why not, and what to do about it", body = ErrorBody)
    )
)]
pub(crate) async fn sql(
    State(house): State<Arc<House>>,
    Ask(ask): Ask<SqlAsk>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let question = question(&house, &parts.headers, body, ask).await?;
    let limits = house.settings.sql_limits;
    let gathered =
        runtime::clock::within(limits.time_max, gather(&house, &question)).await.ok_or_else(|| {
            Refusal::from(QueryError::OverLimit(format!(
                "the question ran longer than {:?}",
                limits.time_max
            )))
        })??;
    answer(gathered, question.form)
}

struct Question {
    text: String,
    form: Form,
    limit: Option<usize>,
}

async fn question(house: &House, headers: &HeaderMap, body: Body, ask: SqlAsk) -> Result<Question, Refusal> {
    let bytes = read_body(body, house.settings.body_bytes_max).await?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_json =
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"));
    let rows_max = house.settings.sql_limits.rows_max;
    let limit = ask.limit.as_deref().map(|text| ask::limit(Some(text), 1, rows_max)).transpose()?;
    let (text, format, limit) = if is_json {
        let body: SqlBody = serde_json::from_slice(&bytes).map_err(|error| {
            Refusal::bad(
                "bad_json",
                format!("the body is not as expected: {error}"),
                r#"send {"query":"SELECT 1"}"#,
            )
        })?;
        (body.query, body.format.or(ask.format), body.limit.or(limit))
    } else {
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| {
            Refusal::bad("bad_text", "the body is not UTF-8", "send the statement as UTF-8 text")
        })?;
        (text, ask.format, limit)
    };
    if text.trim().is_empty() {
        return Err(Refusal::bad(
            "sql_refused",
            "the question is empty",
            "send one reading statement, such as SELECT 1",
        ));
    }
    if let Some(limit) = limit.filter(|limit| !(1..=rows_max).contains(limit)) {
        return Err(Refusal::bad(
            "bad_limit",
            format!("limit is no count from 1 to {rows_max}: {limit}"),
            "ask for fewer rows, or raise sql_rows_max in the section serve of tickhouse.toml",
        ));
    }
    Ok(Question { text, form: Form::wanted(format.as_deref(), headers, &FORMS)?, limit })
}

/// Reads the body. One that is too long is read on for a while and thrown away: a client that is still sending would
/// otherwise find the connection broken instead of the answer that says why.
pub(crate) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    let mut pieces = body.into_data_stream();
    let (mut bytes, mut count) = (Vec::new(), 0_usize);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| {
            Refusal::bad("bad_body", format!("the body could not be read: {error}"), "send it again")
        })?;
        count += piece.len();
        if count <= bytes_max {
            bytes.extend_from_slice(&piece);
        } else if count > bytes_max.saturating_mul(BODIES_THROWN_AWAY) {
            break;
        }
    }
    if count <= bytes_max {
        return Ok(bytes.into());
    }
    Err(Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        format!("the body has more than {bytes_max} bytes"),
        "send a shorter body",
    ))
}

async fn gather(house: &House, question: &Question) -> Result<Gathered, Refusal> {
    let limits = house.settings.sql_limits;
    let stream = house.doors.query.query(&question.text, limits).await?;
    let wanted = question.limit.unwrap_or(limits.rows_max);
    let mut gathered = Gathered { schema: stream.schema, batches: Vec::new(), rows: 0, is_truncated: false };
    let (mut batches, mut bytes) = (stream.batches, 0_usize);
    while let Some(batch) = batches.try_next().await? {
        let room = wanted - gathered.rows;
        if batch.num_rows() > room {
            if question.limit.is_none() {
                return Err(QueryError::OverLimit(format!("the answer has more than {wanted} rows")).into());
            }
            gathered.is_truncated = true;
            gathered.rows += room;
            gathered.batches.push(batch.slice(0, room));
            break;
        }
        bytes += batch.get_array_memory_size();
        if bytes > limits.memory_bytes_max {
            let most = limits.memory_bytes_max;
            return Err(QueryError::OverLimit(format!("the answer takes more than {most} bytes")).into());
        }
        gathered.rows += batch.num_rows();
        gathered.batches.push(batch);
    }
    Ok(gathered)
}

// The rows are gathered by now, so every mistake has been told; they are written out piece by piece.
fn answer(gathered: Gathered, form: Form) -> Result<Response, Refusal> {
    let (kind, pieces) = match form {
        Form::Json => ("application/json", written::json(gathered)),
        Form::Csv => (CSV_TYPE, written::csv(gathered)),
        Form::Arrow => (ARROW_TYPE, written::arrow(&gathered)?),
        Form::Table => (TEXT_TYPE, written::table(gathered)?),
    };
    let body = Body::from_stream(futures::stream::iter(pieces).map(Ok::<_, std::convert::Infallible>));
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

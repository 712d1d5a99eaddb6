//! The forms an answer can take, and how a reader chooses one.

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use tables::{CoverageAnswer, StoreError};

use crate::house::cut;
use crate::refusal::Refusal;

pub(crate) const ARROW_TYPE: &str = "application/vnd.apache.arrow.stream";
pub(crate) const CSV_TYPE: &str = "text/csv; charset=utf-8";
pub(crate) const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// An Arrow stream.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
pub(crate) struct ArrowStream(#[expect(dead_code, reason = "only its description is used")] Vec<u8>);

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Csv,
    Arrow,
    Table,
}

impl Form {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::Json, "json", "application/json"),
        (Self::Csv, "csv", "text/csv"),
        (Self::Arrow, "arrow", ARROW_TYPE),
        (Self::Table, "table", "text/plain"),
    ];

    /// What the parameter says, else what the Accept header prefers among `offered`, else the first offered.
    pub(crate) fn wanted(name: Option<&str>, headers: &HeaderMap, offered: &[Self]) -> Result<Self, Refusal> {
        if let Some(name) = name {
            let found = Self::ALL.iter().find(|(form, known, _)| *known == name && offered.contains(form));
            return found.map(|(form, ..)| *form).ok_or_else(|| {
                let names: Vec<&str> = Self::ALL
                    .iter()
                    .filter(|(form, ..)| offered.contains(form))
                    .map(|(_, name, _)| *name)
                    .collect();
                Refusal::bad(
                    "bad_format",
                    format!("unknown format {:?}", cut(name)),
                    format!("choose {}", names.join(", ")),
                )
            });
        }
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut asked = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim());
        let found = asked.find_map(|media| {
            Self::ALL
                .iter()
                .find(|(form, _, known)| *known == media && offered.contains(form))
                .map(|(form, ..)| *form)
        });
        Ok(found.unwrap_or(offered[0]))
    }
}

fn quality(coverage: &CoverageAnswer) -> [(&'static str, HeaderValue); 1] {
    [("x-tickhouse-coverage", HeaderValue::from_static(coverage.quality.as_str()))]
}

/// Lines of comma-separated values, with the verdict over their range as a header.
pub(crate) fn csv(text: String, coverage: &CoverageAnswer) -> Response {
    (quality(coverage), [(header::CONTENT_TYPE, CSV_TYPE)], text).into_response()
}

/// One batch as an Arrow stream, with the verdict over its range as a header.
pub(crate) fn arrow(batch: &RecordBatch, coverage: &CoverageAnswer) -> Result<Response, Refusal> {
    let failed =
        |error: arrow_schema::ArrowError| StoreError::Failed(format!("write an arrow stream: {error}"));
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).map_err(failed)?;
    writer.write(batch).map_err(failed)?;
    let bytes = writer.into_inner().map_err(failed)?;
    Ok((quality(coverage), [(header::CONTENT_TYPE, ARROW_TYPE)], bytes).into_response())
}

//! Rows as they leave the house: JSON, CSV or Arrow, written straight from columns. Which rows is left to the resources.

use std::io::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema};
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use model::Time;
use serde::Serialize;
use tables::StoreError;
use utoipa::ToSchema;

use crate::refusal::Refusal;
use crate::rest::form::{ARROW_TYPE, CSV_TYPE, Form};

/// Rows per piece of a body.
const PIECE_ROWS: usize = 4_096;
/// The header that tells how to ask for the next page, in forms that have no other place for it.
const NEXT: HeaderName = HeaderName::from_static("x-tickhouse-next");

/// The forms that rows of the chain system can take.
pub(crate) const FORMS: [Form; 3] = [Form::Json, Form::Csv, Form::Arrow];

/// Rows of the chain system; written out column by column in this form.
#[derive(Serialize, ToSchema)]
pub(crate) struct BtcRows {
    /// Always true.
    success: bool,
    /// One object per row. Times are milliseconds since the epoch; what is not defined is null.
    data: Vec<serde_json::Map<String, serde_json::Value>>,
    /// One sentence.
    message: String,
    /// What to ask with instead, to get the next page, such as `start=1723118400000`; null on the last one.
    next: Option<String>,
}

/// How a column of text looks in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    /// Names with commas between: a list of texts.
    Names,
    /// Lines of `name: reason`: a list of objects.
    Reasons,
}

/// One column of an answer.
struct Column {
    name: String,
    array: ArrayRef,
    shape: Shape,
}

/// Columns of equal length.
#[derive(Default)]
pub(crate) struct Sheet {
    columns: Vec<Column>,
    rows: usize,
}

/// Refuses what the columns do not allow.
pub(crate) fn failed(error: &ArrowError) -> Refusal {
    StoreError::Failed(format!("put rows into columns: {error}")).into()
}

impl Sheet {
    pub(crate) fn new(rows: usize) -> Self {
        Self { columns: Vec::new(), rows }
    }

    /// All columns of a batch that are not left out.
    pub(crate) fn of(batch: &RecordBatch, without: &[&str]) -> Self {
        let mut sheet = Self::new(batch.num_rows());
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            if !without.contains(&field.name().as_str()) {
                sheet.push(field.name(), Arc::clone(array));
            }
        }
        sheet
    }

    pub(crate) fn push(&mut self, name: &str, array: ArrayRef) {
        let shape = match name {
            "venues_used" => Shape::Names,
            "venues_rejected" => Shape::Reasons,
            _ => Shape::Plain,
        };
        self.columns.push(Column { name: name.to_owned(), array, shape });
    }

    /// The answer, in the form that was asked for.
    pub(crate) fn answer(self, form: Form, next: Option<&str>) -> Result<Response, Refusal> {
        let header = next.and_then(|next| HeaderValue::from_str(next).ok());
        let mut response = match form {
            Form::Csv => streamed(CSV_TYPE, self.csv()),
            Form::Arrow => ([(header::CONTENT_TYPE, ARROW_TYPE)], self.arrow()?).into_response(),
            Form::Json | Form::Table => streamed("application/json", self.json(next)),
        };
        if let Some(header) = header {
            response.headers_mut().insert(NEXT, header);
        }
        Ok(response)
    }

    /// The rows, as they look in JSON.
    pub(crate) fn into_values(self) -> Vec<serde_json::Value> {
        let body: Vec<u8> = self.json(None).flatten().collect();
        let body: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        body.and_then(|mut body| body["data"].as_array_mut().map(std::mem::take)).unwrap_or_default()
    }

    fn cells(&self) -> Vec<Cells> {
        self.columns.iter().map(|column| Cells::of(&column.array)).collect()
    }

    fn pieces(rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> + Send {
        (0..rows).step_by(PIECE_ROWS).map(move |start| start..rows.min(start + PIECE_ROWS))
    }

    fn csv(self) -> impl Iterator<Item = Bytes> + Send {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
        let head = Bytes::from(names.join(",") + "\n");
        let cells = self.cells();
        let pieces = Self::pieces(self.rows).map(move |rows| {
            let mut out = Vec::with_capacity(rows.len() * cells.len() * 12);
            for row in rows {
                for (at, cell) in cells.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    cell.write_csv(row, &mut out);
                }
                out.push(b'\n');
            }
            out.into()
        });
        std::iter::once(head).chain(pieces)
    }

    fn json(self, next: Option<&str>) -> impl Iterator<Item = Bytes> + Send + use<> {
        let next = next.map_or_else(|| "null".to_owned(), quoted);
        let rows = self.rows;
        let tail = format!(r#"],"message":"Retrieved {rows} rows","next":{next}}}"#);
        let keys: Vec<String> = self.columns.iter().map(|column| quoted(&column.name) + ":").collect();
        let columns: Vec<(String, Shape, Cells)> = keys
            .into_iter()
            .zip(&self.columns)
            .zip(self.cells())
            .map(|((key, column), cells)| (key, column.shape, cells))
            .collect();
        let pieces = Self::pieces(rows).map(move |rows| {
            let mut out = Vec::with_capacity(rows.len() * columns.len() * 32);
            for row in rows {
                out.extend_from_slice(if row == 0 { b"{" } else { b",{" });
                for (at, (key, shape, cells)) in columns.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key.as_bytes());
                    cells.write_json(row, *shape, &mut out);
                }
                out.push(b'}');
            }
            Bytes::from(out)
        });
        let head = Bytes::from_static(br#"{"success":true,"data":["#);
        std::iter::once(head).chain(pieces).chain([Bytes::from(tail)])
    }

    fn arrow(&self) -> Result<Vec<u8>, Refusal> {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| Field::new(&column.name, column.array.data_type().clone(), true))
            .collect();
        let arrays = self.columns.iter().map(|column| Arc::clone(&column.array)).collect();
        let written = || -> Result<Vec<u8>, ArrowError> {
            let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
            let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
            writer.write(&batch)?;
            writer.into_inner()
        };
        written().map_err(|error| failed(&error))
    }
}

fn streamed(kind: &'static str, pieces: impl Iterator<Item = Bytes> + Send + 'static) -> Response {
    let body = Body::from_stream(futures::stream::iter(pieces).map(Ok::<_, std::convert::Infallible>));
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The cells of a column.
enum Cells {
    Text(StringArray),
    Int(Int64Array),
    Small(Int32Array),
    Float(Float64Array),
    Time(TimestampMicrosecondArray),
    List(ListArray),
    /// A kind that no table of the chain system has: shown as text.
    Other(ArrayRef),
}

impl Cells {
    fn of(array: &ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string::<i32>().clone()),
            DataType::Int64 => Self::Int(array.as_primitive::<Int64Type>().clone()),
            DataType::Int32 => Self::Small(array.as_primitive::<Int32Type>().clone()),
            DataType::Float64 => Self::Float(array.as_primitive::<Float64Type>().clone()),
            DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, _) => {
                Self::Time(array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            DataType::List(field) if *field.data_type() == DataType::Int64 => {
                Self::List(array.as_list::<i32>().clone())
            }
            _ => Self::Other(Arc::clone(array)),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Int(array) => array.is_null(row),
            Self::Small(array) => array.is_null(row),
            Self::Float(array) => array.is_null(row) || !array.value(row).is_finite(),
            Self::Time(array) => array.is_null(row),
            Self::List(array) => array.is_null(row),
            Self::Other(array) => array.is_null(row),
        }
    }

    /// Numbers look alike in both forms; true if the cell was one.
    fn write_number(&self, row: usize, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Int(array) => write_int(array.value(row), out),
            Self::Small(array) => write_int(i64::from(array.value(row)), out),
            Self::Time(array) => write_int(Time(array.value(row)).millis(), out),
            // Display of a double is its shortest digits without an exponent; a vector never refuses them.
            Self::Float(array) => drop(write!(out, "{}", array.value(row))),
            Self::Text(_) | Self::List(_) | Self::Other(_) => return false,
        }
        true
    }

    fn write_csv(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) || self.write_number(row, out) {
            return;
        }
        match self {
            Self::Text(array) => write_field(array.value(row), out),
            Self::List(array) => write_list(array, row, (b"", b" ", b""), out),
            other => write_field(&other.text(row), out),
        }
    }

    fn write_json(&self, row: usize, shape: Shape, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
        } else if !self.write_number(row, out) {
            match (self, shape) {
                (Self::List(array), _) => write_list(array, row, (b"[", b",", b"]"), out),
                (_, shape) => out.extend_from_slice(shape.json(&self.text(row)).as_bytes()),
            }
        }
    }

    fn text(&self, row: usize) -> String {
        match self {
            Self::Text(array) => array.value(row).to_owned(),
            Self::Other(array) => arrow_cast::display::array_value_to_string(array, row).unwrap_or_default(),
            _ => String::new(),
        }
    }
}

impl Shape {
    fn json(self, text: &str) -> String {
        let list = |entries: Vec<String>| format!("[{}]", entries.join(","));
        match self {
            Self::Plain => quoted(text),
            Self::Names => list(text.split(',').filter(|name| !name.is_empty()).map(quoted).collect()),
            Self::Reasons => {
                let entries = text.lines().filter_map(|line| line.split_once(": "));
                let entry = |(source, reason): (&str, &str)| {
                    format!(r#"{{"source":{},"reason":{}}}"#, quoted(source), quoted(reason))
                };
                list(entries.map(entry).collect())
            }
        }
    }
}

fn write_int(value: i64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let (mut at, mut rest) = (digits.len(), value.unsigned_abs());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

// RFC 4180: quotes around what holds a separator, quotes inside doubled.
fn write_field(text: &str, out: &mut Vec<u8>) {
    if !text.contains([',', '"', '\n', '\r']) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

fn write_list(
    array: &ListArray,
    row: usize,
    (open, between, close): (&[u8], &[u8], &[u8]),
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(open);
    let values = array.value(row);
    for (at, value) in values.as_primitive::<Int64Type>().values().iter().enumerate() {
        if at > 0 {
            out.extend_from_slice(between);
        }
        write_int(*value, out);
    }
    out.extend_from_slice(close);
}

#[cfg(test)]
mod tests {
    //! Cases for cells.
    use super::*;

    #[test]
    fn whole_numbers_print_all_their_digits() {
        for value in [0, 7, -1, 10, 2_100_000_000_000_000, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_int(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }

    #[test]
    fn fields_with_separators_are_quoted() {
        for (text, expect) in
            [("plain", "plain"), ("a,b", "\"a,b\""), ("say \"x\"", "\"say \"\"x\"\"\""), ("a\nb", "\"a\nb\"")]
        {
            let mut out = Vec::new();
            write_field(text, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expect);
        }
    }

    #[test]
    fn rejected_venues_are_told_with_their_reasons() {
        let json = Shape::Reasons.json("okx: closes 2 %: off\nbybit: no \"volume\"");
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read[0], serde_json::json!({"source": "okx", "reason": "closes 2 %: off"}));
        assert_eq!(read[1]["reason"], "no \"volume\"");
        assert_eq!(Shape::Names.json(""), "[]");
    }
}

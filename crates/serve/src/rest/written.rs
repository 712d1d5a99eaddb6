//! Rows of a SQL answer written out as JSON, CSV, Arrow or a table, piece by piece.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, Decimal128Array, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_json::writer::{JsonArray, NullableEncoder, WriterBuilder};
use arrow_json::{Encoder, EncoderFactory, EncoderOptions};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema};
use axum::body::Bytes;
use model::Decimal;
use tables::StoreError;

use super::sql::{Gathered, SqlColumn};
use crate::refusal::Refusal;

/// Pieces of a body.
pub(crate) type Pieces = Box<dyn Iterator<Item = Bytes> + Send>;

/// Rows per piece, so that an answer of a million rows is not held twice.
const PIECE_ROWS: usize = 8_192;

fn pieces_of(batches: Vec<RecordBatch>) -> impl Iterator<Item = RecordBatch> + Send {
    batches.into_iter().flat_map(|batch| {
        let batch = with_plain_zone(&batch);
        let rows = batch.num_rows();
        (0..rows).step_by(PIECE_ROWS).map(move |start| batch.slice(start, PIECE_ROWS.min(rows - start)))
    })
}

// Printing a named zone takes a table of all zones of the world; UTC is the offset zero.
fn with_plain_zone(batch: &RecordBatch) -> RecordBatch {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        match field.data_type() {
            DataType::Timestamp(unit, Some(zone)) if &**zone == "UTC" => {
                let plain = DataType::Timestamp(*unit, Some("+00:00".into()));
                let data = array.to_data().into_builder().data_type(plain.clone()).build();
                // The layout of both types is the same, so this cannot fail; the array as it was is no worse.
                arrays.push(data.map_or_else(|_| Arc::clone(array), arrow_array::make_array));
                fields.push(Arc::new(field.as_ref().clone().with_data_type(plain)));
            }
            _ => {
                arrays.push(Arc::clone(array));
                fields.push(Arc::clone(field));
            }
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap_or_else(|_| batch.clone())
}

/// An object with columns and rows.
pub(crate) fn json(gathered: Gathered) -> Pieces {
    let Gathered { schema, batches, rows, is_truncated } = gathered;
    let columns: Vec<SqlColumn> = schema
        .fields()
        .iter()
        .map(|field| SqlColumn { name: field.name().clone(), kind: field.data_type().to_string() })
        .collect();
    let columns = serde_json::to_string(&columns).unwrap_or_else(|_| "[]".to_owned());
    let head = Bytes::from(format!(r#"{{"success":true,"columns":{columns},"data":["#));
    let cut = if is_truncated { ", cut by limit" } else { "" };
    let tail = Bytes::from(format!(
        r#"],"row_count":{rows},"truncated":{is_truncated},"message":"Retrieved {rows} rows{cut}"}}"#
    ));
    let body = pieces_of(batches).enumerate().map(|(at, batch)| {
        let mut text = if at == 0 { Vec::new() } else { b",".to_vec() };
        text.extend_from_slice(&json_rows(&batch));
        Bytes::from(text)
    });
    Box::new(std::iter::once(head).chain(body).chain(std::iter::once(tail)))
}

// Rows without the brackets around them.
fn json_rows(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(PlainDecimals))
        .build::<_, JsonArray>(Vec::new());
    // Binary and other types JSON has no form for are shown as text.
    let written = writer.write(batch).and_then(|()| writer.finish());
    match written {
        Ok(()) => {
            let text = writer.into_inner();
            text[1..text.len() - 1].to_vec()
        }
        Err(_) => json_texts(batch),
    }
}

fn json_texts(batch: &RecordBatch) -> Vec<u8> {
    let schema = batch.schema();
    let rows: Vec<String> = (0..batch.num_rows())
        .map(|row| {
            let cells: serde_json::Map<String, serde_json::Value> = schema
                .fields()
                .iter()
                .zip(batch.columns())
                .map(|(field, array)| {
                    let text = arrow_cast::display::array_value_to_string(array, row).unwrap_or_default();
                    let value = if array.is_null(row) { serde_json::Value::Null } else { text.into() };
                    (field.name().clone(), value)
                })
                .collect();
            serde_json::Value::Object(cells).to_string()
        })
        .collect();
    rows.join(",").into_bytes()
}

/// Writes decimals without the zeros that only fill their scale.
#[derive(Debug)]
struct PlainDecimals;

impl EncoderFactory for PlainDecimals {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let DataType::Decimal128(_, scale) = array.data_type() else { return Ok(None) };
        let Some(scale) = u8::try_from(*scale).ok().filter(|scale| *scale <= model::decimal::SCALE_MAX)
        else {
            return Ok(None);
        };
        let decimals = array.as_primitive::<Decimal128Type>();
        Ok(Some(NullableEncoder::new(Box::new(DecimalText { decimals, scale }), array.nulls().cloned())))
    }
}

struct DecimalText<'a> {
    decimals: &'a Decimal128Array,
    scale: u8,
}

impl Encoder for DecimalText<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value = Decimal::new(self.decimals.value(row), self.scale).normalized();
        out.extend_from_slice(value.to_string().as_bytes());
    }
}

/// A head line and one line per row.
pub(crate) fn csv(gathered: Gathered) -> Pieces {
    let empty = with_plain_zone(&RecordBatch::new_empty(Arc::clone(&gathered.schema)));
    let head = std::iter::once(csv_lines(&empty, true));
    Box::new(head.chain(pieces_of(gathered.batches).map(|batch| csv_lines(&batch, false))))
}

fn csv_lines(batch: &RecordBatch, has_head: bool) -> Bytes {
    let mut bytes = Vec::new();
    let mut writer = arrow_csv::WriterBuilder::new().with_header(has_head).build(&mut bytes);
    let is_written = writer.write(batch).is_ok();
    drop(writer);
    // Nested columns have no form in CSV: their cells are shown as text.
    if is_written { bytes.into() } else { csv_texts(batch, has_head) }
}

fn csv_texts(batch: &RecordBatch, has_head: bool) -> Bytes {
    let quote = |text: String| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text
        }
    };
    let mut text = String::new();
    if has_head {
        let names: Vec<String> =
            batch.schema().fields().iter().map(|field| quote(field.name().clone())).collect();
        text = names.join(",") + "\n";
    }
    for row in 0..batch.num_rows() {
        let cell = |array| arrow_cast::display::array_value_to_string(array, row).unwrap_or_default();
        let cells: Vec<String> = batch.columns().iter().map(|array| quote(cell(array))).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text.into()
}

/// An Arrow stream.
pub(crate) fn arrow(gathered: &Gathered) -> Result<Pieces, Refusal> {
    let failed =
        |error: ArrowError| Refusal::from(StoreError::Failed(format!("write an arrow stream: {error}")));
    let mut writer = StreamWriter::try_new(Vec::new(), &gathered.schema).map_err(failed)?;
    let mut pieces = Vec::with_capacity(gathered.batches.len() + 1);
    for batch in &gathered.batches {
        writer.write(batch).map_err(failed)?;
        pieces.push(Bytes::from(std::mem::take(writer.get_mut())));
    }
    pieces.push(writer.into_inner().map_err(failed)?.into());
    Ok(Box::new(pieces.into_iter()))
}

/// A table drawn with lines, for people.
pub(crate) fn table(gathered: Gathered) -> Result<Pieces, Refusal> {
    let Gathered { schema, batches, rows, is_truncated } = gathered;
    let batches: Vec<RecordBatch> = batches.iter().map(with_plain_zone).collect();
    let schema = with_plain_zone(&RecordBatch::new_empty(schema)).schema();
    let drawn = arrow_cast::pretty::pretty_format_batches_with_schema(schema, &batches)
        .map_err(|error| Refusal::from(StoreError::Failed(format!("draw the table: {error}"))))?;
    let cut = if is_truncated { ", cut by limit" } else { "" };
    let text = format!("{drawn}\n{rows} {}{cut}\n", if rows == 1 { "row" } else { "rows" });
    Ok(Box::new(std::iter::once(Bytes::from(text))))
}

//! How a table is described: its columns, key, order and partition.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::rows::TableName;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// UTF-8 text.
    Text,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit signed integer.
    Int32,
    /// Double that prints back the venue's digits.
    Float64,
    /// Exact decimal with 38 digits, 18 of them behind the point.
    Decimal,
    /// Moment, microseconds UTC.
    Time,
    /// True or false.
    Bool,
    /// UTC day. Partition columns only.
    Date,
    /// 64-bit signed integers, any number of them.
    Int64List,
}

impl ColumnKind {
    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int64 => DataType::Int64,
            Self::Int32 => DataType::Int32,
            Self::Float64 => DataType::Float64,
            Self::Decimal => DataType::Decimal128(38, 18),
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Bool => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Int64List => DataType::List(list_field()),
        }
    }
}

/// The elements of a list, named as Delta and Parquet name them.
pub(crate) fn list_field() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Int64, false))
}

/// How a column is best encoded on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Dictionary, falling back to plain: texts, prices, quantities.
    Dictionary,
    /// Differences, bit-packed: ids and times.
    Delta,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in SQL and on disk.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether it may be absent.
    pub is_nullable: bool,
    /// How it is encoded.
    pub encoding: Encoding,
    /// One sentence: meaning, unit, source.
    pub doc: &'static str,
}

impl Column {
    /// A column that is always there.
    pub const fn new(name: &'static str, kind: ColumnKind, doc: &'static str) -> Self {
        let encoding = match kind {
            ColumnKind::Int64 | ColumnKind::Int32 | ColumnKind::Time => Encoding::Delta,
            _ => Encoding::Dictionary,
        };
        Self { name, kind, is_nullable: false, encoding, doc }
    }

    /// The same column, possibly absent.
    #[must_use]
    pub const fn nullable(mut self) -> Self {
        self.is_nullable = true;
        self
    }
}

/// How a table is split into folders. The partition column is derived and comes last in the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// Not at all.
    None,
    /// By UTC day of a time column, partition column `date` (Date).
    Day(&'static str),
    /// By UTC month of a time column, partition column `month` (Date, first day of the month).
    Month(&'static str),
}

impl Partition {
    /// Name of the partition column, if any.
    pub const fn column(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Day(_) => Some("date"),
            Self::Month(_) => Some("month"),
        }
    }

    /// Name of the time column it derives from, if any.
    pub const fn time_column(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Day(column) | Self::Month(column) => Some(column),
        }
    }
}

/// One table.
#[derive(Debug)]
pub struct Table {
    /// Name.
    pub name: TableName,
    /// One sentence on what a row is.
    pub doc: &'static str,
    /// Columns in order, without the partition column.
    pub columns: &'static [Column],
    /// Columns that tell rows apart, in sorting order; every data file is sorted by them (nulls first, ascending). The first
    /// is the [subject](Table::subject).
    pub key: &'static [&'static str],
    /// The time column that ranges are asked by.
    pub time: &'static str,
    /// How it is split.
    pub partition: Partition,
    /// Whether a row with a known key replaces the stored one (`true`), or every row is new (`false`).
    pub is_keyed: bool,
}

impl Table {
    /// Schema of the rows as they are handed in: the columns without the partition column.
    pub fn row_schema(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// Schema as stored and queried: the columns, then the partition column if there is one.
    pub fn stored_schema(&self) -> SchemaRef {
        let mut fields: Vec<Field> = self.columns.iter().map(field).collect();
        if let Some(name) = self.partition.column() {
            fields.push(Field::new(name, ColumnKind::Date.data_type(), false));
        }
        Arc::new(Schema::new(fields))
    }

    /// The text column that says what a row is about, and that rows are first sorted by: the instrument, the chain, the source.
    pub fn subject(&self) -> &'static str {
        self.key[0]
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

fn field(column: &Column) -> Field {
    Field::new(column.name, column.kind.data_type(), column.is_nullable)
}

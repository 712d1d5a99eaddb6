//! What stands in the columns of a file, and how a line is read by them: one list per kind of file, nothing else.

use model::{Decimal, Side};

use super::digits::Cursor;

/// Columns of a kind of file.
#[derive(Debug)]
pub struct Layout {
    /// What the rows are.
    pub(crate) shape: Shape,
    /// The columns, in order.
    pub(crate) columns: &'static [Column],
    /// How many of the last ones may be absent.
    pub(crate) optional: usize,
    /// Whether ids count up by one, so that a jump is a hole.
    pub(crate) is_numbered: bool,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A trade.
    Trade,
    /// A bar.
    Bar,
    /// A funding rate.
    Funding,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// What a header may call it.
    pub(crate) names: &'static [&'static str],
    /// How it is read.
    pub(crate) is: Kind,
}

/// How a field is read, and where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number.
    Integer(usize),
    /// A decimal number.
    Decimal(usize),
    /// A moment in milliseconds or microseconds.
    Moment(usize),
    /// A moment in seconds with a fraction.
    Seconds,
    /// `true` if the buyer rested: the taker sold.
    BuyerRested,
    /// `true` or `false`, for nothing.
    Flag,
    /// The taker's side.
    Side,
    /// The symbol, the same in all rows.
    Symbol,
    /// A text id.
    Text,
    /// Anything, for nothing.
    Any,
}

/// Places of whole numbers.
pub(crate) const ID: usize = 0;
/// First raw trade of an aggregate.
pub(crate) const FIRST: usize = 1;
/// Last raw trade of an aggregate.
pub(crate) const LAST: usize = 2;
/// How many: trades of a bar, hours of a funding interval.
pub(crate) const COUNT: usize = 0;
/// Moment of a trade, start of a bar.
pub(crate) const TIME: usize = 0;
/// End of a bar.
pub(crate) const CLOSE_TIME: usize = 1;
/// Places of decimal numbers.
pub(crate) const PRICE: usize = 0;
/// Of a trade.
pub(crate) const QUANTITY: usize = 1;
/// Checked, and left.
pub(crate) const UNUSED: usize = 7;
/// Of a bar.
pub(crate) const OPEN: usize = 0;
pub(crate) const HIGH: usize = 1;
pub(crate) const LOW: usize = 2;
pub(crate) const CLOSE: usize = 3;
pub(crate) const VOLUME: usize = 4;
pub(crate) const QUOTE_VOLUME: usize = 5;
pub(crate) const TAKER_VOLUME: usize = 6;
/// A funding rate.
pub(crate) const RATE: usize = 0;

/// From here on a number counts microseconds: milliseconds would lie beyond the year 5138.
pub(crate) const MICROS_FROM: i64 = 100_000_000_000_000;

/// The fields of a line.
pub(super) struct Fields<'a> {
    pub(super) integers: [i64; 3],
    /// Microseconds.
    pub(super) times: [i64; 2],
    pub(super) numbers: [Decimal; 8],
    pub(super) side: Side,
    pub(super) text: &'a [u8],
    /// Whether times were written in microseconds.
    pub(super) is_micros: bool,
}

impl Fields<'_> {
    /// Nothing read yet.
    pub(super) const fn new() -> Self {
        Self {
            integers: [-1; 3],
            times: [0; 2],
            numbers: [Decimal::ZERO; 8],
            side: Side::Buy,
            text: &[],
            is_micros: false,
        }
    }
}

impl<'a> Fields<'a> {
    /// Reads one line; `None` if anything of it is not as it should be.
    #[inline]
    pub(super) fn read(&mut self, columns: &[Column], symbol: &str, cursor: &mut Cursor<'a>) -> Option<()> {
        let (last, front) = columns.split_last()?;
        for column in front {
            self.field(column.is, symbol, cursor)?;
            if !cursor.pass(b',') {
                return None;
            }
        }
        self.field(last.is, symbol, cursor)?;
        cursor.pass_line_end().then_some(())
    }

    #[inline]
    fn field(&mut self, kind: Kind, symbol: &str, cursor: &mut Cursor<'a>) -> Option<()> {
        match kind {
            Kind::Integer(place) => self.integers[place] = cursor.integer()?,
            Kind::Decimal(place) => self.numbers[place] = cursor.decimal()?,
            Kind::Moment(place) => {
                let number = cursor.integer()?;
                self.is_micros = number >= MICROS_FROM;
                self.times[place] = if self.is_micros { number } else { number * 1_000 };
            }
            Kind::Seconds => {
                self.is_micros = true;
                self.times[TIME] = cursor.seconds()?;
            }
            Kind::BuyerRested => self.side = if flag(cursor)? { Side::Sell } else { Side::Buy },
            Kind::Flag => drop(flag(cursor)?),
            Kind::Side => {
                self.side = match cursor.field() {
                    b"Buy" | b"buy" => Side::Buy,
                    b"Sell" | b"sell" => Side::Sell,
                    _ => return None,
                }
            }
            Kind::Symbol => return (cursor.field() == symbol.as_bytes()).then_some(()),
            Kind::Text => {
                self.text = cursor.field();
                return (!self.text.is_empty()).then_some(());
            }
            Kind::Any => drop(cursor.field()),
        }
        Some(())
    }
}

#[inline]
fn flag(cursor: &mut Cursor<'_>) -> Option<bool> {
    if cursor.pass_text(b"false") || cursor.pass_text(b"False") {
        return Some(false);
    }
    (cursor.pass_text(b"true") || cursor.pass_text(b"True")).then_some(true)
}

/// What a field should be, in words.
fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer(_) => "a whole number",
        Kind::Decimal(_) => "a decimal number",
        Kind::Moment(_) => "a time in milliseconds or microseconds",
        Kind::Seconds => "a time in seconds",
        Kind::BuyerRested | Kind::Flag => "true or false",
        Kind::Side => "Buy or Sell",
        Kind::Symbol => "the symbol of the file",
        Kind::Text => "an id",
        Kind::Any => "anything",
    }
}

/// Which column of a refused line is wrong, what stands there, and what should.
#[cold]
pub(super) fn explain(
    columns: &[Column],
    symbol: &str,
    line: &[u8],
) -> (Option<&'static str>, Vec<u8>, String) {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b',').collect();
    if fields.len() != columns.len() {
        let why = format!("{} columns where {} should be", fields.len(), columns.len());
        return (None, line.to_vec(), why);
    }
    for (column, field) in columns.iter().zip(&fields) {
        let mut cursor = Cursor::new(field, 0);
        let read = Fields::new().field(column.is, symbol, &mut cursor);
        if read.is_none() || cursor.at() != field.len() {
            return (Some(column.names[0]), field.to_vec(), format!("is not {}", wanted(column.is)));
        }
    }
    (None, line.to_vec(), "is no row".into())
}

//! Puts what goes wrong on rows and answers.

use model::{Decimal, Time};
use serde_json::Value;

use super::{Answer, PriceFault, PriceTrouble};

/// Where time, open, high, low and close stand in a row; the time in so many milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) columns: [usize; 5],
    pub(super) unit_ms: i64,
}

/// Where the volume stands, in the rows of all of them.
const VOLUME: usize = 5;

/// Binance, Bybit and OKX: time, open, high, low, close.
pub(super) const PLAIN: Layout = Layout { columns: [0, 1, 2, 3, 4], unit_ms: 1 };

/// What is answered instead of anything asked for now.
pub(super) fn instead(
    faults: &[PriceFault],
    now_ms: i64,
    too_often: impl Fn(i64) -> Answer,
) -> Option<Answer> {
    let now = Time(now_ms * 1_000);
    faults.iter().filter(|fault| fault.span.contains(&now)).find_map(|fault| match fault.trouble {
        PriceTrouble::Garbage => Some(Answer::of(200, "<html><body>Please stand by</body></html>".into())),
        PriceTrouble::Down => Some(Answer::of(503, "<html><body>Service Unavailable</body></html>".into())),
        PriceTrouble::Ban(wait) => Some(too_often(wait.as_millis() as i64)),
        _ => None,
    })
}

/// The same over a whole answer of Binance or Bybit.
pub(super) fn body(text: &str, faults: &[PriceFault]) -> String {
    let Ok(mut whole) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let list = match &mut whole {
        Value::Array(list) => Some(list),
        Value::Object(_) => whole.pointer_mut("/result/list").and_then(Value::as_array_mut),
        _ => None,
    };
    if let Some(list) = list {
        let cells = |row: Value| if let Value::Array(cells) = row { cells } else { vec![row] };
        let before = std::mem::take(list).into_iter().map(cells).collect();
        *list = rows(before, PLAIN, faults).into_iter().map(Value::from).collect();
    }
    whole.to_string()
}

/// Rows with everything on them that goes wrong.
pub(super) fn rows(all: Vec<Vec<Value>>, layout: Layout, faults: &[PriceFault]) -> Vec<Vec<Value>> {
    if faults.is_empty() {
        return all;
    }
    let mut shown = Vec::with_capacity(all.len());
    for mut row in all {
        let time = row.first().map_or(0, |_| time_of(&row[layout.columns[0]], layout.unit_ms));
        let mut count = 1;
        for fault in faults.iter().filter(|fault| fault.span.contains(&Time(time))) {
            count *= spoil(&mut row, layout, fault.trouble);
        }
        shown.extend(std::iter::repeat_n(row, count));
    }
    shown
}

/// Changes a row; how often it is shown then.
fn spoil(row: &mut [Value], layout: Layout, trouble: PriceTrouble) -> usize {
    let [_, _, high, low, _] = layout.columns;
    match trouble {
        PriceTrouble::Skew(share) => {
            for column in &layout.columns[1..] {
                row[*column] = skewed(&row[*column], share);
            }
        }
        PriceTrouble::Nulls => {
            for column in &layout.columns[1..] {
                row[*column] = Value::Null;
            }
        }
        PriceTrouble::Crossed => {
            row.swap(high, low);
            // A flat candle has nothing to swap.
            row[low] = skewed(&row[low], 0.001);
        }
        PriceTrouble::Negative => {
            if let Some(cell) = row.get_mut(VOLUME) {
                *cell = skewed(cell, -2.0);
            }
        }
        PriceTrouble::Silent => return 0,
        PriceTrouble::Twice => return 2,
        PriceTrouble::Garbage | PriceTrouble::Down | PriceTrouble::Ban(_) => {}
    }
    1
}

fn time_of(cell: &Value, unit_ms: i64) -> i64 {
    let number = cell.as_i64().or_else(|| cell.as_str().and_then(|text| text.parse().ok())).unwrap_or(0);
    number * unit_ms * 1_000
}

/// A price that is off, in the form it had.
fn skewed(cell: &Value, share: f64) -> Value {
    let text = cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    let (Ok(price), Some(factor)) = (text.parse::<Decimal>(), Decimal::from_f64(1.0 + share)) else {
        return cell.clone();
    };
    let off = price.checked_mul(factor.rounded(6)).unwrap_or(price).rounded(price.scale());
    if cell.is_string() { Value::from(off.to_string()) } else { Value::from(off.to_f64()) }
}

//! When the trades beside a run of ids happened.

use std::collections::HashMap;
use std::fmt::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use model::{InstrumentId, Time};

use crate::{Doors, Error};

/// Ids asked for at once.
const IDS_MAX: usize = 500;

/// Runs of ids with the times of the trades before and after them; a run without both is left out.
pub(crate) async fn times_of(
    doors: &Doors,
    instrument: &InstrumentId,
    runs: &[(i64, i64)],
) -> Result<Vec<((i64, i64), (Time, Time))>, Error> {
    let mut all = Vec::new();
    for runs in runs.chunks(IDS_MAX / 2) {
        let mut ids = String::new();
        for (first, last) in runs {
            let comma = if ids.is_empty() { "" } else { ", " };
            let _infallible = write!(ids, "{comma}{}, {}", first - 1, last + 1);
        }
        let question = format!(
            "SELECT trade_id, venue_time FROM trades WHERE instrument = '{instrument}' AND trade_id IN ({ids})"
        );
        let mut times = HashMap::new();
        for batch in doors.ask(&question).await? {
            let found = batch.column(0).as_primitive_opt::<Int64Type>();
            let moments = batch.column(1).as_primitive_opt::<TimestampMicrosecondType>();
            let Some((found, moments)) = found.zip(moments) else {
                return Err(Error::Store("ids and times of trades have other types than declared".into()));
            };
            let pairs = found.iter().zip(moments.iter()).filter_map(|(id, time)| Some((id?, Time(time?))));
            times.extend(pairs);
        }
        all.extend(runs.iter().filter_map(|run| {
            let beside = times.get(&(run.0 - 1)).zip(times.get(&(run.1 + 1)))?;
            Some((*run, (*beside.0, *beside.1)))
        }));
    }
    Ok(all)
}

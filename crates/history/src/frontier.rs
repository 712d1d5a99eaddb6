//! Where the past of an instrument ends.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;
use model::time::MINUTE;
use model::{InstrumentId, Time};
use refine::import::Frontier;
use tables::QueryLimits;

use crate::{Doors, Error};

/// A first trade this old stays the first one: nothing that happened before it is on its way any more.
const SETTLED_AFTER: i64 = MINUTE;

impl Doors {
    /// The first trade that was recorded live; `None` if none was.
    pub async fn frontier(&self, instrument: &InstrumentId) -> Result<Option<Frontier>, Error> {
        if let Some((id, time)) = self.control.frontier(instrument)? {
            return Ok(Some(Frontier { id, time }));
        }
        let found = self.find_frontier(instrument).await?;
        if let Some(frontier) = found.filter(|frontier| self.is_settled(*frontier)) {
            self.control.keep_frontier(instrument, (frontier.id, frontier.time))?;
        }
        Ok(found)
    }

    /// Whether no earlier trade can become the first one.
    pub(crate) fn is_settled(&self, frontier: Frontier) -> bool {
        frontier.time.plus_micros(SETTLED_AFTER) < self.clock.time()
    }

    async fn find_frontier(&self, instrument: &InstrumentId) -> Result<Option<Frontier>, Error> {
        let question = format!(
            "SELECT min(trade_id), min(venue_time) FROM trades WHERE instrument = '{instrument}' AND source = 'stream'"
        );
        let batches = self.ask(&question).await?;
        let Some(batch) = batches.first().filter(|batch| batch.num_rows() == 1) else { return Ok(None) };
        let id = batch.column(0).as_primitive_opt::<Int64Type>().and_then(|ids| ids.iter().next()?);
        let times = batch.column(1).as_primitive_opt::<TimestampMicrosecondType>();
        let time = times.and_then(|times| times.iter().next()?);
        Ok(time.map(|micros| Frontier { id, time: Time(micros) }))
    }

    pub(crate) async fn ask(&self, question: &str) -> Result<Vec<RecordBatch>, Error> {
        let answer = self.query.query(question, QueryLimits::default()).await?;
        Ok(answer.batches.try_collect().await?)
    }
}

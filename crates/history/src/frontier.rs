//! Where the past of an instrument ends.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use control::Control;
use futures::TryStreamExt;
use model::time::MINUTE;
use model::{InstrumentId, Time};
use refine::import::Frontier;
use tables::{QueryLimits, TableName, TableScan, TableStore, TimeRange};

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

    /// Forgets a first trade that is not in the table any more: somebody emptied it by hand.
    pub(crate) async fn check_frontier(&self, instrument: &InstrumentId) -> Result<(), Error> {
        check(&self.control, self.store.as_ref(), instrument).await
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

async fn check(control: &Control, store: &dyn TableStore, instrument: &InstrumentId) -> Result<(), Error> {
    let Some((_, time)) = control.frontier(instrument)? else { return Ok(()) };
    let scan = TableScan {
        instrument: Some(instrument.clone()),
        range: Some(TimeRange { start: time, end: time.plus_micros(1) }),
        columns: vec!["venue_time"],
        limit: Some(1),
        ..TableScan::default()
    };
    let rows = store.scan(TableName::Trades, scan).await?;
    if rows.iter().all(|batch| batch.num_rows() == 0) {
        tracing::warn!(%instrument, first = %time, "the first recorded trade is not there any more: the past is counted anew");
        control.forget_frontier(instrument)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Cases for a table that was emptied by hand.
    use std::collections::BTreeMap;

    use futures::FutureExt;
    use futures::future::BoxFuture;
    use model::LogPosition;
    use tables::{RowBatch, Rows, StoreError};

    use super::*;

    /// A table with one trade at this moment.
    struct OneTrade(Time);

    impl TableStore for OneTrade {
        fn append(&self, _: RowBatch) -> Result<(), StoreError> {
            Err(StoreError::BufferFull)
        }

        fn commit(&self, _: LogPosition) -> BoxFuture<'_, Result<(), StoreError>> {
            futures::future::ready(Ok(())).boxed()
        }

        fn buffered(&self) -> (usize, usize) {
            (0, 0)
        }

        fn positions(&self) -> BTreeMap<TableName, LogPosition> {
            BTreeMap::new()
        }

        fn scan(&self, _: TableName, scan: TableScan) -> BoxFuture<'_, Result<Vec<RecordBatch>, StoreError>> {
            let is_there = scan.range.is_some_and(|range| range.contains(self.0));
            let row = Rows::Trades(Vec::new()).to_batch();
            let of_one = tables::Rows::Gaps(vec![gap()]).to_batch();
            futures::future::ready(Ok(vec![if is_there { of_one } else { row }])).boxed()
        }

        fn replace(
            &self,
            _: TableName,
            _: InstrumentId,
            _: TimeRange,
            _: RecordBatch,
        ) -> BoxFuture<'_, Result<(), StoreError>> {
            futures::future::ready(Ok(())).boxed()
        }
    }

    /// Any row will do.
    fn gap() -> model::Gap {
        model::Gap {
            instrument: "binance:BTC-USDT".parse().expect("an id"),
            channel: model::Channel::Trades,
            first_id: None,
            last_id: None,
            first_time: Time(0),
            last_time: Time(1),
            state: model::GapState::Open,
            cause: model::GapCause::Unexplained,
            source: None,
            found_time: Time(0),
            closed_time: None,
        }
    }

    #[test]
    fn a_frontier_goes_with_the_trade_it_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let control = Control::open(folder.path().join("control.sqlite")).expect("it opens");
        let id: InstrumentId = "binance:BTC-USDT".parse().expect("an id");
        control.keep_frontier(&id, (Some(7), Time(100))).expect("it is kept");
        for (there, left) in [(Time(100), Some((Some(7), Time(100)))), (Time(101), None), (Time(100), None)] {
            let checked = check(&control, &OneTrade(there), &id).now_or_never();
            checked.expect("nothing waits").expect("it is checked");
            assert_eq!(control.frontier(&id).expect("it is read"), left);
        }
    }
}

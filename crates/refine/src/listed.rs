//! Forms of instruments as the tables have them: what a refinery that begins takes up, and how somebody who fills the past
//! enters instruments that nobody recorded.

use std::collections::HashMap;

use model::{Instrument, InstrumentId, Time};
use tables::{InstrumentRow, Rows, StoreError, TableName, TableScan, TableStore};

use crate::import::ImportDoors;
use crate::reading;
use crate::runner::Runner;

/// The forms that hold now.
pub(crate) async fn holding(store: &dyn TableStore) -> Result<Vec<InstrumentRow>, StoreError> {
    let mut forms = reading::instruments(&store.scan(TableName::Instruments, TableScan::default()).await?)?;
    forms.retain(|form| form.valid_to.is_none());
    Ok(forms)
}

impl Runner {
    /// Takes up what the tables know of instruments beyond the saved state: entered by those who filled the past alone.
    pub(crate) fn take_up_listed(&mut self) -> Result<(), String> {
        let held = self.handle.block_on(holding(self.store.as_ref()));
        self.house.know(held.map_err(|error| format!("read the table instruments: {error}"))?);
        self.shower.show_all(&self.house);
        Ok(())
    }
}

/// Enters instruments as their venues list them, in place of the forms that held; a form that holds already is left as it
/// is. How many are new. Blocks until they are durable.
///
/// Only while nothing is recorded: a running refinery enters listings itself, and does not see what is entered here.
pub fn enter(doors: &ImportDoors, instruments: &[Instrument], now: Time) -> Result<usize, StoreError> {
    let held = doors.runtime.block_on(holding(doors.store.as_ref()))?;
    let held: HashMap<&InstrumentId, &InstrumentRow> =
        held.iter().map(|form| (&form.instrument.id, form)).collect();
    let mut rows = Vec::new();
    for instrument in instruments {
        match held.get(&instrument.id) {
            Some(form) if form.instrument == *instrument || form.valid_from >= now => continue,
            Some(form) => rows.push(InstrumentRow { valid_to: Some(now), ..InstrumentRow::clone(form) }),
            None => {}
        }
        rows.push(InstrumentRow { instrument: instrument.clone(), valid_from: now, valid_to: None });
    }
    let count = rows.iter().filter(|row| row.valid_to.is_none()).count();
    if count > 0 {
        let mut writer = doors.bulk.begin(TableName::Instruments)?;
        writer.write(Rows::Instruments(rows).to_batch())?;
        writer.commit(None)?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    //! Cases for instruments that are entered beside a recording.
    use std::sync::Arc;

    use model::InstrumentStatus;

    use super::*;
    use crate::fakes::{FakeBulk, FakeStore};

    fn instrument(status: InstrumentStatus, tick: &str) -> Instrument {
        let id = "binance:BTC-USDT".parse().unwrap();
        let tick_size = Some(tick.parse().unwrap());
        Instrument { status, tick_size, listed_time: Some(Time(7)), ..Instrument::named(id, "BTCUSDT") }
    }

    #[test]
    fn a_form_is_entered_once_and_ends_when_another_follows() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let store = Arc::new(FakeStore::default());
        let bulk = Arc::new(FakeBulk(Arc::clone(&store)));
        let doors = ImportDoors { store: Arc::clone(&store) as _, bulk, runtime: runtime.handle().clone() };
        let trading = instrument(InstrumentStatus::Trading, "0.01000000");
        for (listed, now, count) in [
            (&trading, 100, 1),
            (&trading, 200, 0),
            (&instrument(InstrumentStatus::Trading, "0.01"), 300, 0),
            (&instrument(InstrumentStatus::Halted, "0.01"), 400, 1),
        ] {
            assert_eq!(enter(&doors, std::slice::from_ref(listed), Time(now)).unwrap(), count, "at {now}");
        }
        let forms = runtime.block_on(holding(store.as_ref())).unwrap();
        assert_eq!(forms.len(), 1, "{forms:?}");
        assert_eq!((forms[0].valid_from, forms[0].instrument.status), (Time(400), InstrumentStatus::Halted));
        assert_eq!(store.seen(TableName::Instruments).len(), 2);
    }
}

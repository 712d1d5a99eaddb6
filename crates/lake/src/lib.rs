//! Tables on disk: Delta Lake commits over Parquet files, with a row buffer in front, merging behind, and SQL on top.
//!
//! Nothing of Delta, Parquet or DataFusion leaks out of this room: others see `tables::TableStore` and
//! `tables::QueryEngine`. What the rows mean is left to `tables`, where they come from to `refine`.

mod buffer;
mod bulk;
mod catalog;
mod commit;
mod compact;
mod durable;
mod engine;
mod error;
mod extremes;
mod file;
mod growth;
mod ids;
mod lent;
mod log;
mod place;
mod provider;
mod reader;
mod report;
mod rewrite;
mod rows;
mod scan;
mod settings;
mod shelf;
mod small;
mod sql;
mod symbols;
mod upkeep;
mod verify;
mod views;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::future::BoxFuture;
use model::{InstrumentId, LogPosition};
use runtime::{Clock, SystemClock, Tasks};
use tables::lent::{NamedView, SmallTable};
use tables::{
    BatchStream, BulkStore, IdLedger, QueryEngine, QueryError, QueryLimits, RowBatch, Step, StepStore,
    StoreError, TABLES, Table, TableName, TableScan, TableStore, TimeRange,
};

pub use error::Error;
pub use report::{CompactReport, DamagedFile, TableInfo, VacuumReport};
pub use settings::LakeSettings;

use crate::engine::Engine;
use crate::log::TableLog;
use crate::place::Place;
use crate::reader::Reader;
use crate::shelf::House;
use crate::sql::Sql;

/// The lake. A handle; clones share it.
#[derive(Clone)]
pub struct Lake {
    house: Arc<House>,
    engine: Arc<Engine>,
    sql: Arc<Sql>,
}

impl Lake {
    /// Opens the lake, making the folder and the tables that are not there.
    pub async fn open(
        settings: LakeSettings,
        clock: Arc<dyn Clock>,
        tables: &'static [&'static Table],
    ) -> Result<Self, Error> {
        Self::open_as(settings, clock, tables, true).await
    }

    async fn open_as(
        settings: LakeSettings,
        clock: Arc<dyn Clock>,
        tables: &'static [&'static Table],
        may_change: bool,
    ) -> Result<Self, Error> {
        let engine = Arc::new(Engine::start(settings.threads)?);
        let place = Arc::new(Place::find(&settings.location, may_change)?);
        let reader = Arc::new(Reader::new(Arc::clone(&place), settings.footer_memory_bytes)?);
        let sql = Arc::new(Sql::new(&reader, &settings)?);
        let logs =
            tables.iter().map(|table| engine.run(TableLog::open(Arc::clone(&place), table, may_change)));
        let opened = futures::future::try_join_all(logs).await?.into_iter().flatten().collect();
        let house = Arc::new(House::new(settings, clock, place, reader, opened));
        Ok(Self { house, engine, sql })
    }

    /// Starts merging, checkpoints and cleaning in the background.
    pub fn start_upkeep(&self, tasks: &Tasks) {
        upkeep::start(&self.house, &self.engine, tasks);
    }

    /// Merges what is due now.
    pub async fn compact_now(&self) -> Result<CompactReport, Error> {
        let house = Arc::clone(&self.house);
        self.engine.run(async move { compact::compact(&house).await }).await
    }

    /// Writes the checkpoints that are due, then deletes data files and commit entries that nobody needs any more.
    pub async fn vacuum_now(&self) -> Result<VacuumReport, Error> {
        let house = Arc::clone(&self.house);
        let work = async move {
            upkeep::checkpoints(&house).await?;
            upkeep::clean(&house).await
        };
        self.engine.run(work).await
    }

    /// Looks at every data file: whether it is there, whole and readable.
    pub async fn verify(&self) -> Result<Vec<DamagedFile>, Error> {
        let house = Arc::clone(&self.house);
        self.engine.run(async move { verify::verify(&house).await }).await
    }

    /// Names the versions of a table that must stay readable: cleaning leaves their files and commit entries alone.
    ///
    /// Kept in memory: whoever wants them for longer than this process names them again after a start, before the first
    /// cleaning an hour later.
    pub fn pin(&self, table: TableName, versions: Vec<u64>) -> Result<(), Error> {
        self.house.set_pins(self.house.shelf(table)?, versions);
        Ok(())
    }

    /// The store for writers and point readers.
    pub fn store(&self) -> Arc<dyn TableStore> {
        Arc::new(self.clone())
    }

    /// The door for whole days of the past.
    pub fn bulk(&self) -> Arc<dyn BulkStore> {
        Arc::new(self.clone())
    }

    /// The door for tables that follow steps of their own.
    pub fn steps(&self) -> Arc<dyn StepStore> {
        Arc::new(self.clone())
    }

    /// Which ids are stored.
    pub fn ids(&self) -> Arc<dyn IdLedger> {
        Arc::new(self.clone())
    }

    /// The engine for SQL.
    pub fn query(&self) -> Arc<dyn QueryEngine> {
        Arc::new(self.clone())
    }

    /// Lends small tables and views to SQL, in place of what was lent before.
    pub fn lend(&self, tables: Vec<SmallTable>, views: Vec<NamedView>) {
        self.sql.lent.set(tables, views);
    }

    /// Every table as it stands.
    pub fn table_infos(&self) -> Vec<TableInfo> {
        let captured = self.house.capture_all();
        captured.iter().map(TableInfo::of).collect()
    }
}

/// Opens a lake for reading alone, such as for a query without a running process, with what
/// others lend to SQL. Nothing is made or repaired.
pub async fn open_read_only(
    location: &str,
    (small, views): (Vec<SmallTable>, Vec<NamedView>),
) -> Result<Arc<dyn QueryEngine>, Error> {
    let settings = LakeSettings::at(location);
    let lake = Lake::open_as(settings, SystemClock::shared(), TABLES, false).await?;
    if lake.house.shelves.is_empty() {
        return Err(Error::Unusable(format!("there is no lake at {location}; start one with tickhouse run")));
    }
    lake.lend(small, views);
    Ok(Arc::new(lake))
}

impl TableStore for Lake {
    fn append(&self, rows: RowBatch) -> Result<(), StoreError> {
        commit::append(&self.house, rows)
    }

    fn commit(&self, through: LogPosition) -> BoxFuture<'_, Result<(), StoreError>> {
        let house = Arc::clone(&self.house);
        let work = async move { commit::commit(&house, through).await };
        Box::pin(async move { Ok(self.engine.run(work).await?) })
    }

    fn buffered(&self) -> (usize, usize) {
        (self.house.buffered(), self.house.settings.buffer_rows_max)
    }

    fn positions(&self) -> BTreeMap<TableName, LogPosition> {
        self.house.positions()
    }

    fn scan(&self, table: TableName, scan: TableScan) -> BoxFuture<'_, Result<Vec<RecordBatch>, StoreError>> {
        let house = Arc::clone(&self.house);
        let work = async move { scan::scan(&house, table, scan).await };
        Box::pin(async move { Ok(self.engine.run(work).await?) })
    }

    fn replace(
        &self,
        table: TableName,
        instrument: InstrumentId,
        range: TimeRange,
        rows: RecordBatch,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let house = Arc::clone(&self.house);
        let work = async move { commit::replace(&house, table, instrument, range, rows).await };
        Box::pin(async move { Ok(self.engine.run(work).await?) })
    }
}

impl StepStore for Lake {
    fn apply(&self, step: Step) -> BoxFuture<'_, Result<(), StoreError>> {
        let house = Arc::clone(&self.house);
        let work = async move { commit::apply(&house, step).await };
        Box::pin(async move { Ok(self.engine.run(work).await?) })
    }

    fn step_of(&self, table: TableName) -> Result<LogPosition, StoreError> {
        Ok(self.house.capture_position(self.house.shelf(table)?))
    }
}

impl QueryEngine for Lake {
    fn query<'a>(
        &'a self,
        sql: &'a str,
        limits: QueryLimits,
    ) -> BoxFuture<'a, Result<BatchStream, QueryError>> {
        Box::pin(sql::query(Arc::clone(&self.house), Arc::clone(&self.sql), (sql.to_owned(), limits)))
    }
}

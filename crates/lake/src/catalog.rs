//! The names a query can use: captured tables, and views that are planned when they are asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use deltalake::datafusion::catalog::view::ViewTable;
use deltalake::datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, SchemaProvider,
    TableProvider,
};
use deltalake::datafusion::datasource::MemTable;
use deltalake::datafusion::error::DataFusionError;
use deltalake::datafusion::execution::FunctionRegistry;
use deltalake::datafusion::execution::SessionState;
use deltalake::datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use tables::TableName;

use crate::lent::Loan;
use crate::provider::LakeTable;
use crate::reader::Reader;
use crate::shelf::Captured;
use crate::symbols::{SymbolBook, SymbolOf, VenueOf};
use crate::views::VIEWS;

/// Name of the catalogue and of the schema in it.
pub(crate) const CATALOG: &str = "tickhouse";
pub(crate) const SCHEMA: &str = "public";

/// Tables at one moment, and the views over them.
pub(crate) struct Names {
    tables: BTreeMap<&'static str, Arc<dyn TableProvider>>,
    lent: Arc<Loan>,
    /// For planning views.
    views: Option<Views>,
}

struct Views {
    /// Knows the tables alone.
    planner: SessionState,
    reader: Arc<Reader>,
    book: Arc<SymbolBook>,
    instruments: Option<Captured>,
}

impl Views {
    async fn plan(&self, sql: &str) -> Result<LogicalPlan, DataFusionError> {
        let symbols = self.book.symbols(&self.reader, self.instruments.as_ref()).await;
        let symbols = symbols.map_err(|error| DataFusionError::External(Box::new(error)))?;
        let mut planner = self.planner.clone();
        planner.register_udf(Arc::new(ScalarUDF::from(SymbolOf::new(symbols))))?;
        planner.register_udf(Arc::new(ScalarUDF::from(VenueOf::new())))?;
        planner.create_logical_plan(sql).await
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tables.keys()).finish()
    }
}

impl Names {
    /// Lets a state know these tables and all views.
    pub(crate) fn register(
        state: &mut SessionState,
        (reader, book, lent): (&Arc<Reader>, &Arc<SymbolBook>, &Arc<Loan>),
        captured: Vec<Captured>,
    ) -> Result<(), DataFusionError> {
        let instruments = captured.iter().find(|one| one.table.name == TableName::Instruments).cloned();
        let tables: BTreeMap<_, _> = captured
            .into_iter()
            .map(|captured| {
                let name = captured.table.name.as_str();
                (name, Arc::new(LakeTable::new(Arc::clone(reader), captured)) as Arc<dyn TableProvider>)
            })
            .collect();
        let mut planner = state.clone();
        let lent = || Arc::clone(lent);
        Self { tables: tables.clone(), lent: lent(), views: None }.name_in(&mut planner)?;
        let (reader, book) = (Arc::clone(reader), Arc::clone(book));
        Self { tables, lent: lent(), views: Some(Views { planner, reader, book, instruments }) }
            .name_in(state)
    }

    // Far cheaper than building a state anew: hundreds of functions stay where they are.
    fn name_in(self, state: &mut SessionState) -> Result<(), DataFusionError> {
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(self))?;
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        state.register_catalog_list(Arc::new(list));
        Ok(())
    }

    fn view(&self, name: &str) -> Option<&str> {
        let own = VIEWS.iter().find(|view| view.name == name).map(|view| view.sql);
        own.or_else(|| self.lent.view(name).map(|view| view.sql.as_str()))
    }

    /// Every name, for messages.
    pub(crate) fn all(lent: &Loan, tables: impl Iterator<Item = &'static str>) -> Vec<String> {
        let own = tables.chain(VIEWS.iter().map(|view| view.name)).map(str::to_owned);
        let mut names: Vec<String> = own.chain(lent.names().map(str::to_owned)).collect();
        names.sort_unstable();
        names
    }
}

#[async_trait]
impl SchemaProvider for Names {
    fn table_names(&self) -> Vec<String> {
        Self::all(&self.lent, self.tables.keys().copied())
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(table) = self.tables.get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        if let Some(small) = self.lent.table(name) {
            let broken = |why: String| DataFusionError::Execution(format!("read {name}: {why}"));
            let rows = (small.rows)().map_err(broken)?;
            return Ok(Some(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?)));
        }
        let (Some(sql), Some(views)) = (self.view(name), &self.views) else { return Ok(None) };
        let plan = views.plan(sql).await?;
        Ok(Some(Arc::new(ViewTable::new(plan, Some(sql.to_owned())))))
    }

    fn table_exist(&self, name: &str) -> bool {
        let is_table = self.tables.contains_key(name) || self.lent.table(name).is_some();
        is_table || (self.views.is_some() && self.view(name).is_some())
    }
}

//! What others lend to SQL: small tables made when they are asked for, and views that come and change while the house runs.

use std::sync::{Arc, PoisonError, RwLock};

use tables::lent::{NamedView, SmallTable};

/// What is lent now. Cheap to clone; a query keeps what was lent when it began.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lent {
    now: Arc<RwLock<Arc<Loan>>>,
}

/// Small tables and views, each sorted by name.
#[derive(Debug, Default)]
pub(crate) struct Loan {
    pub(crate) tables: Vec<SmallTable>,
    pub(crate) views: Vec<NamedView>,
}

impl Lent {
    /// Lends these in place of what was lent before.
    pub(crate) fn set(&self, mut tables: Vec<SmallTable>, mut views: Vec<NamedView>) {
        tables.sort_by(|one, next| one.name.cmp(&next.name));
        views.sort_by(|one, next| one.name.cmp(&next.name));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Loan { tables, views });
    }

    pub(crate) fn now(&self) -> Arc<Loan> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Loan {
    pub(crate) fn table(&self, name: &str) -> Option<&SmallTable> {
        self.tables.iter().find(|table| table.name == name)
    }

    pub(crate) fn view(&self, name: &str) -> Option<&NamedView> {
        self.views.iter().find(|view| view.name == name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let tables = self.tables.iter().map(|table| table.name.as_str());
        tables.chain(self.views.iter().map(|view| view.name.as_str()))
    }
}

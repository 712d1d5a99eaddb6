//! REST budgets of venue hosts, so that a restart neither forgets a ban nor spends a window twice.

use model::Time;
use rusqlite::params;

use crate::error::Error;
use crate::store::Control;

/// The table's first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE budgets (
    host TEXT PRIMARY KEY,
    window_start INTEGER NOT NULL,
    weight_used INTEGER NOT NULL,
    banned_until INTEGER
) STRICT, WITHOUT ROWID;
";

/// The budget of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Host: the REST origin.
    pub host: String,
    /// Start of the window the weight was used in.
    pub window_start: Time,
    /// Weight used in that window.
    pub weight_used: u32,
    /// No question before then.
    pub banned_until: Option<Time>,
}

impl Control {
    /// Every budget kept, by host.
    pub fn load_budgets(&self) -> Result<Vec<Budget>, Error> {
        self.with("read", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT host, window_start, weight_used, banned_until FROM budgets ORDER BY host",
            )?;
            let rows = statement.query_map([], |row| {
                Ok(Budget {
                    host: row.get(0)?,
                    window_start: Time(row.get(1)?),
                    weight_used: row.get(2)?,
                    banned_until: row.get::<_, Option<i64>>(3)?.map(Time),
                })
            })?;
            rows.collect()
        })
    }

    /// Keeps a budget in place of the older one of that host; it survives a power cut once this returns.
    pub fn save_budget(&self, budget: &Budget) -> Result<(), Error> {
        self.with("write", |connection| {
            connection
                .prepare_cached(
                    "INSERT INTO budgets (host, window_start, weight_used, banned_until) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (host) DO UPDATE SET window_start = excluded.window_start,
                         weight_used = excluded.weight_used, banned_until = excluded.banned_until",
                )?
                .execute(params![
                    budget.host,
                    budget.window_start.0,
                    budget.weight_used,
                    budget.banned_until.map(|until| until.0)
                ])
                .map(|_rows| ())
        })
    }
}

//! REST budgets of venue hosts, so that a restart neither forgets a ban nor spends a window twice.

use model::Time;
use rusqlite::{Connection, params};

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

/// What was added later: counts per endpoint.
pub(crate) const ENDPOINTS_SCHEMA: &str = "
CREATE TABLE budget_endpoints (
    host TEXT NOT NULL,
    path TEXT NOT NULL,
    questions INTEGER NOT NULL,
    weight INTEGER NOT NULL,
    bans INTEGER NOT NULL,
    recent INTEGER NOT NULL,
    recent_time INTEGER NOT NULL,
    PRIMARY KEY (host, path)
) STRICT, WITHOUT ROWID;
";

/// What one endpoint of a host was asked since counting began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetEndpoint {
    /// Path without its query.
    pub path: Box<str>,
    /// Questions.
    pub questions: u64,
    /// Their weight.
    pub weight: u64,
    /// Answers that told us to stop.
    pub bans: u64,
    /// Questions of the running window, where the venue counts them apart.
    pub recent: u32,
    /// The newest of them.
    pub recent_time: Time,
}

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
    /// Its endpoints, by path.
    pub endpoints: Vec<BudgetEndpoint>,
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
                    endpoints: Vec::new(),
                })
            })?;
            let mut budgets: Vec<Budget> = rows.collect::<Result<_, _>>()?;
            for budget in &mut budgets {
                budget.endpoints = endpoints(connection, &budget.host)?;
            }
            Ok(budgets)
        })
    }

    /// Keeps a budget in place of the older one of that host; it survives a power cut once this returns.
    pub fn save_budget(&self, budget: &Budget) -> Result<(), Error> {
        self.with("write", |connection| {
            let transaction = connection.transaction()?;
            transaction
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
                ])?;
            for endpoint in &budget.endpoints {
                transaction
                    .prepare_cached("INSERT OR REPLACE INTO budget_endpoints VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                    .execute(params![
                        budget.host,
                        endpoint.path,
                        endpoint.questions as i64,
                        endpoint.weight as i64,
                        endpoint.bans as i64,
                        endpoint.recent,
                        endpoint.recent_time.0
                    ])?;
            }
            transaction.commit()
        })
    }
}

fn endpoints(connection: &Connection, host: &str) -> rusqlite::Result<Vec<BudgetEndpoint>> {
    let mut statement = connection.prepare_cached(
        "SELECT path, questions, weight, bans, recent, recent_time FROM budget_endpoints WHERE host = ?1
         ORDER BY path",
    )?;
    let count = |row: &rusqlite::Row<'_>, column| row.get::<_, i64>(column).map(|count| count.max(0) as u64);
    let rows = statement.query_map([host], |row| {
        Ok(BudgetEndpoint {
            path: row.get::<_, String>(0)?.into(),
            questions: count(row, 1)?,
            weight: count(row, 2)?,
            bans: count(row, 3)?,
            recent: row.get(4)?,
            recent_time: Time(row.get(5)?),
        })
    })?;
    rows.collect()
}

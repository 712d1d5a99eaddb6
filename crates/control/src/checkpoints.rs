//! How far each part of the chain's work has come, and what keeps it: shown to the operator. The tables carry their own step;
//! these rows tell of it, and of what failed.

use model::Time;
use rusqlite::{Row, params};

use crate::error::Error;
use crate::store::Control;

/// The table's first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE checkpoints (
    chain TEXT NOT NULL,
    component TEXT NOT NULL,
    interval TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    height INTEGER,
    hash TEXT,
    bucket INTEGER,
    status TEXT NOT NULL,
    error_message TEXT,
    updated_time INTEGER NOT NULL,
    PRIMARY KEY (chain, component, interval)
) STRICT, WITHOUT ROWID;
";

/// Whose checkpoint it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointKey {
    /// The chain: `btc`.
    pub chain: String,
    /// The component: `btc_raw_block_ingestion`, `btc_metric_nvt_10m`, `worker_…`.
    pub component: String,
    /// `block`, `10m`, `1h`, `24h`, or `heartbeat`.
    pub interval: String,
}

impl CheckpointKey {
    /// A component of Bitcoin.
    pub fn btc(component: &str, interval: &str) -> Self {
        Self { chain: "btc".to_owned(), component: component.to_owned(), interval: interval.to_owned() }
    }
}

/// Where a component stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The step; only grows.
    pub sequence: u64,
    /// The highest block.
    pub height: Option<u32>,
    /// Its hash.
    pub hash: Option<String>,
    /// The last bucket.
    pub bucket: Option<Time>,
}

/// A checkpoint as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose.
    pub key: CheckpointKey,
    /// The last safe place.
    pub reached: Reached,
    /// `ok` or `error`.
    pub status: String,
    /// What failed, while the status is `error`.
    pub error_message: Option<String>,
    /// When it was last written.
    pub updated_time: Time,
}

impl Control {
    /// Notes that a component reached a place; what failed before is over.
    pub fn checkpoint_reached(&self, key: &CheckpointKey, reached: &Reached, now: Time) -> Result<(), Error> {
        self.with("note a checkpoint", |connection| {
            let sql = "INSERT INTO checkpoints (chain, component, interval, sequence, height, hash, bucket, status, updated_time)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'ok', ?8)
                ON CONFLICT DO UPDATE SET sequence = ?4, height = ?5, hash = ?6, bucket = ?7, status = 'ok',
                error_message = NULL, updated_time = ?8";
            let values = params![
                key.chain,
                key.component,
                key.interval,
                reached.sequence as i64,
                reached.height,
                reached.hash,
                reached.bucket.map(|bucket| bucket.0),
                now.0
            ];
            connection.execute(sql, values).map(drop)
        })
    }

    /// Notes that a component failed; it stays at its last safe place.
    pub fn checkpoint_failed(&self, key: &CheckpointKey, message: &str, now: Time) -> Result<(), Error> {
        self.with("note a failed component", |connection| {
            let sql = "INSERT INTO checkpoints (chain, component, interval, sequence, status, error_message, updated_time)
                VALUES (?1, ?2, ?3, 0, 'error', ?4, ?5)
                ON CONFLICT DO UPDATE SET status = 'error', error_message = ?4, updated_time = ?5";
            connection.execute(sql, params![key.chain, key.component, key.interval, message, now.0]).map(drop)
        })
    }

    /// Every checkpoint, sorted by its key.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, Error> {
        self.with("read checkpoints", |connection| {
            let sql = "SELECT chain, component, interval, sequence, height, hash, bucket, status, error_message, updated_time
                FROM checkpoints ORDER BY chain, component, interval";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], read)?;
            rows.collect()
        })
    }

    /// One checkpoint; `None` before the component first wrote one.
    pub fn checkpoint(&self, key: &CheckpointKey) -> Result<Option<Checkpoint>, Error> {
        Ok(self.checkpoints()?.into_iter().find(|one| one.key == *key))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Checkpoint> {
    Ok(Checkpoint {
        key: CheckpointKey { chain: row.get(0)?, component: row.get(1)?, interval: row.get(2)? },
        reached: Reached {
            sequence: row.get::<_, i64>(3)? as u64,
            height: row.get(4)?,
            hash: row.get(5)?,
            bucket: row.get::<_, Option<i64>>(6)?.map(Time),
        },
        status: row.get(7)?,
        error_message: row.get(8)?,
        updated_time: Time(row.get(9)?),
    })
}

#[cfg(test)]
mod tests {
    //! Cases for checkpoints.
    use super::*;

    #[test]
    fn a_failure_keeps_the_last_safe_place_and_success_forgets_it() {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::open(folder.path().join("control.sqlite")).unwrap();
        let key = CheckpointKey::btc("btc_raw_block_ingestion", "block");
        let reached =
            Reached { sequence: 4, height: Some(9), hash: Some("ab".to_owned()), bucket: Some(Time(600)) };
        control.checkpoint_reached(&key, &reached, Time(1)).unwrap();
        control.checkpoint_failed(&key, "node gone", Time(2)).unwrap();
        let failed = control.checkpoint(&key).unwrap().unwrap();
        assert_eq!((failed.reached, failed.status.as_str()), (reached.clone(), "error"));
        assert_eq!(failed.error_message.as_deref(), Some("node gone"));
        control.checkpoint_reached(&key, &Reached { sequence: 5, ..reached }, Time(3)).unwrap();
        let fine = control.checkpoint(&key).unwrap().unwrap();
        assert_eq!((fine.reached.sequence, fine.status.as_str(), fine.error_message), (5, "ok", None));
    }
}

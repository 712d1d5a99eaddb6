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

/// Since when a component fails, beside when it last did.
pub(crate) const SINCE_SCHEMA: &str = "ALTER TABLE checkpoints ADD COLUMN failing_since INTEGER;";

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
    /// When it was last written: while it fails, when it last did.
    pub updated_time: Time,
    /// Since when it fails, in whatever words; `None` while it does not.
    pub failing_since: Option<Time>,
}

impl Control {
    /// Notes that a component reached a place; what failed before is over.
    pub fn checkpoint_reached(&self, key: &CheckpointKey, reached: &Reached, now: Time) -> Result<(), Error> {
        self.with("note a checkpoint", |connection| {
            let sql = "INSERT INTO checkpoints (chain, component, interval, sequence, height, hash, bucket, status, updated_time)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'ok', ?8)
                ON CONFLICT DO UPDATE SET sequence = ?4, height = ?5, hash = ?6, bucket = ?7, status = 'ok',
                error_message = NULL, updated_time = ?8, failing_since = NULL";
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

    /// Notes that a component failed; it stays at its last safe place. Tried again and failed again, it fails since the first time.
    pub fn checkpoint_failed(&self, key: &CheckpointKey, message: &str, now: Time) -> Result<(), Error> {
        self.with("note a failed component", |connection| {
            let sql = "INSERT INTO checkpoints (chain, component, interval, sequence, status, error_message, updated_time, failing_since)
                VALUES (?1, ?2, ?3, 0, 'error', ?4, ?5, ?5)
                ON CONFLICT DO UPDATE SET status = 'error', error_message = ?4, updated_time = ?5,
                failing_since = CASE status WHEN 'error' THEN coalesce(failing_since, updated_time) ELSE ?5 END";
            connection.execute(sql, params![key.chain, key.component, key.interval, message, now.0]).map(drop)
        })
    }

    /// Every checkpoint, sorted by its key.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>, Error> {
        self.with("read checkpoints", |connection| {
            // A file that an older version wrote, opened to be read alone, has no such column.
            let known = "SELECT 1 FROM pragma_table_info('checkpoints') WHERE name = 'failing_since'";
            let since = if connection.prepare_cached(known)?.exists([])? { "failing_since" } else { "NULL" };
            let sql = format!(
                "SELECT chain, component, interval, sequence, height, hash, bucket, status, error_message, updated_time, {since}
                FROM checkpoints ORDER BY chain, component, interval"
            );
            let mut statement = connection.prepare_cached(&sql)?;
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
        failing_since: row.get::<_, Option<i64>>(10)?.map(Time),
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

    #[test]
    fn a_failure_was_told_to_stand_since_its_last_retry() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("control.sqlite");
        let control = Control::open(&file).unwrap();
        let key = CheckpointKey::btc("btc_raw_block_ingestion", "block");
        let times = |control: &Control| {
            let one = control.checkpoint(&key).unwrap().unwrap();
            (one.failing_since, one.updated_time)
        };
        control.checkpoint_reached(&key, &Reached::default(), Time(1)).unwrap();
        assert_eq!(times(&control), (None, Time(1)));
        for (time, words) in [(2, "node gone"), (5, "node gone"), (9, "refused")] {
            control.checkpoint_failed(&key, words, Time(time)).unwrap();
            assert_eq!(times(&control), (Some(Time(2)), Time(time)), "{words}");
        }
        control.checkpoint_reached(&key, &Reached::default(), Time(10)).unwrap();
        assert_eq!(times(&control), (None, Time(10)));
        control.checkpoint_failed(&key, "node gone", Time(12)).unwrap();
        assert_eq!(times(&control), (Some(Time(12)), Time(12)));
        // As an older version left it, and as it is read without being written.
        let old =
            "ALTER TABLE checkpoints DROP COLUMN failing_since; UPDATE schema_version SET version = 11;";
        control.with("go back", |connection| connection.execute_batch(old)).unwrap();
        assert_eq!(times(&Control::open_to_read(&file).unwrap()), (None, Time(12)));
        let control = Control::open(&file).unwrap();
        control.checkpoint_failed(&key, "node gone", Time(15)).unwrap();
        assert_eq!(times(&control), (Some(Time(12)), Time(15)));
    }
}

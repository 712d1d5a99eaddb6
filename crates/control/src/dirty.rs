//! What must be computed again: noted before its ground changes, forgotten once it was computed, so that a crash between the
//! two is caught up with.

use model::Time;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Error;
use crate::store::Control;

/// The tables' first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE dirty (
    part TEXT NOT NULL PRIMARY KEY,
    from_time INTEGER NOT NULL,
    marks INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE fold_states (
    fold TEXT NOT NULL,
    before INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (fold, before)
) STRICT, WITHOUT ROWID;
";

/// Parts that are noted, by the tables they make.
pub mod parts {
    /// One price out of those of the venues.
    pub const COMPOSED_PRICES: &str = "composed_prices_10m";
    /// What blocks did to coins.
    pub const COIN_BLOCKS: &str = "btc_coin_blocks";
    /// Metrics.
    pub const METRICS: &str = "metrics";
    /// Files of blocks that no row may point to any more.
    pub const BLOCK_FILES: &str = "btc_block_files";
}

/// What the registries decide about.
pub(crate) const OF_REGISTRIES: [&str; 3] = [parts::COMPOSED_PRICES, parts::COIN_BLOCKS, parts::METRICS];

fn mark(connection: &Connection, part: &str, from: Time) -> rusqlite::Result<()> {
    let sql = "INSERT INTO dirty VALUES (?1, ?2, 1)
        ON CONFLICT DO UPDATE SET from_time = min(from_time, ?2), marks = marks + 1";
    connection.execute(sql, params![part, from.0]).map(drop)
}

/// Notes that everything a registry decides about must be computed again from the beginning. Within the transaction that changes it: a
/// change without its note would never be followed.
pub(crate) fn mark_registry(connection: &Connection) -> rusqlite::Result<()> {
    OF_REGISTRIES.iter().try_for_each(|part| mark(connection, part, Time(0)))
}

/// What must be computed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirty {
    /// From this moment on.
    pub from: Time,
    /// How often it was noted; with another count it was noted again since.
    pub marks: i64,
}

impl Control {
    /// Notes that a part must be computed again from a moment on, or from an earlier one noted before.
    pub fn mark_dirty(&self, part: &str, from: Time) -> Result<(), Error> {
        self.with("note what must be computed again", |connection| mark(connection, part, from))
    }

    /// From when on a part must be computed again; `None` if it is in order.
    pub fn dirty(&self, part: &str) -> Result<Option<Dirty>, Error> {
        self.with("read what must be computed again", |connection| {
            let sql = "SELECT from_time, marks FROM dirty WHERE part = ?1";
            let read = |row: &rusqlite::Row<'_>| Ok(Dirty { from: Time(row.get(0)?), marks: row.get(1)? });
            connection.query_row(sql, [part], read).optional()
        })
    }

    /// Notes that a part was computed. What was noted again meanwhile stays.
    pub fn mark_clean(&self, part: &str, dirty: Dirty) -> Result<(), Error> {
        self.with("note what was computed", |connection| {
            let sql = "DELETE FROM dirty WHERE part = ?1 AND marks = ?2";
            connection.execute(sql, params![part, dirty.marks]).map(drop)
        })
    }

    /// Keeps the state a fold has before a moment. States of later moments are forgotten: they were computed from another past.
    pub fn keep_fold_state(&self, fold: &str, before: Time, state: &[u8]) -> Result<(), Error> {
        self.with("keep a state", |connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "DELETE FROM fold_states WHERE fold = ?1 AND before >= ?2",
                params![fold, before.0],
            )?;
            transaction
                .execute("INSERT INTO fold_states VALUES (?1, ?2, ?3)", params![fold, before.0, state])?;
            transaction.commit()
        })
    }

    /// Forgets all states of a fold: its input begins elsewhere now.
    pub fn forget_fold_states(&self, fold: &str) -> Result<(), Error> {
        self.with("forget states", |connection| {
            connection.execute("DELETE FROM fold_states WHERE fold = ?1", [fold]).map(drop)
        })
    }

    /// The latest state of a fold that is kept for a moment up to this one.
    pub fn fold_state(&self, fold: &str, until: Time) -> Result<Option<(Time, Vec<u8>)>, Error> {
        self.with("read a state", |connection| {
            let sql = "SELECT before, state FROM fold_states WHERE fold = ?1 AND before <= ?2
                ORDER BY before DESC LIMIT 1";
            let row = |row: &rusqlite::Row<'_>| Ok((Time(row.get(0)?), row.get(1)?));
            connection.query_row(sql, params![fold, until.0], row).optional()
        })
    }
}

#[cfg(test)]
mod tests {
    //! Cases for marks and states.
    use super::*;

    #[test]
    fn an_earlier_mark_wins_and_one_made_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::open(folder.path().join("control.sqlite")).unwrap();
        assert_eq!(control.dirty("composer").unwrap(), None);
        control.mark_dirty("composer", Time(50)).unwrap();
        control.mark_dirty("composer", Time(70)).unwrap();
        let read = control.dirty("composer").unwrap().unwrap();
        assert_eq!(read.from, Time(50));
        control.mark_dirty("composer", Time(90)).unwrap();
        control.mark_clean("composer", read).unwrap();
        let again = control.dirty("composer").unwrap().unwrap();
        assert_eq!(again.from, Time(50));
        control.mark_clean("composer", again).unwrap();
        assert_eq!(control.dirty("composer").unwrap(), None);
    }

    #[test]
    fn the_latest_state_before_a_moment_is_taken_and_later_ones_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let control = Control::open(folder.path().join("control.sqlite")).unwrap();
        for before in [10, 20, 30] {
            control.keep_fold_state("price", Time(before), &[before as u8]).unwrap();
        }
        assert_eq!(control.fold_state("price", Time(25)).unwrap(), Some((Time(20), vec![20])));
        assert_eq!(control.fold_state("price", Time(9)).unwrap(), None);
        control.keep_fold_state("price", Time(15), &[15]).unwrap();
        assert_eq!(control.fold_state("price", Time(99)).unwrap(), Some((Time(15), vec![15])));
    }
}

//! What is computed and where prices come from: metrics and price sources, switched on and off by the operator.
//!
//! A change and the note of what is to be computed again for it are one transaction.

use model::Time;
use rusqlite::{OptionalExtension, Params, Row, params};

use crate::dirty::mark_registry;
use crate::error::Error;
use crate::store::Control;

/// The tables' first form.
pub(crate) const SCHEMA: &str = "
CREATE TABLE price_sources (
    source_name TEXT NOT NULL PRIMARY KEY,
    is_enabled INTEGER NOT NULL,
    market_type TEXT NOT NULL,
    config_json TEXT NOT NULL,
    created_time INTEGER NOT NULL,
    updated_time INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE metric_registry (
    metric_name TEXT NOT NULL,
    interval TEXT NOT NULL,
    is_enabled INTEGER NOT NULL,
    output_table TEXT NOT NULL,
    dependencies TEXT NOT NULL,
    description TEXT NOT NULL,
    created_time INTEGER NOT NULL,
    updated_time INTEGER NOT NULL,
    PRIMARY KEY (metric_name, interval)
) STRICT, WITHOUT ROWID;
CREATE TABLE registry_values (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
";

/// A price source as it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSourceRow {
    /// The venue.
    pub source_name: String,
    /// Whether it is asked, and its rows used.
    pub is_enabled: bool,
    /// `spot`.
    pub market_type: String,
    /// Its settings, a JSON object.
    pub config_json: String,
    /// When it was last changed.
    pub updated_time: Time,
}

/// A metric as it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricRow {
    /// Its name.
    pub metric_name: String,
    /// `10m`, `1h` or `24h`.
    pub interval: String,
    /// Whether it is computed.
    pub is_enabled: bool,
    /// The SQL name under which its values are read.
    pub output_table: String,
    /// What it is computed from, with commas between.
    pub dependencies: String,
    /// What it means.
    pub description: String,
    /// When it was last changed.
    pub updated_time: Time,
}

/// The name of the value that says which method is canonical.
const CANONICAL: &str = "price_canonical_method";

impl Control {
    /// Registers price sources that are not known yet; those that are stay as the operator left them.
    pub fn seed_price_sources(&self, rows: &[PriceSourceRow], now: Time) -> Result<(), Error> {
        self.with("register price sources", |connection| {
            let transaction = connection.transaction()?;
            for row in rows {
                let sql = "INSERT OR IGNORE INTO price_sources VALUES (?1, ?2, ?3, ?4, ?5, ?5)";
                let values =
                    params![row.source_name, row.is_enabled, row.market_type, row.config_json, now.0];
                transaction.execute(sql, values)?;
            }
            transaction.commit()
        })
    }

    /// Every price source, sorted by name.
    pub fn price_sources(&self) -> Result<Vec<PriceSourceRow>, Error> {
        self.with("read price sources", |connection| {
            let sql =
                "SELECT source_name, is_enabled, market_type, config_json, updated_time FROM price_sources
                ORDER BY source_name";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                Ok(PriceSourceRow {
                    source_name: row.get(0)?,
                    is_enabled: row.get(1)?,
                    market_type: row.get(2)?,
                    config_json: row.get(3)?,
                    updated_time: Time(row.get(4)?),
                })
            })?;
            rows.collect()
        })
    }

    /// Switches a price source on or off, and has prices and metrics computed again. False if it is not registered.
    pub fn enable_price_source(&self, name: &str, is_enabled: bool, now: Time) -> Result<bool, Error> {
        let sql = "UPDATE price_sources SET is_enabled = ?2, updated_time = ?3 WHERE source_name = ?1";
        Ok(self.change("switch a price source", sql, params![name, is_enabled, now.0])? > 0)
    }

    /// Changes a registry, and notes what follows from it. How many rows changed.
    fn change(&self, doing: &'static str, sql: &str, values: impl Params) -> Result<usize, Error> {
        self.with(doing, |connection| {
            let transaction = connection.transaction()?;
            let changed = transaction.execute(sql, values)?;
            if changed > 0 {
                mark_registry(&transaction)?;
            }
            transaction.commit()?;
            Ok(changed)
        })
    }

    /// Gives a price source other settings: where it is asked, which changes no row that came already. False if it is not registered.
    pub fn configure_price_source(&self, name: &str, config_json: &str, now: Time) -> Result<bool, Error> {
        self.with("configure a price source", |connection| {
            let sql = "UPDATE price_sources SET config_json = ?2, updated_time = ?3 WHERE source_name = ?1";
            Ok(connection.execute(sql, params![name, config_json, now.0])? > 0)
        })
    }

    /// Registers metrics: new ones are enabled; of known ones the description is renewed and the switch stays.
    pub fn seed_metrics(&self, rows: &[MetricRow], now: Time) -> Result<(), Error> {
        self.with("register metrics", |connection| {
            let transaction = connection.transaction()?;
            for row in rows {
                let sql = "INSERT INTO metric_registry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)
                    ON CONFLICT DO UPDATE SET output_table = ?4, dependencies = ?5, description = ?6";
                let values = params![
                    row.metric_name,
                    row.interval,
                    row.is_enabled,
                    row.output_table,
                    row.dependencies,
                    row.description,
                    now.0
                ];
                transaction.execute(sql, values)?;
            }
            transaction.commit()
        })
    }

    /// Every metric and interval, sorted.
    pub fn metrics(&self) -> Result<Vec<MetricRow>, Error> {
        self.with("read metrics", |connection| {
            let sql = "SELECT metric_name, interval, is_enabled, output_table, dependencies, description, updated_time
                FROM metric_registry ORDER BY metric_name, interval";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], metric)?;
            rows.collect()
        })
    }

    /// Switches a metric on or off, at one interval or at all, and has prices and metrics computed again. How many rows of the registry
    /// changed.
    pub fn enable_metric(
        &self,
        name: &str,
        interval: Option<&str>,
        is_enabled: bool,
        now: Time,
    ) -> Result<usize, Error> {
        let sql = "UPDATE metric_registry SET is_enabled = ?3, updated_time = ?4
            WHERE metric_name = ?1 AND (?2 IS NULL OR interval = ?2)";
        self.change("switch a metric", sql, params![name, interval, is_enabled, now.0])
    }

    /// The number of the method whose prices are canonical; `None` where nothing was chosen.
    pub fn canonical_method(&self) -> Result<Option<u8>, Error> {
        let text: Option<String> = self.with("read the canonical method", |connection| {
            let sql = "SELECT value FROM registry_values WHERE name = ?1";
            connection.query_row(sql, [CANONICAL], |row| row.get(0)).optional()
        })?;
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Chooses the method whose prices are canonical, and has what is made of prices computed again.
    pub fn choose_canonical_method(&self, number: u8) -> Result<(), Error> {
        let sql = "INSERT INTO registry_values VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2";
        self.change("choose the canonical method", sql, params![CANONICAL, number.to_string()]).map(drop)
    }
}

fn metric(row: &Row<'_>) -> rusqlite::Result<MetricRow> {
    Ok(MetricRow {
        metric_name: row.get(0)?,
        interval: row.get(1)?,
        is_enabled: row.get(2)?,
        output_table: row.get(3)?,
        dependencies: row.get(4)?,
        description: row.get(5)?,
        updated_time: Time(row.get(6)?),
    })
}

#[cfg(test)]
mod tests {
    //! Cases for the registries.
    use super::*;

    fn control(folder: &std::path::Path) -> Control {
        Control::open(folder.join("control.sqlite")).unwrap()
    }

    #[test]
    fn seeding_again_leaves_what_the_operator_chose() {
        let folder = tempfile::tempdir().unwrap();
        let control = control(folder.path());
        let row = |config: &str| PriceSourceRow {
            source_name: "binance".to_owned(),
            is_enabled: true,
            market_type: "spot".to_owned(),
            config_json: config.to_owned(),
            updated_time: Time(1),
        };
        control.seed_price_sources(&[row("{}")], Time(1)).unwrap();
        assert!(control.configure_price_source("binance", "{\"mode\":\"remote\"}", Time(2)).unwrap());
        assert!(control.enable_price_source("binance", false, Time(3)).unwrap());
        assert!(!control.enable_price_source("mtgox", true, Time(3)).unwrap());
        control.seed_price_sources(&[row("{}")], Time(4)).unwrap();
        let stored = control.price_sources().unwrap();
        let expected =
            PriceSourceRow { is_enabled: false, updated_time: Time(3), ..row("{\"mode\":\"remote\"}") };
        assert_eq!(stored, [expected]);
    }

    #[test]
    fn a_metric_is_switched_at_one_interval_or_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let control = control(folder.path());
        let row = |interval: &str| MetricRow {
            metric_name: "nvt".to_owned(),
            interval: interval.to_owned(),
            is_enabled: true,
            output_table: format!("btc_nvt_{interval}"),
            dependencies: "price".to_owned(),
            description: String::new(),
            updated_time: Time(1),
        };
        control.seed_metrics(&[row("10m"), row("1h")], Time(1)).unwrap();
        assert_eq!(control.enable_metric("nvt", Some("1h"), false, Time(2)).unwrap(), 1);
        control.seed_metrics(&[row("10m"), row("1h")], Time(3)).unwrap();
        let switches: Vec<bool> = control.metrics().unwrap().iter().map(|row| row.is_enabled).collect();
        assert_eq!(switches, [true, false]);
        assert_eq!(control.enable_metric("nvt", None, true, Time(4)).unwrap(), 2);
        assert_eq!(control.enable_metric("nothing", None, true, Time(4)).unwrap(), 0);
        assert_eq!(control.canonical_method().unwrap(), None);
        control.choose_canonical_method(1).unwrap();
        assert_eq!(control.canonical_method().unwrap(), Some(1));
    }

    #[test]
    fn a_change_cut_off_before_its_note_was_never_computed() {
        let folder = tempfile::tempdir().unwrap();
        let control = control(folder.path());
        let source = PriceSourceRow {
            source_name: "okx".to_owned(),
            is_enabled: true,
            market_type: "spot".to_owned(),
            config_json: "{}".to_owned(),
            updated_time: Time(1),
        };
        control.seed_price_sources(&[source], Time(1)).unwrap();
        let noted = || {
            let marks = crate::dirty::OF_REGISTRIES.map(|part| control.dirty(part).unwrap());
            marks.map(|mark| mark.map(|mark| mark.marks))
        };
        assert!(!control.enable_price_source("mtgox", false, Time(2)).unwrap());
        assert_eq!(noted(), [None; 3], "nothing changed");
        assert!(control.enable_price_source("okx", false, Time(2)).unwrap());
        assert_eq!(noted(), [Some(1); 3]);
        control.choose_canonical_method(1).unwrap();
        assert_eq!(noted(), [Some(2); 3]);
        // Where the note cannot be written, nothing is changed either.
        let sql = "CREATE TRIGGER cut BEFORE UPDATE ON dirty BEGIN SELECT RAISE(ABORT, 'cut off'); END";
        control.with("cut off", |connection| connection.execute_batch(sql)).unwrap();
        assert!(control.enable_price_source("okx", true, Time(3)).is_err());
        assert!(control.choose_canonical_method(2).is_err());
        assert!(!control.price_sources().unwrap()[0].is_enabled);
        assert_eq!((control.canonical_method().unwrap(), noted()), (Some(1), [Some(2); 3]));
    }
}

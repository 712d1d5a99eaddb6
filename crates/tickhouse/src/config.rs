//! The configuration file: every setting declared once, checked all at once, handed to each room as its own settings.
//!
//! Sources, later ones win: built-in defaults, the TOML file, `.env`, the environment (`TICKHOUSE__SECTION__KEY`).
//! Turning checked values into each room's settings is left to `settings`.

pub(crate) mod btc;
mod check;
mod file;
mod list;
mod notify;
mod setting;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(crate) use setting::Value;

use ::notify::Secret;

/// Name of the file looked for when none is named.
pub(crate) const FILE_NAME: &str = "tickhouse.toml";

/// One mistake: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) place: String,
    pub(crate) what: String,
    pub(crate) remedy: String,
}

/// All mistakes of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Mistakes(pub(crate) Vec<Mistake>);

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} {}", if count == 1 { "mistake" } else { "mistakes" })?;
        for mistake in &self.0 {
            write!(f, "\n  {}: {}; {}", mistake.place, mistake.what, mistake.remedy)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// A checked value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) value: Value,
    pub(crate) origin: String,
}

/// Checked settings: dotted key to value. Venue sections are present for every venue the house can collect from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    values: BTreeMap<String, Found>,
}

impl Config {
    /// Reads file and environment. Every mistake is reported, not only the first.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let path =
            path.map(Path::to_path_buf).or_else(|| Path::new(FILE_NAME).exists().then(|| FILE_NAME.into()));
        let mut config = Self::defaults();
        if let Some(path) = path {
            match std::fs::read_to_string(&path) {
                Ok(text) => config.take_file(&path, &text, &mut mistakes),
                Err(error) => mistakes.push(Mistake {
                    place: path.display().to_string(),
                    what: format!("cannot be read: {error}"),
                    remedy: "name another file with -c, or write one with `tickhouse init`".into(),
                }),
            }
        }
        config.take_variables(&mut mistakes);
        config.checked(mistakes)
    }

    /// Only the environment, on top of the defaults: the demo has nothing to do with the file, and serves on loopback.
    pub(crate) fn without_file() -> Result<Self, Mistakes> {
        let (mut config, mut mistakes) = (Self::defaults(), Vec::new());
        config.take_variables(&mut mistakes);
        let address = Self::defaults().value("serve.address").clone();
        config.set("serve.address", address, "demo");
        config.checked(mistakes)
    }

    fn take_variables(&mut self, mistakes: &mut Vec<Mistake>) {
        // A variable of another program may hold anything.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
        self.take_environment(&variables, mistakes);
    }

    fn checked(self, mut mistakes: Vec<Mistake>) -> Result<Self, Mistakes> {
        check::check(&self, &mut mistakes);
        if mistakes.is_empty() { Ok(self) } else { Err(Mistakes(mistakes)) }
    }

    /// The built-in defaults.
    pub(crate) fn defaults() -> Self {
        let mut values = BTreeMap::new();
        for (key, setting) in list::all() {
            let value = setting.kind.parse_text(setting.default).expect("every default fits its kind");
            values.insert(key, Found { value, origin: "default".into() });
        }
        Self { values }
    }

    /// Reads one file's text on top of what is there.
    pub(crate) fn take_file(&mut self, path: &Path, text: &str, mistakes: &mut Vec<Mistake>) {
        for entry in file::entries(path, text, mistakes) {
            let Some(setting) = list::find(&entry.key) else {
                mistakes.push(Mistake {
                    place: entry.place,
                    what: format!("unknown setting {:?}", entry.key),
                    remedy: list::nearest(&entry.key),
                });
                continue;
            };
            match setting.kind.parse_toml(&entry.value) {
                Ok(value) => self.set(&entry.key, value, entry.place),
                Err(remedy) => mistakes.push(Mistake {
                    place: entry.place,
                    what: if setting.kind.is_secret() {
                        format!("{} is no {}", entry.key, setting.kind.name())
                    } else {
                        format!("{} = {} is no {}", entry.key, entry.shown, setting.kind.name())
                    },
                    remedy,
                }),
            }
        }
    }

    /// Reads `TICKHOUSE__SECTION__KEY` variables on top of what is there.
    pub(crate) fn take_environment(&mut self, variables: &[(String, String)], mistakes: &mut Vec<Mistake>) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix("TICKHOUSE__") else { continue };
            let place = format!("{} {name}", crate::dotenv::origin_of(name));
            let key = rest.to_lowercase().replace("__", ".");
            let key = list::all()
                .map(|(known, _)| known)
                .find(|known| known.replace('-', "_") == key)
                .unwrap_or(key);
            let Some(setting) = list::find(&key) else {
                mistakes.push(Mistake {
                    place,
                    what: format!("unknown setting {key:?}"),
                    remedy: list::nearest(&key),
                });
                continue;
            };
            match setting.kind.parse_text(text) {
                Ok(value) => self.set(&key, value, place),
                Err(remedy) => mistakes.push(Mistake {
                    place,
                    what: if setting.kind.is_secret() {
                        format!("it is no {}", setting.kind.name())
                    } else {
                        format!("{text:?} is no {}", setting.kind.name())
                    },
                    remedy,
                }),
            }
        }
    }

    /// Sets a value that was checked before.
    pub(crate) fn set(&mut self, key: &str, value: Value, origin: impl Into<String>) {
        self.values.insert(key.to_owned(), Found { value, origin: origin.into() });
    }

    pub(crate) fn value(&self, key: &str) -> &Value {
        &self.values.get(key).unwrap_or_else(|| panic!("setting {key} is declared in config/list.rs")).value
    }

    /// Where a value comes from: file and line, variable, or default.
    pub(crate) fn origin(&self, key: &str) -> &str {
        self.values.get(key).map_or("", |found| &found.origin)
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        match self.value(key) {
            Value::Text(text) => text,
            other => panic!("setting {key} is declared as text, not {other:?}"),
        }
    }

    pub(crate) fn number(&self, key: &str) -> u64 {
        match self.value(key) {
            Value::Number(number) => *number,
            other => panic!("setting {key} is declared as a number, not {other:?}"),
        }
    }

    pub(crate) fn truth(&self, key: &str) -> bool {
        match self.value(key) {
            Value::Truth(truth) => *truth,
            other => panic!("setting {key} is declared as true or false, not {other:?}"),
        }
    }

    pub(crate) fn words(&self, key: &str) -> &[String] {
        match self.value(key) {
            Value::Words(words) => words,
            other => panic!("setting {key} is declared as a list, not {other:?}"),
        }
    }

    pub(crate) fn secret(&self, key: &str) -> &Secret {
        match self.value(key) {
            Value::Secret(secret) => secret,
            other => panic!("setting {key} is declared as a secret, not {other:?}"),
        }
    }

    /// The data folder.
    pub(crate) fn directory(&self) -> PathBuf {
        self.text("data.directory").into()
    }

    /// The effective settings as TOML, each with where it came from.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        let mut section = String::new();
        for (key, _) in list::all() {
            let (front, name) = key.rsplit_once('.').unwrap_or(("", &key));
            if front != section {
                let _infallible = writeln!(text, "{}[{front}]", if text.is_empty() { "" } else { "\n" });
                front.clone_into(&mut section);
            }
            let found = &self.values[&key];
            let _infallible = writeln!(text, "{name} = {}  # {}", found.value, found.origin);
        }
        text
    }
}

/// A commented file with every default.
pub(crate) fn commented() -> String {
    let mut text = String::from(
        "# Tickhouse configuration. Every line shows a default; uncomment to change it.\n\
         # Every setting can also come from the environment: TICKHOUSE__SERVE__ADDRESS=127.0.0.1:9000\n",
    );
    let mut section = String::new();
    for (key, setting) in list::all() {
        let (front, name) = key.rsplit_once('.').unwrap_or(("", &key));
        if front != section {
            let _infallible = writeln!(text, "\n[{front}]");
            front.clone_into(&mut section);
        }
        let value = setting.kind.parse_text(setting.default).expect("every default fits its kind");
        let _infallible = writeln!(text, "# {}\n# {name} = {value}", setting.doc);
    }
    text
}

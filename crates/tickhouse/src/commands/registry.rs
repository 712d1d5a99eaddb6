//! `tickhouse registry`: which metrics are computed, where prices come from, and which price is canonical.

use anyhow::Context;
use clap::{Args, Subcommand};
use control::{Control, PriceSourceRow};
use runtime::SystemClock;
use serde_json::Value;

use super::{Place, WrongUse};
use crate::Done;
use crate::output::line;
use crate::wiring::chain;

/// Metrics and price sources, switched on and off.
#[derive(Args)]
pub(crate) struct Registry {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// What is registered
    List(Place),
    /// Switch a metric or a price source on
    Enable(Switch),
    /// Switch a metric or a price source off
    Disable(Switch),
    /// Change settings of a price source: mode=local, api_base=…, endpoint=…
    Set(Set),
    /// Choose the canonical price: 1 by volume, 2 the median
    Canonical(Canonical),
}

#[derive(Args)]
struct Switch {
    /// Name of a metric or of a price source
    name: String,
    /// A metric at this interval alone: 10m, 1h or 24h
    #[arg(long)]
    interval: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Set {
    /// The price source
    source: String,
    /// Settings as key=value
    #[arg(required = true)]
    settings: Vec<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Args)]
struct Canonical {
    /// Number of the method
    #[arg(value_parser = clap::value_parser!(u8).range(1..=2))]
    method: u8,
    #[command(flatten)]
    place: Place,
}

fn open(place: &Place) -> anyhow::Result<Control> {
    let directory = place.directory()?;
    std::fs::create_dir_all(&directory)
        .with_context(|| format!("make the folder {}", directory.display()))?;
    let control = Control::open(directory.join("control.sqlite")).context("open the control state")?;
    chain::seed(&control, SystemClock::shared().time())?;
    Ok(control)
}

impl Registry {
    pub(super) fn run(self) -> anyhow::Result<Done> {
        match self.what {
            What::List(place) => list(&open(&place)?),
            What::Enable(switch) => switch.carry_out(true),
            What::Disable(switch) => switch.carry_out(false),
            What::Set(set) => set.carry_out(),
            What::Canonical(canonical) => {
                let control = open(&canonical.place)?;
                control.choose_canonical_method(canonical.method)?;
                line(format!("method {} is canonical", canonical.method));
                Ok(Done::Clean)
            }
        }
    }
}

fn list(control: &Control) -> anyhow::Result<Done> {
    let state = |is_enabled: bool| if is_enabled { "on " } else { "off" };
    line(format!("canonical price: method {}", control.canonical_method()?.unwrap_or(2)));
    for row in control.price_sources()? {
        line(format!("{} price source {:9} {}", state(row.is_enabled), row.source_name, row.config_json));
    }
    for row in control.metrics()? {
        line(format!(
            "{} metric {:24} {:4} {}",
            state(row.is_enabled),
            row.metric_name,
            row.interval,
            row.output_table
        ));
    }
    Ok(Done::Clean)
}

impl Switch {
    fn carry_out(self, is_enabled: bool) -> anyhow::Result<Done> {
        let control = open(&self.place)?;
        let now = SystemClock::shared().time();
        let metric = onchain::metric_named(&self.name).unwrap_or(&self.name);
        let changed = control.enable_metric(metric, self.interval.as_deref(), is_enabled, now)?;
        let is_source = changed == 0
            && self.interval.is_none()
            && control.enable_price_source(&self.name, is_enabled, now)?;
        if let Some(interval) = &self.interval
            && changed == 0
        {
            let rows = control.metrics()?;
            let own: Vec<&str> = rows
                .iter()
                .filter(|row| row.metric_name == metric)
                .map(|row| row.interval.as_str())
                .collect();
            if !own.is_empty() {
                let text =
                    format!("{} is not computed over {interval}, but over {}", self.name, own.join(", "));
                return Err(WrongUse(text).into());
            }
            if control.price_sources()?.iter().any(|row| row.source_name == self.name) {
                let text = format!("{} is a price source and has no --interval", self.name);
                return Err(WrongUse(text).into());
            }
        }
        if changed == 0 && !is_source {
            let mut names: Vec<String> = control.metrics()?.into_iter().map(|row| row.metric_name).collect();
            names.extend(control.price_sources()?.into_iter().map(|row| row.source_name));
            names.dedup();
            let text =
                format!("nothing registered is called {:?}; there are {}", self.name, names.join(", "));
            return Err(WrongUse(text).into());
        }
        line(format!("{} is {}", self.name, if is_enabled { "on" } else { "off" }));
        Ok(Done::Clean)
    }
}

impl Set {
    fn carry_out(self) -> anyhow::Result<Done> {
        let control = open(&self.place)?;
        let row = control.price_sources()?.into_iter().find(|row| row.source_name == self.source);
        let row = row.ok_or_else(|| WrongUse(format!("there is no price source {:?}", self.source)))?;
        let mut config: serde_json::Map<String, Value> =
            serde_json::from_str(&row.config_json).context("read the settings of the source")?;
        for setting in &self.settings {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| WrongUse(format!("{setting:?} is no setting: write key=value")))?;
            // Numbers and truths are written bare, everything else is text.
            let value = serde_json::from_str(value)
                .ok()
                .filter(|value: &Value| value.is_boolean() || value.is_number())
                .unwrap_or_else(|| Value::from(value));
            config.insert(key.to_owned(), value);
        }
        let config_json = Value::from(config).to_string();
        let changed = PriceSourceRow { config_json: config_json.clone(), ..row };
        onchain::settings_of(&changed).map_err(WrongUse)?;
        control.configure_price_source(&self.source, &config_json, SystemClock::shared().time())?;
        line(format!("{}: {config_json}", self.source));
        Ok(Done::Clean)
    }
}

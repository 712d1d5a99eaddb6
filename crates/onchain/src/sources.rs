//! Brings price sources up to date: pages of candles into rows of ten minutes, each source on its own, from its own checkpoint.

use std::sync::Arc;
use std::time::Duration;

use collect::history::Taken;
use collect::prices::{
    PriceDesk, PriceEnd, PriceError, PriceMode, PricePage, PriceReport, PriceSourceSettings, PriceTaker,
};
use control::{CheckpointKey, PriceSourceRow, Reached};
use derivations::price::aggregate::rows_of;
use futures::FutureExt;
use model::{PriceSource, Time};
use runtime::{Restart, Stop, Tasks};
use serde_json::Value;

use crate::beats::Beats;
use crate::{Board, Doors, Prices, components};

/// How often prices are composed where no chain sets the pace.
const COMPOSE_EVERY: Duration = Duration::from_secs(2);
/// After so long they are composed again when that failed.
const COMPOSE_AGAIN: Duration = Duration::from_secs(15);

/// What a source's checkpoint is called.
fn key_of(source: PriceSource) -> CheckpointKey {
    CheckpointKey::btc(&components::price_source(source), "10m")
}

/// Stores pages of one source.
struct Keeper {
    doors: Doors,
    prices: Arc<Prices>,
    beats: Arc<Beats>,
}

impl Keeper {
    fn new(doors: &Doors, prices: &Arc<Prices>) -> Self {
        Self { doors: doors.clone(), prices: Arc::clone(prices), beats: Arc::new(Beats::new(doors)) }
    }
}

impl PriceTaker for Keeper {
    fn take(&mut self, page: PricePage) -> Taken {
        let (doors, prices, beats) = (self.doors.clone(), Arc::clone(&self.prices), Arc::clone(&self.beats));
        async move {
            for refused in &page.refused {
                tracing::warn!(source = %page.source, row = refused.row, reason = refused.reason, "a candle was refused");
            }
            ::metrics::counter!("tickhouse_price_candles_refused_total", "source" => page.source.as_str())
                .increment(page.refused.len() as u64);
            let child = (page.source, page.child_minutes);
            let rows = rows_of(child, &page.candles, page.received, page.through);
            prices.store(rows).await.map_err(|error| error.to_string())?;
            let reached = Reached { bucket: Some(page.through), ..Reached::default() };
            let now = doors.clock.time();
            let noted = doors.control.checkpoint_reached(&key_of(page.source), &reached, now);
            noted.map_err(|error| error.to_string())?;
            beats.alive(components::INGESTOR).map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn looked(&mut self) {
        if let Err(error) = self.beats.alive(components::INGESTOR) {
            tracing::warn!(%error, "a sign of life could not be noted");
        }
    }

    fn failed(&mut self, error: &PriceError) {
        let noted = self.doors.control.checkpoint_failed(
            &key_of(error.source),
            &error.to_string(),
            self.doors.clock.time(),
        );
        if let Err(error) = noted {
            tracing::error!(%error, "the failure of a price source could not be noted");
        }
    }
}

/// The checkpoint of a source: everything before was brought.
fn checkpoint(doors: &Doors, source: PriceSource) -> Result<Option<Time>, String> {
    let read = doors.control.checkpoint(&key_of(source)).map_err(|error| error.to_string())?;
    Ok(read.and_then(|checkpoint| checkpoint.reached.bucket))
}

/// Brings one source up to now, once.
pub async fn ingest_once(
    doors: &Doors,
    prices: &Arc<Prices>,
    (desk, settings): (&PriceDesk, PriceSourceSettings),
    stop: &Stop,
) -> Result<PriceReport, String> {
    let source = settings.source;
    let fetcher = desk.fetcher(settings).map_err(|error| error.to_string())?;
    let mut keeper = Keeper::new(doors, prices);
    let brought = fetcher.catch_up(checkpoint(doors, source)?, &mut keeper, stop).await;
    brought.map_err(|error| {
        keeper.failed(&error);
        error.to_string()
    })
}

/// Reads a source's settings from its row in the registry.
pub fn settings_of(row: &PriceSourceRow) -> Result<PriceSourceSettings, String> {
    let wrong = |what: String| {
        format!("price source {}: {what}; change it with tickhouse registry set", row.source_name)
    };
    let source = PriceSource::known(&row.source_name)
        .ok_or_else(|| wrong("this version does not know it".to_owned()))?;
    let config: serde_json::Map<String, Value> = serde_json::from_str(&row.config_json)
        .map_err(|error| wrong(format!("its settings are no JSON object: {error}")))?;
    let mut settings = PriceSourceSettings { enabled: row.is_enabled, ..PriceSourceSettings::usual(source) };
    for (key, value) in &config {
        let text = || {
            let text = value.as_str().map(str::to_owned);
            text.ok_or_else(|| wrong(format!("{key} is no text")))
        };
        match key.as_str() {
            "mode" => {
                settings.mode = PriceMode::named(&text()?)
                    .ok_or_else(|| wrong(format!("mode {value} is neither local nor remote")))?;
            }
            "api_base" => settings.api_base = text()?,
            "endpoint" => settings.endpoint = text()?,
            "symbol" => settings.symbol = text()?,
            "market_type" if text()? == "spot" => {}
            "market_type" => return Err(wrong(format!("market_type {value} is not spot"))),
            "historical_start_utc" => {
                settings.historical_start =
                    Time::parse(&text()?).ok_or_else(|| wrong(format!("{key} {value} is no moment")))?;
            }
            "auto_historical_backfill" => {
                settings.auto_historical_backfill =
                    value.as_bool().ok_or_else(|| wrong(format!("{key} is neither true nor false")))?;
            }
            "poll_s" => {
                let seconds = value.as_u64().filter(|seconds| (1..=3_600).contains(seconds));
                let seconds = seconds.ok_or_else(|| wrong(format!("{key} is no number from 1 to 3600")))?;
                settings.poll_every = Duration::from_secs(seconds);
            }
            _ => {
                return Err(wrong(format!(
                    "there is no setting {key}; there are mode, api_base, endpoint, symbol, market_type, \
                     historical_start_utc, auto_historical_backfill and poll_s"
                )));
            }
        }
    }
    settings.check().map_err(|error| wrong(error.to_string()))?;
    Ok(settings)
}

/// Composes prices for as long as the house stands, where no chain is followed that would do it.
pub fn compose_alone(doors: &Doors, prices: &Arc<Prices>, board: &Arc<Board>, tasks: &Tasks) {
    let (prices, board, beats) = (Arc::clone(prices), Arc::clone(board), Arc::new(Beats::new(doors)));
    tasks.start("onchain.compose", Restart::WithBackoff { tries_max: 100 }, move |stop| {
        let (prices, board, beats) = (Arc::clone(&prices), Arc::clone(&board), Arc::clone(&beats));
        async move {
            prices.recall(&board).map_err(|error| error.to_string())?;
            loop {
                let wait = match prices.keep(&board, &beats).await {
                    Ok(()) => COMPOSE_EVERY,
                    Err(error) => {
                        tracing::error!(%error, "prices are not composed; trying again");
                        prices.tell_failure(&error).map_err(|error| error.to_string())?;
                        COMPOSE_AGAIN
                    }
                };
                if !stop.sleep(wait).await {
                    return Ok(());
                }
            }
        }
    });
}

/// Keeps a source up to date for as long as the house stands and nobody switches it off.
pub fn ingest(
    doors: &Doors,
    prices: &Arc<Prices>,
    (desk, settings): (&PriceDesk, PriceSourceSettings),
    off: Stop,
    tasks: &Tasks,
) -> Result<(), String> {
    let source = settings.source;
    let fetcher = desk.fetcher(settings).map_err(|error| error.to_string())?;
    let (doors, prices) = (doors.clone(), Arc::clone(prices));
    tasks.start(format!("onchain.price.{source}"), Restart::WithBackoff { tries_max: 100 }, move |stop| {
        let (doors, prices, fetcher) = (doors.clone(), Arc::clone(&prices), fetcher.clone());
        let off = off.clone();
        async move {
            let mut keeper = Keeper::new(&doors, &prices);
            let followed = tokio::select! {
                () = off.requested() => return Ok(()),
                followed = fetcher.follow(checkpoint(&doors, source)?, &mut keeper, &stop) => followed,
            };
            match followed {
                Ok(()) | Err(PriceError { why: PriceEnd::Stopped, .. }) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    //! Cases for settings in the registry.
    use super::*;

    fn row(config: &str) -> PriceSourceRow {
        PriceSourceRow {
            source_name: "binance".to_owned(),
            is_enabled: true,
            market_type: "spot".to_owned(),
            config_json: config.to_owned(),
            updated_time: Time(0),
        }
    }

    #[test]
    fn the_seed_of_the_first_system_is_understood() {
        let seed = r#"{"mode": "remote", "api_base": "https://api.binance.com", "endpoint": "/api/v3/klines",
            "market_type": "spot", "historical_start_utc": "2017-08-17T00:00:00Z", "auto_historical_backfill": true}"#;
        let settings = settings_of(&row(seed)).unwrap();
        assert_eq!((settings.mode, settings.endpoint.as_str()), (PriceMode::Remote, "/api/v3/klines"));
        assert_eq!(settings.historical_start, Time::parse("2017-08-17T00:00:00Z").unwrap());
    }

    #[test]
    fn what_is_wrong_is_named_with_the_remedy() {
        for (config, named) in [
            ("[]", "JSON object"),
            (r#"{"mode": "cloud"}"#, "cloud"),
            (r#"{"api_bas": "x"}"#, "api_bas"),
            (r#"{"api_base": "nowhere"}"#, "nowhere"),
            (r#"{"historical_start_utc": "soon"}"#, "soon"),
            (r#"{"poll_s": 0}"#, "poll_s"),
        ] {
            let told = settings_of(&row(config)).unwrap_err();
            assert!(told.contains(named) && told.contains("registry set"), "{config}: {told}");
        }
    }
}

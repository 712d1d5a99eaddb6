//! The followed chain: its doors, what it lends to SQL, and how it stands.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use collect::bitcoin_node::NodeClient;
use collect::prices::{PriceDesk, PriceMode, PriceSourceSettings};
use control::{Control, PriceSourceRow};
use model::{PriceSource, Time};
use onchain::{Board, Doors, Registry, StartSource};
use runtime::{Clock, Stop, Tasks};
use serde_json::json;

use crate::config::{Config, btc};
use crate::folder::Folder;
use crate::wiring::Budgets;

/// Simulators and proxies know no longer past.
const PLACE_HISTORY: i64 = 3 * model::time::DAY;

/// The token that those show who post prices, by the name under which its hash is kept.
const INGEST_TOKEN: &str = "price_ingest";

/// What runs of chain and prices.
#[derive(Clone)]
pub(crate) struct Followed {
    /// The chain, if one is followed.
    pub(crate) chain: Option<onchain::Chain>,
    /// Prices, for who brings rows.
    pub(crate) prices: Arc<onchain::Prices>,
    /// How it stands, and what is news.
    pub(crate) board: Arc<Board>,
    /// The registries, for who changes them.
    pub(crate) registry: Arc<Registry>,
}

/// Starts to follow the chain and to keep prices, as far as wanted. What SQL may ask for is lent in any case.
pub(super) fn start(
    config: &Config,
    folder: &Folder,
    (lake, control, clock): (&lake::Lake, &Control, &Arc<dyn Clock>),
    (desk, tasks): (collect::HistoryDesk, &Tasks),
) -> anyhow::Result<Followed> {
    seed(control, clock.time())?;
    let token = config.secret("price.ingest_token");
    if token.is_empty() {
        control.forget_token(INGEST_TOKEN).context("forget the token for posted prices")?;
    } else {
        control
            .keep_token(INGEST_TOKEN, token.reveal(), clock.time())
            .context("keep the token for posted prices")?;
    }
    let doors = doors(config, folder, (lake, control, clock));
    let chain = match btc::follow(config) {
        Some(settings) => {
            let node = NodeClient::new(btc::node(config), Arc::clone(clock));
            let node = Arc::new(node.context("prepare the Bitcoin node")?);
            Some(onchain::start(settings, doors.clone(), node, tasks).map_err(anyhow::Error::msg)?)
        }
        None => None,
    };
    let (prices, board) = match &chain {
        Some(chain) => (Arc::clone(&chain.prices), Arc::clone(&chain.board)),
        None => (Arc::new(onchain::Prices::new(doors.clone())), Arc::default()),
    };
    let is_price_kept = config.truth("price.enabled");
    let start =
        if is_price_kept { Some(start_source(config, (&doors, &prices), desk, tasks)?) } else { None };
    let lends = lake.clone();
    let lend = Box::new(move |small, views| lends.lend(small, views));
    let registry = Registry::open(control.clone(), lend, start).map_err(anyhow::Error::msg);
    let registry = registry.context("read the registries")?;
    registry.follow(tasks);
    if is_price_kept && chain.is_none() {
        onchain::compose_alone(&doors, &prices, &board, tasks);
    }
    Ok(Followed { chain, prices, board, registry })
}

/// How a price source is started: where the configuration names another place for it, there.
fn start_source(
    config: &Config,
    (doors, prices): (&Doors, &Arc<onchain::Prices>),
    desk: collect::HistoryDesk,
    tasks: &Tasks,
) -> anyhow::Result<StartSource> {
    let settings = crate::config::settings::collect(config);
    let store = (Arc::new(Budgets(doors.control.clone())) as _, Arc::clone(&doors.clock));
    let desk = PriceDesk::open(&settings, store, Some(desk), tasks).context("prepare price sources")?;
    let places = btc::places(config)?;
    let (doors, prices, tasks) = (doors.clone(), Arc::clone(prices), tasks.clone());
    Ok(Box::new(move |settings: PriceSourceSettings, off: Stop| {
        let settings = placed(settings, &places, doors.clock.time());
        onchain::ingest(&doors, &prices, (&desk, settings), off, &tasks)
    }))
}

/// The settings of a source as registered, but asked at its place where one is named.
pub(crate) fn placed(
    mut settings: PriceSourceSettings,
    places: &BTreeMap<String, String>,
    now: Time,
) -> PriceSourceSettings {
    if let Some(place) = places.get(settings.source.as_str()) {
        settings.api_base.clone_from(place);
        settings.mode = PriceMode::Local;
        settings.historical_start = Time(now.0 - PLACE_HISTORY);
    }
    settings
}

/// What following works with.
pub(crate) fn doors(
    config: &Config,
    folder: &Folder,
    (lake, control, clock): (&lake::Lake, &Control, &Arc<dyn Clock>),
) -> Doors {
    Doors {
        steps: lake.steps(),
        store: lake.store(),
        control: control.clone(),
        clock: Arc::clone(clock),
        blocks: btc::blocks(config, &folder.path("btc")),
        coins: btc::coins(config, &folder.path("btc")),
    }
}

/// Registers metrics and price sources that are not known yet.
pub(crate) fn seed(control: &Control, now: Time) -> anyhow::Result<()> {
    control.seed_metrics(&onchain::metric_seeds(now), now).context("register metrics")?;
    control.seed_price_sources(&price_sources(now), now).context("register price sources")
}

/// The price sources as they are registered in a new folder.
pub(crate) fn price_sources(now: Time) -> Vec<PriceSourceRow> {
    PriceSource::all().map(|source| price_source(source, now)).collect()
}

fn price_source(source: PriceSource, now: Time) -> PriceSourceRow {
    let usual = PriceSourceSettings::usual(source);
    let config = json!({
        "mode": usual.mode.as_str(),
        "api_base": usual.api_base,
        "endpoint": usual.endpoint,
        "symbol": usual.symbol,
        "market_type": "spot",
        "historical_start_utc": usual.historical_start.to_string(),
        "auto_historical_backfill": usual.auto_historical_backfill,
    });
    PriceSourceRow {
        source_name: source.to_string(),
        is_enabled: true,
        market_type: "spot".to_owned(),
        config_json: config.to_string(),
        updated_time: now,
    }
}

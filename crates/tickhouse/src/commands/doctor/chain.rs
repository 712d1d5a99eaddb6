//! Whether the Bitcoin node, its files and the price sources can be asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use collect::NoBudgetStore;
use collect::bitcoin_node::{BlockFiles, NodeClient};
use collect::history::Taken;

use collect::prices::{PriceDesk, PriceMode, PricePage, PriceSourceSettings, PriceTaker};
use control::Control;
use model::Time;
use runtime::clock::within;
use runtime::tasks::Stopper;
use runtime::{Clock, SystemClock, Tasks};

use super::Finding;
use crate::config::{Config, btc, settings};
use crate::wiring::chain::{placed, price_sources};

/// Longest wait for a source's candles.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Whether the node answers, is of the right network, and how far it is.
pub(super) async fn node(config: &Config) -> Finding {
    let node =
        NodeClient::new(btc::node(config), SystemClock::shared()).map_err(|error| error.to_string())?;
    let info = node.info().await.map_err(|error| error.to_string())?;
    let pruned = match info.prune_height {
        Some(height) => format!(", it has blocks from {height} on"),
        None => String::new(),
    };
    let behind = match info.headers.saturating_sub(info.blocks) {
        0 => String::new(),
        count => format!(", and {count} more to fetch itself"),
    };
    Ok(format!("it answers, network {}, last block {}{pruned}{behind}", info.network, info.blocks))
}

/// Whether the node's own files, if they are named, can be read. Without them the node is asked for every block.
pub(super) fn block_files(config: &Config) -> Option<Finding> {
    let folder = btc::node(config).blocks_folder?;
    let shown = folder.display();
    let found = match BlockFiles::open(&folder, btc::network(config)) {
        Ok(files) if files.is_empty() => Err("there are no blk files in it".to_owned()),
        Ok(_) => Ok(format!("{shown} can be read")),
        Err(error) => Err(error.to_string()),
    };
    Some(found.map_err(|why| {
        format!(
            "{shown}: {why}; name the node's folder of blk files as btc.blocks_folder, readable for this user, or leave it empty"
        )
    }))
}

/// Whether each enabled price source gives candles of the last hour.
pub(super) async fn prices(config: &Config, directory: &Path) -> Vec<(String, Finding)> {
    match sources(config, directory) {
        Ok(sources) => {
            let all = sources.into_iter().map(|source| async {
                (format!("price source {}", source.source), Box::pin(price(config, source)).await)
            });
            futures::future::join_all(all).await
        }
        Err(error) => vec![("price sources".to_owned(), Err(format!("{error:#}")))],
    }
}

/// Those that are enabled, as registered in the folder, or as they would be.
fn sources(config: &Config, directory: &Path) -> anyhow::Result<Vec<PriceSourceSettings>> {
    let now = SystemClock.time();
    let path = directory.join("control.sqlite");
    let mut rows = if path.exists() { Control::open(path)?.price_sources()? } else { Vec::new() };
    if rows.is_empty() {
        rows = price_sources(now);
    }
    let places = btc::places(config)?;
    let enabled = rows.iter().filter(|row| row.is_enabled);
    enabled
        .map(|row| Ok(placed(onchain::settings_of(row).map_err(anyhow::Error::msg)?, &places, now)))
        .collect()
}

async fn price(config: &Config, source: PriceSourceSettings) -> Finding {
    if source.mode == PriceMode::Remote {
        return Ok("it is remote: others post its rows, it is not asked".into());
    }
    let (name, origin) = (source.source, source.api_base.clone());
    let asked = Box::pin(ask(config, source));
    let candles = match within(ANSWER_MAX, asked).await {
        Some(asked) => asked,
        None => Err(format!("no candles within {} s", ANSWER_MAX.as_secs())),
    };
    match candles {
        Ok(0) => {
            Err(format!("{origin} answers without candles of the last hour; look whether {name} trades"))
        }
        Ok(count) => Ok(format!("{origin} gave {count} candles of the last hour")),
        Err(why) => Err(format!(
            "{origin}: {why}; check firewall and proxy (HTTPS_PROXY), name another origin with `tickhouse registry set {name} \
             api_base=…`, or switch it off with `tickhouse registry disable {name}`"
        )),
    }
}

/// Candles of the last hour.
async fn ask(config: &Config, source: PriceSourceSettings) -> Result<u64, String> {
    let (tasks, stopper) = (Tasks::new(), Stopper::default());
    let store = (Arc::new(NoBudgetStore) as _, SystemClock::shared());
    let desk = PriceDesk::open(&settings::collect(config), store, None, &tasks);
    let fetcher = desk.and_then(|desk| desk.fetcher(source)).map_err(|error| error.to_string())?;
    let hour_ago = Time(SystemClock.time().0 - 60 * model::time::MINUTE);
    let report = fetcher.catch_up(Some(hour_ago), &mut Nobody, &stopper.watch()).await;
    report.map(|report| report.candles).map_err(|error| error.to_string())
}

/// Takes pages and keeps nothing.
struct Nobody;

impl PriceTaker for Nobody {
    fn take(&mut self, _page: PricePage) -> Taken {
        Box::pin(async { Ok(()) })
    }
}

//! The settings of a Bitcoin node and of following it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use collect::bitcoin_node::{Access, NodeBounds, NodeSettings, RestUse};
use model::{Network, PriceSource};
use onchain::{BlockFolder, CoinBounds, CoinPlace, FollowSettings};

use super::Config;
use super::list::setting;
use super::setting::{Kind, Setting};

pub(super) const SETTINGS: &[Setting] = &[
    setting("enabled", Kind::Truth, "false", "Follow the chain of a Bitcoin node."),
    setting(
        "network",
        Kind::Choice(&["main", "test", "testnet4", "signet", "regtest"]),
        "main",
        "Which network the node follows; another one is refused.",
    ),
    setting(
        "url",
        Kind::Text,
        "",
        "Where the node answers JSON-RPC and REST, such as http://127.0.0.1:8332; empty for its usual port on this machine.",
    ),
    setting(
        "node_folder",
        Kind::Text,
        "",
        "The node's data folder, in which its cookie lies; empty for ~/.bitcoin. Not needed with user and password.",
    ),
    setting("cookie", Kind::Text, "", "The node's cookie file, if it lies elsewhere."),
    setting("user", Kind::Text, "", "User name for the node in place of its cookie."),
    setting(
        "password",
        Kind::Secret,
        "",
        "Password for the node. Better from the environment or .env than from here.",
    ),
    setting(
        "rest",
        Kind::Truth,
        "true",
        "Use the node's REST interface where it is on (rest=1): about fifty times cheaper.",
    ),
    setting(
        "blocks_folder",
        Kind::Text,
        "",
        "The node's folder of blk and rev files, read while far behind, and searched for the place of each block; empty to ask for every block.",
    ),
    setting(
        "zmq",
        Kind::Text,
        "",
        "Where the node publishes its blocks (zmqpubhashblock), such as tcp://127.0.0.1:28332; empty to ask for new ones alone. While it is not heard, it is asked.",
    ),
    setting("connections", Kind::Number(1, 64), "6", "Blocks asked for at once."),
    setting(
        "keep_blocks",
        Kind::Truth,
        "true",
        "Keep the bytes of blocks and of the outputs they spend, compressed; if not, only their place in the node's files, where blocks_folder names them.",
    ),
    setting(
        "coins",
        Kind::Truth,
        "true",
        "Keep every unspent output with the block that made it: what ages of coins, realised capitalisation, MVRV, SOPR and coin-days need. About 9 GB for mainnet.",
    ),
    setting(
        "coins_cache_mb",
        Kind::Number(8, 65_536),
        "128",
        "Megabytes of memory for coins that were read.",
    ),
    setting("step_blocks", Kind::Number(1, 10_000), "1000", "Most blocks of one commit while catching up."),
    setting(
        "from_height",
        Kind::Number(0, 100_000_000),
        "0",
        "The first block in an empty folder; above 0, supply is not known.",
    ),
];

pub(super) const PRICE_SETTINGS: &[Setting] = &[
    setting(
        "places",
        Kind::Words,
        "",
        "Origins to ask in place of those of the registry, by source: okx=http://127.0.0.1:9001. A source that is named here is asked even if the registry says mode = remote. For simulators and proxies.",
    ),
    setting(
        "enabled",
        Kind::Truth,
        "false",
        "Keep the price of Bitcoin: ten minutes of each source of the registry, and one composed of them.",
    ),
    setting(
        "ingest_token",
        Kind::Secret,
        "",
        "Bearer token for those who post rows of a remote source; empty to take none. Kept hashed. Better from the environment or .env than from here.",
    ),
];

/// How the chain is followed; `None` if it is not.
pub(crate) fn follow(config: &Config) -> Option<FollowSettings> {
    config.truth("btc.enabled").then(|| FollowSettings {
        network: network(config),
        step_blocks_max: config.number("btc.step_blocks") as usize,
        from_height: from_height(config),
        until_height: None,
    })
}

/// Where a chain begins in an empty folder.
pub(crate) fn from_height(config: &Config) -> u32 {
    u32::try_from(config.number("btc.from_height")).unwrap_or(u32::MAX)
}

/// What is recorded beside venues, in words.
pub(crate) fn beside_venues(config: &Config) -> Vec<String> {
    let chain = config.truth("btc.enabled").then(|| format!("the chain of bitcoin {}", network(config)));
    let price = config.truth("price.enabled").then(|| "the price of bitcoin".to_owned());
    chain.into_iter().chain(price).collect()
}

/// Origins that are asked in place of those of the registry, by source; those sources are asked whatever their mode.
pub(crate) fn places(config: &Config) -> anyhow::Result<BTreeMap<String, String>> {
    let places = config.words("price.places").iter().map(|place| {
        let (source, origin) = place.split_once('=').with_context(|| {
            format!("price.places: {place:?} names no origin; write source=http://host:port")
        })?;
        if PriceSource::known(source).is_none() {
            let known: Vec<&str> = PriceSource::all().map(PriceSource::as_str).collect();
            bail!("price.places: there is no price source {source:?}, but {}", known.join(", "));
        }
        if !is_origin(origin) {
            bail!("price.places: {origin:?} is no origin; write {source}=http://host:port");
        }
        Ok((source.to_owned(), origin.to_owned()))
    });
    places.collect()
}

fn is_origin(text: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| text.strip_prefix(scheme).is_some_and(|host| !host.is_empty()))
}

/// Says what a start would refuse.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    places(config)?;
    let url = node(config).url;
    if !is_origin(&url) {
        bail!("btc.url: {url:?} is no address; write http://host:port");
    }
    Ok(())
}

/// Which network is followed.
pub(crate) fn network(config: &Config) -> Network {
    Network::known(config.text("btc.network")).unwrap_or(Network::Main)
}

/// The node.
pub(crate) fn node(config: &Config) -> NodeSettings {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let named = |key: &str| Some(config.text(key)).filter(|text| !text.is_empty());
    let folder = named("btc.node_folder").map_or_else(|| home.join(".bitcoin"), PathBuf::from);
    let usual = NodeSettings::local(network(config), &folder);
    let access = match (named("btc.user"), named("btc.cookie")) {
        (Some(user), _) => Access::user(user, config.secret("btc.password").reveal()),
        (None, Some(cookie)) => Access::cookie(cookie),
        (None, None) => usual.access,
    };
    NodeSettings {
        url: named("btc.url").map_or(usual.url, str::to_owned),
        access,
        rest: if config.truth("btc.rest") { RestUse::WhereItIs } else { RestUse::Never },
        blocks_folder: named("btc.blocks_folder").map(PathBuf::from),
        published: named("btc.zmq").map(str::to_owned),
        bounds: NodeBounds {
            connections: config.number("btc.connections") as usize,
            wake_max: Duration::from_secs(10),
            ..NodeBounds::default()
        },
        ..usual
    }
}

/// The folder of block bytes, and whether they are kept.
pub(crate) fn blocks(config: &Config, directory: &Path) -> BlockFolder {
    BlockFolder { path: directory.join("blocks"), is_kept: config.truth("btc.keep_blocks") }
}

/// Where coins are kept, if they are.
pub(crate) fn coins(config: &Config, directory: &Path) -> Option<CoinPlace> {
    config.truth("btc.coins").then(|| CoinPlace {
        folder: directory.join("coins"),
        bounds: CoinBounds {
            cache_bytes: config.number("btc.coins_cache_mb") << 20,
            ..CoinBounds::default()
        },
    })
}

//! What the guide is to name, and what its commands and questions are to say.

use serde_json::Value;

/// Every command, question, name and setting of the old system.
pub(super) const OLD: &[&str] = &[
    "python scripts/init_db.py",
    "python scripts/seed_registry.py",
    "python -m mqnode.scripts.seed_registry",
    "python -m mqnode.market.price.runtime ingest-source --all-enabled",
    "python -m mqnode.market.price.runtime ingest-source --all-enabled --once",
    "python -m mqnode.market.price.runtime ingest-source --source binance --once",
    "python scripts/ingest_price_source.py",
    "python scripts/compose_prices.py",
    "python scripts/reconcile_btc.py",
    "python -m mqnode.chains.btc.listener",
    "python -m mqnode.workers.run_worker --queue btc_primitive",
    "python -m mqnode.workers.run_worker --queue btc_network",
    "btc_miner",
    "btc_market",
    "python scripts/backfill_btc.py --mode resume",
    "python scripts/backfill_btc.py --mode full",
    "python scripts/backfill_btc.py --mode range --start-height 0 --end-height 1000",
    "docker compose up -d --build",
    "docker compose -f docker-compose.yml -f docker-compose.dev.yml up -d --build",
    "docker compose logs -f btc-listener",
    "btc-primitive-worker",
    "btc-network-worker",
    "btc-price-source-ingestor",
    "btc-price-composer",
    "mqnode-api",
    "GET /health",
    "GET /api/v1/btc/health",
    "GET /api/v1/btc/primitive?interval=10m",
    "GET /api/v1/btc/metrics/nvt?interval=10m",
    "GET /api/v1/btc/price/canonical?interval=10m",
    "POST /api/v1/internal/price/source/binance/10m",
    "registry.py",
    "checkpoints.py",
    "btc_blocks_raw",
    "btc_primitive_block",
    "btc_primitive_10m",
    "bitstamp_price_10m",
    "coinbase_price_10m",
    "bybit_price_10m",
    "binance_price_10m",
    "okx_price_10m",
    "bitfinex_price_10m",
    "mq_btc_price_10m",
    "mq_price_source_registry",
    "metric_registry",
    "btc_nvt_10m",
    "btc_nvt_1h",
    "btc_raw_block_ingestion:block",
    "btc_primitive_10m_builder:10m",
    "btc_primitive_10m_scheduler:10m",
    "btc_price_canonical_composer:10m",
    "btc_metric_<metric_name>_<interval>:<interval>",
    "worker_<queue_name>:heartbeat",
    "MQNODE_INTERNAL_INGEST_TOKEN",
    "PRICE_WS_SOURCE",
    "PRICE_WS_SYMBOL",
    "PRICE_WS_CHILD_INTERVAL",
    "PRICE_WS_OUTPUT_MODE",
    "PRICE_WS_REMOTE_INGEST_URL",
    "PRICE_WS_REMOTE_INGEST_TOKEN",
    "mode",
    "api_base",
    "endpoint",
    "market_type",
    "historical_start_utc",
    "auto_historical_backfill",
];

/// What each command says at least.
pub(super) const SAID: &[(&str, &[&str])] = &[
    (
        "registry list",
        &["canonical price: method 2", "price source binance", "\"mode\":\"remote\"", "btc_nvt_1h"],
    ),
    (
        "btc sync --mode range --start-height 0 --end-height 1000",
        &["1001 blocks taken in", "the last is 1000 "],
    ),
    ("btc sync --mode resume", &["60 blocks taken in", "the last is 1060 "]),
    ("btc sync --mode full", &["1061 blocks taken in", "the last is 1060 "]),
    ("btc reconcile", &["stored up to block 1060, the node's last is 1060", "ok    tables and node agree"]),
    ("btc reconcile --repair", &["ok    tables and node agree"]),
    ("btc block 1000 --out block.bin", &[" bytes in block.bin"]),
    (
        "registry set binance mode=remote api_base=https://api.binance.com endpoint=/api/v3/klines market_type=spot \
         historical_start_utc=2017-08-17T00:00:00Z auto_historical_backfill=true",
        &["\"mode\":\"remote\"", "\"auto_historical_backfill\":true", "\"endpoint\":\"/api/v3/klines\""],
    ),
    ("registry disable okx", &["okx is off"]),
    ("registry enable okx", &["okx is on"]),
    ("registry disable nvt --interval 1h", &["nvt is off"]),
    ("registry enable nvt --interval 1h", &["nvt is on"]),
    ("registry canonical 1", &["method 1 is canonical"]),
    ("registry canonical 2", &["method 2 is canonical"]),
    ("price ingest --source binance --once", &["ok    binance: not asked, the source is fed from elsewhere"]),
    (
        "price ingest --all-enabled --once",
        &[
            "ok    bitstamp: ",
            "ok    bybit: ",
            "ok    coinbase: ",
            "ok    okx: ",
            "ok    bitfinex: ",
            "prices composed",
        ],
    ),
    ("price compose", &["no price is to be composed"]),
    ("price compose --all", &["prices composed from "]),
    ("metrics run", &["metrics computed from "]),
    ("metrics run --all", &["metrics computed from "]),
    ("btc status", &["btc_raw_block_ingestion", "block 1060 ", "metrics, through bucket"]),
    ("status", &["binance"]),
];

/// What is said by those that go on until they are asked to end.
pub(super) const STAYS: &[(&str, &str)] = &[
    ("price ingest --all-enabled", "bringing prices until asked to end"),
    ("price push", "gathering and posting until asked to end"),
    ("run", "serving http://"),
];

/// A place in an answer, and what stands there.
pub(super) type Found = (&'static str, fn(&Value) -> bool);

/// What each question is answered with; the part after the host tells them apart.
pub(super) const ANSWERED: &[(&str, &[Found])] = &[
    ("/health", &[("/btc/last_raw_height", is_number), ("/status", Value::is_string)]),
    (
        "/api/v1/btc/health",
        &[
            ("/status", |value| value == "healthy"),
            ("/node_tip_height", is_number),
            ("/last_raw_height", |value| value == 1060),
            ("/last_primitive_height", |value| value == 1060),
            ("/last_primitive_bucket_time", is_number),
            ("/last_price_bucket_time", is_number),
            ("/lag_blocks", |value| value == 0),
            ("/checkpoint_errors", is_empty),
            ("/stale_workers", is_empty),
            ("/workers/0/heartbeat_time", is_number),
            ("/stages/3/depth", is_number),
        ],
    ),
    (
        "/api/v1/btc/primitive?interval=10m",
        &[
            ("/data/499/block_count", is_number),
            ("/data/499/supply_total_sat", is_number),
            ("/data/400/price_close_usd", is_number),
        ],
    ),
    ("/api/v1/btc/metrics/nvt?interval=10m", &[("/data/499/bucket", is_number), ("/data/0/value", is_told)]),
    ("/api/v1/btc/metrics/nvt_raw?interval=1h", &[("/data/0/bucket", is_number), ("/data/0/value", is_told)]),
    (
        "/api/v1/btc/price/canonical?interval=10m",
        &[
            ("/data/400/method", |value| value == "median"),
            ("/data/400/close", is_number),
            ("/data/400/venues_used/1", Value::is_string),
        ],
    ),
    (
        "/api/v1/btc/price/canonical?interval=10m&method=1",
        &[("/data/400/method", |value| value == "volume_weighted"), ("/data/400/source_count", is_number)],
    ),
    ("/api/v1/internal/price/source/binance/10m", &[("/success", |value| value == true)]),
    ("/api/v1/btc/registry/metrics", &[("/data/20/output_table", Value::is_string)]),
    ("/api/v1/btc/registry/prices", &[("/data/5/source_name", Value::is_string)]),
    ("/api/v1/btc/registry/canonical", &[("/data/method", |value| value == 2)]),
    (
        "/api/v1/btc/registry/metrics/nvt/disable?interval=1h",
        &[("/data/1/is_enabled", |value| value == false)],
    ),
    ("/api/v1/btc/registry/metrics/nvt/enable?interval=1h", &[("/data/1/is_enabled", |value| value == true)]),
    ("/api/v1/btc/registry/prices/okx/disable", &[("/data/is_enabled", |value| value == false)]),
    ("/api/v1/btc/registry/prices/okx/enable", &[("/data/is_enabled", |value| value == true)]),
    ("/api/v1/btc/registry/prices/binance/config", &[("/data/config/mode", |value| value == "remote")]),
    ("/api/v1/btc/checkpoints", &[("/data/30/component", Value::is_string)]),
];

fn is_number(value: &Value) -> bool {
    value.is_number()
}

fn is_told(value: &Value) -> bool {
    value.is_number() || value.is_null()
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

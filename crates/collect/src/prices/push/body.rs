//! The form in which ten minutes are posted: one flat JSON object. Reading it is left to `serve`.
//!
//! | field | form |
//! |---|---|
//! | `source` | name of the source, `binance` |
//! | `bucket_start_utc` | RFC 3339 in UTC, on a ten minutes' grid |
//! | `open` `high` `low` `close` `volume` | exact decimals as text, in the quote currency and in BTC |
//! | `quality_status` | `complete` or `partial` |
//! | `data_source_mode` | `stream`, or `rest` where a minute had to be asked for |
//! | `child_interval` | `1m` |
//! | `child_count` `child_count_expected` | numbers |
//! | `first_received_utc` `received_utc` | RFC 3339: when the first and the last of it came |

use model::VenuePrice;

/// The JSON object of a row. Nothing in it needs to be escaped: names, decimals and times.
pub fn body_of(row: &VenuePrice) -> String {
    let price = &row.price;
    format!(
        concat!(
            r#"{{"source":"{}","bucket_start_utc":"{}","open":"{}","high":"{}","low":"{}","close":"{}","#,
            r#""volume":"{}","quality_status":"{}","data_source_mode":"{}","child_interval":"{}m","#,
            r#""child_count":{},"child_count_expected":{},"first_received_utc":"{}","received_utc":"{}"}}"#
        ),
        row.source,
        row.bucket,
        price.open,
        price.high,
        price.low,
        price.close,
        price.volume,
        row.quality_status,
        row.data_source_mode,
        row.child_minutes,
        row.child_count,
        row.child_count_expected,
        row.first_received_time,
        row.received_time,
    )
}

//! The views beside the tables: names and column names that readers of other systems know.

/// A view.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// Every view, sorted by name.
pub(crate) const VIEWS: &[View] = &[
    View {
        name: "coverage",
        sql: "SELECT instrument, channel, \
              count(*) FILTER (WHERE state = 'open') AS gaps_open, \
              count(*) FILTER (WHERE state = 'missing') AS gaps_missing, \
              count(*) FILTER (WHERE state = 'filled') AS gaps_filled, \
              coalesce(sum(last_id - first_id + 1) FILTER (WHERE state <> 'filled'), 0) AS ids_absent, \
              min(first_time) AS first_gap_time, max(last_time) AS last_gap_time \
              FROM gaps GROUP BY instrument, channel",
    },
    View {
        name: "trades_local",
        sql: "SELECT venue_symbol(instrument) AS symbol, \
              trade_id AS aggregate_id, price, quantity, first_trade_id, last_trade_id, \
              venue_time AS timestamp, CAST(CASE WHEN taker_side = 'sell' THEN 1 ELSE 0 END AS INT) AS is_buyer_maker, \
              received_time AS insert_time, venue(instrument) AS venue FROM trades",
    },
    View {
        name: "v_bars",
        sql: "SELECT instrument, timeframe, open_time, open, high, low, close, \
              CAST(volume AS DOUBLE) AS volume, CAST(quote_volume AS DOUBLE) AS quote_volume, trade_count, \
              CAST(taker_buy_volume AS DOUBLE) AS taker_buy_volume, vwap, source, revision, available_time FROM bars",
    },
    View {
        name: "v_coverage",
        sql: "SELECT instrument, channel, day, condition, row_count, missing, duplicates, checked_time FROM coverage_days",
    },
    View { name: "v_funding", sql: "SELECT instrument, time, rate, interval_hours, mark_price FROM funding" },
    View {
        name: "v_instruments",
        sql: "SELECT instrument, venue(instrument) AS venue, venue_symbol, base, quote, settle, kind, \
              status, tick_size, lot_size, quantity_min, notional_min, contract_size, listed_time, valid_from \
              FROM instruments WHERE valid_to IS NULL",
    },
];

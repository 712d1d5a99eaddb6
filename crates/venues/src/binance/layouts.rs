//! Columns of Binance's public files. Spot files have no header (a few that were seen in circulation do), futures files
//! have one since 2022; the first line tells.

use crate::archive::{Column, Kind, Layout, Shape, columns as places};

const fn column(names: &'static [&'static str], is: Kind) -> Column {
    Column { names, is }
}

static AGGREGATE: [Column; 8] = [
    column(&["agg_trade_id"], Kind::Integer(places::ID)),
    column(&["price"], Kind::Decimal(places::PRICE)),
    column(&["quantity"], Kind::Decimal(places::QUANTITY)),
    column(&["first_trade_id"], Kind::Integer(places::FIRST)),
    column(&["last_trade_id"], Kind::Integer(places::LAST)),
    column(&["transact_time"], Kind::Moment(places::TIME)),
    column(&["is_buyer_maker"], Kind::BuyerRested),
    column(&["is_best_match"], Kind::Flag),
];

static TRADE: [Column; 7] = [
    column(&["id", "trade_id"], Kind::Integer(places::ID)),
    column(&["price"], Kind::Decimal(places::PRICE)),
    column(&["qty", "quantity"], Kind::Decimal(places::QUANTITY)),
    column(&["quote_qty", "base_qty"], Kind::Decimal(places::UNUSED)),
    column(&["time"], Kind::Moment(places::TIME)),
    column(&["is_buyer_maker"], Kind::BuyerRested),
    column(&["is_best_match"], Kind::Flag),
];

static BAR: [Column; 12] = [
    column(&["open_time"], Kind::Moment(places::TIME)),
    column(&["open"], Kind::Decimal(places::OPEN)),
    column(&["high"], Kind::Decimal(places::HIGH)),
    column(&["low"], Kind::Decimal(places::LOW)),
    column(&["close"], Kind::Decimal(places::CLOSE)),
    column(&["volume"], Kind::Decimal(places::VOLUME)),
    column(&["close_time"], Kind::Moment(places::CLOSE_TIME)),
    column(&["quote_volume", "quote_asset_volume"], Kind::Decimal(places::QUOTE_VOLUME)),
    column(&["count", "number_of_trades"], Kind::Integer(places::COUNT)),
    column(&["taker_buy_volume", "taker_buy_base_asset_volume"], Kind::Decimal(places::TAKER_VOLUME)),
    column(&["taker_buy_quote_volume", "taker_buy_quote_asset_volume"], Kind::Decimal(places::UNUSED)),
    column(&["ignore"], Kind::Any),
];

static RATE: [Column; 3] = [
    column(&["calc_time"], Kind::Moment(places::TIME)),
    column(&["funding_interval_hours"], Kind::Integer(places::COUNT)),
    column(&["last_funding_rate"], Kind::Decimal(places::RATE)),
];

const fn layout(shape: Shape, columns: &'static [Column]) -> Layout {
    Layout { shape, columns, optional: 0, is_numbered: matches!(shape, Shape::Trade) }
}

/// Without what only spot has.
const fn front(columns: &'static [Column]) -> &'static [Column] {
    columns.split_at(columns.len() - 1).0
}

pub(crate) static SPOT_AGGREGATES: Layout = layout(Shape::Trade, &AGGREGATE);
pub(crate) static FUTURES_AGGREGATES: Layout = layout(Shape::Trade, front(&AGGREGATE));
pub(crate) static SPOT_TRADES: Layout = layout(Shape::Trade, &TRADE);
pub(crate) static FUTURES_TRADES: Layout = layout(Shape::Trade, front(&TRADE));
pub(crate) static KLINES: Layout = layout(Shape::Bar, &BAR);
pub(crate) static FUNDING: Layout = layout(Shape::Funding, &RATE);

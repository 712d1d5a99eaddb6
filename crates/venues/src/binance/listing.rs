//! Binance's `exchangeInfo`: which instruments there are.

use std::borrow::Cow;

use model::{Date, Decimal, Instrument, InstrumentId, InstrumentKind, InstrumentStatus, Listing, Time};
use serde::Deserialize;

use crate::contract::DecodeError;
use crate::scan::Scan;
use crate::wire::{Exact, asset, one_per_id, parse};

use super::decoder::Context;

/// Delivery of contracts that are never delivered: the year 2100.
const NEVER: i64 = 4_133_404_800_000;

#[derive(Deserialize)]
struct ExchangeInfo<'a> {
    #[serde(borrow)]
    symbols: Vec<Row<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    base_asset: Cow<'a, str>,
    #[serde(borrow)]
    quote_asset: Cow<'a, str>,
    margin_asset: Option<Box<str>>,
    contract_type: Option<Box<str>>,
    delivery_date: Option<i64>,
    onboard_date: Option<i64>,
    #[serde(default, borrow)]
    filters: Vec<Filter<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter<'a> {
    #[serde(borrow, rename = "filterType")]
    name: Cow<'a, str>,
    tick_size: Option<Exact>,
    step_size: Option<Exact>,
    min_qty: Option<Exact>,
    min_notional: Option<Exact>,
    notional: Option<Exact>,
}

/// Reads the whole list; Binance does not page.
pub(crate) fn read(body: &[u8], context: &Context) -> Scan<Listing> {
    let info: ExchangeInfo<'_> = parse(body, "exchange info")?;
    let mut instruments = Vec::with_capacity(info.symbols.len());
    for row in &info.symbols {
        instruments.push(instrument(row, context)?);
    }
    one_per_id(&mut instruments);
    Ok(Listing {
        venue: context.venue,
        instruments,
        is_complete: true,
        next_page: None,
        received_time: context.received,
    })
}

fn instrument(row: &Row<'_>, context: &Context) -> Scan<Instrument> {
    let id = InstrumentId::new(context.venue, &asset(&row.base_asset), &asset(&row.quote_asset), kind(row)?);
    let filter = |name: &str| row.filters.iter().find(|filter| filter.name == name);
    let lot = filter("LOT_SIZE");
    let notional = filter("NOTIONAL").or_else(|| filter("MIN_NOTIONAL"));
    Ok(Instrument {
        base: (*row.base_asset).into(),
        quote: (*row.quote_asset).into(),
        settle: row.margin_asset.as_deref().unwrap_or(&row.quote_asset).into(),
        status: status(&row.status),
        tick_size: positive(filter("PRICE_FILTER").and_then(|filter| filter.tick_size.as_ref())),
        lot_size: positive(lot.and_then(|filter| filter.step_size.as_ref())),
        quantity_min: positive(lot.and_then(|filter| filter.min_qty.as_ref())),
        notional_min: positive(
            notional.and_then(|filter| filter.min_notional.as_ref().or(filter.notional.as_ref())),
        ),
        listed_time: row.onboard_date.filter(|date| *date > 0).and_then(Time::from_millis),
        ..Instrument::named(id, &row.symbol)
    })
}

fn kind(row: &Row<'_>) -> Scan<InstrumentKind> {
    let (Some(contract), Some(delivery)) = (row.contract_type.as_deref(), row.delivery_date) else {
        return Ok(InstrumentKind::Spot);
    };
    // PERPETUAL and TRADIFI_PERPETUAL; announced contracts have no type yet.
    if contract.contains("PERPETUAL") || (contract.is_empty() && delivery == NEVER) {
        return Ok(InstrumentKind::Perpetual);
    }
    let refuse = || DecodeError::Malformed(format!("{}: delivery date {delivery} is no day", row.symbol));
    let expiry = Time::from_millis(delivery).map(Time::date).ok_or_else(refuse)?;
    let is_possible = Date::from_civil(2017, 1, 1).is_some_and(|first| expiry >= first) && delivery <= NEVER;
    if is_possible { Ok(InstrumentKind::Future { expiry }) } else { Err(refuse()) }
}

fn status(text: &str) -> InstrumentStatus {
    match text {
        "TRADING" => InstrumentStatus::Trading,
        "PENDING_TRADING" | "PRE_TRADING" => InstrumentStatus::Announced,
        "SETTLING" | "DELIVERED" | "CLOSE" => InstrumentStatus::Delisted,
        // HALT, BREAK, END_OF_DAY, CANCEL_ONLY, PRE_DELIVERING, and whatever comes next: listed, not trading.
        _ => InstrumentStatus::Halted,
    }
}

fn positive(value: Option<&Exact>) -> Option<Decimal> {
    value.map(|value| value.0).filter(|value| !value.is_zero())
}

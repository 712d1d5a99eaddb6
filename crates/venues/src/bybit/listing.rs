//! Bybit's `instruments-info`: which instruments there are, in pages for linear contracts.

use std::borrow::Cow;

use model::{Decimal, Instrument, InstrumentId, InstrumentKind, InstrumentStatus, Listing, Time};
use serde::Deserialize;

use crate::contract::DecodeError;
use crate::scan::Scan;
use crate::wire::{Exact, asset, exact_if_any, one_per_id, parse};

use super::decoder::Context;
use super::tickers::hours_of_minutes;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    list: Vec<Row<'a>>,
    #[serde(default)]
    next_page_cursor: Option<Box<str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    base_coin: Cow<'a, str>,
    #[serde(borrow)]
    quote_coin: Cow<'a, str>,
    settle_coin: Option<Box<str>>,
    contract_type: Option<Box<str>>,
    launch_time: Option<Box<str>>,
    delivery_time: Option<Box<str>>,
    funding_interval: Option<i64>,
    price_filter: PriceFilter,
    lot_size_filter: LotFilter,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PriceFilter {
    #[serde(default, deserialize_with = "exact_if_any")]
    tick_size: Option<Exact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LotFilter {
    /// Spot.
    #[serde(default, deserialize_with = "exact_if_any")]
    base_precision: Option<Exact>,
    /// Contracts.
    #[serde(default, deserialize_with = "exact_if_any")]
    qty_step: Option<Exact>,
    #[serde(default, deserialize_with = "exact_if_any")]
    min_order_qty: Option<Exact>,
    /// Spot.
    #[serde(default, deserialize_with = "exact_if_any")]
    min_order_amt: Option<Exact>,
    /// Contracts.
    #[serde(default, deserialize_with = "exact_if_any")]
    min_notional_value: Option<Exact>,
}

/// Reads a page.
pub(crate) fn read(result: &[u8], context: &mut Context) -> Scan<Listing> {
    let page: Page<'_> = parse(result, "instruments")?;
    let mut instruments = Vec::with_capacity(page.list.len());
    let mut intervals = Vec::new();
    for row in &page.list {
        // Only the categories that were asked for are ours; an inverse contract here would be a wrong answer.
        instruments.push(instrument(row, context)?);
        if let Some(hours) = hours_of_minutes(row.funding_interval.unwrap_or(0))? {
            intervals.push((Box::from(&*row.symbol), hours));
        }
    }
    one_per_id(&mut instruments);
    context.funding_hours.extend(intervals);
    let next_page = page.next_page_cursor.filter(|cursor| !cursor.is_empty());
    let is_complete = next_page.is_none() && !context.is_page_due;
    context.is_page_due = next_page.is_some();
    Ok(Listing { venue: context.venue, instruments, is_complete, next_page, received_time: context.received })
}

fn instrument(row: &Row<'_>, context: &Context) -> Scan<Instrument> {
    let id = InstrumentId::new(context.venue, &asset(&row.base_coin), &asset(&row.quote_coin), kind(row)?);
    let lot = &row.lot_size_filter;
    Ok(Instrument {
        base: (*row.base_coin).into(),
        quote: (*row.quote_coin).into(),
        settle: row.settle_coin.as_deref().unwrap_or(&row.quote_coin).into(),
        status: match &*row.status {
            "Trading" => InstrumentStatus::Trading,
            "PreLaunch" => InstrumentStatus::Announced,
            "Closed" => InstrumentStatus::Delisted,
            // Delivering, and whatever comes next: listed, not trading.
            _ => InstrumentStatus::Halted,
        },
        tick_size: positive(row.price_filter.tick_size.as_ref()),
        lot_size: positive(lot.qty_step.as_ref().or(lot.base_precision.as_ref())),
        quantity_min: positive(lot.min_order_qty.as_ref()),
        notional_min: positive(lot.min_notional_value.as_ref().or(lot.min_order_amt.as_ref())),
        listed_time: millis(row.launch_time.as_deref(), row)?,
        ..Instrument::named(id, &row.symbol)
    })
}

fn kind(row: &Row<'_>) -> Scan<InstrumentKind> {
    let Some(contract) = row.contract_type.as_deref() else { return Ok(InstrumentKind::Spot) };
    if contract.ends_with("Perpetual") {
        return Ok(InstrumentKind::Perpetual);
    }
    match millis(row.delivery_time.as_deref(), row)? {
        Some(delivery) => Ok(InstrumentKind::Future { expiry: delivery.date() }),
        None => Err(DecodeError::Malformed(format!("{}: {contract} without a delivery time", row.symbol))),
    }
}

/// A time written as text in milliseconds; zero and nothing mean none.
fn millis(text: Option<&str>, row: &Row<'_>) -> Scan<Option<Time>> {
    let refuse = |text| DecodeError::Malformed(format!("{}: no time in milliseconds: {text:?}", row.symbol));
    match text {
        None | Some("" | "0") => Ok(None),
        Some(text) => match text.parse::<i64>() {
            // Delivery days lie in the future, so only the form can be judged: years 2009 to 2286.
            Ok(number @ 1_230_768_000_000..=9_999_999_999_999) => Ok(Time::from_millis(number)),
            _ => Err(refuse(text)),
        },
    }
}

fn positive(value: Option<&Exact>) -> Option<Decimal> {
    value.map(|value| value.0).filter(|value| !value.is_zero())
}

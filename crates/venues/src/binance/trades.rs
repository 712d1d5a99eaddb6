//! One print, as Binance writes it in streams and in answers.

use model::{Condition, Decimal, Event, InstrumentId, Notice, Side, Source, Trade};

use crate::contract::DecodeError;
use crate::moment::moment;
use crate::scan::{Scan, need};

use super::decoder::Context;

/// The fields of a print, whatever they are called where it came from.
#[derive(Default)]
pub(crate) struct Print<'a> {
    /// `a`, `t` or `id`. Absent in USD-M aggregates of 2019.
    pub(crate) id: Option<i64>,
    /// `p` or `price`.
    pub(crate) price: Option<Decimal>,
    /// `q` or `qty`.
    pub(crate) quantity: Option<Decimal>,
    /// `f`, of aggregates.
    pub(crate) first_id: Option<i64>,
    /// `l`, of aggregates.
    pub(crate) last_id: Option<i64>,
    /// `T` or `time`, as written.
    pub(crate) time: Option<i64>,
    /// `m` or `isBuyerMaker`: the buyer rested, so the taker sold.
    pub(crate) is_buyer_maker: Option<bool>,
    /// `X`: what kind of print (USD-M raw trades).
    pub(crate) kind: Option<&'a str>,
}

impl Print<'_> {
    /// Adds the event it makes. A row without price or quantity is a placeholder (kind `NA`) and no trade.
    pub(crate) fn push(
        self,
        instrument: InstrumentId,
        source: Source,
        context: &Context,
        events: &mut Vec<Event>,
    ) -> Scan<()> {
        let (price, quantity) = (need(self.price, "price")?, need(self.quantity, "quantity")?);
        let venue_time = moment(need(self.time, "trade time")?, "trade time", context.received)?;
        let is_buyer_maker = need(self.is_buyer_maker, "maker flag")?;
        if price.is_negative() || quantity.is_negative() {
            return Err(DecodeError::Malformed("a trade below zero".into()));
        }
        if price.is_zero() || quantity.is_zero() {
            events.push(Event::Notice(Notice::Ignored));
            return Ok(());
        }
        events.push(Event::Trade(Trade {
            instrument,
            venue_time,
            trade_id: self.id,
            venue_trade_id: None,
            price,
            quantity,
            taker_side: if is_buyer_maker { Side::Sell } else { Side::Buy },
            first_trade_id: self.first_id,
            last_trade_id: self.last_id,
            condition: match self.kind {
                None | Some("MARKET") => Condition::Market,
                Some("INSURANCE_FUND") => Condition::InsuranceFund,
                Some("ADL") => Condition::Deleveraging,
                Some(_) => Condition::Other,
            },
            received_time: context.received,
            source,
        }));
        Ok(())
    }
}

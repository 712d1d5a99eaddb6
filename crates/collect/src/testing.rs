//! What the tests of this room share.

use model::{Decimal, Instrument, InstrumentId, InstrumentKind, InstrumentStatus, VenueId};

/// A tradable spot instrument of Binance.
pub(crate) fn instrument(base: &str, quote: &str) -> Instrument {
    let venue = VenueId::known("binance").unwrap();
    Instrument {
        id: InstrumentId::new(venue, base, quote, InstrumentKind::Spot),
        symbol: format!("{base}{quote}").into(),
        base: base.into(),
        quote: quote.into(),
        settle: quote.into(),
        kind: InstrumentKind::Spot,
        status: InstrumentStatus::Trading,
        tick_size: None,
        lot_size: None,
        quantity_min: None,
        notional_min: None,
        contract_size: Decimal::ONE,
        listed_time: None,
    }
}

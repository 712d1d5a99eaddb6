//! Which markets a generated venue has right now: some are listed and delisted while it runs. How venues show that is left
//! to their endpoints.

use std::sync::{Arc, PoisonError, RwLock};

use crate::market::{MINUTE_MS, Market, Protocol, spec_of};
use crate::world::Generated;

/// The markets of a venue, as they are listed at the moment.
pub(crate) struct Listed {
    protocol: Protocol,
    seed: u64,
    world: RwLock<Arc<Generated>>,
}

impl Listed {
    /// What is listed at the start.
    pub(crate) fn new(protocol: Protocol, seed: u64, world: Generated) -> Self {
        Self { protocol, seed, world: RwLock::new(Arc::new(world)) }
    }

    /// The markets as of now. Places never change, new markets come last.
    pub(crate) fn now(&self) -> Arc<Generated> {
        Arc::clone(&self.world.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lists a symbol, whose trades begin after a moment. It trades as often as the others do on average.
    pub(crate) fn list(&self, symbol: &str, from_ms: i64) -> Result<(), String> {
        let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
        let base = symbol.strip_suffix("USDT").filter(|base| {
            !base.is_empty()
                && base.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || !c.is_ascii())
        });
        let Some(base) = base else {
            return Err(format!("symbol {symbol:?} cannot be listed: write it like NEWUSDT"));
        };
        if world.by_symbol.contains_key(symbol) {
            return Err(format!("{symbol} is or was listed; choose another symbol"));
        }
        let rates = world.markets.iter().map(|market| market.spec.rate_micro);
        let rate_micro = (rates.sum::<i64>() / world.markets.len().max(1) as i64).max(1);
        let spec = spec_of(self.protocol, base.to_owned(), rate_micro);
        let first_minute = from_ms.div_euclid(MINUTE_MS);
        let market = Market::new(self.protocol, spec, self.seed, first_minute).opening(from_ms);
        let mut next = Generated::clone(&world);
        next.by_symbol.insert(symbol.to_owned(), next.markets.len());
        next.markets.push(Arc::new(market));
        *world = Arc::new(next);
        Ok(())
    }

    /// Delists a symbol after a moment; `is_gone` when the venue does not even name it any more.
    pub(crate) fn delist(&self, symbol: &str, from_ms: i64, is_gone: bool) -> Result<(), String> {
        let world = self.now();
        let Some(market) = world.market(symbol) else {
            return Err(format!(
                "{symbol:?} is not listed; `exchangeInfo` or `instruments-info` says what is"
            ));
        };
        market.end(from_ms, is_gone);
        Ok(())
    }
}

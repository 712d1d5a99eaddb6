//! The speed lane: closed minutes of Binance spot as they come on the stream. Folding them is left to `derivations`.

use model::{
    BarState, Candle, Event, Instrument, InstrumentId, InstrumentKind, Nanos, Ohlcv, Timeframe, VenueId,
};

use super::reader::checked;
use crate::binance::decoder::BinanceDecoder;
use crate::contract::{DecodeError, Decoder, Frame, Origin};

/// Reads the stream `<symbol>@kline_1m`.
pub struct KlineLane {
    decoder: BinanceDecoder,
    symbol: String,
}

impl KlineLane {
    /// The lane of a symbol such as `BTCUSDT`.
    pub fn new(symbol: &str) -> Self {
        let venue = VenueId::known("binance").expect("model lists this venue");
        let id = InstrumentId::new(venue, "BTC", "USDT", InstrumentKind::Spot);
        let mut decoder = BinanceDecoder::new(venue);
        decoder.learn(&[Instrument::named(id, symbol)]);
        Self { decoder, symbol: symbol.to_owned() }
    }

    /// Where the stream is, from an origin such as `wss://stream.binance.com:9443`.
    pub fn url(&self, origin: &str) -> String {
        format!("{origin}/ws/{}@kline_1m", self.symbol.to_lowercase())
    }

    /// The minute of a frame, if it is closed (`k.x == true`); nothing where it is still forming, or the frame is none of a
    /// minute. A minute that cannot be true is an error.
    pub fn read(&mut self, payload: &[u8], received: Nanos) -> Result<Option<Candle>, DecodeError> {
        let mut closed = None;
        let frame = Frame { payload, received, origin: Origin::Stream };
        self.decoder.decode(&frame, &mut |event| {
            if let Event::Bar(bar) = event
                && bar.state == BarState::Closed
                && bar.timeframe == Timeframe::MINUTE
            {
                closed = Some(bar);
            }
        })?;
        let Some(bar) = closed else { return Ok(None) };
        let price =
            Ohlcv { open: bar.open, high: bar.high, low: bar.low, close: bar.close, volume: bar.volume };
        let price = checked(price).map_err(|reason| {
            DecodeError::Malformed(format!("the minute of {} cannot be true: {reason}", bar.open_time))
        })?;
        Ok(Some(Candle { open_time: bar.open_time, price, is_closed: true }))
    }
}

//! Bars over REST: asked for at their price, and closed by the venue's clock.

use model::{BarState, Event, Nanos, Time, Timeframe, VenueId};
use venues::{Frame, HistoryAsk, Origin, Purpose};

const LISTING: &str = r#"{"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"symbol":"BTCUSDT","baseCoin":"BTC","quoteCoin":"USDT","status":"Trading","lotSizeFilter":{},"priceFilter":{"tickSize":"0.1"}}]},"time":1791383690000}"#;

#[test]
fn a_bar_that_is_not_over_by_the_venues_clock_is_forming_though_ours_is_ahead() {
    let venue = venues::venue(VenueId::known("bybit").unwrap()).unwrap();
    // Ours shows 23:35:00, the venue's 23:34:50: the minute of 23:34 goes on.
    let received = Nanos(1_791_383_700_000_000_000);
    let mut decoder = venue.decoder(received);
    let mut decode = |purpose: &Purpose, body: &str| {
        let frame = Frame { payload: body.as_bytes(), received, origin: Origin::Rest(purpose) };
        let mut states = Vec::new();
        decoder
            .decode(&frame, &mut |event| {
                if let Event::Bar(bar) = event {
                    states.push((bar.open_time, bar.state));
                }
            })
            .unwrap();
        states
    };
    decode(&Purpose::Listing, LISTING);
    let body = r#"{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"spot","list":[["1791383640000","1","1","1","1","2","2"],["1791383580000","1","1","1","1","2","2"]]},"time":1791383690000}"#;
    assert_eq!(
        decode(&Purpose::Klines { symbol: "BTCUSDT".into(), timeframe: Timeframe::MINUTE }, body),
        [(Time(1_791_383_580_000_000), BarState::Closed), (Time(1_791_383_640_000_000), BarState::Forming)]
    );
}

#[test]
fn few_bars_cost_little() {
    let venue = venues::venue(VenueId::known("binance-futures").unwrap()).unwrap();
    let listing = r#"{"symbols":[{"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","deliveryDate":4133404800000,"onboardDate":1567965300000,"status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT","underlyingType":"COIN","filters":[]}]}"#;
    let received = Nanos(1_791_383_700_000_000_000);
    let mut instruments = Vec::new();
    let frame = Frame { payload: listing.as_bytes(), received, origin: Origin::Rest(&Purpose::Listing) };
    venue
        .decoder(received)
        .decode(&frame, &mut |event| {
            if let Event::Listing(listing) = event {
                instruments = listing.instruments;
            }
        })
        .unwrap();
    let start = Time(1_791_383_580_000_000);
    for (minutes, weight) in [(1, 1), (100, 1), (101, 2), (500, 2), (1_000, 5), (1_500, 10), (9_999, 10)] {
        let end = start.plus_micros(minutes * model::time::MINUTE);
        let ask =
            HistoryAsk::Klines { instrument: &instruments[0], timeframe: Timeframe::MINUTE, start, end };
        let request = venue.history(&ask).unwrap();
        assert_eq!(request.weight, weight, "{minutes}");
        assert!(request.path.ends_with(&format!("&limit={}", minutes.min(1_500))), "{}", request.path);
    }
    assert!(venue.says_too_old(br#"{"code":-4166,"msg":"Search window is restricted to recent 48 hours."}"#));
    assert!(!venue.says_too_old(br#"{"code":-1121,"msg":"Invalid symbol."}"#));
}

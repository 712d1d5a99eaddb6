//! Cases for choosing.

use model::{Channel, Instrument, InstrumentStatus, Listing, Time, VenueId};
use venues::Endpoints;

use super::{Selection, choose, is_landslide};
use crate::settings::{VenueSettings, Wanted};
use crate::testing::{facts, instrument, venue_with};

fn listing() -> Listing {
    let mut instruments = vec![
        instrument("BTC", "USDT"),
        instrument("ETH", "BTC"),
        instrument("ETH", "USDC"),
        instrument("币安人生", "USDT"),
    ];
    instruments.push(Instrument { status: InstrumentStatus::Delisted, ..instrument("OLD", "USDT") });
    instruments.push(Instrument { status: InstrumentStatus::Halted, ..instrument("PAUSE", "USDT") });
    Listing {
        venue: VenueId::known("binance").unwrap(),
        instruments,
        is_complete: true,
        next_page: None,
        received_time: Time(0),
    }
}

fn chosen(instruments: Wanted, books: Wanted, channels: &[Channel]) -> Selection {
    let settings = VenueSettings {
        venue: VenueId::known("binance").unwrap(),
        endpoints: Endpoints { rest: String::new(), stream: String::new() },
        instruments,
        channels: channels.to_vec(),
        books,
        raw_trades: false,
    };
    choose(venue_with(facts()), &settings, listing())
}

fn symbols(selection: &Selection) -> Vec<&str> {
    selection.chosen.iter().map(|instrument| &*instrument.symbol).collect()
}

fn wanted(symbols: &[&str]) -> Wanted {
    Wanted::Symbols(symbols.iter().map(|symbol| (*symbol).to_owned()).collect())
}

#[test]
fn all_means_all_that_can_be_traded() {
    let all = chosen(Wanted::All, Wanted::None, &[Channel::Trades]);
    assert_eq!(symbols(&all), ["BTCUSDT", "ETHBTC", "ETHUSDC", "币安人生USDT"]);
    assert_eq!(all.listed.len(), 6);
}

#[test]
fn quotes_choose_by_quote_asset() {
    let selection = chosen(Wanted::Quotes(vec!["usdt".into()]), Wanted::None, &[]);
    assert_eq!(symbols(&selection), ["BTCUSDT", "币安人生USDT"]);
}

#[test]
fn symbols_are_known_in_every_spelling() {
    for text in ["BTCUSDT", "btcusdt", "BTC-USDT", "btc/usdt", "BTC_USDT", "binance:BTC-USDT"] {
        let selection = chosen(wanted(&[text]), Wanted::None, &[]);
        assert_eq!((symbols(&selection), selection.unknown.len()), (vec!["BTCUSDT"], 0), "{text}");
    }
    let selection =
        chosen(wanted(&["BTCUSDT", "bybit:BTC-USDT", "OLDUSDT", "币安人生usdt"]), Wanted::None, &[]);
    assert_eq!(symbols(&selection), ["BTCUSDT", "币安人生USDT"]);
    assert_eq!(selection.unknown, ["OLDUSDT", "bybit:BTC-USDT"]);
}

#[test]
fn books_are_wanted_of_some_only() {
    let selection = chosen(Wanted::All, wanted(&["BTCUSDT"]), &[Channel::Quotes, Channel::Book]);
    let books = selection.streams.iter().filter(|stream| stream.channel == Channel::Book).count();
    assert_eq!((books, selection.streams.len()), (1, 5));
}

#[test]
fn only_one_feed_of_trades_is_canonical() {
    let selection = chosen(wanted(&["BTCUSDT"]), Wanted::None, &[Channel::Trades, Channel::RawTrades]);
    let keys: Vec<&str> = selection.streams.iter().map(|stream| &*stream.key).collect();
    assert_eq!(keys, ["btcusdt@aggTrade"]);
}

#[test]
fn losing_most_is_a_landslide() {
    let before = chosen(Wanted::All, Wanted::None, &[]);
    let few = chosen(wanted(&["BTCUSDT"]), Wanted::None, &[]);
    let most = chosen(wanted(&["BTCUSDT", "ETHBTC", "ETHUSDC"]), Wanted::None, &[]);
    assert!(is_landslide(&before, &few));
    assert!(!is_landslide(&before, &most));
    assert!(!is_landslide(&few, &before));
}

"""ccxt, as people use it, pointed at the simulated venues: markets, candles and trades without an error."""

import ccxt
import pytest

MINUTE_MS = 60_000

# Name of the simulated venue, class of ccxt, kind of market, symbol.
CASES = [
    ("binance", ccxt.binance, "spot", "BTC/USDT"),
    ("binance-futures", ccxt.binanceusdm, "linear", "BTC/USDT:USDT"),
    ("bybit", ccxt.bybit, "spot", "BTC/USDT"),
    ("bybit-linear", ccxt.bybit, "linear", "BTC/USDT:USDT"),
]

# ccxt keeps a base address per group of paths; these are the public ones.
BASES = {
    "binance": {"public": "/api/v3", "v1": "/api/v1"},
    "binance-futures": {"fapiPublic": "/fapi/v1", "fapiPublicV2": "/fapi/v2", "fapiPublicV3": "/fapi/v3"},
    "bybit": {"public": ""},
    "bybit-linear": {"public": ""},
}


@pytest.fixture(params=CASES, ids=[case[0] for case in CASES])
def exchange(request, venues):
    venue, kind, market, symbol = request.param
    options = {"fetchMarkets": {"types": [market]}, "defaultType": "spot" if market == "spot" else "swap"}
    client = kind({"options": options, "enableRateLimit": False, "timeout": 10_000})
    # Lists of coins are for account holders.
    client.has["fetchCurrencies"] = False
    # Whatever is not named here must not be asked: a real venue would answer.
    client.urls["api"] = {name: venues[venue]["rest"] + path for name, path in BASES[venue].items()}
    return client, symbol


def test_markets(exchange):
    client, symbol = exchange
    markets = client.load_markets()
    market = markets[symbol]
    assert len(markets) >= 2
    assert market["active"] is True
    assert market["base"] == "BTC" and market["quote"] == "USDT"
    assert 0 < market["precision"]["price"] < 100
    assert 0 < market["precision"]["amount"] < 1


def test_candles(exchange):
    client, symbol = exchange
    candles = client.fetch_ohlcv(symbol, "1m", limit=50)
    assert 2 <= len(candles) <= 50
    times = [candle[0] for candle in candles]
    assert times == list(range(times[0], times[0] + MINUTE_MS * len(times), MINUTE_MS))
    for _, first, high, low, last, volume in candles:
        assert low <= min(first, last) <= max(first, last) <= high
        assert volume >= 0


def test_trades(exchange):
    client, symbol = exchange
    trades = client.fetch_trades(symbol, limit=100)
    assert 1 <= len(trades) <= 100
    assert len({trade["id"] for trade in trades}) == len(trades)
    assert [trade["timestamp"] for trade in trades] == sorted(trade["timestamp"] for trade in trades)
    for trade in trades:
        assert trade["side"] in ("buy", "sell")
        assert trade["price"] > 0 and trade["amount"] > 0

"""ccxt, as people use it, pointed at the simulated venues over REST and WebSocket: nothing may raise an error."""

import asyncio

import ccxt
import ccxt.pro
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


# The same for streams, as ccxt nests them.
STREAMS = {
    "binance": {"spot": "/ws"},
    "binance-futures": {"linear": "/ws"},
    "bybit": {"public": {"spot": "/v5/public/spot"}},
    "bybit-linear": {"public": {"linear": "/v5/public/linear"}},
}

WATCH_SECONDS_MAX = 30


def at(base, paths):
    if isinstance(paths, str):
        return base + paths
    return {name: at(base, path) for name, path in paths.items()}


def build(kind, case, venues):
    venue, _, market, symbol = case
    options = {"fetchMarkets": {"types": [market]}, "defaultType": "spot" if market == "spot" else "swap"}
    client = kind({"options": options, "enableRateLimit": False, "timeout": 10_000})
    # Lists of coins are for account holders.
    client.has["fetchCurrencies"] = False
    # Whatever is not named here must not be asked: a real venue would answer.
    client.urls["api"] = at(venues[venue]["rest"], BASES[venue])
    client.urls["api"]["ws"] = at(venues[venue]["stream"], STREAMS[venue])
    return client, symbol


@pytest.fixture(params=CASES, ids=[case[0] for case in CASES])
def exchange(request, venues):
    return build(request.param[1], request.param, venues)


@pytest.fixture(params=CASES, ids=[case[0] for case in CASES])
def watching(request, venues):
    """Runs a journey with the client for streams, and closes it."""

    def run(journey):
        async def whole():
            client, symbol = build(getattr(ccxt.pro, request.param[1].__name__), request.param, venues)
            try:
                return await asyncio.wait_for(journey(client, symbol), WATCH_SECONDS_MAX)
            finally:
                await client.close()

        return asyncio.run(whole())

    return run


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


def test_book(exchange):
    client, symbol = exchange
    book = client.fetch_order_book(symbol, limit=50)
    assert len(book["bids"]) == 50 and len(book["asks"]) == 50
    assert book["bids"] == sorted(book["bids"], reverse=True)
    assert book["asks"] == sorted(book["asks"])
    assert book["bids"][0][0] < book["asks"][0][0]
    assert all(amount > 0 for _, amount, *_ in book["bids"] + book["asks"])


def test_ticker(exchange):
    client, symbol = exchange
    ticker = client.fetch_ticker(symbol)
    assert ticker["symbol"] == symbol
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert ticker["baseVolume"] > 0
    assert symbol in client.fetch_tickers([symbol])


def test_trades_over_websocket(watching):
    async def journey(client, symbol):
        # Over REST ccxt asks Binance for aggregated trades, so it watches those.
        feed = {"name": "aggTrade"} if "binance" in client.id else {}
        seen = []
        while len(seen) < 10:
            seen += await client.watch_trades(symbol, params=feed)
        rest = await client.fetch_trades(symbol, limit=60)
        return seen, rest

    seen, rest = watching(journey)
    for trade in seen:
        assert trade["side"] in ("buy", "sell")
        assert trade["price"] > 0 and trade["amount"] > 0
    # Streams and REST speak of the same trades.
    known = {trade["id"]: trade for trade in rest}
    same = [trade for trade in seen if trade["id"] in known]
    assert same
    for trade in same:
        assert (trade["price"], trade["amount"]) == (known[trade["id"]]["price"], known[trade["id"]]["amount"])


def test_book_over_websocket(watching):
    async def journey(client, symbol):
        for _ in range(5):
            book = await client.watch_order_book(symbol, limit=50)
        return book

    book = watching(journey)
    assert len(book["bids"]) >= 20 and len(book["asks"]) >= 20
    assert book["bids"][0][0] < book["asks"][0][0]

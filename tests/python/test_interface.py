"""The published interface of the demo: the OpenAPI document, its promises under odd questions, metrics, and live messages."""

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from websockets.sync.client import connect

SECONDS_MAX = 60
DOCUMENT = Path(__file__).parents[2] / "api" / "openapi.json"
QUESTIONS = 25

# What the schema cannot say: these questions fit it and are refused all the same.
REFUSED_BY_SENSE = {
    "reversed_range",
    "bad_config",
    "bad_parameter",
    "limit_over_interval",
    "sql_refused",
    "sql_over_limit",
    "unknown_field",
    "bad_json",
    "bad_text",
    "no_book",
}


@pytest.fixture(scope="module")
def address(start, place) -> str:
    demo = start(place, "demo", "--data", "data", "--port", 0, "--seed", 7)
    address = demo.line(r"http://([^/\s]+)/").group(1)
    deadline = time.monotonic() + SECONDS_MAX
    # The listing comes first, then the first trade.
    while not get(address, "/api/v1/data/trades/BTCUSDT").get("data"):
        assert time.monotonic() < deadline, "no trade within a minute"
        time.sleep(0.2)
    return address


def get(address: str, path: str):
    """The JSON of an answer, whatever its status."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def test_the_document_is_valid(address):
    validate(get(address, "/api/v1/openapi.json"))


@schemathesis.deserializer("application/vnd.apache.arrow.stream")
def arrow(_context, response):
    return response.content.decode("latin-1")


@schemathesis.check
def refused_by_sense_only(_context, response, case):
    """A question that fits the schema is answered, or refused for a reason the schema cannot express."""
    if response.status_code == 400 and case.meta.generation.mode.is_positive:
        error = response.json()["error"]
        assert error["code"] in REFUSED_BY_SENSE, f"{error['code']}: {error['message']}"


def name_something_recorded(case):
    """Any text is a symbol to the schema; one that is recorded asks for more than a 404."""
    if case.path_parameters:
        case.path_parameters["symbol"] = "BTCUSDT"
    if case.query and "symbol" in case.query:
        case.query["symbol"] = "BTCUSDT"
    if case.query and "venue" in case.query:
        case.query["venue"] = "bybit-linear"


OPERATIONS = [result.ok() for result in schemathesis.openapi.from_path(DOCUMENT).get_all_operations()]


CASES = [(operation, GenerationMode.POSITIVE) for operation in OPERATIONS]
# Only what takes something can be asked wrongly.
CASES += [(operation, GenerationMode.NEGATIVE) for operation in OPERATIONS if operation.query or operation.body]


@pytest.mark.parametrize(("operation", "mode"), CASES, ids=[f"{operation.label}-{mode.value}" for operation, mode in CASES])
def test_odd_questions_are_answered_as_documented(address, operation, mode):
    """The same few questions every time: whatever is asked, the answer has a documented status and form."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=QUESTIONS, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    def ask(case):
        if mode.is_positive:
            name_something_recorded(case)
        case.call_and_validate(
            base_url=f"http://{address}",
            timeout=20,
            excluded_checks=[CHECKS.get_one("positive_data_acceptance")],
            additional_checks=[refused_by_sense_only],
        )

    ask()


def test_metrics_are_prometheus_text(address):
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}
    for name, family in families.items():
        assert family.documentation, f"{name} has no HELP"
        assert family.type in ("counter", "gauge", "histogram"), f"{name} is {family.type}"
    assert families["tickhouse_trades"].samples[0].value > 0
    assert families["process_resident_memory_bytes"].samples[0].value > 1e6
    latency = families["tickhouse_trade_latency_seconds"]
    assert {sample.labels["venue"] for sample in latency.samples} >= {"binance", "binance-futures"}
    live = [sample for sample in families["tickhouse_streams"].samples if sample.labels["health"] == "live"]
    assert sum(sample.value for sample in live) > 10
    positions = {sample.labels["of"]: sample.value for sample in families["tickhouse_log_position"].samples}
    assert positions["written"] >= positions["durable"] > 0


NUMBERS = (int, float)
TRADE = {"aggregate_id": int, "price": NUMBERS, "quantity": NUMBERS, "timestamp": int, "is_buyer_maker": bool}
CANDLE = {
    "candle_time": int,
    "open": NUMBERS,
    "high": NUMBERS,
    "low": NUMBERS,
    "close": NUMBERS,
    "volume": NUMBERS,
    "trades_count": int,
}
DATA_STATUS = {"historical_loading": bool, "gap_recovery": bool, "data_quality": str}
HEALTH = {
    "status": str,
    "uptime_seconds": int,
    "active_tickers": int,
    "trades_processed_total": int,
    "clickhouse_status": str,
    "websocket_connections": int,
    "disk_free_percent": NUMBERS,
}
TICKER = {"symbol": str, "status": str, "trades_total": int, "last_trade_time": int, "last_aggregate_id": int}


def has_fields(value: dict, fields: dict):
    for name, kind in fields.items():
        assert name in value, f"{name} is missing in {value}"
        assert isinstance(value[name], kind), f"{name} is {value[name]!r}"
        assert kind is bool or not isinstance(value[name], bool), f"{name} is {value[name]!r}"


def test_answers_have_the_published_fields(address):
    trades = get(address, "/api/v1/data/trades/BTCUSDT?start_time=1640995200000&limit=5")
    assert trades["success"] is True and trades["message"] == f"Retrieved {len(trades['data'])} trades"
    assert trades["data"]
    for trade in trades["data"]:
        has_fields(trade, TRADE)
    candles = get(address, "/api/v1/data/klines/BTCUSDT?timeframe=15&limit=100")
    assert candles["success"] is True and candles["data"]
    for candle in candles["data"]:
        has_fields(candle, CANDLE)
    has_fields(get(address, "/api/v1/monitoring/health"), HEALTH)
    assert get(address, "/api/v1/monitoring/system-stats")["data"]["memory_bytes"] > 1e6
    tickers = get(address, "/api/v1/admin/tickers/status")["data"]
    has_fields(next(ticker for ticker in tickers if ticker["instrument"] == "binance-futures:BTC-USDT-PERP"), TICKER)


@pytest.mark.parametrize(
    "resource", ["trades", "klines", "quotes", "books", "mark_prices", "funding", "open_interest"]
)
@pytest.mark.parametrize("name", ["BTCUSDT", "BTCUSDT?venue=bybit-linear", "bybit-linear:BTC-USDT-PERP"])
def test_every_data_answer_carries_the_coverage_of_its_range(address, resource, name):
    symbol, _, query = name.partition("?")
    answer = get(address, f"/api/v1/data/{resource}/{symbol}?{query}")
    assert answer["success"] is True, answer
    coverage = answer["coverage"]
    assert coverage["quality"] in ("complete", "partial", "unknown")
    assert coverage["start_time"] <= coverage["end_time"]
    assert len(coverage["gaps"]) == min(coverage["gaps_count"], 200)
    if resource == "books":
        assert isinstance(answer["data"]["is_stale"], bool)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/v1/data/klines/NOSUCH", 404, "unknown_symbol"),
        ("/api/v1/data/klines/BTCUSDT?venue=nowhere", 404, "unknown_venue"),
        ("/api/v1/data/klines/BTCUSDT?timeframe=0", 400, "bad_timeframe"),
        ("/api/v1/data/klines/BTCUSDT?timeframe=43201", 400, "bad_timeframe"),
        ("/api/v1/data/trades/BTCUSDT?start_time=2&end_time=1", 400, "reversed_range"),
        ("/api/v1/data/trades/BTCUSDT?limit=0", 400, "bad_limit"),
        ("/api/v1/nothing", 404, "unknown_address"),
    ],
)
def test_mistakes_are_told_in_one_form(address, path, status, code):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://{address}{path}", timeout=20)
    answer = json.load(caught.value)
    assert (caught.value.code, answer["success"], answer["error"]["code"]) == (status, False, code)
    assert answer["error"]["message"] and answer["error"]["remedy"]


def test_live_messages_have_the_published_fields(address):
    timeframes = [{"timeframe": 15, "initial_candles": 3}, {"timeframe": "173m", "initial_candles": 2}]
    wanted = {"symbol": "BTCUSDT", "timeframes": timeframes, "channels": ["trades", "quotes", "book"]}
    heard: dict[str, list] = {}
    with connect(f"ws://{address}/ws/stream", open_timeout=10, close_timeout=2) as socket:
        socket.send(json.dumps({"action": "subscribe", "id": 1, "subscriptions": [wanted]}))
        deadline = time.monotonic() + SECONDS_MAX
        expected = {"subscribed", "initial_candles", "ohlcv_update", "trade", "quote", "book"}
        updated = set()
        while not (expected <= heard.keys() and updated == {"15m", "173m"}):
            message = json.loads(socket.recv(timeout=max(0.1, deadline - time.monotonic())))
            heard.setdefault(message["type"], []).append(message)
            if message["type"] == "ohlcv_update":
                updated.add(message["timeframe"])
        socket.send(json.dumps({"action": "unsubscribe", "id": "bye", "subscriptions": [{"symbol": "BTCUSDT"}]}))
        while True:
            message = json.loads(socket.recv(timeout=max(0.1, deadline - time.monotonic())))
            if message["type"] == "unsubscribed":
                assert message["id"] == "bye"
                break
        with pytest.raises(TimeoutError):
            socket.recv(timeout=1.0)
    assert heard["subscribed"][0]["id"] == 1
    for update in heard["ohlcv_update"]:
        assert update["symbol"] == "BTCUSDT" and update["venue"] == "binance-futures"
        has_fields(update["data"], CANDLE)
        has_fields(update["data_status"], DATA_STATUS)
    for initial in heard["initial_candles"]:
        assert initial["data"], initial
        has_fields(initial["data"][0], CANDLE)
        has_fields(initial["data_status"], DATA_STATUS)
    has_fields(heard["trade"][0]["data"], TRADE)
    assert isinstance(heard["trade"][0]["position"], str)
    assert heard["book"][0]["data"]["is_snapshot"] is True, "a book begins whole"
    assert isinstance(heard["book"][0]["data"]["is_stale"], bool)

"""A WebSocket client that is not ours follows live candles of the demo."""

import json
import time

import pytest
from websockets.sync.client import connect

SECONDS_MAX = 60
TIMEFRAME_MS = 173 * 60_000


@pytest.fixture(scope="module")
def address(start, place) -> str:
    demo = start(place, "demo", "--data", "data", "--port", 0, "--seed", 7)
    return demo.line(r"http://([^/\s]+)/").group(1)


def ask(action: str, initial: int) -> str:
    timeframe = {"timeframe": 173, "initial_candles": initial}
    return json.dumps({"action": action, "subscriptions": [{"symbol": "BTCUSDT", "timeframes": [timeframe]}]})


def messages(socket, deadline):
    while (left := deadline - time.monotonic()) > 0:
        try:
            yield json.loads(socket.recv(timeout=left))
        except TimeoutError:
            return


def test_candles_of_173_minutes(address):
    """History is fetched in the background at first, so the question is repeated until it is there."""
    deadline = time.monotonic() + SECONDS_MAX
    candles, updates = [], []
    with connect(f"ws://{address}/ws/stream", open_timeout=10, close_timeout=2) as socket:
        socket.send(ask("subscribe", 20))
        for message in messages(socket, deadline):
            if message["type"] == "initial_candles":
                candles = message["data"]
                if len(candles) < 20:
                    time.sleep(0.5)
                    socket.send(ask("unsubscribe", 20))
                    socket.send(ask("subscribe", 20))
            elif message["type"] == "ohlcv_update" and len(candles) == 20:
                updates.append(message)
                if len(updates) == 3:
                    break

    assert len(candles) == 20, f"{len(candles)} initial candles within {SECONDS_MAX} s"
    assert len(updates) == 3, f"{len(updates)} updates within {SECONDS_MAX} s"
    times = [candle["candle_time"] for candle in candles]
    assert times == list(range(times[0], times[0] + 20 * TIMEFRAME_MS, TIMEFRAME_MS))
    for update in updates:
        assert update["symbol"] == "BTCUSDT"
        assert update["timeframe"] == "173m"
        assert update["data"]["candle_time"] >= times[-1]
        assert update["data"]["candle_time"] % TIMEFRAME_MS == 0
        assert update["data"]["low"] <= update["data"]["close"] <= update["data"]["high"]
        assert update["data_status"]["data_quality"] in ("complete", "partial", "unknown")
        assert isinstance(update["data_status"]["historical_loading"], bool)
        assert isinstance(update["data_status"]["gap_recovery"], bool)


def test_nonsense_is_answered_and_the_socket_stays(address):
    with connect(f"ws://{address}/ws/stream", open_timeout=10, close_timeout=2) as socket:
        for nonsense in ["{", "[]", '{"action":"dance"}']:
            socket.send(nonsense)
            answer = next(messages(socket, time.monotonic() + 5))
            assert answer["type"] == "error", answer
            assert answer["message"], answer
        socket.ping().wait(timeout=5)


def test_the_followed_chain(address):
    """The demo's node mines: how the chain stands comes first, then what was committed, with its row."""
    deadline = time.monotonic() + SECONDS_MAX
    heard = []
    with connect(f"ws://{address}/ws/stream", open_timeout=10, close_timeout=2) as socket:
        socket.send(json.dumps({"action": "subscribe", "subscriptions": [{"chain": "btc"}]}))
        for message in messages(socket, deadline):
            heard.append(message)
            if message["type"] == "primitive_ready":
                break
    kinds = [message["type"] for message in heard]
    assert kinds[:2] == ["subscribed", "chain_standing"]
    assert heard[0]["subscriptions"][0]["chain"] == "btc"
    assert kinds[-1] == "primitive_ready", kinds
    row = heard[-1]["data"]["btc_primitive_10m"][-1]
    assert row["bucket"] >= heard[-1]["data"]["through"]
    assert row["block_count"] >= 0 and "price_close_usd" in row
    numbers = [message["sequence"] for message in heard[1:]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

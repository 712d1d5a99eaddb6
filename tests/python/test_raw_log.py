"""Sealed segments of the raw log open in an MCAP reader that is not ours, and hold what `tickhouse log cat` shows."""

import json
import subprocess
import time

import pytest
from mcap.reader import make_reader

SECONDS_MAX = 90
CONFIGURATION = """\
[data]
directory = "raw"
[serve]
address = "127.0.0.1:0"
[rawlog]
segment_mib = 1
"""


@pytest.fixture(scope="module")
def archives(start, place, venues):
    """Archives of a log whose segments are as small as can be, once there are two."""
    sections = [
        f'[venues.{name}]\nenabled = true\nrest = "{at["rest"]}"\nstream = "{at["stream"]}"\n'
        for name, at in venues.items()
    ]
    (place / "tickhouse.toml").write_text(CONFIGURATION + "".join(sections))
    process = start(place, "run", "-c", "tickhouse.toml")
    process.line(r"serving http://")
    deadline = time.monotonic() + SECONDS_MAX
    found = []
    while len(found) < 2:
        assert time.monotonic() < deadline, f"no two segments were archived in {SECONDS_MAX} s; {process.complaints()}"
        time.sleep(0.2)
        found = sorted((place / "raw").rglob("*.mcap"))
    process.end()
    return found


def test_an_archive_reads_as_any_mcap_file(archives, binary, place):
    count = 50
    answer = subprocess.run(
        [binary, "log", "cat", "--data", place / "raw", "--count", str(count)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    expected = [json.loads(line) for line in answer.stdout.splitlines()]
    assert len(expected) == count

    with open(archives[0], "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert reader.get_header().profile == "tickhouse"
        messages = list(reader.iter_messages(log_time_order=False))
        assert reader.get_summary().statistics.message_count == len(messages)
    messages.sort(key=lambda each: each[2].sequence)
    assert len(messages) > count
    for (_, channel, message), line in zip(messages, expected):
        assert message.sequence == line["position"]
        assert channel.topic == f"{line.get('venue') or 'house'}/{line['kind']}"


def test_archives_follow_one_another(archives):
    last = None
    for path in archives:
        with open(path, "rb") as file:
            messages = list(make_reader(file, validate_crcs=True).iter_messages(log_time_order=False))
        sequences = sorted(message.sequence for _, _, message in messages)
        assert sequences == list(range(sequences[0], sequences[-1] + 1))
        assert last is None or sequences[0] == last + 1
        last = sequences[-1]

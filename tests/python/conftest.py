"""The built binary, and processes of it that end with the test."""

import json
import os
import queue
import re
import subprocess
import threading
from pathlib import Path

import pytest

READY_SECONDS_MAX = 30
END_SECONDS_MAX = 60


class Process:
    """A started `tickhouse`; its output is read line by line, its log is kept beside it."""

    def __init__(self, binary: Path, arguments: list[str], directory: Path):
        self.name = arguments[0]
        self.log = directory / f"{self.name}.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TICKHOUSE__")}
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(
                [binary, *arguments],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def line(self, pattern: str) -> re.Match:
        """The next line in which the pattern is found."""
        while True:
            try:
                line = self.lines.get(timeout=READY_SECONDS_MAX)
            except queue.Empty:
                raise AssertionError(f"{self.name} did not say {pattern!r}; {self.complaints()}") from None
            assert line is not None, f"{self.name} ended before it said {pattern!r}; {self.complaints()}"
            if match := re.search(pattern, line):
                return match

    def wait(self, seconds: float):
        """Waits for its own end, which must be a good one."""
        code = self.child.wait(timeout=seconds)
        assert code == 0, f"{self.name} ended with {code}; {self.complaints()}"

    def complaints(self) -> str:
        return f"its log says: {self.log.read_text()[-2000:]}"

    def end(self):
        """Asks it to end; kills it where it does not."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(timeout=END_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


@pytest.fixture(scope="session")
def binary() -> Path:
    """The binary under test, named by TICKHOUSE_BIN."""
    named = os.environ.get("TICKHOUSE_BIN")
    assert named, "TICKHOUSE_BIN is not set: run `make test`, or set it to the built tickhouse"
    path = Path(named).resolve()
    assert path.exists(), f"{path} does not exist: run `make build`"
    return path


@pytest.fixture(scope="module")
def start(binary, tmp_path_factory):
    """Starts the binary in a folder; everything started ends with the module's tests."""
    started = []

    def begin(directory: Path, *arguments: str) -> Process:
        process = Process(binary, [str(argument) for argument in arguments], directory)
        started.append(process)
        return process

    yield begin
    for process in started:
        process.end()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder for the module's tests."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def venues(start, place) -> dict:
    """Simulated venues: `{"binance": {"rest": …, "stream": …}, …}`."""
    sim = start(place, "sim", "--seed", 7, "--instruments", 6)
    return json.loads(sim.line(r'^\{"?.*"ready".*\}$').group(0))["venues"]

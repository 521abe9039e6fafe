"""A real agent process on a socket and a store of the test's own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spidercni.cni.plugin import run
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.store import LocalStore


class Agent:
    """One agent process, its socket, its store and its log."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "run" / "agent.sock"
        self.data_dir = directory / "data"
        self.log = directory / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environ: str) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "spidercni", "agent", "--socket", str(self.socket)],
                stderr=log,
                env={**os.environ, **environ},
            )
        deadline = time.monotonic() + 30
        while "serving" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def config(self, **ipam: object) -> dict:
        """Return a network configuration on the agent's store."""
        pool = {"name": "v4", "subnet": "10.0.0.0/24", "ips": ["10.0.0.5-10.0.0.9"]}
        section = {
            "type": "spiderpool",
            "data_dir": str(self.data_dir),
            "pools_dir": str(self.data_dir.parent),
            "pools": [pool],
        }
        return {"cniVersion": "1.1.0", "name": "net", "ipam": section | ipam}

    def used(self) -> list[str]:
        """Return the addresses in use."""
        store = LocalStore(Database(str(self.data_dir), 5), time.time, 60)
        return [str(each.interface.ip) for each in run(store.allocations())]

    def lines(self) -> list[dict]:
        """Return the log so far, one object a line."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def outcomes(self) -> list[str]:
        """Return what the agent says about each connection."""
        return [line["outcome"] for line in self.lines() if line["message"] == "call"]


@pytest.fixture
def stopped_agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent that is not started yet."""
    agent = Agent(tmp_path)
    yield agent
    if agent.process is not None and agent.process.poll() is None:
        agent.process.kill()
        agent.process.wait()


@pytest.fixture
def agent(stopped_agent: Agent) -> Agent:
    """An agent that listens."""
    stopped_agent.start()
    return stopped_agent

"""Upgrades and rollbacks while containers come and go: no call notices."""

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Installer, MakeRelease, Shell
from .socket_unit import SocketUnit, plugin_environ

CYCLES = 1000
UPGRADES = 10
AT_ONCE = 4


class Runtime:
    """A runtime that adds and deletes containers, several at a time."""

    def __init__(self, plugin: Path, directory: Path, agent_socket: str | Path) -> None:
        pool = {"name": "p", "subnet": "10.9.0.0/24", "ips": [f"10.9.0.10-10.9.0.{9 + 4 * AT_ONCE}"]}
        ipam = {
            "type": "spiderpool", "data_dir": str(directory / "store"), "pools_dir": str(directory), "pools": [pool],
        }  # fmt: skip
        self._config = json.dumps({"cniVersion": "1.0.0", "name": "n", "ipam": ipam}).encode()
        self._plugin = plugin
        self._agent_socket = agent_socket
        self._numbers = itertools.count()
        self.done = 0
        self.failures: list[str] = []
        self._counting = threading.Lock()

    def cycle(self) -> None:
        """Add a container and delete it."""
        container = f"c{next(self._numbers)}"
        document = self._call(container, "ADD")
        if document is not None and not json.loads(document).get("ips"):
            self.failures.append(f"ADD {container}: {document!r}")
        self._call(container, "DEL")
        with self._counting:
            self.done += 1

    def _call(self, container: str, command: str) -> bytes | None:
        done = subprocess.run(
            [self._plugin],
            env=plugin_environ(container, command, self._agent_socket),
            input=self._config,
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        self.failures.append(f"{command} {container}: {done.returncode} {done.stdout!r} {done.stderr!r}")
        return None


@pytest.fixture
def installer(tmp_path: Path) -> Installer:
    """install.sh by the system's shell: which shell it is makes no difference to a call."""
    (tmp_path / "bin").mkdir()
    return Installer(Shell(("/bin/sh",), "/usr/sbin:/usr/bin:/sbin:/bin"), tmp_path / "bin")


@pytest.fixture(params=["cold", "agent"])
def unit(request: pytest.FixtureRequest, installer: Installer, tmp_path: Path) -> Iterator[SocketUnit | None]:
    """The agent's socket unit, or none: every call is a Python of its own."""
    with ExitStack() as stack:
        made = None
        if request.param == "agent":
            state = {"SPIDERCNI_DATA_DIR": str(tmp_path / "store"), "SPIDERCNI_PENDING_DIR": str(tmp_path / "pending")}
            made = stack.enter_context(SocketUnit(tmp_path, [installer.bin_dir / "spidercni", "agent"], state))
        yield made


def test_no_call_fails(installer: Installer, release: MakeRelease, unit: SocketUnit | None, tmp_path: Path) -> None:
    """While 1 000 containers are added and deleted the installation goes ten times up and ten times back: none fails.

    Each upgrade brings a version that is not laid down, and removes the one that was rolled back from.
    """
    installer.run("--from", release("one"))
    releases = itertools.cycle([release("two"), release("three")])
    runtime = Runtime(installer.bin_dir / "spiderpool", tmp_path, unit.path if unit else "")
    over = threading.Event()

    def keep_busy() -> None:
        while runtime.done < CYCLES or not over.is_set():
            runtime.cycle()

    seen = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        busy = [pool.submit(keep_busy) for _ in range(AT_ONCE)]
        try:
            for number in range(2 * UPGRADES):
                # All over the time that the cycles take.
                while runtime.done < number * CYCLES // (2 * UPGRADES) and not runtime.failures:
                    time.sleep(0.01)
                installer.run(*(("--rollback",) if number % 2 else ("--upgrade", "--from", next(releases))))
                if unit is not None:
                    unit.try_restart()
                seen.append((installer.target("spiderpool"), runtime.done))
        finally:
            over.set()
    for each in busy:
        each.result()
    print(f"{runtime.done} cycles, changes after {[done for _, done in seen]}")
    assert [] == runtime.failures[:5]
    assert runtime.done >= CYCLES
    targets = [target for target, _ in seen]
    assert (3, 1) == (len(set(targets)), len(set(targets[1::2]))), targets
    listed = subprocess.check_output(
        [installer.bin_dir / "spidercni", "ctl", "--data-dir", tmp_path / "store", "address", "list", "-o", "json"]
    )
    assert [] == json.loads(listed)
    if unit is not None:
        assert {0} == set(unit.statuses)
        assert unit.starts > UPGRADES

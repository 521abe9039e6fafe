"""64 processes add and delete on a pool of 60 addresses while a third of the plugins they start are killed."""

import multiprocessing
import os
import time
from collections import Counter
from concurrent.futures import Future, ProcessPoolExecutor, wait
from pathlib import Path

from tests import built
from tests.lab import execute
from tests.plugin.networks import Networks
from tests.plugin.store import Store

from .agent import DyingAgent
from .worker import Report, Storm, Worker, attachment

WORKERS = 64
ADDRESSES = 60
FIRST = "10.77.0.10"
SECONDS = float(os.environ.get("SPIDERCNI_STORM_SECONDS", "60"))
AGENT_SECONDS = SECONDS / 2
LAST_CALLS = 300.0  # seconds that the workers may take for what is under way when the time is over
CHECK_EVERY = 1.0

POOL = {"name": "storm", "subnet": "10.77.0.0/24", "ips": ["10.77.0.10-10.77.0.69"], "gateway": "10.77.0.1"}


def test_no_address_twice_and_nothing_lost(tmp_path: Path) -> None:
    """INV-IPAM-1 under kill -9: no address has two owners, the store stays sound, and ends up empty."""
    _storm(tmp_path, SECONDS, None)


def test_the_same_while_an_agent_is_killed_every_second(tmp_path: Path) -> None:
    """Half of the calls go through an agent that dies and comes back all the time: no duplicate, no leak."""
    with DyingAgent(built.folder_form(), tmp_path) as agent:
        _storm(tmp_path, AGENT_SECONDS, agent.socket)
        print(f"agent killed {agent.deaths} times")
        assert agent.deaths > AGENT_SECONDS / 4


def _storm(tmp_path: Path, seconds: float, agent: Path | None) -> None:
    executable = built.folder_form()
    plugin = tmp_path / "spiderpool"
    plugin.symlink_to(executable)
    networks = Networks(tmp_path, tmp_path / "store")
    store = Store(executable, networks.data_dir)
    storm = Storm(
        plugin=plugin,
        config=networks.config(ipam=networks.ipam(POOL)),
        first_address=FIRST,
        addresses=ADDRESSES,
        beliefs=tmp_path / "beliefs",
        until=time.monotonic() + seconds,
        agent=agent,
    )
    reports, checks = _rage(storm, store)

    counts = sum((report.counts for report in reports), Counter())
    print(f"\nstorm of {seconds:.0f} s: {dict(counts)}, checks: {checks}")
    held = {name: address for report in reports for name, address in report.held.items()}
    assert store.used() == sorted(held.values())
    assert counts["killed"] > counts["plugins started"] / 5

    _clean_up(storm, list(held))
    assert store.addresses() == []
    assert store.ctl("check").returncode == 0


def _rage(storm: Storm, store: Store) -> tuple[list[Report], int]:
    """Let the workers loose, and check the store from outside as long as they run."""
    context = multiprocessing.get_context("fork")
    checks = 0
    with ProcessPoolExecutor(WORKERS, context) as processes:
        working = [processes.submit(_work, storm, number) for number in range(1, WORKERS + 1)]
        while not _finished(working):
            begin = time.monotonic()
            done = store.ctl("check")
            assert done.returncode == 0, done
            checks += 1
            assert begin < storm.until + LAST_CALLS, "workers do not come to an end"
            time.sleep(max(0.0, begin + CHECK_EVERY - time.monotonic()))
        return [future.result() for future in working], checks


def _work(storm: Storm, number: int) -> Report:
    os.nice(15)  # so that the check from outside is not last in the queue for the processors
    return Worker(storm, number).run()


def _finished(working: list[Future[Report]]) -> bool:
    """Tell whether all have ended; raises the first error of one that has failed."""
    for future in working:
        if future.done():
            future.result()
    return not wait(working, timeout=0).not_done


def _clean_up(storm: Storm, held: list[str]) -> None:
    """Release one half as a runtime does, and let GC collect the other."""
    for name in held[::2]:
        assert execute(storm.plugin, "DEL", storm.config, attachment(name)) is None
    collect = {**storm.config, "cni.dev/valid-attachments": []}
    execute(storm.plugin, "GC", collect, environment={"SPIDERCNI_GC_GRACE_SECONDS": "0"})

"""How long it takes to choose an address, with much or little taken, in pools small and huge.

    .venv/bin/python bench/choose.py [--runs N]

Only the choice is timed (`next_free` of `spidercni.ipam.choose`), on the embedded store's runs and on sorted runs in
memory. The taken addresses are one stretch, or every second address; in the pool itself, or elsewhere in the store
for a pool that could not hold them. Searches start where a pool's next search does start, behind the address that was
given last; and, where the pool has taken addresses, at random ones among these: that is one question more.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from spidercni.ipam.choose import Taken, next_free
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.runs import Runs, encode
from spidercni.model.addresses import interval_of
from spidercni.model.intervals import Interval, IntervalSet

POOLS = ("10.77.0.0/24", "10.64.0.0/10", "fd77::/64")
COUNTS = (0, 1_000, 60_000)
ELSEWHERE = {4: int(ip_address("172.16.0.0")), 6: int(ip_address("fd00::"))}
TARGET_MICROSECONDS = 50
BATCH = 20

BEHIND = "behind the last"
TAKEN = "among the taken"


class Case(NamedTuple):
    """A pool and what is taken of its family."""

    pool: str
    taken: int
    layout: str
    place: str

    @property
    def space(self) -> IntervalSet:
        """The addresses that the pool may give."""
        network = ip_network(self.pool)
        return IntervalSet([interval_of((network[1], network[-2]))])

    def runs(self) -> list[Interval]:
        """Return what is taken, as sorted runs with gaps between them."""
        first = ELSEWHERE[ip_network(self.pool).version] if self.place == "elsewhere" else self.space[0].first
        if not self.taken:
            return []
        if self.layout == "one stretch":
            return [Interval(first, first + self.taken - 1)]
        return [Interval(first + 2 * index, first + 2 * index) for index in range(self.taken)]

    def starts(self, start: str, runs: Sequence[Interval], dice: random.Random) -> list[int]:
        """Return where searches begin."""
        if start == TAKEN:
            return [dice.choice(runs).first if len(runs) > 1 else dice.randint(*runs[0]) for _ in range(BATCH)]
        behind = runs[-1].last + 1 if runs and self.place == "in the pool" else self.space[0].first
        return [behind] * BATCH


class MemoryRuns:
    """Sorted runs in memory."""

    def __init__(self, runs: Sequence[Interval]) -> None:
        self._runs = runs
        self._firsts = [run.first for run in runs]

    def run_at(self, number: int) -> Interval | None:
        """Return the run that contains `number`, or None."""
        index = bisect_right(self._firsts, number) - 1
        if index >= 0 and number <= self._runs[index].last:
            return self._runs[index]
        return None


def cases() -> Iterator[Case]:
    """Yield every combination that there can be."""
    for pool in POOLS:
        for taken in COUNTS:
            for layout in ("one stretch", "scattered") if taken else ("",):
                if taken:
                    yield Case(pool, taken, layout, "elsewhere")
                if 2 * taken < ip_network(pool).num_addresses:
                    yield Case(pool, taken, layout, "in the pool" if taken else "")


def batch(space: IntervalSet, taken: Taken, starts: Sequence[int]) -> float:
    """Return the microseconds of one choice of a batch."""
    began = time.perf_counter_ns()
    for start in starts:
        next_free(space, taken, start)
    return (time.perf_counter_ns() - began) / 1e3 / len(starts)


class Row(NamedTuple):
    """One line of the table: what is called, and how long it took each time."""

    case: Case
    start: str
    starts: list[int]
    store: Runs
    memory: MemoryRuns
    store_took: list[float]
    memory_took: list[float]


def rows(stack: ExitStack) -> Iterator[Row]:
    """Yield the lines, each with a store of its own."""
    dice = random.Random(1)
    for case in cases():
        runs = case.runs()
        family = ip_network(case.pool).version
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        connection = stack.enter_context(Database(folder, 5).write())
        records = ((encode(family, first), encode(family, last)) for first, last in runs)
        connection.executemany("INSERT INTO run VALUES (?, ?)", records)
        store, memory = Runs(connection, family), MemoryRuns(runs)
        for start in (BEHIND, TAKEN) if case.place == "in the pool" else (BEHIND,):
            starts = case.starts(start, runs, dice)
            assert None not in {next_free(case.space, store, number) for number in starts}
            yield Row(case, start, starts, store, memory, [], [])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help=f"rounds of {BATCH} choices (default: %(default)s)")
    runs = parser.parse_args().runs
    with ExitStack() as stack:
        table = list(rows(stack))
        # In turn, so that other load on the machine hits all lines alike.
        for _ in range(runs):
            for row in table:
                space = row.case.space
                row.store_took.append(batch(space, row.store, row.starts))
                row.memory_took.append(batch(space, row.memory, row.starts))
        print(f"{'pool':13} {'taken':>6}  {'':12} {'':12} {'start':16} {'store':>7} {'memory':>7}  µs, median")
        for row in table:
            store, memory = statistics.median(row.store_took), statistics.median(row.memory_took)
            pool, taken, layout, place = row.case
            print(f"{pool:13} {taken:6}  {layout:12} {place:12} {row.start:16} {store:7.2f} {memory:7.2f}")
    print()
    for start in (BEHIND, TAKEN):
        for name in ("store", "memory"):
            medians = [statistics.median(getattr(row, f"{name}_took")) for row in table if row.start == start]
            print(
                f"{name}, {start}: slowest {max(medians):.2f} µs (target {TARGET_MICROSECONDS}),"
                f" {max(medians) / min(medians):.2f} times the fastest (target 2)"
            )


if __name__ == "__main__":
    main()

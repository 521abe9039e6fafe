"""Choose the next free address of a pool. Pure.

Next-fit: the search starts at a given number, goes up and starts over at the bottom once. It never looks at single
addresses. It asks `Taken` for the run of taken numbers around a position and goes on behind that run, so that a pool
costs as many questions as it has taken runs between the start and the answer, normally one or two, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from spidercni.model.intervals import Interval, IntervalSet


class Taken(Protocol):
    """Knows which numbers of one family cannot be given out now."""

    def run_at(self, number: int) -> Interval | None:
        """Return the longest run of taken numbers that contains `number`, or None where it is free."""


def next_free(space: IntervalSet, taken: Taken, start: int) -> int | None:
    """Return the first number of `space` at or after `start` that is not taken, or None.

    The search wraps around once: None means that all of `space` is taken.
    """
    for stretch in _from_start(space, start):
        position = stretch.first
        while position <= stretch.last:
            run = taken.run_at(position)
            if run is None:
                return position
            position = run.last + 1
    return None


def _from_start(space: IntervalSet, start: int) -> Iterator[Interval]:
    """Yield the stretches of `space` in the order of the search: from `start` to the top, then the rest."""
    at = space.index_before(start)
    split = at >= 0 and start <= space[at].last
    if split:
        yield Interval(start, space[at].last)
    for index in range(at + 1, len(space)):
        yield space[index]
    for index in range(at + 1):
        first, last = space[index]
        if index == at and split:
            last = start - 1
        if first <= last:
            yield Interval(first, last)

"""Sets of integers as sorted, disjoint intervals. Pure.

All address arithmetic happens here, on whole intervals: an IPv4 /28 and an IPv6 /64 cost the same. Nothing in the
project walks over single addresses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Interval(NamedTuple):
    """All integers from `first` to `last`, both included."""

    first: int
    last: int


class IntervalSet:
    """An immutable set of integers. Its intervals are sorted and have a gap between each other."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        firsts: list[int] = []
        lasts: list[int] = []
        for first, last in sorted(intervals):
            if last < first:
                raise ValueError(f"interval {first}-{last} ends before it starts")
            if lasts and first <= lasts[-1] + 1:
                lasts[-1] = max(lasts[-1], last)
            else:
                firsts.append(first)
                lasts.append(last)
        self._firsts = firsts
        self._lasts = lasts

    def __iter__(self) -> Iterator[Interval]:
        return map(Interval, self._firsts, self._lasts)

    def __len__(self) -> int:
        return len(self._firsts)

    def __getitem__(self, index: int) -> Interval:
        return Interval(self._firsts[index], self._lasts[index])

    def __contains__(self, number: int) -> bool:
        index = self.index_before(number)
        return index >= 0 and number <= self._lasts[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalSet) and self._firsts == other._firsts and self._lasts == other._lasts

    def __hash__(self) -> int:
        return hash((tuple(self._firsts), tuple(self._lasts)))

    def __repr__(self) -> str:
        return f"IntervalSet({list(self)!r})"

    def index_before(self, number: int) -> int:
        """Return the index of the last interval that starts at or before `number`, or -1."""
        return bisect_right(self._firsts, number) - 1

    def size(self) -> int:
        """Count the integers."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __sub__(self, other: IntervalSet) -> IntervalSet:
        """Return the integers that are not in `other`; linear in the number of intervals of both."""
        if not other or not self:
            return self
        return IntervalSet(self._difference(other))

    def _difference(self, other: IntervalSet) -> Iterator[Interval]:
        index = 0
        for first, last in self:
            while index < len(other) and other._lasts[index] < first:
                index += 1
            cut = index
            while cut < len(other) and other._firsts[cut] <= last:
                if first < other._firsts[cut]:
                    yield Interval(first, other._firsts[cut] - 1)
                first = other._lasts[cut] + 1
                cut += 1
            if first <= last:
                yield Interval(first, last)

    def __and__(self, other: IntervalSet) -> IntervalSet:
        """Return the integers that are in both."""
        return self - (self - other)

    def only(self, number: int) -> IntervalSet:
        """Return the set of that one number if it is in here, else the empty set."""
        return IntervalSet([Interval(number, number)] if number in self else [])

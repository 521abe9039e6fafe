"""Interval sets against Python's sets of integers."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spidercni.model.intervals import Interval, IntervalSet

interval_lists = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8)).map(lambda pair: Interval(pair[0], pair[0] + pair[1])), max_size=8
)


def spell(intervals):
    """Return the integers one by one."""
    return {number for first, last in intervals for number in range(first, last + 1)}


@settings(max_examples=1000)
@given(interval_lists, interval_lists)
def test_arithmetic_is_that_of_sets(left, right):
    """Union at construction, difference, intersection, size and membership agree with sets of integers."""
    a, b = IntervalSet(left), IntervalSet(right)

    assert spell(left) == spell(a)
    assert spell(left) - spell(right) == spell(a - b)
    assert spell(left) & spell(right) == spell(a & b)
    assert len(spell(left)) == a.size()
    assert [number in spell(left) for number in range(70)] == [number in a for number in range(70)]
    assert spell(left) & {5} == spell(a.only(5))


@given(interval_lists)
def test_intervals_are_sorted_and_have_gaps(intervals):
    """Neighbours are joined, so that equal sets have equal intervals."""
    merged = list(IntervalSet(intervals))

    assert all(before.last + 1 < after.first for before, after in itertools.pairwise(merged))
    assert IntervalSet(intervals) == IntervalSet(reversed(merged))
    assert hash(IntervalSet(intervals)) == hash(IntervalSet(merged))


def test_a_64_counts_right_and_costs_nothing():
    """Sizes are exact far beyond 2^63."""
    whole = IntervalSet([Interval(0, (1 << 64) - 1)])

    assert whole.size() == 1 << 64
    assert (whole - IntervalSet([Interval(7, 7)])).size() == (1 << 64) - 1


def test_an_interval_that_ends_before_it_starts_is_refused():
    """A mistake of ours is not silently an empty set."""
    with pytest.raises(ValueError, match="ends before"):
        IntervalSet([Interval(2, 1)])

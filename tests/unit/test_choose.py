"""Choosing the next free number, against a walk over all numbers."""

from bisect import bisect_right

from hypothesis import given, settings
from hypothesis import strategies as st

from spidercni.ipam.choose import next_free
from spidercni.model.intervals import Interval, IntervalSet

number_sets = st.sets(st.integers(0, 40))


class CountingRuns:
    """Runs of taken numbers in memory; counts how often it is asked."""

    def __init__(self, numbers):
        self.runs = IntervalSet(Interval(number, number) for number in numbers)
        self.questions = 0

    def run_at(self, number):
        self.questions += 1
        return next((run for run in self.runs if run.first <= number <= run.last), None)


@settings(max_examples=3000)
@given(number_sets, number_sets, st.integers(0, 45))
def test_next_free_is_the_first_that_a_walk_finds(space, taken, start):
    """From the start to the top, then from the bottom: the first number that is in the space and not taken."""
    order = sorted(number for number in space if number >= start) + sorted(number for number in space if number < start)
    expected = next((number for number in order if number not in taken), None)

    found = next_free(IntervalSet(Interval(number, number) for number in space), CountingRuns(taken), start)

    assert expected == found


@settings(max_examples=500)
@given(number_sets, number_sets, st.integers(0, 45))
def test_questions_are_bounded_by_runs_and_stretches_not_by_addresses(space, taken, start):
    """No more questions than stretches of the space plus runs of taken numbers (and one for the wrap)."""
    taken_runs, stretches = CountingRuns(taken), IntervalSet(Interval(number, number) for number in space)

    next_free(stretches, taken_runs, start)

    assert taken_runs.questions <= len(stretches) + len(taken_runs.runs) + 2


def test_a_full_ipv6_64_is_known_to_be_full_after_one_question():
    """The size of a pool costs nothing."""
    everything = Interval(0, (1 << 64) - 1)

    class Full:
        questions = 0

        def run_at(self, _number):
            self.questions += 1
            return everything

    full = Full()

    assert next_free(IntervalSet([everything]), full, 0) is None
    assert full.questions == 1


def test_bisect_is_what_index_before_promises():
    """`index_before` finds the last interval that starts at or before the number, or -1."""
    intervals = IntervalSet([Interval(2, 3), Interval(7, 9)])

    assert [intervals.index_before(number) for number in range(8)] == [-1, -1, 0, 0, 0, 0, 0, 1]
    assert bisect_right([2, 7], 7) - 1 == intervals.index_before(7)

"""Spiderpool's metrics of allocations and releases, under the names that it documents (its docs/reference/metrics.md).

Its code spells them otherwise since a rename; dashboards are made from what is documented.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from spidercni.agent.report import Ending, Outcome
from spidercni.errors import Defect, NoCandidatePool, PoolExhausted, SpidercniError, StoreCorrupt, StoreUnavailable

BUCKETS = (0.1, 0.3, 0.5, 1, 3, 5, 7, 10, 15)

# Endings of calls that were refused or given up after they were understood; without them there is no outcome to count.
_FAILED = (Ending.FULL, Ending.SLOW, Ending.LEFT, Ending.STRANDED)

# Spiderpool's counters of errors, with what they count here; the first that fits.
_ERRORS: dict[str, tuple[type[SpidercniError], ...]] = {
    "err_ip_used_out": (PoolExhausted,),
    "err_no_available_pool": (NoCandidatePool,),
    "err_internal": (StoreUnavailable, StoreCorrupt, Defect),
}
ALLOCATION_ERRORS = (
    "failure", "update_ippool_conflict", "err_internal", "err_no_available_pool", "err_retries_exhausted",
    "err_ip_used_out",
)  # fmt: skip
RELEASE_ERRORS = ("failure", "update_ippool_conflict", "err_internal", "err_retries_exhausted")


class Family:
    """Spiderpool's metrics of allocations, or of releases."""

    def __init__(self, registry: CollectorRegistry, kind: str, errors: tuple[str, ...]) -> None:
        prefix = f"spiderpool_ipam_{kind}"
        self._all = Counter(f"{prefix}_counts", f"Requests for {kind}.", registry=registry)
        self._errors = {
            name: Counter(f"{prefix}_{name}_counts", f"Of these: {name.replace('_', ' ')}.", registry=registry)
            for name in errors
        }
        self._durations = _Durations(registry, f"{prefix}_%sduration_seconds", f"Duration of each {kind}")
        self._waits = _Durations(registry, f"{prefix}_%slimit_duration_seconds", f"Time in the queue of each {kind}")

    def count(self, outcome: Outcome, seconds: float) -> None:
        """Count a call that was understood."""
        if outcome.ending != Ending.ANSWERED and outcome.ending not in _FAILED:
            return
        self._all.inc()
        self._durations.observe(seconds)
        if outcome.waited_seconds is not None:
            self._waits.observe(outcome.waited_seconds)
        if outcome.ending in _FAILED or outcome.reply is None or outcome.reply.status:
            self._errors["failure"].inc()
        if name := _error_name(outcome):
            # An error that Spiderpool has no counter for (a DEL has no pool) is a failure and no more.
            counter = self._errors.get(name)
            if counter is not None:
                counter.inc()


def _error_name(outcome: Outcome) -> str:
    if outcome.ending in (Ending.FULL, Ending.SLOW):
        return "err_retries_exhausted"  # given up for want of time or room, as Spiderpool's tries are
    error = outcome.reply.error if outcome.reply else None
    return next((name for name, kinds in _ERRORS.items() if isinstance(error, kinds)), "")


class _Durations:
    """A histogram, and Spiderpool's four gauges beside it. `name` has a place for their words."""

    def __init__(self, registry: CollectorRegistry, name: str, about: str) -> None:
        self._histogram = Histogram(name % "", f"{about}.", buckets=BUCKETS, registry=registry)
        self._gauges = {
            word: Gauge(name % f"{word}_", f"{about}: {word} since the start.", registry=registry)
            for word in ("average", "max", "min", "latest")
        }
        self._number, self._sum, self._max, self._min = 0, 0.0, 0.0, float("inf")

    def observe(self, seconds: float) -> None:
        """Take one in."""
        self._number += 1
        self._sum += seconds
        self._max, self._min = max(self._max, seconds), min(self._min, seconds)
        self._histogram.observe(seconds)
        values = {"average": self._sum / self._number, "max": self._max, "min": self._min, "latest": seconds}
        for word, value in values.items():
            self._gauges[word].set(value)

"""Counts what the agent does, for Prometheus: ours for every call, Spiderpool's for addresses.

Imported when there is a port for it. `docs/operations.md` says what each means.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spidercni import __version__
from spidercni.agent.report import Ending, Outcome
from spidercni.agent.spiderpool_metrics import ALLOCATION_ERRORS, RELEASE_ERRORS, Family
from spidercni.cni.environment import COMMANDS

# A call takes about a millisecond, and one that waits for the store up to a minute.
BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1, 3, 10, 60)


class MetricsReporter:
    """Takes reports into a registry of its own."""

    def __init__(self, plugins: frozenset[str]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has not annotated it
        self.registry = CollectorRegistry()
        self._plugins = plugins
        self._families = {
            "ADD": Family(self.registry, "allocation", ALLOCATION_ERRORS),
            "DEL": Family(self.registry, "release", RELEASE_ERRORS),
        }
        registry = self.registry
        self._requests = Counter(
            "spidercni_requests", "Calls, by how they ended.", ["door", "plugin", "verb", "outcome"], registry=registry
        )
        self._errors = Counter(
            "spidercni_errors",
            "Calls answered with an error, by its code.",
            ["plugin", "verb", "code"],
            registry=registry,
        )
        self._duration = Histogram(
            "spidercni_request_duration_seconds",
            "From connection to answer.",
            ["plugin", "verb"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._waited = Histogram(
            "spidercni_queue_wait_seconds",
            "From acceptance to the start of the handler.",
            buckets=BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge("spidercni_calls_in_flight", "Calls that are attended to.", registry=registry)
        Info("spidercni_build", "The release that runs.", registry=registry).info({"version": __version__})
        ProcessCollector(registry=self.registry)

    def began(self) -> None:
        """Count a connection."""
        self._in_flight.inc()

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """Count its end."""
        self._in_flight.dec()
        # Names come from outside: only those we know become labels.
        plugin, verb = "none", "none"
        if outcome.call is not None:
            plugin = outcome.call.name if outcome.call.name in self._plugins else "other"
            verb = outcome.call.environ.get("CNI_COMMAND", "")
            verb = verb if verb in COMMANDS else "other"
        self._requests.labels(outcome.door, plugin, verb, _word(outcome)).inc()
        error = outcome.reply.error if outcome.reply else None
        if error is not None:
            self._errors.labels(plugin, verb, str(error.code)).inc()
        if outcome.ending == Ending.ANSWERED:
            self._duration.labels(plugin, verb).observe(seconds)
        if outcome.waited_seconds is not None:
            self._waited.observe(outcome.waited_seconds)
        if plugin == "spiderpool" and (family := self._families.get(verb)):
            family.count(outcome, seconds)

    def routes(self) -> list[Route]:
        """Return where Prometheus asks."""
        return [Route("/metrics", self._show)]

    async def _show(self, request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self.registry), headers={"content-type": media_type})


def _word(outcome: Outcome) -> str:
    if outcome.ending != Ending.ANSWERED or outcome.reply is None:
        return outcome.ending.name.lower()
    return "success" if outcome.reply.status == 0 else "error"

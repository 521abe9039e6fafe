"""What the agent's doors tell about calls, and whom: they write no log and count nothing by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from spidercni.agent.wire import RelayedCall
from spidercni.cni.plugin import Reply


class Ending(StrEnum):
    """How a call ended, in the words of the log."""

    ANSWERED = "answered"  # with a result or with an error: the reply tells
    DECLINED = "declined"
    FULL = "refused: too many calls"
    STRANGER = "refused: not root"
    SILENT = "sent no request in time"
    NO_GO = "said no GO in time"
    LEFT_BEFORE_REQUEST = "left before its request"
    LEFT_BEFORE_GO = "left before GO"
    LEFT = "left before its answer"
    SLOW = "took too long"
    NOT_UNDERSTOOD = "not understood"
    LOST = "connection lost"
    STRANDED = "left before its answer, and could not be taken back"


class Outcome(NamedTuple):
    """What became of one call."""

    ending: Ending
    call: RelayedCall | None = None
    reply: Reply | None = None
    detail: str = ""
    waited_seconds: float | None = None  # from the acceptance of the call to the start of its handler, if it started
    door: str = "relay"


class Reporter(Protocol):
    """Somebody who is told. Runs in the event loop: it returns at once and never raises."""

    def began(self) -> None:
        """Somebody has come."""

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """It is over, so many seconds after it began."""


class Everybody:
    """Tells several reporters."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        self._reporters = reporters

    def began(self) -> None:
        """Tell that somebody has come."""
        for reporter in self._reporters:
            reporter.began()

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """Tell that it is over."""
        for reporter in self._reporters:
            reporter.ended(outcome, seconds)

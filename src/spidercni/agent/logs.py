"""Logs as JSON lines on stderr: one object a line, with time, level, message and fields. No secret is in them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from spidercni.agent.report import Outcome

log = logging.getLogger("spidercni.agent")


class JsonLines(logging.Formatter):
    """Formats a record; `extra={"fields": {…}}` adds fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start(level: str) -> None:
    """Send everything from `level` up to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler])
    # What it says of itself at info is of no use to anybody who runs an agent.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    set_level(level)


def set_level(level: str) -> None:
    """Send everything from `level` up from now on."""
    logging.getLogger().setLevel(level.upper())


class LogReporter:
    """Writes one line about a call: names and numbers, never standard input or the environment whole."""

    def began(self) -> None:
        """Say nothing yet."""

    def ended(self, outcome: Outcome, seconds: float) -> None:
        """Write the line."""
        if not log.isEnabledFor(logging.INFO):
            return
        environ = outcome.call.environ if outcome.call else {}
        fields = {
            "door": outcome.door if outcome.door != "relay" else None,
            "plugin": outcome.call.name if outcome.call else None,
            "command": environ.get("CNI_COMMAND"),
            "container": environ.get("CNI_CONTAINERID"),
            "ifname": environ.get("CNI_IFNAME"),
            "traceparent": environ.get("TRACEPARENT"),
            "outcome": f"{outcome.ending}: {outcome.detail}" if outcome.detail else str(outcome.ending),
            "milliseconds": round(seconds * 1000, 2),
        }
        error = outcome.reply.error if outcome.reply else None
        if error is not None:
            fields |= {"code": error.code, "error": str(error)}
        told = {key: value for key, value in fields.items() if value is not None}
        cause = error.__cause__ if error is not None and error.code == 999 else None
        log.info("call", extra={"fields": told}, exc_info=cause)

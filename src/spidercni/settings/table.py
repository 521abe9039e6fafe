"""Every setting: its name, what it may be, its default, and why that default. Pure.

Both readers are made from this one table: `settings.read` for a one-shot plugin, `settings.model` for a process that
lives long. A setting's key in the file is its name; its variable is its name too, in capitals, behind `SPIDERCNI_`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

_DAY_SECONDS = 86400
_LEVELS = ("debug", "info", "warning", "error")


class Setting(NamedTuple):
    """One row. `parse` takes a text or a value of YAML and raises ValueError with a text that says what it may be."""

    parse: Callable[[object], Any]
    default: Any
    unit: str
    about: str  # what it is, and the reason for the default
    live: bool = False  # SIGHUP changes it while the agent runs
    variable: str = ""  # where the variable is not made from the name


def path(value: object) -> str:
    """Parse an absolute path."""
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("it is an absolute path")
    return value


def path_or_off(value: object) -> str:
    """Parse an absolute path; an empty text is none."""
    if value == "":
        return ""
    try:
        return path(value)
    except ValueError as error:
        raise ValueError(f"{error}, or empty for none") from None


def name(value: object) -> str:
    """Parse a name: printable, no spaces."""
    if not isinstance(value, str) or not value.isprintable() or " " in value:
        raise ValueError("it is a name without spaces")
    return value


def seconds(value: object) -> float:
    """Parse a duration."""
    number: float | None = _number(value, float)
    if number is None or not 0 <= number <= _DAY_SECONDS:
        raise ValueError(f"it is a number of seconds from 0 to {_DAY_SECONDS}")
    return number


def count(value: object) -> int:
    """Parse a number of things."""
    number: int | None = _number(value, int)
    if number is None or not 1 <= number <= 100_000:
        raise ValueError("it is a whole number from 1 to 100000")
    return number


def port(value: object) -> int:
    """Parse a TCP port; 0 is none."""
    number: int | None = _number(value, int)
    if number is None or not 0 <= number <= 65535:
        raise ValueError("it is a port from 1 to 65535, or 0 for none")
    return number


def address(value: object) -> str:
    """Parse an IP address to listen at; an empty text is none."""
    from ipaddress import ip_address  # a one-shot plugin never parses an address to listen at

    if value == "":
        return ""
    try:
        return str(ip_address(value if isinstance(value, str) else ""))
    except ValueError:
        raise ValueError("it is an IP address such as 127.0.0.1, 0.0.0.0 or ::, or empty for none") from None


def level(value: object) -> str:
    """Parse a level of the log."""
    if value not in _LEVELS:
        raise ValueError(f"it is one of: {', '.join(_LEVELS)}")
    return str(value)


def _number(value: object, kind: Callable[[Any], Any]) -> Any:
    """Return a number, or None. A bool is an int in Python, not in a configuration; 1.5 is no whole number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = kind(value)
    except (ValueError, OverflowError):
        return None
    return number if isinstance(value, str) or number == value else None


TABLE: dict[str, Setting] = {
    "data_dir": Setting(
        path, "/var/lib/spidercni", "path",
        "Directory of the embedded store. It survives a reboot: a runtime may send DEL for containers of before.", True,
    ),
    "pools_dir": Setting(
        path, "/etc/spidercni/pools.d", "path", "Directory of manifests of pools and reservations; every ADD reads it.",
        True,
    ),
    "pending_dir": Setting(
        path, "/var/lib/spidercni/pending", "path",
        "Directory of releases that wait for a store that is away, one small file each. Beside the store by default:"
        " it has to survive a reboot too.", True,
    ),
    "node": Setting(
        name, "", "name",
        "Name of this node, in records and for `nodeName` of pools. Empty is the host name: what Kubernetes calls the"
        " node unless somebody says otherwise.", True, "SPIDERCNI_NODE_NAME",
    ),
    "cooldown_seconds": Setting(
        seconds, 60.0, "seconds",
        "For so long a released address is given out only if nothing else is left: longer than neighbours keep an"
        " unused entry (Linux: at most 45 s, then a probe).", True,
    ),
    "lock_timeout_seconds": Setting(
        seconds, 60.0, "seconds",
        "For so long a call waits for the store. Runtimes give a plugin minutes; a queue of hundreds takes seconds.",
        True,
    ),
    "gc_grace_seconds": Setting(
        seconds, 120.0, "seconds",
        "GC spares younger records: the runtime may not have known their attachment yet when it made its list.", True,
    ),
    "agent_socket": Setting(
        path, "/run/spidercni/agent.sock", "path",
        "Where plugins find the agent. They look at the default, or where the variable in their own environment says,"
        " not at the file: another path is for tests, and for agents beside each other.",
    ),
    "log_level": Setting(level, "info", "level", "Least level of the log: info is a line for each call.", True),
    "calls_limit": Setting(
        count, 1024, "calls",
        "So many calls wait or run at once; more are answered with code 11. A full node (250 pods with a few"
        " interfaces) fits; each call holds some kB.", True,
    ),
    "call_seconds": Setting(
        seconds, 60.0, "seconds",
        "A call that takes longer is taken back and answered with code 11. Runtimes give a plugin minutes.", True,
    ),
    "health_address": Setting(
        address, "127.0.0.1", "IP address",
        "Where health is asked for. The default is for this machine only: the answer is no secret, but nobody else has"
        " a use for it.",
    ),
    "health_port": Setting(
        port, 0, "port",
        "Port for health; Spiderpool's is 5710. 0, the default, is none: a machine without a cluster has nobody who"
        " asks, and two agents would be in each other's way.",
    ),
    "metrics_address": Setting(
        address, "127.0.0.1", "IP address",
        "Where metrics are asked for. A Prometheus on another machine needs an address of this one, 0.0.0.0 or ::.",
    ),
    "metrics_port": Setting(
        port, 0, "port", "Port for Prometheus; Spiderpool's is 5711. 0, the default, is none, for the same reasons.",
    ),
    "spiderpool_socket": Setting(
        path_or_off, "", "path",
        "Where Spiderpool's own plugins and third parties find Spiderpool's agent API; theirs is"
        " /var/run/spidernet/spiderpool.sock. Empty, the default, is none: without a cluster nobody speaks it, and a"
        " Spiderpool agent may still own that path.",
    ),
}  # fmt: skip


def variable_of(key: str) -> str:
    """Return the variable of the environment that sets a setting."""
    return TABLE[key].variable or f"SPIDERCNI_{key.upper()}"

"""Settings: what is decided when a process starts. A network configuration may override some per network.

A variable of the environment overrides the default. Raises InvalidConfig for a value that cannot be.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from spidercni.errors import InvalidConfig, quoted


class Settings(NamedTuple):
    """Every setting with its unit, its default and the reason for it."""

    # Where the embedded store lives. Survives a reboot: a runtime may send DEL for containers of before.
    data_dir: str = "/var/lib/spidercni"
    # Manifests of pools and reservations, read by every ADD.
    pools_dir: str = "/etc/spidercni/pools.d"
    # Releases that wait for a store that is away, one small file each.
    pending_dir: str = "/var/lib/spidercni/pending"
    # Name of this node, in records and for `nodeName` of pools.
    node: str = ""
    # Seconds for which a released address is given out only if nothing else is left: longer than neighbours
    # keep an unused entry (Linux: base_reachable_time 30 s, at most 45 s, then a probe).
    cooldown_seconds: float = 60.0
    # Seconds to wait for the store's lock. Runtimes give a plugin minutes; a queue of hundreds takes seconds.
    lock_timeout_seconds: float = 60.0
    # Seconds for which GC spares a record: its attachment may not have been known to the runtime yet.
    gc_grace_seconds: float = 120.0


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings from SPIDERCNI_* variables."""
    default = Settings()
    return Settings(
        data_dir=environ.get("SPIDERCNI_DATA_DIR") or default.data_dir,
        pools_dir=environ.get("SPIDERCNI_POOLS_DIR") or default.pools_dir,
        pending_dir=environ.get("SPIDERCNI_PENDING_DIR") or default.pending_dir,
        node=environ.get("SPIDERCNI_NODE_NAME") or os.uname().nodename,
        cooldown_seconds=_seconds(environ, "SPIDERCNI_COOLDOWN_SECONDS", default.cooldown_seconds),
        lock_timeout_seconds=_seconds(environ, "SPIDERCNI_LOCK_TIMEOUT_SECONDS", default.lock_timeout_seconds),
        gc_grace_seconds=_seconds(environ, "SPIDERCNI_GC_GRACE_SECONDS", default.gc_grace_seconds),
    )


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86400:
        raise InvalidConfig(f"{name} is {quoted(text)}", "it is a number of seconds from 0 to 86400")
    return seconds

"""Settings: what is decided when a process starts. A network configuration may override some per network.

table    every setting with its default and the reason for it     (pure)
sources  options, environment, file
model    all of them in a pydantic model, for processes that live long

Here is what a one-shot plugin needs: it cannot wait for pydantic (`docs/design/start-up.md`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from spidercni.settings.sources import collect
from spidercni.settings.table import TABLE


class Settings(NamedTuple):
    """The settings that handlers of calls need; `settings.table` says what each is."""

    data_dir: str = TABLE["data_dir"].default
    pools_dir: str = TABLE["pools_dir"].default
    pending_dir: str = TABLE["pending_dir"].default
    node: str = TABLE["node"].default
    cooldown_seconds: float = TABLE["cooldown_seconds"].default
    lock_timeout_seconds: float = TABLE["lock_timeout_seconds"].default
    gc_grace_seconds: float = TABLE["gc_grace_seconds"].default


def read(environ: Mapping[str, str]) -> Settings:
    """Read them from SPIDERCNI_* variables and the file. Raises InvalidConfig, StoreUnavailable."""
    found = collect(environ, Settings._fields)
    return Settings(**{name: each.value for name, each in found.items()})

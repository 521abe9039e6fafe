"""All settings in one frozen model, for processes that live long. Importing it costs what a one-shot plugin has not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from spidercni.settings.sources import collect
from spidercni.settings.table import TABLE


def _row(name: str) -> Any:
    """Return the field of a row of the table."""
    row = TABLE[name]
    return Field(row.default, description=f"{row.about} Unit: {row.unit}.")


class AgentSettings(BaseModel):
    """What `spidercni agent` runs with."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    data_dir: str = _row("data_dir")
    pools_dir: str = _row("pools_dir")
    pending_dir: str = _row("pending_dir")
    node: str = _row("node")
    cooldown_seconds: float = _row("cooldown_seconds")
    lock_timeout_seconds: float = _row("lock_timeout_seconds")
    gc_grace_seconds: float = _row("gc_grace_seconds")
    agent_socket: str = _row("agent_socket")
    log_level: str = _row("log_level")
    calls_limit: int = _row("calls_limit")
    call_seconds: float = _row("call_seconds")
    health_address: str = _row("health_address")
    health_port: int = _row("health_port")
    metrics_address: str = _row("metrics_address")
    metrics_port: int = _row("metrics_port")
    spiderpool_socket: str = _row("spiderpool_socket")

    @field_validator("*", mode="before")
    @classmethod
    def _as_in_the_table(cls, value: object, info: ValidationInfo) -> Any:
        assert info.field_name is not None
        return TABLE[info.field_name].parse(value)


def read(environ: Mapping[str, str], options: Mapping[str, object] | None = None) -> AgentSettings:
    """Read all settings. Raises InvalidConfig, which names key, value and source; StoreUnavailable."""
    found = collect(environ, options=options)
    return AgentSettings(**{name: each.value for name, each in found.items()})


def changed(old: AgentSettings, new: AgentSettings) -> tuple[list[str], list[str]]:
    """Return the names of the settings that differ: those that change in a running agent, and those that cannot."""
    names = [name for name in TABLE if getattr(old, name) != getattr(new, name)]
    return [name for name in names if TABLE[name].live], [name for name in names if not TABLE[name].live]

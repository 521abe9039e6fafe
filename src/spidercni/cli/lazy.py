"""A click group that imports a subcommand when it is called, not when the program starts."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """`sources` names for each subcommand where it is (`module:attribute`) and its line in the help."""

    def __init__(self, *args: Any, sources: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sources = sources

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        return sorted({*super().list_commands(ctx), *self._sources})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand, imported now."""
        if cmd_name not in self._sources:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._sources[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of subcommands without importing them."""
        own = [(name, command.get_short_help_str()) for name, command in self.commands.items()]
        rows = sorted([*own, *((name, line) for name, (_, line) in self._sources.items())])
        with formatter.section("Commands"):
            formatter.write_dl(rows)

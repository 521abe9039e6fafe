"""Tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

import click

Row = dict[str, Any]

# Laying out a table for a terminal costs rich almost a millisecond a row.
_RICH_ROWS = 1000

FORMATS = ("table", "json", "yaml")

output_option = click.option(
    "-o", "--output", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Form of the output."
)


def emit(form: str, document: Any) -> None:
    """Print a document as JSON or YAML."""
    if form == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        import yaml

        dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        click.echo(yaml.dump(document, Dumper=dumper, sort_keys=False), nl=False)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. Cells are plain text: names from outside are never taken for markup or terminal commands."""
    shown = [[_printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and len(rows) <= _RICH_ROWS:
        _rich_table(columns, shown)
        return
    # A pipe has no width: a line must not break where a program reads it.
    widths = [max(map(len, column)) for column in zip(columns, *shown, strict=True)]
    for row in (columns, *shown):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(made)


def _printable(text: str) -> str:
    return text if text.isprintable() else ascii(text)[1:-1]


def bar(used: int, total: int, cells: int = 10) -> str:
    """Draw the used share; anything used shows at least the thinnest sliver, and only a full pool a full bar."""
    if total <= 0:
        return "·" * cells
    eighths = used * cells * 8 // total
    if used and not eighths:
        eighths = 1
    full, part = divmod(eighths, 8)
    text = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return text.ljust(cells, "·")


def percent(used: int, total: int) -> str:
    """Return the share in words that do not lie about very small and very large ones."""
    if total <= 0:
        return "-"
    if used and used * 1000 < total:
        return "<0.1%"
    if used < total and used * 1000 > total * 999:
        return ">99.9%"
    return f"{used * 100 / total:.1f}%"

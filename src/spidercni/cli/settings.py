"""`spidercni settings`."""

from __future__ import annotations

import os

import click

from spidercni.cli.ctl import failing
from spidercni.cli.output import emit, output_option, table


@click.command()
@output_option
def settings(form: str) -> None:
    """Show the settings in force and where each comes from.

    That is what an agent would run with that is started now, here, with this environment.
    """
    from spidercni.settings import model
    from spidercni.settings.sources import collect
    from spidercni.settings.table import TABLE, variable_of

    with failing():
        model.read(os.environ)
        found = collect(os.environ)
    if form == "table":
        rows = [(name, str(each.value) or "-", TABLE[name].unit, each.source) for name, each in found.items()]
        table(("SETTING", "VALUE", "UNIT", "SOURCE"), rows)
        return
    emit(
        form,
        [
            {
                "name": name,
                "value": each.value,
                "source": each.source,
                "default": TABLE[name].default,
                "unit": TABLE[name].unit,
                "variable": variable_of(name),
                "changesOnSighup": TABLE[name].live,
                "about": TABLE[name].about,
            }
            for name, each in found.items()
        ],
    )

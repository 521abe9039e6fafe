"""`spidercni ctl check`."""

from __future__ import annotations

import time

import click

from spidercni import settings
from spidercni.cli.ctl import NOT_THERE, UNUSABLE, Place, at_place
from spidercni.errors import StoreCorrupt
from spidercni.ipam.local import audit, remembered


@click.command()
@click.option("--repair", is_flag=True, help="Rebuild the store from what can be read; the old file is kept aside.")
@click.option(
    "--cache-dir",
    type=click.Path(),
    default="/var/lib/cni",
    show_default=True,
    help="Where the runtime (libcni) remembers its attachments; a repair takes their addresses as in use.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@at_place
def check(place: Place, repair: bool, cache_dir: str, yes: bool) -> None:
    """Check the store. Status 0: all is well, 1: something is inconsistent, 3: the file is damaged."""
    status = NOT_THERE
    try:
        found = audit.problems(place.database)
    except StoreCorrupt as error:
        found, status = [str(error)], UNUSABLE
    if not found:
        there = place.database.path.exists()
        click.echo(f"{place.database.path}: " + ("all is well" if there else "there is no store yet"))
        return
    for problem in found:
        click.echo(f"{place.database.path}: {problem}", err=True)
    if not repair:
        raise SystemExit(status)
    if not yes:
        click.confirm(
            "Rebuild the store from what can be read and what the runtime remembers? An address of a running container"
            " that is in neither may be given to another one afterwards.",
            abort=True,
        )
    store = remembered.Place(place.database.directory, settings.Settings().data_dir, place.node)
    allocations, strange = remembered.read(cache_dir, store, time.time())
    for text in strange:
        click.echo(f"not understood: {text}", err=True)
    _report(audit.repair(place.database, time.strftime("%Y%m%dT%H%M%S"), allocations))


def _report(repaired: audit.Repaired) -> None:
    click.echo(
        f"saved {repaired.saved} allocations, {repaired.remembered} of them from what the runtime remembers;"
        f" the old file is {repaired.kept_aside}"
    )
    for row in repaired.lost:
        click.echo(f"lost: {row}", err=True)
    if not repaired.complete:
        click.echo(
            "a part of the old file could not be read: restart the containers whose addresses are not in"
            " `spidercni ctl address list`",
            err=True,
        )

"""`spidercni ctl check`."""

from __future__ import annotations

import os
import time

import click

from spidercni import settings
from spidercni.cli.ctl import NOT_THERE, UNUSABLE, Place, at_place, fail
from spidercni.cni.plugin import run
from spidercni.errors import StoreCorrupt
from spidercni.ipam.local import audit, remembered
from spidercni.ipam.local.store import LocalStore
from spidercni.model.allocation import Allocation

# Where libcni keeps its results unless a runtime names another place.
DEFAULT_CACHE_DIR = "/var/lib/cni"


@click.command()
@click.option("--repair", is_flag=True, help="Rebuild the store from what can be read; the old file is kept aside.")
@click.option(
    "--cache-dir",
    help="Where the runtime (libcni) remembers its attachments, for comparison and repair.  [default: /var/lib/cni]",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@at_place
def check(place: Place, repair: bool, cache_dir: str | None, yes: bool) -> None:
    """Check the store, by itself and against what the runtime remembers.

    Status 0: all is well, 1: something is inconsistent, or was lost by a repair, 3: the file is damaged.
    """
    if cache_dir is not None and not os.path.isdir(cache_dir):
        fail(f"--cache-dir is {cache_dir!r}: there is no such directory", UNUSABLE)
    memory = _Memory(cache_dir or DEFAULT_CACHE_DIR, place)
    status = NOT_THERE
    try:
        found = [*audit.problems(place.database), *memory.problems()]
    except StoreCorrupt as error:
        found, status = [error.summary if repair else str(error)], UNUSABLE
    if not found:
        click.echo(f"{place.database.path}: " + ("all is well" if place.database.there() else "there is no store yet"))
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
    allocations = memory.read()
    _report(audit.repair(place.database, time.strftime("%Y%m%dT%H%M%S"), allocations))


class _Memory:
    """What the runtime remembers of this store's addresses."""

    def __init__(self, cache_dir: str, place: Place) -> None:
        self._cache_dir = cache_dir
        self._database = place.database
        self._place = remembered.Place(place.database.directory, settings.Settings().data_dir, place.node)

    def read(self) -> list[Allocation]:
        """Return it, and say what could not be understood."""
        if not os.path.isdir(os.path.join(self._cache_dir, remembered.RESULTS)):
            click.echo(f"the runtime keeps no results in {self._cache_dir}: nothing to compare with", err=True)
        allocations, strange = remembered.read(self._cache_dir, self._place, time.time())
        for text in strange:
            click.echo(f"not understood: {text}", err=True)
        return allocations

    def problems(self) -> list[str]:
        """Return in words what the store does not know. A call under way may look so for a moment: look twice."""
        if not os.access(os.path.join(self._cache_dir, remembered.RESULTS), os.R_OK | os.X_OK):
            return []
        suspects = self._unknown()
        if suspects:
            time.sleep(1)
            suspects &= self._unknown()
        return sorted(suspects)

    def _unknown(self) -> set[str]:
        allocations, _ = remembered.read(self._cache_dir, self._place, time.time())
        store = LocalStore(self._database, time.time, settings.Settings().cooldown_seconds)
        known = {(each.interface.ip, each.attachment) for each in run(store.allocations())}
        return {
            f"the runtime remembers {each.interface.ip} for {each.attachment}, the store does not"
            for each in allocations
            if (each.interface.ip, each.attachment) not in known
        }


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
    if repaired.lost or not repaired.complete:
        raise SystemExit(NOT_THERE)

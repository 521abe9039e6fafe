"""The IPAM plugin's face to `cni`. Handlers are imported when a verb needs them, not for VERSION."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from spidercni.cni.plugin import Answer, Handler, Plugin
from spidercni.cni.request import Request
from spidercni.cni.versions import SUPPORTED

if TYPE_CHECKING:
    from spidercni.ipam.handlers import Context


def load_handlers(environ: Mapping[str, str]) -> Mapping[str, Handler]:
    """Return the handler of each verb, bound to the real world. Raises InvalidConfig for a bad setting."""
    from spidercni.ipam import handlers

    context = real_context(environ)

    def bind(handler: Callable[[Request, Context], Coroutine[Any, Any, Answer | None]]) -> Handler:
        return lambda request: handler(request, context)

    return {
        "ADD": bind(handlers.add),
        "DEL": bind(handlers.delete),
        "CHECK": bind(handlers.check),
        "STATUS": bind(handlers.status),
        "GC": bind(handlers.collect),
    }


async def resume(environ: Mapping[str, str]) -> int:
    """Carry out the releases that wait for a store that is back. Raises StoreUnavailable, StoreCorrupt."""
    from spidercni.ipam.handlers import carry_out_notes

    return await carry_out_notes(real_context(environ))


def real_context(environ: Mapping[str, str]) -> Context:
    """Return the context of this machine: its settings, its clock, the embedded store."""
    from spidercni import settings
    from spidercni.ipam.candidates import Catalog
    from spidercni.ipam.config import IpamConfig, StoreConfig
    from spidercni.ipam.handlers import Context
    from spidercni.ipam.journal import Journal
    from spidercni.ipam.local import manifests
    from spidercni.ipam.local.database import Database
    from spidercni.ipam.local.store import LocalStore

    current = settings.read(environ)

    databases: dict[str, Database] = {}

    def open_store(config: StoreConfig) -> LocalStore:
        database = databases.setdefault(config.data_dir, Database(config.data_dir, current.lock_timeout_seconds))
        return LocalStore(database, time.time, current.cooldown_seconds)

    def read_catalog(config: IpamConfig) -> Catalog:
        pools, reserved = manifests.read(config.pools_dir, config.pools_dir_is_named)
        return Catalog.of(config, pools, reserved)

    return Context(current, time.time, open_store, read_catalog, Journal(current.pending_dir))


PLUGIN = Plugin("spiderpool", "spidercni IPAM plugin (spiderpool)", SUPPORTED, load_handlers, resume)

"""The coordinator plugin's face to `cni`."""

from __future__ import annotations

from collections.abc import Mapping

from spidercni.cni.plugin import Handler, Plugin, refuse_all
from spidercni.cni.versions import CHAINED


def load_handlers(_environ: Mapping[str, str]) -> Mapping[str, Handler]:
    """Return handlers that refuse: a chained plugin that does nothing must not report success."""
    return refuse_all("coordinator")


PLUGIN = Plugin("coordinator", "spidercni plugin coordinator", CHAINED, load_handlers)

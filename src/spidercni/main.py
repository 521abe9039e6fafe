"""One executable, many names: `argv[0]` picks the plugin, any other name is the command line.

Nothing heavy is imported before it is known what is asked for.
"""

from __future__ import annotations

import gc
import os
import sys

PLUGINS = ("spiderpool", "coordinator", "ifacer")


def main() -> None:
    """Run what the program was called as, and exit with its status."""
    # The relay's word to itself that it has handed over; plugins that we start must not inherit it.
    os.environ.pop("SPIDERCNI_RELAYED", None)
    os.environ.pop("SPIDERCNI_FALLBACK", None)
    name = os.path.basename(sys.argv[0])
    if name not in PLUGINS and len(sys.argv) == 1 and os.environ.get("CNI_COMMAND"):
        # One file was copied and named in a configuration as it is: it can only be meant as the IPAM plugin.
        name = "spiderpool"
    if name in PLUGINS:
        # One call leaves too little garbage to look for it: looking while modules load is a twentieth of the time.
        gc.disable()
        # No clean-up of the interpreter: everything that matters is on disk and the document is written.
        status = _serve(name)
        os._exit(status)
    from spidercni.cli.main import cli

    cli(prog_name="spidercni")


def _serve(name: str) -> int:
    from spidercni.cni.plugin import serve
    from spidercni.cni.streams import take_over
    from spidercni.errors import SpidercniError

    try:
        streams = take_over()
        if name == "spiderpool":
            from spidercni.ipam.plugin import PLUGIN
        elif name == "coordinator":
            from spidercni.coordinator.plugin import PLUGIN
        else:
            from spidercni.ifacer.plugin import PLUGIN
        return serve(PLUGIN, os.environ, streams)
    except (OSError, SpidercniError) as error:
        # Nobody can be answered any more: standard output is closed or its reader is gone.
        print(f"{name}: the answer cannot be written: {error}", file=sys.stderr)
        return 1

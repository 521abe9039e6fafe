"""Runs first in the one-file form that has PyInstaller's own bootloader: die with the parent.

With the relay the bootloader does it by itself, at the fork (`native/relay.c`); this is for builds without a compiler.

The one file unpacks itself and runs the program as its child. A runtime that gives up on a plugin kills the process it
started, which is only the parent: the child would go on and allocate an address that nobody waits for. ctypes costs
nothing here, PyInstaller's bootstrap has imported it.
"""

import ctypes
import os

PR_SET_PDEATHSIG = 1  # prctl(2)
SIGKILL = 9


def parent_has_our_arguments() -> bool:
    """Tell whether the parent was called as we were; a dead parent's place is taken by init or a reaper.

    Not by `exe`: that of init may not be looked at everywhere, `cmdline` may.
    """
    try:
        with open("/proc/self/cmdline", "rb") as own, open(f"/proc/{os.getppid()}/cmdline", "rb") as parent:
            return own.read() == parent.read()
    except OSError:
        return True  # without /proc it cannot be known


ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)
# It may have died before that.
if not parent_has_our_arguments():
    os._exit(1)

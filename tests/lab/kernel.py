"""The few Linux calls that Python 3.11 does not offer, as functions that raise OSError."""

import ctypes
import os

CLONE_NEWNS = 0x00020000
CLONE_NEWNET = 0x40000000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_BIND = 0x1000
MS_RDONLY = 1
MS_REMOUNT = 32
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own (unshare(2))."""
    _succeed(_libc.unshare(flags), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Move the calling thread into the namespace an open file stands for (setns(2))."""
    _succeed(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount (mount(2)); `options` is the file system's own option string."""
    what, where, data = source.encode(), target.encode(), options.encode() or None
    _succeed(_libc.mount(what, where, kind.encode() or None, ctypes.c_ulong(flags), data), target)


def unmount(target: str) -> None:
    """Detach a mount from the tree; it goes when its last user has gone (umount2(2), MNT_DETACH)."""
    _succeed(_libc.umount2(target.encode(), MNT_DETACH), target)


def _succeed(status: int, subject: str) -> None:
    if status != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), subject)

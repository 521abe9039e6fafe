"""Network namespaces with names under /run/netns, as container runtimes make them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .kernel import CLONE_NEWNET, MS_BIND, mount, setns, unmount, unshare

FOLDER = Path("/run/netns")
_OURS = "/proc/thread-self/ns/net"


@contextmanager
def inside(path: str | Path) -> Iterator[None]:
    """Run a `with` block in another network namespace, and come back.

    Only the calling thread moves. Sockets opened in the block stay in that namespace. Where coming back fails
    the error is raised: going on in a stranger's namespace would change the wrong network.
    """
    back = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there, CLONE_NEWNET)
        finally:
            os.close(there)
        try:
            yield
        finally:
            setns(back, CLONE_NEWNET)
    finally:
        os.close(back)


def create(name: str) -> Path:
    """Make a network namespace and return its path; it lives until `remove`, also without a process in it."""
    path = FOLDER / name
    path.touch(exist_ok=False)
    back = os.open(_OURS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(CLONE_NEWNET)
        try:
            mount(_OURS, str(path), flags=MS_BIND)
        finally:
            setns(back, CLONE_NEWNET)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(back)
    return path


def remove(path: Path) -> None:
    """Take a namespace's name away; nothing happens where it has none."""
    if path.exists():
        unmount(str(path))
        path.unlink()

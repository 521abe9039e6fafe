"""Turn the calling process into a node of its own.

The process moves into a fresh network and mount namespace, so that all it does to links, routes and the
folders a container runtime keeps its state in is seen by nobody else, and is gone when the last process in
there ends. The kernel does the cleaning up, hence it works after SIGKILL too.
"""

from collections.abc import Iterable
from pathlib import Path

from pyroute2 import IPRoute

from .kernel import CLONE_NEWNET, CLONE_NEWNS, MS_BIND, MS_PRIVATE, MS_REC, mount, unmount, unshare

STATE = ("/run/netns", "/var/lib/cni", "/var/lib/spidercni", "/etc/cni", "/opt/cni", "/etc/spidercni")
_STAGING = "/sys"  # a mount point that exists everywhere and that nobody wants an overlay in


def isolate(empty: Iterable[str] = STATE) -> None:
    """Move the calling process into fresh network and mount namespaces; it needs root.

    Each folder in `empty` is an empty one afterwards, whatever the machine has there. May be called again:
    the process then leaves its node behind, and what was in there with it.
    """
    unshare(CLONE_NEWNS | CLONE_NEWNET)
    # Without this our mounts would travel to the machine's own namespace wherever / is shared, as systemd
    # makes it.
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    folders = [Path(folder) for folder in empty]
    _make_writable({_nearest_existing(folder) for folder in folders if not folder.exists()})
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        mount("lab", str(folder), "tmpfs", options="mode=755")
    # A sysfs mount shows the network namespace it was mounted in: the old one would show the machine's links.
    mount("lab", "/sys", "sysfs")
    with IPRoute() as netlink:
        netlink.link("set", index=1, state="up")


def _nearest_existing(folder: Path) -> Path:
    return next(parent for parent in folder.parents if parent.exists())


def _make_writable(parents: set[Path]) -> None:
    """Put an overlay over each folder: a mount point made in it leaves no trace on the machine."""
    if not parents:
        return
    mount("lab", _STAGING, "tmpfs", options="mode=700")
    try:
        for number, parent in enumerate(sorted(parents)):
            _overlay(parent, Path(_STAGING, str(number)))
    finally:
        unmount(_STAGING)  # the overlays keep the tmpfs alive


def _overlay(parent: Path, staging: Path) -> None:
    old, upper, work = staging / "old", staging / "upper", staging / "work"
    for folder in (old, upper, work):
        folder.mkdir(parents=True)
    # The upper folder becomes the root of the overlay and lends it its mode.
    upper.chmod(parent.stat().st_mode & 0o7777)
    mounted = _mounted_below(parent)
    mount(str(parent), str(old), flags=MS_BIND | MS_REC)
    mount("lab", str(parent), "overlay", options=f"lowerdir={parent},upperdir={upper},workdir={work}")
    # An overlay does not show what is mounted below its lower folder. In a container that may be /etc/hosts, in CI
    # the checkout itself.
    for path in mounted:
        mount(str(old / path.relative_to(parent)), str(path), flags=MS_BIND | MS_REC)


def _mounted_below(parent: Path) -> list[Path]:
    """Return the mount points below a folder, without those below another one of them."""
    found: list[Path] = []
    for line in sorted(Path("/proc/self/mountinfo").read_text().splitlines(), key=lambda line: line.split()[4]):
        path = Path(line.split()[4].encode().decode("unicode_escape"))
        if parent in path.parents and not any(other == path or other in path.parents for other in found):
            found.append(path)
    return found

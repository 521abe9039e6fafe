"""The lab itself: what the other tests stand on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.built import ROOT
from tests.lab import Node, UnreachableError, ping

from .conftest import MakeContainer

STATE = ("/run/netns", "/var/lib/cni", "/var/lib/spidercni", "/etc/cni", "/opt/cni", "/etc/spidercni")

DYING_NODE = """
import os, signal
from pathlib import Path
from tests.built import ROOT
from tests.lab import Node
node = Node()
for folder in {state}:
    (Path(folder) / "left-behind-by-the-lab").touch()
node.container("left-behind")
print("ready", flush=True)
signal.pause()
"""


def test_a_killed_node_leaves_nothing(executable: Path) -> None:
    """After SIGKILL the folders of the machine are as they were, and no link of the node is left."""
    before = {folder: Path(folder).exists() for folder in STATE}
    links = sorted(os.listdir("/sys/class/net"))
    command = [sys.executable, "-c", DYING_NODE.format(state=STATE)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
    assert before == {folder: Path(folder).exists() for folder in STATE}
    assert not any((Path(folder) / "left-behind-by-the-lab").exists() for folder in STATE)
    assert links == sorted(os.listdir("/sys/class/net"))


BEHIND_A_MOUNT = """
from pathlib import Path
from tests.lab import isolate
from tests.lab.kernel import CLONE_NEWNS, MS_PRIVATE, MS_REC, mount, unshare
unshare(CLONE_NEWNS)
mount("none", "/", flags=MS_REC | MS_PRIVATE)
mount("lab", "{folder}", "tmpfs")
Path("{folder}/kept").touch()
isolate(empty=["{beside}"])
print(Path("{folder}/kept").exists(), Path("{beside}").exists())
"""


def test_a_mount_below_an_overlay_stays_visible(tmp_path: Path) -> None:
    """What is mounted inside a folder that gets an overlay is still there: it may be the checkout in CI."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    program = BEHIND_A_MOUNT.format(folder=folder, beside=tmp_path / "never-there")
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "True True\n", done.stderr
    assert sorted(tmp_path.iterdir()) == [folder]


def test_a_node_starts_empty(node: Node) -> None:
    """A fresh node has its loopback and its uplink, one namespace, and no state of a runtime."""
    assert sorted(os.listdir("/sys/class/net")) == ["lo", "uplink0"]
    assert {folder: os.listdir(folder) for folder in STATE} == {
        folder: ["gateway"] if folder == "/run/netns" else [] for folder in STATE
    }


def test_a_container_reaches_nobody_before_it_is_attached(container: MakeContainer) -> None:
    """Without an attachment a container has no interface, and an echo request fails with the kernel's reason."""
    alone = container("alone")
    assert alone.links() == []
    with pytest.raises(UnreachableError, match="Network is unreachable"):
        ping(alone.netns, "10.77.0.1", timeout=0.2)


@pytest.mark.parametrize("address", ["10.77.0.1", "fd77::1", "127.0.0.1", "::1"])
def test_the_gateway_answers_itself(node: Node, address: str) -> None:
    """The echo exchange works in both families, with addresses usable at once."""
    assert ping(node.uplink.gateway.netns, address, timeout=1) < 1

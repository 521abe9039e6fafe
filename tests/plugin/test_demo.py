"""The demo shows what the README promises and leaves nothing behind, also when it is interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from tests import built

PLACES = ("/run/netns", "/opt/cni", "/etc/cni", "/etc/spidercni", "/var/lib/cni", "/var/lib/spidercni")


def start(tools: Path) -> subprocess.Popen[str]:
    """Start what `scripts/demo` starts when everything is built."""
    command = [sys.executable, "-m", "scripts.show", str(tools)]
    return subprocess.Popen(command, cwd=built.ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def machine() -> tuple[list[str], list[str]]:
    """Return the links and the files that a demo could leave behind."""
    with IPRoute() as netlink:
        links = sorted(link.get("ifname") for link in netlink.get_links())
    files = [str(path) for place in PLACES for path in sorted(Path(place).rglob("*"))]
    return links, [place for place in PLACES if os.path.exists(place)] + files


def test_the_demo_runs_and_leaves_nothing(tools: Path, executable: Path) -> None:
    """Three containers, every ping of both families, nothing in use at the end, the machine as before."""
    before = machine()
    output, errors = (demo := start(tools)).communicate(timeout=120)

    assert (demo.returncode, errors) == (0, "")
    assert output.count(" pings ") == 9
    assert "No address is in use any more." in output
    assert before == machine()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_demo_leaves_nothing(tools: Path, executable: Path, number: signal.Signals) -> None:
    """Whatever ends it in the middle, with containers attached: the machine is as before."""
    before = machine()
    demo = start(tools)
    assert demo.stdout is not None
    for line in demo.stdout:
        if " has 10.77." in line:
            break
    demo.send_signal(number)
    demo.communicate(timeout=60)

    assert demo.returncode != 0
    assert before == machine()

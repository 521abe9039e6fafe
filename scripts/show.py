"""What `scripts/demo` shows, once everything is built. Its one argument is the folder with cnitool and macvlan."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from tests.lab import Container, Node, Runtime, ping
from tests.lab.node import GATEWAY

ROOT = Path(__file__).parents[1]
BIN_DIR = Path("/opt/cni/bin")
NETWORK = ROOT / "docs" / "examples" / "lab.conflist"
CONFLIST = Path("/etc/cni/net.d") / NETWORK.name
NAMES = ("red", "green", "blue")


def main() -> None:
    """Run the demo; the process becomes the node."""
    started = time.monotonic()
    signal.signal(signal.SIGTERM, _stop)
    tools = Path(sys.argv[1])
    say("This process becomes a node: its own network, its own /opt/cni, /etc/cni, /run/netns and /var/lib.")
    node = Node()
    say("The node has an uplink; behind it a gateway: " + " and ".join(GATEWAY))
    install(tools)
    runtime = Runtime(tools, (BIN_DIR,), Path("/var/lib/cni"))
    containers = [node.container(name) for name in NAMES]
    answers = {container.name: add(runtime, container) for container in containers}
    meet(containers, answers)
    ctl("pool", "list")
    ctl("address", "list")
    for container in containers:
        with step(f"cnitool check lab {container.netns}"):
            runtime.cnitool("check", CONFLIST, container.netns)
    for container in containers:
        with step(f"cnitool del lab {container.netns}"):
            runtime.cnitool("del", CONFLIST, container.netns)
        if container.links():
            raise SystemExit(f"{container.name} still has {container.links()}")
        container.close()
    nothing_left()
    say(f"Done in {time.monotonic() - started:.1f} s. Nothing of this was in the machine's own network.")


def install(tools: Path) -> None:
    """Lay the executable down as an administrator does, and the network configuration from the README."""
    with step(f"./install.sh --bin-dir {BIN_DIR}"):
        run("sh", str(ROOT / "install.sh"), "--bin-dir", str(BIN_DIR))
    shutil.copy(tools / "macvlan", BIN_DIR)
    CONFLIST.parent.mkdir(parents=True)
    shutil.copy(NETWORK, CONFLIST)
    say(f"The network configuration, {CONFLIST}:")
    print(CONFLIST.read_text())


def add(runtime: Runtime, container: Container) -> list[str]:
    """Attach a container and return its addresses."""
    with step(f"cnitool add lab {container.netns}"):
        result = runtime.cnitool("add", CONFLIST, container.netns)
    addresses = [ip["address"] for ip in result["ips"]]
    carried = [str(interface) for interface in container.addresses("eth0")]
    if sorted(addresses) != sorted(carried):
        raise SystemExit(f"{container.name} was promised {addresses} and carries {carried}")
    say(f"    {container.name:6} has {' and '.join(addresses)}")
    return addresses


def meet(containers: list[Container], answers: dict[str, list[str]]) -> None:
    """Let everybody ping everybody and the gateway, over both families."""
    targets = {**answers, "the gateway": list(GATEWAY)}
    for container in containers:
        for name, addresses in targets.items():
            if name == container.name:
                continue
            times = []
            for address in addresses:
                target = address.partition("/")[0]
                times.append(f"{target} in {ping(container.netns, target) * 1000:.2f} ms")
            say(f"    {container.name:6} pings {name:11}: {', '.join(times)}")


def nothing_left() -> None:
    """Show that no address is in use and the store is sound."""
    left = json.loads(ctl("address", "list", "-o", "json", quiet=True))
    if left:
        raise SystemExit(f"still in use: {left}")
    say("No address is in use any more.")
    ctl("check")


def ctl(*words: str, quiet: bool = False) -> str:
    """Run `spidercni ctl …` and show what it prints."""
    output = run(str(BIN_DIR / "spidercni"), "ctl", *words)
    if not quiet:
        say(f"$ spidercni ctl {' '.join(words)}")
        print(output)
    return output


def run(*command: str) -> str:
    """Run a command; its output, or the end of the demo with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def step(command: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    began = time.monotonic()
    yield
    say(f"$ {command}   ({(time.monotonic() - began) * 1000:.0f} ms)")


def say(text: str) -> None:
    """Print one line at once."""
    print(text, flush=True)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit("interrupted; the node and everything on it is gone with this process")


def _main() -> Any:
    try:
        main()
    except KeyboardInterrupt:
        raise SystemExit("interrupted; the node and everything on it is gone with this process") from None


if __name__ == "__main__":
    _main()

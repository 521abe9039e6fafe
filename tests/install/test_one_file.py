"""What the one-file form promises where the folder form cannot fail: it unpacks itself and runs in a child."""

import json
import os
import random
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

ADD = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c", "CNI_NETNS": "/not/there", "CNI_IFNAME": "eth0"}


@pytest.fixture
def plugin(file_form: Path, tmp_path: Path) -> Path:
    """The one file under the name of the IPAM plugin."""
    link = tmp_path / "spiderpool"
    link.symlink_to(file_form)
    return link


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """An ADD, with a folder of its own to unpack in."""
    (tmp_path / "unpack").mkdir()
    return {**ADD, "PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "unpack")}


@pytest.fixture
def config(tmp_path: Path) -> bytes:
    """A configuration on a store that is not there yet."""
    pool = {"name": "p", "subnet": "10.9.0.0/24", "ips": ["10.9.0.7"]}
    ipam = {
        "type": "spiderpool", "data_dir": str(tmp_path / "store"), "pools_dir": str(tmp_path),
        "pools": [pool],
    }  # fmt: skip
    return json.dumps({"cniVersion": "1.0.0", "name": "n", "ipam": ipam}).encode()


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_begun(pid: int) -> bool:
    """Tell whether a child of the one file runs the program; before, it waits for its parent without end."""
    try:
        return b"_PYI_" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def lives(pid: int) -> bool:
    """Tell whether a process runs; one that is only waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: object, seconds: float) -> bool:
    """Wait until something holds, and tell whether it came to hold in time."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("number", range(12))
def test_dies_with_its_parent(plugin: Path, environment: Mapping[str, str], number: int) -> None:
    """INV-START-3: whenever a runtime kills the process that it started, nothing of the plugin lives on."""
    call = subprocess.Popen([plugin], env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert wait_until(lambda: any(map(has_begun, children(call.pid))), 30)
    # From the child's first moments to when it waits for its configuration.
    time.sleep(0.5 if number == 0 else random.Random(number).uniform(0, 0.15))
    started = children(call.pid)
    call.kill()
    call.wait()
    assert wait_until(lambda: not any(map(lives, started)), 10)
    assert call.stdin is not None
    call.stdin.close()


@pytest.mark.parametrize("options", ["noexec", "size=1m"])
def test_where_it_cannot_unpack(
    plugin: Path, environment: Mapping[str, str], config: bytes, options: str, tmp_path: Path
) -> None:
    """Where it can unpack but not run, or only half, the call fails, says why, and changes nothing."""
    if os.geteuid() != 0:
        pytest.fail("mounting a file system for this test needs root", pytrace=False)
    script = f'mount -t tmpfs -o {options} none "$TMPDIR" && exec "$0"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, plugin],
        env=environment,
        input=config,
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == b""
    assert done.stderr
    assert not (tmp_path / "store").exists()

"""VERSION: the relay's own answer is the one that Python would give."""

import json
import subprocess
from pathlib import Path

import pytest

from spidercni.cni.versions import CHAINED, SUPPORTED

from .agent import wait
from .conftest import Relay, Serve

NAMES = {"spiderpool": SUPPORTED, "coordinator": CHAINED, "ifacer": CHAINED}

ODD = {
    "nothing else": {},
    "values that are no values": {"CNI_NETNS": "?", "CNI_IFNAME": "too long for an interface", "CNI_CONTAINERID": "/"},
    "big variables": {"CNI_ARGS": "x" * 130000, "SOMETHING": "y" * 130000},
    "another linker path": {"LD_LIBRARY_PATH": "/nowhere", "LD_BIND_NOW": "1"},
    "PyInstaller's variables": {"_PYI_ARCHIVE_FILE": "/nowhere", "_PYI_PARENT_PROCESS_LEVEL": "7"},
}  # fmt: skip


@pytest.mark.parametrize("form", ["frozen", "one_file"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bytes(form: str, name: str, request: pytest.FixtureRequest) -> None:
    """One table is the source for both: they agree in every byte, and standard error is empty."""
    relay: Relay = request.getfixturevalue(form)
    by_relay = relay.call("VERSION", name=name)
    by_python = relay.call("VERSION", name=name, SPIDERCNI_RELAYED="1")
    assert by_python == by_relay
    assert (0, b"") == (by_relay.status, by_relay.stderr)
    assert list(NAMES[name]) == json.loads(by_relay.stdout)["supportedVersions"]


@pytest.mark.parametrize("case", ODD)
def test_an_odd_environment(frozen: Relay, case: str) -> None:
    """Whatever else is in the environment does not matter."""
    assert frozen.call("VERSION") == frozen.call("VERSION", **ODD[case])


def test_nobody_is_asked(frozen: Relay, serve: Serve) -> None:
    """VERSION does not depend on an agent."""
    agent = serve(wait)
    assert 0 == frozen.call("VERSION").status
    assert 0 == agent.finish().calls


def test_stdin_is_not_read(frozen: Relay) -> None:
    """A runtime may leave standard input open."""
    with frozen.start("VERSION") as call:
        assert 0 == call.wait(30)
        assert call.stdin is not None


@pytest.mark.parametrize("form", ["alone", "frozen", "one_file"])
def test_a_full_disk(form: str, request: pytest.FixtureRequest) -> None:
    """An answer that cannot be written is status 1, with the reason."""
    outcome = request.getfixturevalue(form).shell(">/dev/full", "VERSION")
    assert 1 == outcome.status
    assert b"spiderpool: the answer cannot be written: No space left on device\n" == outcome.stderr


def test_a_reader_that_is_gone(frozen: Relay) -> None:
    """A closed pipe is status 1 as any other error, not death by a signal."""
    command = 'CNI_COMMAND=VERSION; export CNI_COMMAND; (sleep 0.3; exec "$0"; ) | true; echo ${PIPESTATUS[0]}'
    done = subprocess.run(["bash", "-c", command, str(frozen.executable)], capture_output=True, text=True, check=False)
    assert "1" == done.stdout.strip()


def test_the_one_file_unpacks_nothing(one_file: Relay, tmp_path: Path) -> None:
    """VERSION is answered where the one file could not unpack itself."""
    command = 'mount -t tmpfs -o noexec none "$TMPDIR" && exec -a spiderpool "$0"'
    done = subprocess.run(
        ["unshare", "--mount", "bash", "-c", command, str(one_file.executable)],
        env={"CNI_COMMAND": "VERSION", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert 0 == done.returncode
    assert b"supportedVersions" in done.stdout

"""Where no agent can be reached, Python does the call at once; a stranger's socket is not an agent."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .agent import ANSWER, FakeAgent, frame, hear, listen, say, wait
from .conftest import Relay, Serve, fnv, of_python

NOBODY = 65534


def nothing(path: Path) -> None:
    """Leave nothing there."""


def stale(path: Path) -> None:
    """Leave what a killed agent leaves: a socket that nobody listens at."""
    listen(path).close()


MISSING = {
    "no socket": (nothing, "no-socket"),
    "no folder": (lambda path: path.parent.rmdir(), "no-socket"),
    "a socket that a killed agent left": (stale, "refused"),
    "a file that is no socket": (lambda path: path.touch(), "refused"),
    "a folder": (lambda path: path.mkdir(), "refused"),
}


@pytest.mark.parametrize("case", MISSING)
def test_no_agent(alone: Relay, frozen: Relay, config: bytes, tmp_path: Path, case: str) -> None:
    """INV-RELAY-4: the call is handed over with its reason at once, with all of standard input."""
    make, reason = MISSING[case]
    path = tmp_path / "run" / "agent.sock"
    path.parent.mkdir()
    make(path)
    began = time.monotonic()
    told = alone.call(stdin=config, SPIDERCNI_AGENT_SOCKET=str(path)).told
    assert time.monotonic() - began < 5
    assert reason == told["fallback"]
    assert (len(config), fnv(config)) == (int(told["size"]), int(told["sum"]))
    assert of_python(frozen.call(stdin=config, SPIDERCNI_AGENT_SOCKET=str(path)))


def test_switched_off(alone: Relay, serve: Serve) -> None:
    """An empty SPIDERCNI_AGENT_SOCKET means that there is no agent."""
    assert "off" == alone.call(SPIDERCNI_AGENT_SOCKET="").reason


def test_a_path_that_no_socket_can_have(alone: Relay) -> None:
    """A path longer than the kernel's limit is no agent, not a crash."""
    assert "no-socket" == alone.call(SPIDERCNI_AGENT_SOCKET="/tmp/" + "x" * 200).reason


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_another_kind_of_socket(alone: Relay, socket_path: Path, kind: int) -> None:
    """A socket of another kind is no agent."""
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(socket_path))
        assert "refused" == alone.call().reason


@pytest.fixture
def full(socket_path: Path) -> Iterator[None]:
    """An agent that accepts nobody, with as many relays before it as the kernel lets wait."""
    with ExitStack() as stack:
        stack.enter_context(listen(socket_path, backlog=1))
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            try:
                waiting.connect(str(socket_path))
            except BlockingIOError:
                break
        yield


def test_backlog_full(alone: Relay, frozen: Relay, config: bytes, full: None) -> None:
    """Where connect itself blocks, the deadline holds too."""
    began = time.monotonic()
    assert "timeout" == alone.call(SPIDERCNI_ACCEPT_MS="300").reason
    assert 0.3 <= time.monotonic() - began < 5
    assert of_python(frozen.call(stdin=config, SPIDERCNI_ACCEPT_MS="300"))


def test_the_deadline_without_an_override(alone: Relay, full: None) -> None:
    """An agent has about five seconds to accept: less would start many Pythons on a busy node."""
    began = time.monotonic()
    assert "timeout" == alone.call(SPIDERCNI_ACCEPT_MS="nonsense").reason
    assert 4.9 <= time.monotonic() - began < 8


def test_the_socket_of_another_user(alone: Relay, frozen: Relay, config: bytes, socket_path: Path) -> None:
    """INV-RELAY-6: who listens without being root is told nothing, and the call is done by Python."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(socket_path))
    os.seteuid(NOBODY)
    try:
        listener.listen(16)  # the kernel remembers who called this
    finally:
        os.seteuid(0)
    with FakeAgent(socket_path, [wait], listener=listener) as agent:
        assert "peer" == alone.call(stdin=config).reason
        assert of_python(frozen.call(stdin=config))
        agent.finish()
    assert 2 == agent.calls
    assert b"" == agent.rest


def test_a_caller_that_is_not_root(lone_relay: Path, socket_path: Path, environ: dict[str, str]) -> None:
    """INV-RELAY-6: only root can say where the agent is; another user's variable is not looked at."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        program = shutil.copy(lone_relay, folder / "spiderpool")
        path = folder / "agent.sock"
        with FakeAgent(path, [hear, say(frame(ANSWER, b"\0out"))]) as agent:
            path.chmod(0o777)
            variables = {**environ, "CNI_COMMAND": "ADD", "SPIDERCNI_AGENT_SOCKET": str(path)}
            done = subprocess.run([program], env=variables, user=NOBODY, input=b"{}", capture_output=True, check=False)
            assert 77 == done.returncode
            assert b"\nfallback off\n" not in done.stdout
            assert 0 == agent.calls
            # The same by root, to be sure that it would have been reached.
            done = subprocess.run([program], env=variables, input=b"{}", capture_output=True, check=False)
            assert (0, b"out") == (done.returncode, done.stdout)

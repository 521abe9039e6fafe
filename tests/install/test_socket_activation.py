"""The agent under a socket unit: started by the first call, gone when nobody calls, and no call is lost in between."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .socket_unit import SocketUnit, plugin_environ

# Less than this, and the test's own calls would be too slow for it.
IDLE_SECONDS = 1


@pytest.fixture(params=["folder_form", "file_form"])
def executable(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The executable in one of its forms, under the name of the IPAM plugin too."""
    form = request.getfixturevalue(request.param)
    found = form / "spidercni" if form.is_dir() else form
    (tmp_path / "spiderpool").symlink_to(found)
    return Path(found)


MakeUnit = Callable[..., SocketUnit]


@pytest.fixture
def unit(executable: Path, tmp_path: Path) -> Iterator[MakeUnit]:
    """Makes the socket unit of an agent with a state of its own."""
    made = []

    def make(*words: str) -> SocketUnit:
        state = {"SPIDERCNI_DATA_DIR": str(tmp_path / "store"), "SPIDERCNI_PENDING_DIR": str(tmp_path / "pending")}
        made.append(SocketUnit(tmp_path, [executable, "agent", *words], state))
        return made[-1].__enter__()

    yield make
    for each in made:
        each.__exit__()


def call(tmp_path: Path, container: str = "c", command: str = "ADD") -> subprocess.CompletedProcess[bytes]:
    """Call the IPAM plugin through its relay."""
    pool = {"name": "p", "subnet": "10.9.0.0/16", "ips": ["10.9.0.7-10.9.9.9"]}
    ipam = {"type": "spiderpool", "data_dir": str(tmp_path / "store"), "pools_dir": str(tmp_path), "pools": [pool]}
    return subprocess.run(
        [tmp_path / "spiderpool"],
        env=plugin_environ(container, command, tmp_path / "agent.sock"),
        input=json.dumps({"cniVersion": "1.0.0", "name": "n", "ipam": ipam}).encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )


def calls_answered(unit: SocketUnit) -> int:
    """Count the calls that the agent has answered, of all that were started."""
    lines = [json.loads(line) for line in unit.log.read_text().splitlines()]
    return sum(line["message"] == "call" and line["outcome"] == "answered" for line in lines)


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.01)


def test_the_first_call_starts_it(unit: MakeUnit, tmp_path: Path) -> None:
    """It does not run until somebody calls, and answers that very call; in the one-file form its child does."""
    agent = unit()
    time.sleep(0.3)
    assert 0 == agent.starts
    for number in range(3):
        done = call(tmp_path, f"c{number}")
        assert 0 == done.returncode, done.stdout
    assert 1 == agent.starts
    wait_until(lambda: 3 == calls_answered(agent))


def test_it_leaves_when_nobody_calls(unit: MakeUnit, tmp_path: Path) -> None:
    """After so many seconds it ends with status 0, and the next call starts it again."""
    agent = unit("--idle-exit", str(IDLE_SECONDS))
    for number in range(2):
        assert 0 == call(tmp_path, f"c{number}").returncode
        ended = time.monotonic()
        wait_until(lambda: not agent.runs())
        assert time.monotonic() - ended > IDLE_SECONDS - 0.2
        assert agent.path.is_socket()
    assert [0, 0] == agent.statuses
    assert 2 == calls_answered(agent)


def test_it_stays_without_the_option(unit: MakeUnit, tmp_path: Path) -> None:
    """Without --idle-exit it runs until it is told to stop."""
    agent = unit()
    assert 0 == call(tmp_path).returncode
    time.sleep(2 * IDLE_SECONDS)
    assert agent.runs()
    agent.stop()
    assert [0] == agent.statuses
    assert agent.path.is_socket()


def test_whoever_is_connected_keeps_it(unit: MakeUnit, tmp_path: Path) -> None:
    """A relay that takes its time is not left alone."""
    agent = unit("--idle-exit", str(IDLE_SECONDS))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as slow:
        slow.connect(str(agent.path))
        wait_until(agent.runs)
        time.sleep(3 * IDLE_SECONDS)
        assert agent.runs()
    wait_until(lambda: not agent.runs())


def test_no_call_is_lost_while_it_leaves(unit: MakeUnit, tmp_path: Path) -> None:
    """INV-IDLE-1: called around the moment at which it leaves, every call is answered by an agent, this or the next."""
    agent = unit("--idle-exit", "0.1")
    for number in range(25):
        done = call(tmp_path, f"c{number}")
        assert 0 == done.returncode, done.stdout
        time.sleep(0.09 + 0.001 * (number % 21))
    assert agent.starts > 1, "it never left: the test shows nothing"
    wait_until(lambda: 25 == calls_answered(agent))


def test_killed_it_comes_back(unit: MakeUnit, tmp_path: Path) -> None:
    """A crash costs nothing but the start of the next one."""
    agent = unit()
    assert 0 == call(tmp_path, "c1").returncode
    wait_until(lambda: 1 == calls_answered(agent))
    agent.stop(signal.SIGKILL)
    assert 0 == call(tmp_path, "c2").returncode
    wait_until(lambda: 2 == calls_answered(agent))
    assert 2 == agent.starts


def test_settings_are_read_again(unit: MakeUnit, tmp_path: Path) -> None:
    """`systemctl reload` sends SIGHUP to the process that systemd knows; the agent gets it in both forms."""
    agent = unit()
    assert 0 == call(tmp_path).returncode
    assert agent._service is not None
    agent._service.send_signal(signal.SIGHUP)
    wait_until(lambda: "settings read again" in agent.log.read_text())
    assert agent.runs()


def agent_by_hand(executable: Path, tmp_path: Path) -> subprocess.Popen[str]:
    """Start an agent without systemd."""
    return subprocess.Popen(
        [executable, "agent", "--socket", tmp_path / "agent.sock", "--idle-exit", "0.1"],
        env={"PATH": "/usr/bin:/bin", "SPIDERCNI_DATA_DIR": str(tmp_path / "store")},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_by_hand_it_does_not_take_the_socket(unit: MakeUnit, executable: Path, tmp_path: Path) -> None:
    """An agent that somebody starts beside the socket unit is refused, and the unit goes on."""
    agent = unit()
    by_hand = agent_by_hand(executable, tmp_path)
    _, error = by_hand.communicate(timeout=30)
    assert 3 == by_hand.returncode, error
    assert "somebody listens at" in error
    assert 0 == call(tmp_path).returncode
    wait_until(lambda: 1 == calls_answered(agent))


def test_by_hand_it_stays(executable: Path, tmp_path: Path) -> None:
    """Where nobody would start it again it ignores --idle-exit and says so."""
    with agent_by_hand(executable, tmp_path) as by_hand:
        try:
            assert by_hand.stderr is not None
            assert "only systemd's socket would bring it back" in by_hand.stderr.readline()
            time.sleep(1)
            assert by_hand.poll() is None
        finally:
            by_hand.terminate()
            by_hand.communicate(timeout=30)
    assert 0 == by_hand.returncode


@pytest.mark.parametrize("count", ["1", "2"])
def test_what_is_no_socket_is_refused(executable: Path, count: str, tmp_path: Path) -> None:
    """A unit with two sockets, or with one that does not listen, is refused with the reason."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    script = f'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS={count} exec "$@"'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", executable, "agent"],
        env={"PATH": "/usr/bin:/bin", "SPIDERCNI_DATA_DIR": str(tmp_path / "store")},
        stdin=ours,
        capture_output=True,
        timeout=30,
        check=False,
    )
    theirs.close()
    ours.close()
    assert 3 == done.returncode, done.stderr
    assert b"not one listening Unix socket" in done.stderr

"""Standard input: read to its end, sent as it came, and handed on as it was."""

import os
import socket
import time
from pathlib import Path

import pytest

from .agent import ACCEPTED, ANSWER, DECLINED, FakeAgent, frame, hear, say
from .conftest import Relay, Serve, fnv, of_python

LIMIT = 64 << 20
PIECE = 1 << 16


@pytest.fixture
def agent(serve: Serve) -> FakeAgent:
    """An agent that answers at once."""
    return serve(hear, say(frame(ANSWER, b"\0")))


def stdin_of(agent: FakeAgent) -> bytes:
    """Return the standard input that the one request of an agent had."""
    ((_, payload),) = agent.finish().frames
    return payload.split(b"\0\0", 1)[1]


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 2 << 20])
def test_sizes(alone: Relay, agent: FakeAgent, size: int) -> None:
    """All of it arrives, on both sides of the relay's own buffer."""
    stdin = os.urandom(size)
    assert 0 == alone.call("ADD", stdin).status
    assert stdin == stdin_of(agent)


def test_two_megabytes_in_the_executable(frozen: Relay, agent: FakeAgent) -> None:
    """A network configuration of 2 MB goes through."""
    stdin = os.urandom(2_000_000)
    assert 0 == frozen.call("ADD", stdin).status
    assert stdin == stdin_of(agent)


@pytest.mark.parametrize("form", ["frozen", "one_file"])
def test_two_megabytes_to_python(form: str, serve: Serve, config: bytes, request: pytest.FixtureRequest) -> None:
    """INV-RELAY-4: after the relay has read it all, Python still gets it, in both forms."""
    relay: Relay = request.getfixturevalue(form)
    serve(hear, say(frame(DECLINED)))
    assert of_python(relay.call("ADD", config + b" " * 2_000_000, PATH=os.environ["PATH"]))


def test_the_limit(alone: Relay, agent: FakeAgent) -> None:
    """As much as Python takes is sent."""
    stdin = bytes(LIMIT)
    assert 0 == alone.call("ADD", stdin, SPIDERCNI_ACCEPT_MS="60000").status
    assert stdin == stdin_of(agent)


def test_one_byte_more(alone: Relay, frozen: Relay, agent: FakeAgent) -> None:
    """INV-RELAY-5: a byte more is not sent; Python gets enough to refuse it, with code 5."""
    told = alone.call("ADD", bytes(LIMIT + 1)).told
    assert ("too-large", str(LIMIT + 1)) == (told["fallback"], told["size"])
    assert b'"code": 5' in frozen.call("ADD", bytes(LIMIT + 1)).stdout
    assert [] == agent.finish().frames


def test_without_end(alone: Relay, agent: FakeAgent) -> None:
    """Input that never ends is cut off one byte after the limit."""
    told = alone.shell("</dev/zero").told
    assert ("too-large", str(LIMIT + 1)) == (told["fallback"], told["size"])


def test_piece_by_piece(alone: Relay, agent: FakeAgent) -> None:
    """A runtime may write slowly."""
    call = alone.start("ADD")
    assert call.stdin is not None
    for piece in (b"{", b'"a"', b": 1", b"}"):
        call.stdin.write(piece)
        call.stdin.flush()
        time.sleep(0.05)
    call.communicate(timeout=30)
    assert b'{"a": 1}' == stdin_of(agent)


def test_a_pipe_that_does_not_block(alone: Relay, agent: FakeAgent) -> None:
    """An input that has nothing yet is waited for, not taken for its end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with alone.start("ADD", stdin=reader) as call:
        os.close(reader)
        time.sleep(0.2)
        os.write(writer, b"{}")
        time.sleep(0.2)
        os.close(writer)
    assert 0 == call.returncode
    assert b"{}" == stdin_of(agent)


def test_a_file(alone: Relay, agent: FakeAgent, tmp_path: Path) -> None:
    """A file is read from where its offset is."""
    (tmp_path / "config").write_bytes(b"skipped{}")
    with (tmp_path / "config").open("rb", buffering=0) as file, alone.start("ADD", stdin=file.fileno()) as call:
        file.seek(7)
        call.wait(30)
    assert b"{}" == stdin_of(agent)


def test_what_cannot_be_read(alone: Relay, frozen: Relay, agent: FakeAgent, tmp_path: Path) -> None:
    """INV-RELAY-4: Python cannot read it either, and says code 5."""
    for redirection in (f"<{tmp_path}", "0>/dev/null"):
        told = alone.shell(redirection).told
        assert ("stdin", "unreadable") == (told["fallback"], told["stdin"])
        assert b'"code": 5' in frozen.shell(redirection).stdout
    assert [] == agent.finish().frames


def test_nothing_is_read_where_there_is_no_agent(alone: Relay, socket_path: Path) -> None:
    """Without an agent Python gets the runtime's own pipe: the relay has cost next to nothing."""
    call = alone.start("ADD")
    time.sleep(0.2)
    assert Path(f"/proc/{call.pid}/fd/0").readlink().name.startswith("pipe:")
    stdout, _ = call.communicate(b"abc", timeout=30)
    assert f"size 3\nsum {fnv(b'abc')}\n".encode() in stdout


def test_memory_that_may_not_be_executed(alone: Relay, serve: Serve) -> None:
    """The copy of standard input is sealed against execution: vm.memfd_noexec=2 refuses any other."""
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (6, 3):
        pytest.skip("MFD_NOEXEC_SEAL came with Linux 6.3")

    modes = []

    def look(agent: FakeAgent, relay: socket.socket) -> None:
        folder = Path(f"/proc/{call.pid}/fd")
        modes.extend(each.stat().st_mode & 0o777 for each in folder.iterdir() if "memfd:" in str(each.readlink()))

    serve(hear, look, say(frame(ACCEPTED)), hear, say(frame(ANSWER, b"\0")))
    call = alone.start("ADD")
    call.communicate(b"{}", timeout=30)
    assert [0o666] == modes

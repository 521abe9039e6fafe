"""The agent's socket: whose it is, and that nobody is accepted and dropped."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from spidercni.agent.idle import Idle
from spidercni.agent.listener import Listener, open_listener
from spidercni.errors import StoreUnavailable


def connected(path: Path) -> socket.socket:
    """Return a relay's end."""
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    raw.connect(str(path))
    return raw


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the agent listens."""
    return tmp_path / "run" / "agent.sock"


@pytest.fixture
def listener(path: Path) -> Iterator[Listener]:
    """A listener that waits for nobody."""
    listener = open_listener(str(path))
    listener.socket.setblocking(False)
    yield listener
    listener.close()


@pytest.fixture
def theirs(path: Path) -> Iterator[socket.socket]:
    """Somebody else's socket at that path, who knows nothing of our lock."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as raw:
        raw.bind(str(path))
        raw.listen(0)
        yield raw


def test_who_listens_keeps_the_name(path, theirs):
    """A socket that systemd holds for the agent is not replaced, however many wait at it."""
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="somebody listens"):
            open_listener(str(path))
    queue = []
    while len(queue) < 20:
        waiting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        waiting.setblocking(False)
        queue.append(waiting)
        if waiting.connect_ex(str(path)) != 0:
            break
    with pytest.raises(StoreUnavailable, match="somebody listens"):
        open_listener(str(path))
    for waiting in queue:
        waiting.close()


def test_a_dead_one_is_replaced(path, theirs):
    """A socket that nobody listens at any more is replaced."""
    theirs.close()
    open_listener(str(path)).close()
    assert not path.exists()


def test_a_name_that_was_taken_is_left(path, listener):
    """Whoever has taken the name since, systemd for one, keeps it when the agent stops."""
    path.unlink()
    path.write_text("theirs")
    listener.withdraw()
    assert "theirs" == path.read_text()


def test_cancelled_it_has_accepted_none(path, listener):
    """Whenever accepting is cancelled, who comes at that moment stays in the queue."""

    async def cancel_after(steps: int) -> bool:
        accepting = asyncio.create_task(listener.accept())
        await asyncio.sleep(0)
        with connected(path) as relay:
            for _ in range(steps):
                await asyncio.sleep(0)
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            raw = await listener.accept() if accepting.cancelled() else accepting.result()
            with raw:
                raw.setblocking(True)
                raw.sendall(b"hello")
            assert b"hello" == relay.recv(10)
        return accepting.cancelled()

    assert {True, False} == {asyncio.run(cancel_after(steps)) for steps in range(8)}


def test_it_does_not_leave_whom_it_has_accepted(path, listener):
    """INV-IDLE-1: from the moment a relay is accepted the time begins anew, though its call has not begun yet."""

    async def leave() -> bool:
        idle = Idle(listener, 0.05)
        accepting = asyncio.create_task(asyncio.sleep(60))
        leaving = asyncio.create_task(idle.leave(accepting))
        with connected(path):
            await asyncio.sleep(0.03)
            (await listener.accept()).close()
        await asyncio.sleep(0.03)
        left_early = accepting.cancelling() > 0
        await leaving
        return left_early

    assert not asyncio.run(leave())


def test_what_is_left_to_do_holds_it(listener):
    """It does not leave while notes wait for their store."""

    async def leave() -> bool:
        idle = Idle(listener, 0.02)
        idle.held = True
        accepting = asyncio.create_task(asyncio.sleep(60))
        leaving = asyncio.create_task(idle.leave(accepting))
        await asyncio.sleep(0.1)
        held = not accepting.cancelling()
        idle.held = False
        await leaving
        return held

    assert asyncio.run(leave())


def test_variables_for_another_process_are_not_ours(path, monkeypatch):
    """LISTEN_PID of another process, left in the environment, means nothing."""
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    listener = open_listener(str(path))
    assert not listener.of_systemd
    listener.close()

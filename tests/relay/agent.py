"""A fake agent that does what a script says: right, wrong, slowly or not at all. It speaks in bytes."""

from __future__ import annotations

import array
import os
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

REQUEST, ACCEPTED, DECLINED, GO, ANSWER, UNDELIVERED = range(1, 7)


def frame(kind: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return b"spd1" + bytes([kind, 0, 0, 0]) + struct.pack(">I", len(payload)) + payload


class FakeAgent:
    """Serves one relay after the other by the same script. Use as a context."""

    def __init__(self, path: Path, script: Sequence[Step], *, listener: socket.socket | None = None) -> None:
        self.script = script
        self.calls = 0
        self.frames: list[tuple[int, bytes]] = []
        self.descriptors: list[int] = []
        self.rest = b""
        self.over = threading.Event()
        self._listener = listener or listen(path)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FakeAgent:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
        self._listener.close()
        for descriptor in self.descriptors:
            os.close(descriptor)

    def finish(self) -> FakeAgent:
        """Take no more relays, and wait until the script for the last one is over."""
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self

    def hear(self, relay: socket.socket) -> None:
        """Receive one frame, and descriptors with it."""
        header = self._exactly(relay, 12)
        assert header[:4] == b"spd1"
        assert header[5:8] == b"\0\0\0"
        self.frames.append((header[4], self._exactly(relay, struct.unpack(">I", header[8:])[0])))

    def _exactly(self, relay: socket.socket, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            space = socket.CMSG_SPACE(4 * array.array("i").itemsize)
            more, ancillary, _flags, _address = relay.recvmsg(min(size - len(data), 1 << 20), space)
            for level, kind, payload in ancillary:
                assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                self.descriptors.extend(array.array("i", payload))
            if not more:
                raise EOFError
            data += more
        return bytes(data)

    def _serve(self) -> None:
        while not self.over.is_set():
            try:
                relay, _ = self._listener.accept()
            except OSError:
                return
            self.calls += 1
            with relay:
                try:
                    for step in self.script:
                        step(self, relay)
                except (OSError, EOFError):
                    continue  # the relay left; what was heard tells


# One thing that an agent does with a relay.
Step = Callable[[FakeAgent, socket.socket], None]


def say(data: bytes, *, one_by_one: bool = False) -> Step:
    """Send bytes, all at once or one by one."""

    def step(agent: FakeAgent, relay: socket.socket) -> None:
        for piece in [data[at : at + 1] for at in range(len(data))] if one_by_one else [data]:
            relay.sendall(piece)

    return step


def hear(agent: FakeAgent, relay: socket.socket) -> None:
    """Receive one frame and keep it."""
    agent.hear(relay)


def wait(agent: FakeAgent, relay: socket.socket) -> None:
    """Do nothing until the relay has left; what it still says is kept."""
    while data := relay.recv(1 << 16):
        agent.rest += data


def wait_deaf(agent: FakeAgent, relay: socket.socket) -> None:
    """Do nothing until the test is over, and do not read."""
    agent.over.wait(30)


def deafen(agent: FakeAgent, relay: socket.socket) -> None:
    """Let whatever the relay says from now on fail."""
    relay.shutdown(socket.SHUT_RD)


def listen(path: Path, backlog: int = 16) -> socket.socket:
    """Return a listening socket at a path."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(backlog)
    return listener

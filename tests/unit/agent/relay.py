"""The relay's side of the protocol in Python, step by step, so that a test can leave or lie at every one."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from spidercni.agent.wire import Decoder, Frame, Kind, RelayedCall, decode_answer, encode, encode_call

ENVIRON = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/run/netns/none", "CNI_IFNAME": "eth0"}


class Relay:
    """A blocking client with a time-out of 10 s for every step."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self._decoder = Decoder()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Close the connection."""
        self.socket.close()

    def request(self, config: object, name: str = "spiderpool", netns: str = "", **environ: str) -> None:
        """Send a REQUEST, with the netns as a descriptor where one is given."""
        stdin = config if isinstance(config, bytes) else json.dumps(config).encode()
        payload = encode_call(RelayedCall(name, ENVIRON | environ, stdin))
        data = encode(Frame(Kind.REQUEST, payload))
        descriptors = [os.open(netns, os.O_RDONLY)] if netns else []
        sent = socket.send_fds(self.socket, [data], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        self.socket.sendall(data[sent:])

    def send(self, kind: Kind) -> None:
        """Send a frame without payload."""
        self.socket.sendall(encode(Frame(kind)))

    def receive(self) -> Frame | None:
        """Return the next frame, or None when the agent has left."""
        while (frame := self._decoder.next_frame()) is None:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._decoder.feed(data)
        return frame

    def answer(self) -> tuple[int, dict | None]:
        """Return exit status and document of the ANSWER."""
        frame = self.receive()
        assert frame is not None, "the agent left without an answer"
        assert frame.kind == Kind.ANSWER
        status, stdout = decode_answer(frame.payload)
        return status, json.loads(stdout) if stdout else None

    def go(self) -> None:
        """Take the agent's word and say go."""
        frame = self.receive()
        assert frame == Frame(Kind.ACCEPTED)
        self.send(Kind.GO)


def call(path: Path, config: object, **environ: str) -> tuple[int, dict | None]:
    """Make one whole call."""
    with Relay(path) as relay:
        relay.request(config, **environ)
        relay.go()
        return relay.answer()

"""Frames between the relay (`native/relay.c`) and the agent. Pure.

    relay                               agent
    REQUEST + netns as a descriptor ──▶
                                    ◀── ACCEPTED "I will do it if you say go", or DECLINED, or an ANSWER at once
    GO                              ──▶           from here on the relay will not do it by itself
                                    ◀── ANSWER
    UNDELIVERED, if the answer could not be printed ──▶

Before GO either side may leave and nothing has happened: the relay then runs the plugin in its own process. That is
why there are two phases (INV-AGENT-1).

A frame is `spd1`, one byte for its kind, three zero bytes, the length of the payload in four bytes (big-endian), and
the payload.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

MAGIC = b"spd1"
HEADER_BYTES = 12
# Standard input of a plugin is 64 MiB at most (`cni.plugin`); names and variables come on top.
PAYLOAD_LIMIT_BYTES = (64 << 20) + (1 << 20)


class Kind(IntEnum):
    """What a frame is."""

    REQUEST = 1
    ACCEPTED = 2
    DECLINED = 3
    GO = 4
    ANSWER = 5
    UNDELIVERED = 6


class ProtocolError(Exception):
    """The other side does not speak as it must."""


class Frame(NamedTuple):
    """One message."""

    kind: Kind
    payload: bytes = b""


class RelayedCall(NamedTuple):
    """What a relay hands over: the name it was called by, variables, standard input."""

    name: str
    environ: dict[str, str]
    stdin: bytes


def encode(frame: Frame) -> bytes:
    """Return the bytes of a frame."""
    return MAGIC + bytes([frame.kind, 0, 0, 0]) + len(frame.payload).to_bytes(4, "big") + frame.payload


class Decoder:
    """Collects bytes and gives frames. Holds no more than one frame may have and what follows it in one read."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        """Add bytes as they come."""
        self._buffer += data

    def next_frame(self) -> Frame | None:
        """Return the next whole frame, or None. Raises ProtocolError as soon as it is clear that there is none."""
        buffer = self._buffer
        if not MAGIC.startswith(bytes(buffer[:4])) and bytes(buffer[:4]) != MAGIC:
            raise ProtocolError(f"a frame begins with {bytes(buffer[:4])!r}")
        if len(buffer) < HEADER_BYTES:
            return None
        if any(buffer[5:8]) or buffer[4] not in Kind._value2member_map_:
            raise ProtocolError(f"unknown kind of frame {bytes(buffer[4:8])!r}")
        length = int.from_bytes(buffer[8:12], "big")
        if length > PAYLOAD_LIMIT_BYTES:
            raise ProtocolError(f"a frame of {length} bytes")
        end = HEADER_BYTES + length
        if len(buffer) < end:
            return None
        frame = Frame(Kind(buffer[4]), bytes(buffer[HEADER_BYTES:end]))
        del buffer[:end]
        return frame


def encode_call(call: RelayedCall) -> bytes:
    """Return the payload of a REQUEST."""
    strings = [call.name, *(f"{key}={value}" for key, value in call.environ.items()), ""]
    return b"".join(text.encode(errors="surrogateescape") + b"\0" for text in strings) + call.stdin


def decode_call(payload: bytes) -> RelayedCall:
    """Return what a REQUEST hands over. Raises ProtocolError."""
    strings: list[str] = []
    position = 0
    while True:
        end = payload.find(b"\0", position)
        if end < 0:
            raise ProtocolError("a request without an end of its variables")
        text = payload[position:end].decode(errors="surrogateescape")
        position = end + 1
        if not text:
            break
        strings.append(text)
    if not strings:
        raise ProtocolError("a request without a name")
    environ: dict[str, str] = {}
    for text in strings[1:]:
        key, equals, value = text.partition("=")
        if not equals:
            raise ProtocolError(f"a variable without a value: {text!r}")
        environ[key] = value
    return RelayedCall(strings[0], environ, payload[position:])


def encode_answer(status: int, stdout: bytes) -> bytes:
    """Return the payload of an ANSWER."""
    return bytes([status]) + stdout


def decode_answer(payload: bytes) -> tuple[int, bytes]:
    """Return exit status and bytes for stdout. Raises ProtocolError."""
    if not payload:
        raise ProtocolError("an answer without a status")
    return payload[0], payload[1:]

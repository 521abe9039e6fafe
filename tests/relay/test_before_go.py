"""Before GO, whatever an agent does but accept or answer makes Python do the call, with all that the runtime gave."""

import socket
import time

import pytest

from .agent import (
    ACCEPTED,
    ANSWER,
    DECLINED,
    GO,
    REQUEST,
    UNDELIVERED,
    FakeAgent,
    Step,
    deafen,
    frame,
    hear,
    say,
    wait,
    wait_deaf,
)
from .conftest import Relay, Serve, fnv, of_python

LIMIT = (64 << 20) + (1 << 20)
ACCEPT = frame(ACCEPTED)

# What the agent does, and the reason that the relay gives.
ROWS: dict[str, tuple[tuple[Step, ...], str]] = {
    "closes at once": ((), "closed"),
    "closes after the request": ((hear,), "closed"),
    "declines": ((hear, say(frame(DECLINED)), wait), "declined"),
    "declines byte by byte": ((hear, say(frame(DECLINED), one_by_one=True), wait), "declined"),
    "declines without reading": ((say(frame(DECLINED)), wait_deaf), "declined"),
    "says one byte of nonsense": ((hear, say(b"n"), wait), "protocol"),
    "speaks HTTP": ((hear, say(b"HTTP/1.1 400 Bad Request\r\n\r\n"), wait), "protocol"),
    "wrong magic in the last byte": ((hear, say(b"spd2" + ACCEPT[4:]), wait), "protocol"),
    "another byte order": ((hear, say(ACCEPT[3::-1] + ACCEPT[4:]), wait), "protocol"),
    "kind 0": ((hear, say(frame(0)), wait), "protocol"),
    "says REQUEST": ((hear, say(frame(REQUEST)), wait), "protocol"),
    "says GO": ((hear, say(frame(GO)), wait), "protocol"),
    "says UNDELIVERED": ((hear, say(frame(UNDELIVERED)), wait), "protocol"),
    "kind 255": ((hear, say(frame(255)), wait), "protocol"),
    "a byte that must be zero is not": ((hear, say(ACCEPT[:6] + b"\1" + ACCEPT[7:]), wait), "protocol"),
    "accepts with a payload": ((hear, say(frame(ACCEPTED, b"x")), wait), "protocol"),
    "declines with a payload": ((hear, say(frame(DECLINED, b"x")), wait), "protocol"),
    "accepts and says more": ((hear, say(ACCEPT + b"x"), wait), "protocol"),
    "accepts twice": ((hear, say(ACCEPT + ACCEPT), wait), "protocol"),
    "accepts and then declines": ((hear, say(ACCEPT + frame(DECLINED)), wait), "protocol"),
    "answers nothing": ((hear, say(frame(ANSWER)), wait), "protocol"),
    "answers more than the limit": ((hear, say(frame(ANSWER)[:8] + (LIMIT + 1).to_bytes(4)), wait), "protocol"),
    "answers 4 GiB": ((hear, say(frame(ANSWER)[:8] + b"\xff\xff\xff\xff"), wait), "protocol"),
    "half a header, then closes": ((hear, say(ACCEPT[:7])), "closed"),
    "a header but its last byte, then closes": ((hear, say(ACCEPT[:11])), "closed"),
    "half an answer, then closes": ((hear, say(frame(ANSWER, b"\0half")[:-1])), "closed"),
    "announces the limit, then closes": ((hear, say(frame(ANSWER)[:8] + LIMIT.to_bytes(4))), "closed"),
    "accepts and goes": ((hear, deafen, say(ACCEPT)), "closed"),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("verb", ["ADD", "DEL"])
def test_falls_back(alone: Relay, serve: Serve, row: str, verb: str) -> None:
    """INV-RELAY-1, INV-RELAY-4: the call is handed over with its reason, its arguments and all of standard input."""
    script, reason = ROWS[row]
    serve(*script)
    stdin = b'{"some": "configuration"}' * 40
    told = alone.call(verb, stdin).told
    assert reason == told.pop("fallback")
    assert {
        "stdin": "readable", "size": str(len(stdin)), "sum": str(fnv(stdin)), "argc": "1", "argv0": "spiderpool",
        "relayed": "1", "sigpipe": "default", "descriptors": "0 1 2",
    } == told  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_python_does_it(frozen: Relay, serve: Serve, row: str, config: bytes) -> None:
    """INV-RELAY-1: an ADD is done by the Python in the same executable, as if there were no agent."""
    agent = serve(*ROWS[row][0])
    assert of_python(frozen.call("ADD", config))
    assert 1 == agent.calls


SILENT: dict[str, tuple[Step, ...]] = {
    "hears and says nothing": (hear, wait),
    "accepts the connection and never reads": (wait_deaf,),
    "says a header but its last byte": (hear, say(ACCEPT[:11]), wait),
    "announces an answer that never comes": (hear, say(frame(ANSWER)[:8] + LIMIT.to_bytes(4)), wait),
}


@pytest.mark.parametrize("row", SILENT)
@pytest.mark.parametrize("size", [0, 2 << 20])
def test_silence(alone: Relay, serve: Serve, row: str, size: int) -> None:
    """INV-RELAY-5: an agent that does not accept in time is not waited for, however much there is to send."""
    serve(*SILENT[row])
    stdin = bytes(size)
    began = time.monotonic()
    told = alone.call("ADD", stdin, SPIDERCNI_ACCEPT_MS="300").told
    assert 0.3 <= time.monotonic() - began < 5
    assert "timeout" == told["fallback"]
    assert (size, fnv(stdin)) == (int(told["size"]), int(told["sum"]))


def test_a_slow_agent_is_waited_for_until_the_deadline_and_no_longer(alone: Relay, serve: Serve) -> None:
    """INV-RELAY-5: bytes that trickle in do not extend the deadline."""

    def trickle(agent: FakeAgent, relay: socket.socket) -> None:
        for byte in frame(ANSWER, bytes(1000)):
            relay.sendall(bytes([byte]))
            time.sleep(0.05)

    serve(hear, trickle)
    began = time.monotonic()
    assert "timeout" == alone.call(SPIDERCNI_ACCEPT_MS="500").reason
    assert 0.5 <= time.monotonic() - began < 5


def test_a_slow_runtime_does_not_use_up_the_deadline(alone: Relay, serve: Serve) -> None:
    """The time that a runtime takes to write the configuration is not the agent's."""
    serve(hear, say(frame(ANSWER, b"\0done")))
    call = alone.start(SPIDERCNI_ACCEPT_MS="400")
    assert call.stdin is not None
    call.stdin.write(b"{")
    call.stdin.flush()
    time.sleep(1)
    stdout, _ = call.communicate(b"}", timeout=30)
    assert (0, b"done") == (call.returncode, stdout)


def test_accepting_what_it_has_not_read(alone: Relay, serve: Serve) -> None:
    """An agent that accepts a request before all of it was sent is not one of ours."""
    serve(say(ACCEPT), wait_deaf)
    assert "protocol" == alone.call("ADD", bytes(2 << 20)).reason

"""After GO the agent is the one who does it: an ADD is never done again, the other verbs may be."""

import json
import socket
import time
from pathlib import Path

import pytest

from .agent import ACCEPTED, ANSWER, DECLINED, GO, FakeAgent, Step, deafen, frame, hear, say, wait
from .conftest import Relay, Serve, fnv, of_python

ACCEPT = (hear, say(frame(ACCEPTED)), hear)
LIMIT = (64 << 20) + (1 << 20)
REPEATABLE = ("DEL", "GC", "CHECK", "STATUS")

ROWS: dict[str, tuple[Step, ...]] = {
    "closes": (),
    "says nonsense": (say(b"x"), wait),
    "accepts again": (say(frame(ACCEPTED)), wait),
    "declines": (say(frame(DECLINED)), wait),
    "answers nothing": (say(frame(ANSWER)), wait),
    "answers more than the limit": (say(frame(ANSWER)[:8] + (LIMIT + 1).to_bytes(4)), wait),
    "half a header": (say(frame(ANSWER)[:7]),),
    "half an answer": (say(frame(ANSWER, b"\0" + b"x" * 100000)[:-1]),),
    "announces the limit": (say(frame(ANSWER)[:8] + LIMIT.to_bytes(4)),),
}


def after_go(row: str) -> tuple[Step, ...]:
    """Return the script of an agent that accepts, hears GO, and then does what the row says."""
    return (*ACCEPT, *ROWS[row])


@pytest.mark.parametrize("row", ROWS)
def test_add_is_not_repeated(alone: Relay, serve: Serve, row: str) -> None:
    """INV-RELAY-2, INV-RELAY-3: an ADD that the agent has begun ends in one error document with code 11."""
    agent = serve(*after_go(row))
    outcome = alone.call("ADD")
    assert 1 == outcome.status
    assert {
        "code": 11,
        "msg": "the agent of spidercni died while it served ADD",
        "details": "the runtime sends DEL and tries again",
    } == json.loads(outcome.stdout)
    assert [GO] == [kind for kind, _ in agent.finish().frames[1:]]


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("verb", REPEATABLE)
def test_others_are_done_by_python(alone: Relay, serve: Serve, row: str, verb: str) -> None:
    """A verb that may be done twice is handed over, with all of standard input."""
    serve(*after_go(row))
    stdin = b"{}" * 5000
    told = alone.call(verb, stdin).told
    assert "lost" == told["fallback"]
    assert (len(stdin), fnv(stdin)) == (int(told["size"]), int(told["sum"]))
    assert "0 1 2" == told["descriptors"]


@pytest.mark.parametrize("row", ["closes", "half an answer"])
def test_add_in_the_executable(frozen: Relay, serve: Serve, row: str, config: bytes, tmp_path: Path) -> None:
    """INV-RELAY-2: Python is not reached, so that nothing is allocated a second time."""
    serve(*after_go(row))
    assert 11 == json.loads(frozen.call("ADD", config).stdout)["code"]
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("row", ["closes", "half an answer"])
def test_del_in_the_executable(frozen: Relay, serve: Serve, row: str, config: bytes) -> None:
    """A DEL whose agent died gives the address back all the same."""
    assert of_python(frozen.call("ADD", config, SPIDERCNI_AGENT_SOCKET=""))
    serve(*after_go(row))
    done = frozen.call("DEL", config)
    assert (0, b"") == (done.status, done.stdout)
    other = frozen.call("ADD", config, SPIDERCNI_AGENT_SOCKET="", CNI_CONTAINERID="c2")
    assert of_python(other)


def test_gone_between_accepting_and_go(alone: Relay, serve: Serve) -> None:
    """INV-RELAY-1: a GO that could not be sent is none: also an ADD is handed over."""
    serve(hear, deafen, say(frame(ACCEPTED)), wait)
    assert "closed" == alone.call("ADD").reason


def test_there_is_no_deadline(alone: Relay, serve: Serve) -> None:
    """A call may take its time: the agent, not the relay, knows how long."""

    def work(agent: FakeAgent, relay: socket.socket) -> None:
        time.sleep(1)

    serve(*ACCEPT, work, say(frame(ANSWER, b"\0done")))
    outcome = alone.call("ADD", SPIDERCNI_ACCEPT_MS="300")
    assert (0, b"done") == (outcome.status, outcome.stdout)

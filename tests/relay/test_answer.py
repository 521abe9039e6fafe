"""What an agent answers is what the runtime gets, all of it or nothing."""

import os
import time

import pytest

from .agent import ACCEPTED, ANSWER, GO, UNDELIVERED, Step, frame, hear, say, wait, wait_deaf
from .conftest import Relay, Serve

ACCEPT = (hear, say(frame(ACCEPTED)), hear)

ANSWERS = {
    "a success": (0, b'{"ips": []}\n'),
    "a success without output": (0, b""),
    "an error": (1, b'{"code": 7}\n'),
    "status 255": (255, b"x"),
    "bytes that are no text": (0, bytes(range(256))),
    "2 MiB": (0, b"0123456789abcdef" * (2 << 16)),
}


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("verb", ["ADD", "DEL", "NONSENSE"])
def test_status_and_output(alone: Relay, serve: Serve, case: str, verb: str) -> None:
    """Exit status and standard output are the agent's, whatever the verb; standard error is empty."""
    status, body = ANSWERS[case]
    agent = serve(*ACCEPT, say(frame(ANSWER, bytes([status]) + body)), wait)
    outcome = alone.call(verb)
    assert (status, body, b"") == (outcome.status, outcome.stdout, outcome.stderr)
    assert [1, GO] == [kind for kind, _ in agent.finish().frames]
    assert b"" == agent.rest


@pytest.mark.parametrize("form", ["frozen", "one_file"])
def test_in_the_executable(form: str, serve: Serve, request: pytest.FixtureRequest) -> None:
    """Both forms of the executable have the relay."""
    relay: Relay = request.getfixturevalue(form)
    serve(*ACCEPT, say(frame(ANSWER, b"\0by the agent")))
    outcome = relay.call("ADD")
    assert (0, b"by the agent", b"") == (outcome.status, outcome.stdout, outcome.stderr)


def test_byte_by_byte(alone: Relay, serve: Serve) -> None:
    """An agent may say everything one byte at a time."""
    serve(
        hear, say(frame(ACCEPTED), one_by_one=True), hear, say(frame(ANSWER, b"\2" + b"slow" * 50), one_by_one=True)
    )  # fmt: skip
    outcome = alone.call("ADD")
    assert (2, b"slow" * 50) == (outcome.status, outcome.stdout)


def test_an_answer_instead_of_accepting(alone: Relay, serve: Serve) -> None:
    """An agent that has too many calls says so at once; that is final, and there is no GO."""
    agent = serve(hear, say(frame(ANSWER, b'\1{"code": 11}')), wait)
    outcome = alone.call("ADD")
    assert (1, b'{"code": 11}') == (outcome.status, outcome.stdout)
    assert 1 == len(agent.finish().frames)


@pytest.mark.parametrize("then", [(), (wait_deaf,)])
def test_an_answer_before_the_request_was_read(alone: Relay, serve: Serve, then: tuple[Step, ...]) -> None:
    """It counts too, whether the agent closes then, which resets the connection, or not."""
    serve(say(frame(ANSWER, b'\1{"code": 11}')), *then)
    outcome = alone.call("ADD", bytes(2 << 20))
    assert (1, b'{"code": 11}') == (outcome.status, outcome.stdout)


def test_what_follows_an_answer_is_not_looked_at(alone: Relay, serve: Serve) -> None:
    """An answer that is there is not thrown away."""
    serve(*ACCEPT, say(frame(ANSWER, b"\0done") + b"x"), wait)
    outcome = alone.call("ADD")
    assert (0, b"done") == (outcome.status, outcome.stdout)


@pytest.mark.parametrize("form", ["alone", "frozen"])
def test_output_that_cannot_be_written(form: str, serve: Serve, request: pytest.FixtureRequest) -> None:
    """INV-RELAY-3: the runtime sees a failure, and the agent hears that nobody was given the address."""
    relay: Relay = request.getfixturevalue(form)
    agent = serve(*ACCEPT, say(frame(ANSWER, b"\0done")), wait)
    outcome = relay.shell(">/dev/full")
    assert 1 == outcome.status
    assert b"spiderpool: the answer cannot be written: No space left on device\n" == outcome.stderr
    assert frame(UNDELIVERED) == agent.finish().rest


def test_a_reader_that_is_gone(alone: Relay, serve: Serve) -> None:
    """INV-RELAY-3: a closed pipe is status 1 as any other error, not death by a signal."""
    agent = serve(*ACCEPT, say(frame(ANSWER, b"\0done")), wait)
    call = alone.start("ADD")
    assert call.stdout is not None
    assert call.stdin is not None
    call.stdout.close()
    call.stdin.close()
    assert 1 == call.wait(30)
    assert call.stderr is not None
    with call.stderr as stderr:
        assert b"Broken pipe" in stderr.read()
    assert frame(UNDELIVERED) == agent.finish().rest


def test_a_pipe_that_does_not_block(alone: Relay, serve: Serve) -> None:
    """A runtime may have made its pipes non-blocking: the relay waits for room."""
    body = bytes(1 << 20)
    serve(*ACCEPT, say(frame(ANSWER, b"\0" + body)))
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with alone.start("ADD", stdout=writer) as call, open(reader, "rb") as output:
        os.close(writer)
        assert call.stdin is not None
        call.stdin.close()
        time.sleep(0.2)  # the pipe gets full
        assert body == output.read()
    assert 0 == call.returncode

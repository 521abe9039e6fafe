"""Streams that a caller has closed: nothing of ours takes their numbers, and no success without an answer."""

import json
from pathlib import Path

import pytest

from .agent import ACCEPTED, ANSWER, frame, hear, say
from .conftest import Relay, Serve

SERVED = (hear, say(frame(ACCEPTED)), hear, say(frame(ANSWER, b"\0done")))


@pytest.mark.parametrize("form", ["alone", "frozen", "one_file"])
@pytest.mark.parametrize("redirections", [">&-", ">&- <&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("verb", ["ADD", "VERSION"])
def test_closed_stdout(form: str, redirections: str, verb: str, serve: Serve, request: pytest.FixtureRequest) -> None:
    """Nobody could be told of an address: status 1, and nothing is begun."""
    relay: Relay = request.getfixturevalue(form)
    agent = serve(*SERVED)
    outcome = relay.shell(redirections, verb)
    assert (1, b"") == (outcome.status, outcome.stdout)
    if "2>&-" not in redirections:
        assert b"spiderpool: the answer cannot be written: Bad file descriptor\n" == outcome.stderr
    assert 0 == agent.finish().calls


@pytest.mark.parametrize("form", ["alone", "frozen", "one_file"])
def test_closed_stderr(form: str, serve: Serve, request: pytest.FixtureRequest) -> None:
    """The call goes through; the socket has not become descriptor 2, where messages go."""
    relay: Relay = request.getfixturevalue(form)
    serve(*SERVED)
    outcome = relay.shell("2>&-")
    assert (0, b"done") == (outcome.status, outcome.stdout)


@pytest.mark.parametrize("redirections", ["<&-", "<&- 2>&-"])
def test_closed_stdin(alone: Relay, frozen: Relay, serve: Serve, redirections: str) -> None:
    """There is no configuration: Python says code 5, as it would without a relay."""
    agent = serve(*SERVED)
    told = alone.shell(redirections).told
    assert ("stdin", "unreadable", "0 1 2") == (told["fallback"], told["stdin"], told["descriptors"])
    outcome = frozen.shell(redirections)
    assert 1 == outcome.status
    assert 5 == json.loads(outcome.stdout)["code"]
    assert [] == agent.finish().frames


@pytest.mark.parametrize("redirections", ["<&-", "2>&-", "<&- 2>&-"])
def test_version_does_not_care(frozen: Relay, redirections: str) -> None:
    """VERSION needs nothing but standard output."""
    outcome = frozen.shell(redirections, "VERSION")
    assert 0 == outcome.status
    assert "supportedVersions" in json.loads(outcome.stdout)


def test_closed_stderr_and_a_fallback(alone: Relay, socket_path: Path) -> None:
    """Python finds three open descriptors and no others."""
    outcome = alone.shell("2>&-")
    assert ("no-socket", "0 1 2") == (outcome.told["fallback"], outcome.told["descriptors"])

"""What the relay tells an agent: a name, some variables, standard input, the container's network namespace."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from spidercni.agent.wire import Decoder, Kind, decode_call

from .agent import ANSWER, REQUEST, FakeAgent, frame, hear, say
from .conftest import Relay, Serve

NAMES = ("spiderpool", "coordinator", "ifacer")

ANSWERED = (hear, say(frame(ANSWER, b"\0")))


@pytest.fixture
def agent(serve: Serve) -> FakeAgent:
    """An agent that answers at once."""
    return serve(*ANSWERED)


def heard(agent: FakeAgent) -> tuple[list[bytes], bytes]:
    """Return the strings of the one request that an agent has heard, and standard input."""
    ((kind, payload),) = agent.finish().frames
    assert REQUEST == kind
    strings, stdin = payload.split(b"\0\0", 1)
    return strings.split(b"\0"), stdin


def test_the_bytes(alone: Relay, agent: FakeAgent) -> None:
    """A request is the name, the variables of the call, an empty string, and standard input as it came."""
    alone.call("ADD", b'{"a": 1}\0\0\xff')
    ((kind, payload),) = agent.finish().frames
    assert REQUEST == kind
    assert (
        b"spiderpool\0CNI_COMMAND=ADD\0CNI_CONTAINERID=c1\0CNI_NETNS=/not/there\0CNI_IFNAME=eth0\0"
        b'\0{"a": 1}\0\0\xff' == payload
    )


def test_the_agent_understands(alone: Relay, agent: FakeAgent) -> None:
    """C and Python have the same idea of a request."""
    alone.call("ADD", b"{}", CNI_ARGS="K8S_POD_NAME=x;A=B", CNI_PATH="")
    ((_, payload),) = agent.finish().frames
    decoder = Decoder()
    decoder.feed(frame(REQUEST, payload))
    understood = decoder.next_frame()
    assert understood is not None
    assert Kind.REQUEST == understood.kind
    call = decode_call(understood.payload)
    assert ("spiderpool", b"{}") == (call.name, call.stdin)
    assert {
        "CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_NETNS": "/not/there", "CNI_IFNAME": "eth0",
        "CNI_ARGS": "K8S_POD_NAME=x;A=B", "CNI_PATH": "",
    } == call.environ  # fmt: skip


def test_only_variables_of_the_call(frozen: Relay, agent: FakeAgent) -> None:
    """Those of the specification and of tracing are sent, and no others: some may be secrets."""
    given = {
        "CNI_ARGS": "A=1", "CNI_PATH": "/opt/cni/bin", "CNI_NETNS_OVERRIDE": "1",
        "TRACEPARENT": "00-1-2-01", "TRACESTATE": "a=b", "BAGGAGE": "c=d",
    }  # fmt: skip
    others = {
        "CNI_SECRET": "s", "CNI_COMMANDS": "s", "XCNI_ARGS": "s", "PATH": "/bin", "LD_LIBRARY_PATH": "/nowhere",
        "LD_PRELOAD": "/nowhere/lib.so", "LD_BIND_NOW": "1", "PYTHONPATH": "/nowhere", "_PYI_ARCHIVE_FILE": "/nowhere",
        "_PYI_PARENT_PROCESS_LEVEL": "1", "KUBECONFIG": "s", "": "s",
    }  # fmt: skip
    outcome = frozen.call("ADD", b"{}", **given, **others)
    assert (0, b"") == (outcome.status, outcome.stdout)
    strings, _ = heard(agent)
    sent = dict(each.decode().split("=", 1) for each in strings[1:])
    assert given == {key: value for key, value in sent.items() if key in given}
    assert {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", *given} == set(sent)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prefix", ["", "/opt/cni/bin/", "./"])
def test_the_name(alone: Relay, agent: FakeAgent, name: str, prefix: str) -> None:
    """The plugin is the last part of what it was called as."""
    alone.call("DEL", name=prefix + name)
    assert name.encode() == heard(agent)[0][0]


@pytest.mark.parametrize("name", ["spidercni", "a-copy", "", "spiderpool/", "spiderpool2"])
def test_a_copy_under_another_name(alone: Relay, agent: FakeAgent, name: str) -> None:
    """Any other name in a runtime's environment is the IPAM plugin, as in Python."""
    alone.call("DEL", name=name)
    assert b"spiderpool" == heard(agent)[0][0]


@pytest.mark.parametrize(
    ("name", "words", "command"),
    [("spidercni", ["--help"], "ADD"), ("spidercni", [], ""), ("spidercni", [], None), ("spiderpool", [], "")],
)
def test_the_command_line(
    lone_relay: Path, environ: dict[str, str], agent: FakeAgent, name: str, words: list[str], command: str | None
) -> None:
    """What is no call of a runtime goes straight to Python, without a trace of the relay."""
    given = environ if command is None else environ | {"CNI_COMMAND": command}
    done = subprocess.run([name, *words], executable=lone_relay, env=given, capture_output=True, check=False)
    assert 77 == done.returncode
    assert b"relayed -\nfallback -\n" in done.stdout
    assert 0 == agent.calls


def test_a_plugin_with_words(lone_relay: Path, environ: dict[str, str], agent: FakeAgent) -> None:
    """Under a plugin's own name arguments do not matter, as in Python."""
    subprocess.run(
        ["ifacer", "word"], executable=lone_relay, env=environ | {"CNI_COMMAND": "GC"}, input=b"", check=False
    )
    assert b"ifacer" == heard(agent)[0][0]


def test_the_relay_calls_itself_once(alone: Relay, agent: FakeAgent) -> None:
    """The bootloader executes itself again after a fallback: then there is no second try."""
    assert "-" == alone.call("ADD", SPIDERCNI_RELAYED="1").reason
    assert 0 == agent.calls


@pytest.fixture
def namespace() -> Iterator[Path]:
    """The network namespace of another process, by the link in /proc, as containerd names it."""
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo; exec sleep 100"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield Path(f"/proc/{process.pid}/ns/net")
        process.kill()


@pytest.mark.parametrize("form", ["alone", "frozen"])
def test_the_network_namespace(form: str, agent: FakeAgent, namespace: Path, request: pytest.FixtureRequest) -> None:
    """The container's namespace arrives as a descriptor: the agent needs not see the path."""
    relay: Relay = request.getfixturevalue(form)
    relay.call("ADD", CNI_NETNS=str(namespace))
    agent.finish()
    (descriptor,) = agent.descriptors
    assert os.stat(namespace).st_ino == os.fstat(descriptor).st_ino
    assert os.stat("/proc/self/ns/net").st_ino != os.fstat(descriptor).st_ino


@pytest.mark.parametrize("path", ["", "/not/there", "relative/not/there", "/proc/self/ns/net/x", "x" * 5000])
def test_a_namespace_that_is_not_there(alone: Relay, agent: FakeAgent, path: str) -> None:
    """A namespace that cannot be opened is the agent's to judge: for DEL it is usual."""
    assert 0 == alone.call("DEL", CNI_NETNS=path).status
    assert [] == agent.finish().descriptors
    assert f"CNI_NETNS={path}".encode() in heard(agent)[0]


def test_a_namespace_that_is_a_pipe(alone: Relay, agent: FakeAgent, tmp_path: Path) -> None:
    """A path that would block whoever opens it does not."""
    os.mkfifo(tmp_path / "pipe")
    assert 0 == alone.call("ADD", CNI_NETNS=str(tmp_path / "pipe"), SPIDERCNI_ACCEPT_MS="5000").status
    assert 1 == agent.finish().calls


def test_big_variables(alone: Relay, agent: FakeAgent) -> None:
    """Variables as big as the kernel lets them be are sent."""
    outcome = alone.call("ADD", CNI_ARGS="a" * 130000, CNI_PATH="p" * 130000)
    assert 0 == outcome.status
    assert {len(b"CNI_ARGS=") + 130000} == {len(each) for each in heard(agent)[0] if each.startswith(b"CNI_ARGS=")}


def test_too_big_variables(alone: Relay, agent: FakeAgent) -> None:
    """INV-RELAY-5: more than fits into a frame is Python's, and the agent is not bothered."""
    names = ("CNI_ARGS", "CNI_PATH", "CNI_NETNS_OVERRIDE", "TRACEPARENT", "TRACESTATE", "BAGGAGE", "CNI_NETNS")
    big = dict.fromkeys((*names, "CNI_CONTAINERID", "CNI_IFNAME"), "x" * 130000)
    assert "too-large" == alone.call("ADD", **big).reason
    assert [] == agent.finish().frames

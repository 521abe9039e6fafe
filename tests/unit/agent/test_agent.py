"""The agent, by its socket: whole calls, relays that leave or lie at every step, order, limits, start and stop."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from spidercni.agent.wire import Frame, Kind, encode
from tests.unit.agent.relay import Relay, call

BIG = {"name": "big", "subnet": "10.1.0.0/16", "ips": ["10.1.0.10-10.1.9.9"]}


def eventually(condition, seconds=10.0):
    """Wait until something is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(0.01)


def test_whole_calls(agent):
    """ADD, the same again, CHECK, STATUS and DEL answer as the plugin in its own process does."""
    status, result = call(agent.socket, agent.config())
    assert (0, "10.0.0.5/24") == (status, result["ips"][0]["address"])
    assert (0, result) == call(agent.socket, agent.config())
    assert (0, None) == call(agent.socket, agent.config() | {"prevResult": result}, CNI_COMMAND="CHECK")
    assert (0, None) == call(agent.socket, agent.config(), CNI_COMMAND="STATUS")
    assert (0, None) == call(agent.socket, agent.config(), CNI_COMMAND="DEL")
    assert [] == agent.used()
    eventually(lambda: ["answered"] * 5 == agent.outcomes())


@pytest.mark.parametrize(
    ("environ", "stdin", "code"),
    [
        ({"CNI_COMMAND": "NONSENSE"}, b"{}", 4),
        ({"CNI_IFNAME": ""}, b"{}", 4),
        ({}, b"", 6),
        ({}, b'{"cniVersion": "1.0.0", "name": "x", "ipam": {"data_dir": "here"}}', 7),
        ({"CNI_CONTAINERID": "x" * 100_000}, b"[", 6),
    ],
)
def test_errors_are_documents(agent, environ, stdin, code):
    """Each with its code, and the agent goes on."""
    status, document = call(agent.socket, stdin, **environ)
    assert (1, code) == (status, document["code"])
    assert 0 == call(agent.socket, agent.config())[0]


def test_a_chained_plugin_answers_by_its_name(agent):
    """The name that the relay was called by picks the plugin; an unknown one is declined."""
    with Relay(agent.socket) as relay:
        relay.request(agent.config(), name="coordinator")
        relay.go()
        assert 50 == relay.answer()[1]["code"]
    with Relay(agent.socket) as relay:
        relay.request(agent.config(), name="bridge")
        assert Frame(Kind.DECLINED) == relay.receive()


def test_the_own_netns_is_seen_by_its_descriptor(agent):
    """The relay's path may mean another namespace to the agent; the descriptor does not lie."""
    with Relay(agent.socket) as relay:
        relay.request(agent.config(), netns="/proc/self/ns/net", CNI_NETNS="/somewhere/else")
        relay.go()
        assert 8 == relay.answer()[1]["code"]


def test_two_megabytes_of_configuration(agent):
    """They are read whole."""
    assert 0 == call(agent.socket, agent.config() | {"comment": "x" * (2 << 20)})[0]


LEAVINGS = {
    "before a byte": lambda _relay, _config: None,
    "in the middle of the request": lambda relay, _config: relay.socket.sendall(b"spd1\x01\0\0\0\0\0\0\x20half"),
    "after the request": lambda relay, config: relay.request(config),
    "after ACCEPTED": lambda relay, config: (relay.request(config), relay.receive()),
}


@pytest.mark.parametrize("leaving", LEAVINGS.values(), ids=LEAVINGS)
def test_who_leaves_before_go_gets_nothing(agent, leaving):
    """INV-AGENT-1: nothing has been done."""
    relay = Relay(agent.socket)
    leaving(relay, agent.config())
    relay.leave()
    eventually(lambda: len(agent.outcomes()) == 1)
    assert agent.outcomes()[0].startswith(("left before", "connection lost"))
    assert [] == agent.used()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"spd1\x04\0\0\0\0\0\0\0",
        b"spd1\x01\0\0\0\xff\xff\xff\xff",
        b"spd1\x01\0\0\0\0\0\0\x01x",
        encode(Frame(Kind.REQUEST, b"\0")),
    ],
)
def test_who_lies_is_left(agent, data):
    """The connection ends, the agent goes on."""
    with Relay(agent.socket) as relay:
        relay.socket.sendall(data)
        relay.socket.shutdown(1)
        assert relay.receive() is None
    eventually(lambda: len(agent.outcomes()) == 1)
    assert agent.outcomes()[0].startswith(("not understood", "left before"))
    assert 0 == call(agent.socket, agent.config())[0]


def test_who_leaves_after_go_leaves_nothing(agent):
    """INV-AGENT-3: whatever the moment, an ADD whose relay has gone does not stay."""
    config = agent.config(pools=[BIG])
    for number in range(40):
        relay = Relay(agent.socket)
        relay.request(config, CNI_CONTAINERID=f"c{number}")
        relay.go()
        time.sleep(0.0002 * number)
        relay.leave()
    eventually(lambda: len(agent.outcomes()) == 40)
    # An answer that still got into the kernel's buffer counts as given: the runtime's DEL is for that.
    given = agent.outcomes().count("answered")
    assert given == len(agent.used())


def test_an_answer_that_was_not_printed_is_taken_back(agent):
    """The relay's last word: the runtime never saw it."""
    with Relay(agent.socket) as relay:
        relay.request(agent.config())
        relay.go()
        assert 0 == relay.answer()[0]
        relay.send(Kind.UNDELIVERED)
    eventually(lambda: [] == agent.used())


def hold_store(agent):
    """Take the store's lock as a stuck process would; return the descriptor to close."""
    agent.data_dir.mkdir(exist_ok=True)
    descriptor = os.open(agent.data_dir, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def test_a_slow_call_blocks_nobody_else(agent):
    """While a store is locked by somebody, calls that do not need it are answered."""
    descriptor = hold_store(agent)
    with Relay(agent.socket) as slow:
        slow.request(agent.config())
        slow.go()
        began = time.monotonic()
        assert 0 == call(agent.socket, b"", CNI_COMMAND="VERSION")[0]
        assert time.monotonic() - began < 5
        os.close(descriptor)
        assert 0 == slow.answer()[0]


def test_a_del_does_not_overtake_its_add(agent):
    """Calls of one container are served in their order, however long the first takes."""
    descriptor = hold_store(agent)
    with Relay(agent.socket) as add, Relay(agent.socket) as delete:
        add.request(agent.config())
        add.go()
        time.sleep(0.2)
        delete.request(agent.config(), CNI_COMMAND="DEL")
        delete.go()
        time.sleep(0.2)
        os.close(descriptor)
        assert (0, 0) == (add.answer()[0], delete.answer()[0])
    assert [] == agent.used()


def test_many_at_once(agent):
    """200 calls from 50 threads: every container gets its own address or a clear refusal, and all is released."""
    config = agent.config(pools=[BIG])
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda n: call(agent.socket, config, CNI_CONTAINERID=f"c{n}"), range(200)))
        addresses = {answer[1]["ips"][0]["address"] for answer in answers}
        assert 200 == len(addresses)
        calls = threads.map(
            lambda n: call(agent.socket, config, CNI_CONTAINERID=f"c{n}", CNI_COMMAND="DEL"), range(200)
        )
        assert [(0, None)] * 200 == list(calls)
    assert [] == agent.used()


def test_stopping_lets_what_runs_end(agent):
    """SIGTERM: the call that runs is answered, who comes later finds no socket, the exit status is 0."""
    descriptor = hold_store(agent)
    with Relay(agent.socket) as relay:
        relay.request(agent.config())
        relay.go()
        time.sleep(0.2)
        agent.process.send_signal(signal.SIGTERM)
        eventually(lambda: not agent.socket.exists())
        os.close(descriptor)
        assert 0 == relay.answer()[0]
    assert 0 == agent.process.wait(30)
    assert ["10.0.0.5"] == agent.used()


def test_stopping_declines_who_has_not_said_go(agent):
    """Nothing that begins after SIGTERM is done; the relay does it by itself."""
    with Relay(agent.socket) as relay:
        threading.Timer(0.3, lambda: relay.request(agent.config())).start()
        agent.process.send_signal(signal.SIGTERM)
        frame = relay.receive()
        assert frame in (None, Frame(Kind.DECLINED))
    assert 0 == agent.process.wait(30)


def test_a_killed_agent_leaves_a_socket_that_the_next_replaces(stopped_agent):
    """After SIGKILL a new one starts over the stale file."""
    stopped_agent.start()
    stopped_agent.stop(signal.SIGKILL)
    assert stopped_agent.socket.exists()
    stopped_agent.log.write_text("")
    stopped_agent.start()
    assert 0 == call(stopped_agent.socket, stopped_agent.config())[0]


def test_a_second_agent_is_refused(agent):
    """It says so, with status 3, and the first goes on."""
    second = subprocess.run(
        [sys.executable, "-m", "spidercni", "agent", "--socket", str(agent.socket)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert 3 == second.returncode
    assert "another agent listens" in second.stderr
    assert 0 == call(agent.socket, agent.config())[0]


def test_the_socket_is_for_root_only(agent):
    """0600 in a 0700 folder."""
    assert (0o600, 0o700) == (agent.socket.stat().st_mode & 0o777, agent.socket.parent.stat().st_mode & 0o777)


def test_what_was_noted_is_carried_out_when_the_store_is_back(stopped_agent, tmp_path):
    """A DEL on a damaged store succeeds; once the store is repaired its address is free, without any further call."""
    agent = stopped_agent
    agent.start(SPIDERCNI_PENDING_DIR=str(tmp_path / "pending"))
    call(agent.socket, agent.config())
    file = agent.data_dir / "addresses.sqlite"
    sound = file.read_bytes()
    file.write_bytes(b"rubbish")
    assert (0, None) == call(agent.socket, agent.config(), CNI_COMMAND="DEL")
    eventually(lambda: any("notes wait" in line["message"] for line in agent.lines()))
    file.write_bytes(sound)
    assert ["10.0.0.5"] == agent.used()
    eventually(lambda: [] == agent.used())
    eventually(lambda: [] == list((tmp_path / "pending").iterdir()))


def test_notes_of_a_dead_agent_are_carried_out_at_start(stopped_agent, tmp_path):
    """Whoever noted them, the next agent does them."""
    agent = stopped_agent
    pending = {"SPIDERCNI_PENDING_DIR": str(tmp_path / "pending")}
    agent.start(**pending)
    call(agent.socket, agent.config())
    file = agent.data_dir / "addresses.sqlite"
    sound = file.read_bytes()
    file.write_bytes(b"rubbish")
    call(agent.socket, agent.config(), CNI_COMMAND="DEL")
    agent.stop(signal.SIGKILL)
    file.write_bytes(sound)
    agent.log.write_text("")
    agent.start(**pending)
    eventually(lambda: [] == agent.used())


def test_lines_of_the_log_name_the_call_and_no_secret(agent):
    """Command, container, ifname, outcome, duration, trace; never the configuration."""
    call(agent.socket, agent.config() | {"password": "hunter2"}, TRACEPARENT="00-abc-def-01", CNI_ARGS="x=secret")
    eventually(agent.outcomes)
    (line,) = [line for line in agent.lines() if line["message"] == "call"]
    assert {"plugin": "spiderpool", "command": "ADD", "container": "c1", "ifname": "eth0"}.items() <= line.items()
    assert "00-abc-def-01" == line["traceparent"]
    assert (4, True) == (line["code"], line["milliseconds"] > 0)
    assert "hunter2" not in json.dumps(line)

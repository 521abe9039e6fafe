"""Health, metrics and settings of a running agent, by its ports and signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spidercni.agent.report import Ending
from tests.unit.agent.relay import Relay, call
from tests.unit.agent.test_agent import eventually, hold_store
from tests.unit.agent.web import POOL, free_port, get, machine


@pytest.fixture
def ports(stopped_agent, tmp_path):
    """Start an agent with health and metrics; return both ports."""
    health, metrics = free_port(), free_port()
    environ = machine(tmp_path, POOL) | {"SPIDERCNI_HEALTH_PORT": health, "SPIDERCNI_METRICS_PORT": metrics}
    stopped_agent.start(**environ)
    return health, metrics


def samples(port):
    """Return what Prometheus would read: the value of each name with its labels."""
    text = get(port, "/metrics").text
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def probe(port, name):
    """Return status and body of a probe."""
    response = get(port, f"/v1/runtime/{name}")
    return response.status_code, response.text


def test_a_sound_agent_is_well(stopped_agent, ports):
    """All three probes are 200 and have no body; another path is 404 with a JSON string."""
    for name in ("startup", "readiness", "liveness"):
        assert (200, "") == probe(ports[0], name)
    response = get(ports[0], "/v1/runtime/nothing")
    assert (404, "Not Found") == (response.status_code, response.json())


def test_a_damaged_store_is_not_ready_but_alive(stopped_agent, ports):
    """Readiness says why with 500; a restart would not mend it, so liveness stays 200."""
    call(stopped_agent.socket, stopped_agent.config())
    (stopped_agent.data_dir / "addresses.sqlite").write_bytes(b"rubbish")
    status, text = probe(ports[0], "readiness")
    assert (500, True) == (status, "addresses.sqlite" in text)
    assert (200, "") == probe(ports[0], "liveness")


def test_a_locked_store_does_not_hold_up_probes(stopped_agent, ports):
    """Each is answered within its second, and the agent is ready again when the lock is gone."""
    call(stopped_agent.socket, stopped_agent.config())
    descriptor = hold_store(stopped_agent)
    for _ in range(3):
        began = time.monotonic()
        status, text = probe(ports[0], "readiness")
        assert (500, True) == (status, "locked" in text)
        assert time.monotonic() - began < 3
    assert (200, "") == probe(ports[0], "liveness")
    os.close(descriptor)
    eventually(lambda: (200, "") == probe(ports[0], "readiness"))


# Names and types as Spiderpool's docs/reference/metrics.md has them; a counter is shown with `_total`.
DOCUMENTED = {
    **{
        f"spiderpool_ipam_allocation_{name}_counts": "counter"
        for name in (
            "failure", "update_ippool_conflict", "err_internal", "err_no_available_pool", "err_retries_exhausted",
            "err_ip_used_out",
        )
    },
    **{
        f"spiderpool_ipam_release_{name}_counts": "counter"
        for name in ("failure", "update_ippool_conflict", "err_internal", "err_retries_exhausted")
    },
    **{f"spiderpool_ipam_{kind}_counts": "counter" for kind in ("allocation", "release")},
    **{
        f"spiderpool_ipam_{kind}_{word}_{queue}duration_seconds": "gauge"
        for kind in ("allocation", "release")
        for word in ("average", "max", "min", "latest")
        for queue in ("", "limit_")
    },
    **{
        f"spiderpool_ipam_{kind}_{queue}duration_seconds": "histogram"
        for kind in ("allocation", "release")
        for queue in ("", "limit_")
    },
}  # fmt: skip


def test_metrics_have_the_documented_names(stopped_agent, ports):
    """All of them from the start, so that a dashboard shows zero and not nothing; buckets as in Spiderpool."""
    response = get(ports[1], "/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    types = dict(re.findall(r"^# TYPE (spiderpool_\S+) (\S+)$", response.text, re.MULTILINE))
    expected = {f"{name}_total" if kind == "counter" else name: kind for name, kind in DOCUMENTED.items()}
    assert expected == types
    assert "_created" not in response.text
    buckets = re.findall(r'^spiderpool_ipam_release_duration_seconds_bucket{le="(.*)"}', response.text, re.MULTILINE)
    assert ["0.1", "0.3", "0.5", "1.0", "3.0", "5.0", "7.0", "10.0", "15.0", "+Inf"] == buckets


def test_every_metric_of_ours_is_documented(stopped_agent, ports):
    """docs/operations.md has each name, and a word for each way in which a call ends."""
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    shown = re.findall(r"^# TYPE (spidercni_\S+) ", get(ports[1], "/metrics").text, re.MULTILINE)
    words = [ending.name.lower() for ending in Ending if ending != Ending.ANSWERED]
    assert [] == [name for name in [*shown, *words] if f"`{name}`" not in text]
    assert 6 == len(shown)


def test_metrics_count_what_happens(stopped_agent, ports):
    """Successes, errors by kind and code, releases, and relays that were sent away."""
    config = stopped_agent.config()
    for number in range(6):  # the pool has five
        call(stopped_agent.socket, config, CNI_CONTAINERID=f"c{number}")
    disabled = stopped_agent.config(pools=[config["ipam"]["pools"][0] | {"disable": True}])
    call(stopped_agent.socket, disabled, CNI_CONTAINERID="c9")
    call(stopped_agent.socket, config, CNI_COMMAND="DEL")
    with Relay(stopped_agent.socket) as relay:
        relay.request(config, name="bridge")
        relay.receive()
    eventually(lambda: 9 == len(stopped_agent.outcomes()))
    found = samples(ports[1])
    request = 'spidercni_requests_total{{door="relay",outcome="{}",plugin="{}",verb="{}"}}'.format
    expected = {
        "spiderpool_ipam_allocation_counts_total": 7,
        "spiderpool_ipam_allocation_failure_counts_total": 2,
        "spiderpool_ipam_allocation_err_ip_used_out_counts_total": 1,
        "spiderpool_ipam_allocation_err_no_available_pool_counts_total": 1,
        "spiderpool_ipam_allocation_err_internal_counts_total": 0,
        "spiderpool_ipam_allocation_duration_seconds_count": 7,
        "spiderpool_ipam_allocation_limit_duration_seconds_count": 7,
        "spiderpool_ipam_release_counts_total": 1,
        "spiderpool_ipam_release_failure_counts_total": 0,
        request("success", "spiderpool", "ADD"): 5,
        request("error", "spiderpool", "ADD"): 2,
        request("success", "spiderpool", "DEL"): 1,
        request("declined", "other", "ADD"): 1,
        'spidercni_errors_total{code="11",plugin="spiderpool",verb="ADD"}': 1,
        'spidercni_errors_total{code="101",plugin="spiderpool",verb="ADD"}': 1,
        "spidercni_queue_wait_seconds_count": 8,
        "spidercni_calls_in_flight": 0,
    }
    assert expected == {name: found.get(name) for name in expected}
    gauge = {word: found[f"spiderpool_ipam_allocation_{word}_duration_seconds"] for word in ("min", "average", "max")}
    assert 0 < gauge["min"] <= gauge["average"] <= gauge["max"]


def test_calls_in_flight_are_shown(stopped_agent, ports):
    """While a call waits for the store it is one."""
    descriptor = hold_store(stopped_agent)
    with Relay(stopped_agent.socket) as relay:
        relay.request(stopped_agent.config())
        relay.go()
        eventually(lambda: 1 == samples(ports[1])["spidercni_calls_in_flight"])
        os.close(descriptor)
        assert 0 == relay.answer()[0]
    eventually(lambda: 0 == samples(ports[1])["spidercni_calls_in_flight"])


def test_names_from_outside_are_no_labels(stopped_agent, ports):
    """Whoever calls with a hundred verbs and names makes one series of them."""
    for number in range(20):
        call(stopped_agent.socket, {}, CNI_COMMAND=f"VERB{number}")
        with Relay(stopped_agent.socket) as relay:
            relay.request({}, name=f"plugin{number}", CNI_COMMAND=f"VERB{number}")
            relay.receive()
    eventually(lambda: 40 == len(stopped_agent.outcomes()))
    series = [name for name in samples(ports[1]) if name.startswith("spidercni_requests_total")]
    assert 2 == len(series)


@pytest.mark.parametrize("name", ["health", "metrics"])
def test_a_taken_port_is_a_clear_error(stopped_agent, tmp_path, name):
    """Status 3; address, port and setting are named; no socket is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "spidercni", "agent", "--socket", str(stopped_agent.socket)],
            env=os.environ | machine(tmp_path, POOL) | {f"SPIDERCNI_{name.upper()}_PORT": port},
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert 3 == done.returncode
    for word in (name, "127.0.0.1", port, "Address already in use", f"{name}_port"):
        assert word in done.stderr
    assert not stopped_agent.socket.exists()


def test_an_empty_address_is_no_server(stopped_agent, tmp_path):
    """As port 0 is; the other server is there."""
    health, metrics = free_port(), free_port()
    config = tmp_path / "config.yaml"
    config.write_text(f"health_address: ''\nhealth_port: {health}\nmetrics_port: {metrics}\n")
    stopped_agent.start(**machine(tmp_path, POOL), SPIDERCNI_CONFIG=str(config))
    assert samples(metrics)
    with socket.socket() as raw, pytest.raises(ConnectionRefusedError):
        raw.connect(("127.0.0.1", int(health)))


def test_without_a_port_nothing_of_http_is_imported():
    """Not one of the libraries, and no server of ours."""
    code = (
        "import sys, spidercni.agent.main\n"
        "heavy = {'starlette', 'uvicorn', 'prometheus_client', 'anyio', 'h11', 'spidercni.agent.web'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def status_of(process, key):
    """Return a number of /proc/PID/status."""
    with open(f"/proc/{process.pid}/status") as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith(f"{key}:"))


def test_an_idle_agent_sleeps_and_is_small(stopped_agent, tmp_path):
    """With every server on: at most 60 MB, and nothing wakes it up."""
    environ = machine(tmp_path, POOL) | {
        "SPIDERCNI_HEALTH_PORT": free_port(),
        "SPIDERCNI_METRICS_PORT": free_port(),
        "SPIDERCNI_SPIDERPOOL_SOCKET": str(tmp_path / "api" / "spiderpool.sock"),
    }
    stopped_agent.start(**environ)
    call(stopped_agent.socket, stopped_agent.config())
    time.sleep(1.0)
    before = status_of(stopped_agent.process, "voluntary_ctxt_switches")
    time.sleep(1.5)
    assert before == status_of(stopped_agent.process, "voluntary_ctxt_switches")
    assert status_of(stopped_agent.process, "VmRSS") < 60 * 1024


def test_stopping_does_not_wait_for_idle_clients(stopped_agent, ports):
    """A connection that is kept alive holds up nobody; the status is 0."""
    with socket.create_connection(("127.0.0.1", int(ports[0]))) as idle:
        idle.sendall(b"GET /v1/runtime/liveness HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
        assert 0 == stopped_agent.stop()
        assert time.monotonic() - began < 5


def reloaded(agent, config, text):
    """Write the file, send SIGHUP, and return the lines that the agent writes then."""
    config.write_text(text)
    before = len(agent.lines())
    agent.process.send_signal(signal.SIGHUP)
    eventually(lambda: any("settings" in line["message"] for line in agent.lines()[before:]))
    time.sleep(0.1)
    return [line for line in agent.lines()[before:] if "settings" in line["message"]]


def test_sighup_takes_over_what_can_change(stopped_agent, tmp_path):
    """Handlers, limits and log change at once; what needs a restart is named; what is wrong changes nothing."""
    agent, config = stopped_agent, tmp_path / "config.yaml"
    config.write_text("calls_limit: 2\n")
    environ = machine(tmp_path, POOL)
    del environ["SPIDERCNI_POOLS_DIR"]
    agent.start(**environ, SPIDERCNI_CONFIG=str(config))
    by_manifest = agent.config()
    del by_manifest["ipam"]["pools"], by_manifest["ipam"]["pools_dir"]

    (line,) = reloaded(agent, config, f"calls_limit: 2\npools_dir: {tmp_path}/pools\n")
    assert ["pools_dir"] == line["changed"]
    assert "10.77.0.10/24" == call(agent.socket, by_manifest)[1]["ips"][0]["address"]

    _, line = reloaded(agent, config, f"health_port: 5710\npools_dir: {tmp_path}/pools\n")
    assert ("warning", ["health_port"]) == (line["level"], line["settings"])

    (line,) = reloaded(agent, config, "pool_dir: /x\n")
    assert ("error", True) == (line["level"], "pool_dir" in line["error"])
    assert 0 == call(agent.socket, by_manifest, CNI_CONTAINERID="c2")[0]


def test_a_lower_limit_counts_at_once(stopped_agent, tmp_path):
    """After SIGHUP the next call beyond it is answered with code 11."""
    agent, config = stopped_agent, tmp_path / "config.yaml"
    config.write_text("")
    agent.start(**machine(tmp_path, POOL), SPIDERCNI_CONFIG=str(config))
    reloaded(agent, config, "calls_limit: 1\n")
    with Relay(agent.socket), Relay(agent.socket) as second:
        time.sleep(0.2)
        second.request(agent.config())
        assert 11 == second.answer()[1]["code"]

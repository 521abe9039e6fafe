"""Spiderpool's agent API, spoken over its socket as Spiderpool's plugins do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.unit.agent.relay import call
from tests.unit.agent.test_agent import eventually, hold_store
from tests.unit.agent.web import POOL, POOL6, machine

POD = {"podNamespace": "default", "podName": "web", "podUID": "u1"}
DEL = {"containerID": "c1", "ifName": "eth0", **POD}
ADD = {"netNamespace": "/run/netns/none", **DEL}


@pytest.fixture
def place(tmp_path):
    """Return where the API is."""
    return tmp_path / "api" / "spiderpool.sock"


@pytest.fixture
def api(stopped_agent, tmp_path, place):
    """Start an agent with the API and one pool of each family; return a client."""
    stopped_agent.start(**machine(tmp_path, POOL, POOL6), SPIDERCNI_SPIDERPOOL_SOCKET=str(place))
    with client_of(place) as client:
        yield client


def client_of(place):
    """Return a client on the socket."""
    transport = httpx.HTTPTransport(uds=str(place))
    return httpx.Client(transport=transport, base_url="http://spiderpool/v1", timeout=20)


def answer(response):
    """Return status and decoded body, None for an empty one."""
    return response.status_code, response.json() if response.content else None


def delete(api, path, body):
    """Send a DELETE with a body."""
    return answer(api.request("DELETE", path, json=body))


def test_it_is_healthy(api):
    """200 without a body, and so are the probes."""
    for path in ("ipam/healthy", "runtime/startup", "runtime/readiness", "runtime/liveness"):
        assert (200, None) == answer(api.get(path))


def test_an_address_of_each_family_is_given_and_released(api, stopped_agent):
    """IpamAddResponse with version, address, nic, pool, gateway and routes; the same again; gone after DELETE."""
    expected = {
        "ips": [
            {"version": 4, "address": "10.77.0.10/24", "nic": "eth0", "ipPool": "lab-v4", "gateway": "10.77.0.1"},
            {"version": 6, "address": "fd77::10/64", "nic": "eth0", "ipPool": "lab-v6"},
        ],
        "routes": [
            {"ifName": "eth0", "dst": "0.0.0.0/0", "gw": "10.77.0.1"},
            {"ifName": "eth0", "dst": "10.1.0.0/16", "gw": "10.77.0.2"},
        ],
    }
    assert (200, expected) == answer(api.post("ipam/ip", json=ADD))
    assert (200, expected) == answer(api.post("ipam/ip", json=ADD))
    assert ["10.77.0.10", "fd77::10"] == stopped_agent.used()
    assert (200, None) == delete(api, "ipam/ip", DEL)
    assert (200, None) == delete(api, "ipam/ip", DEL)
    assert [] == stopped_agent.used()


def test_named_pools_and_no_gateway(api):
    """defaultIPv6IPPool alone gives IPv6 alone; cleanGateway leaves the default route out."""
    status, body = answer(api.post("ipam/ip", json=ADD | {"defaultIPv6IPPool": ["lab-v6"]}))
    assert (200, ["fd77::10/64"]) == (status, [ip["address"] for ip in body["ips"]])
    wanted = {"containerID": "c2", "podUID": "u2", "defaultIPv4IPPool": ["lab-*"], "cleanGateway": True}
    status, body = answer(api.post("ipam/ip", json=ADD | wanted))
    assert (200, ["10.1.0.0/16"]) == (status, [route["dst"] for route in body["routes"]])


def test_fields_that_are_null_or_new_are_taken(api):
    """A client may send null for what is not required, an empty UID, and fields of a newer release."""
    extra = {"podUID": "", "defaultIPv4IPPool": None, "cleanGateway": None, "matchMasterSubnet": False, "new": 1}
    assert 200 == answer(api.post("ipam/ip", json=ADD | extra))[0]


MALFORMED = [
    (b"", ["JSON"]),
    (b"nonsense", ["JSON"]),
    (b"[]", ["the body"]),
    (b"{}", ["containerID", "podNamespace", "podName", "podUID", "ifName"]),
    ({"podUID": None}, ["podUID"]),
    ({"containerID": 5}, ["containerID"]),
    ({"podName": "web;K8S_POD_UID=u2"}, ["podName", "';'"]),
    ({"podUID": "a=b"}, ["podUID"]),
    ({"podNamespace": "a\nb"}, ["podNamespace"]),
    ({"ifName": "a\0b"}, ["ifName"]),
    (b" " * (2 << 20), ["bytes"]),
]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(("body", "words"), MALFORMED)
def test_a_malformed_request_is_400(api, stopped_agent, method, body, words):
    """The body is a JSON string that names the fields; nothing is done."""
    content = {"content": body} if isinstance(body, bytes) else {"json": ADD | body}
    status, text = answer(api.request(method, "ipam/ip", **content))
    assert (400, str) == (status, type(text))
    for word in words:
        assert word in text
    assert [] == stopped_agent.used()


REFUSED = [
    ({"defaultIPv4IPPool": ["nope"]}, "nope"),
    ({"matchMasterSubnet": True}, "match_master_subnet"),
    ({"containerID": "../c"}, "CNI_CONTAINERID"),
    ({"ifName": "x" * 16}, "CNI_IFNAME"),
    ({"netNamespace": "/proc/self/ns/net"}, "CNI_NETNS"),
    ({"netNamespace": ""}, "CNI_NETNS"),
]


@pytest.mark.parametrize(("change", "word"), REFUSED)
def test_what_cannot_be_given_is_500(api, stopped_agent, change, word):
    """With the error's text as a JSON string."""
    status, text = answer(api.post("ipam/ip", json=ADD | change))
    assert (500, True) == (status, word in text)
    assert [] == stopped_agent.used()


def test_an_empty_pool_says_so_in_spiderpools_words(api):
    """People search for the text in the events of pods."""
    for number in range(3):
        api.post("ipam/ip", json=ADD | {"containerID": f"c{number}", "podUID": f"u{number}"})
    status, text = answer(api.post("ipam/ip", json=ADD | {"containerID": "c9", "podUID": "u9"}))
    assert 500 == status
    assert "spiderpool IP allocation error" in text
    assert "all IP addresses used out" in text


def test_the_batch_requests(api, stopped_agent):
    """POST does nothing; DELETE releases all interfaces of the container, and nothing of another or of a network."""
    assert (200, None) == answer(api.post("ipam/ips", json={}))
    for ifname in ("eth0", "net1"):
        api.post("ipam/ip", json=ADD | {"ifName": ifname, "defaultIPv6IPPool": ["lab-v6"]})
    api.post("ipam/ip", json=ADD | {"containerID": "c2", "podUID": "u2", "defaultIPv6IPPool": ["lab-v6"]})
    call(stopped_agent.socket, stopped_agent.config(), CNI_IFNAME="net2")
    batch = {"isReleaseConflictIPs": True, "containerID": "c1", **POD}
    assert (200, None) == delete(api, "ipam/ips", batch)
    assert (200, None) == delete(api, "ipam/ips", batch)
    assert ["10.0.0.5", "fd77::12"] == stopped_agent.used()
    assert 400 == delete(api, "ipam/ips", {})[0]


def test_an_endpoint_is_found_by_its_pod(api, stopped_agent):
    """Whoever was given the address, this API or a plugin; an unknown pod is 404 in Spiderpool's words."""
    api.post("ipam/ip", json=ADD)
    args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web;K8S_POD_UID=u1"
    call(stopped_agent.socket, stopped_agent.config(), CNI_IFNAME="net1", CNI_ARGS=args)
    expected = {
        "podNamespace": "default",
        "podName": "web",
        "podUID": "u1",
        "node": "node1",
        "interfaces": [
            {
                "interface": "eth0",
                "ipv4": "10.77.0.10/24",
                "ipv4Pool": "lab-v4",
                "ipv4Gateway": "10.77.0.1",
                "ipv6": "fd77::10/64",
                "ipv6Pool": "lab-v6",
            },
            {"interface": "net1", "ipv4": "10.0.0.5/24", "ipv4Pool": "v4"},
        ],
    }
    pod = {"podNamespace": "default", "podName": "web"}
    assert (200, expected) == answer(api.get("workloadendpoint", params=pod))
    other = answer(api.get("workloadendpoint", params=pod | {"podName": "other"}))
    assert (404, "SpiderEndpoint not found for pod default/other") == other
    assert 400 == answer(api.get("workloadendpoint", params={"podName": "web"}))[0]


def test_the_newer_of_two_pods_of_one_name_is_meant(api):
    """A pod that was deleted by force may still hold its address."""
    api.post("ipam/ip", json=ADD)
    api.post("ipam/ip", json=ADD | {"containerID": "c2", "podUID": "u2"})
    pod = {"podNamespace": "default", "podName": "web"}
    assert "u2" == api.get("workloadendpoint", params=pod).json()["podUID"]


def test_what_needs_a_cluster_says_so(api):
    """No invented configuration: 500 and the reason."""
    status, text = answer(api.request("GET", "coordinator/config", json={"podName": "web", "podNamespace": "default"}))
    assert (500, True) == (status, "SpiderCoordinator" in text)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "nothing", 404), ("PUT", "ipam/ip", 405)])
def test_what_is_not_there_is_a_json_string(api, method, path, status):
    """Errors of the server itself have the form of all others."""
    found, text = answer(api.request(method, path))
    assert (status, str) == (found, type(text))


def test_who_leaves_before_the_answer_leaves_nothing(api, stopped_agent, place):
    """What nobody could be given is taken back."""
    descriptor = hold_store(stopped_agent)
    with client_of(place) as hasty, pytest.raises(httpx.ReadTimeout):
        hasty.post("ipam/ip", json=ADD, timeout=0.5)
    eventually(lambda: ["left before its answer"] == stopped_agent.outcomes())
    os.close(descriptor)
    assert 0 == stopped_agent.stop()  # waits for what is taken back
    assert [] == stopped_agent.used()


def test_a_call_is_answered_in_time_and_taken_back(stopped_agent, tmp_path, place):
    """500 after `call_seconds` on a locked store, 500 for one more than `calls_limit`; nothing of either stays."""
    limits = {"SPIDERCNI_CALL_SECONDS": "0.5", "SPIDERCNI_CALLS_LIMIT": "1", "SPIDERCNI_SPIDERPOOL_SOCKET": str(place)}
    stopped_agent.start(**machine(tmp_path, POOL), **limits)
    descriptor = hold_store(stopped_agent)
    began = time.monotonic()
    with client_of(place) as api:
        for word in ("in time", "too many"):  # the first still waits for the store when the second comes
            status, text = answer(api.post("ipam/ip", json=ADD))
            assert (500, True) == (status, word in text)
        assert time.monotonic() - began < 5
        stopped_agent.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        os.close(descriptor)
    assert 0 == stopped_agent.process.wait(30)
    assert ["took too long", "refused: too many calls"] == stopped_agent.outcomes()
    assert [] == stopped_agent.used()


def test_a_damaged_store_is_500_and_nothing_is_made_up(api, stopped_agent):
    """Health, allocation and look-up say so; a release is noted for later, as a plugin's is."""
    api.post("ipam/ip", json=ADD)
    (stopped_agent.data_dir / "addresses.sqlite").write_bytes(b"rubbish")
    pod = {"podNamespace": "default", "podName": "web"}
    for response in (
        api.get("ipam/healthy"),
        api.post("ipam/ip", json=ADD),
        api.get("workloadendpoint", params=pod),
    ):
        status, text = answer(response)
        assert (500, True) == (status, "addresses.sqlite" in text)
    assert (200, None) == delete(api, "ipam/ip", DEL)


def test_many_at_once(api, stopped_agent, place):
    """Twenty containers at once, three addresses: three get one each, the others are told."""

    def post(number):
        with client_of(place) as client:
            body = ADD | {"containerID": f"c{number}", "podUID": f"u{number}"}
            return answer(client.post("ipam/ip", json=body))

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(post, range(20)))
    given = [body["ips"][0]["address"] for status, body in answers if status == 200]
    assert (3, 3) == (len(given), len(set(given)))
    assert all("used out" in body for status, body in answers if status == 500)


def test_its_socket_is_for_root_only_and_gone_after_stop(api, stopped_agent, place):
    """0600 in a 0700 folder; the name goes with the agent."""
    assert (0o600, 0o700) == (place.stat().st_mode & 0o777, place.parent.stat().st_mode & 0o777)
    assert 0 == stopped_agent.stop()
    assert not place.exists()


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(stopped_agent, tmp_path, place):
    """A dead agent's file is no obstacle; an agent that answers (Spiderpool's own, too) is not robbed of its name."""
    environ = machine(tmp_path, POOL) | {"SPIDERCNI_SPIDERPOOL_SOCKET": str(place)}
    stopped_agent.start(**environ)
    stopped_agent.stop(signal.SIGKILL)
    assert place.exists()
    stopped_agent.log.write_text("")
    stopped_agent.start(**environ)
    stopped_agent.stop()
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(place))
        stranger.listen()
        done = subprocess.run(
            [sys.executable, "-m", "spidercni", "agent", "--socket", str(stopped_agent.socket)],
            env=os.environ | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert (3, True) == (done.returncode, f"another agent listens at {place}" in done.stderr)


def test_stopping_lets_what_runs_end(api, stopped_agent, place):
    """SIGTERM: the request that runs is answered, and the exit status is 0."""
    descriptor = hold_store(stopped_agent)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(lambda: answer(api.post("ipam/ip", json=ADD)))
        time.sleep(0.3)
        stopped_agent.process.send_signal(signal.SIGTERM)
        eventually(lambda: not stopped_agent.socket.exists())
        time.sleep(0.2)
        os.close(descriptor)
        assert 200 == running.result()[0]
    assert 0 == stopped_agent.process.wait(30)


def test_the_log_names_the_door(api, stopped_agent):
    """One line a call, as for relays."""
    api.post("ipam/ip", json=ADD)
    eventually(stopped_agent.outcomes)
    (line,) = [line for line in stopped_agent.lines() if line["message"] == "call"]
    assert {"door": "spiderpool", "command": "ADD", "container": "c1", "outcome": "answered"}.items() <= line.items()

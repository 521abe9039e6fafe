"""Input that nobody should send: huge, deep, strange. Clear errors, no half-done work, and never a hang."""

import json
import time

import pytest

from spidercni.ipam.local.audit import problems
from spidercni.ipam.local.database import Database
from tests.unit.test_main import ADD, call

MEGABYTE = 1 << 20


def config(directory, pools=None, **more):
    """Return a configuration on an empty store."""
    pools = pools or [{"name": "v4", "subnet": "10.0.0.0/8", "ips": ["10.0.0.5-10.0.0.9"]}]
    ipam = {"type": "spiderpool", "data_dir": f"{directory}/data", "pools_dir": str(directory), "pools": pools}
    return json.dumps({"cniVersion": "1.0.0", "name": "net", "ipam": ipam, **more}).encode()


def answer(stdin, **environ):
    """Call ADD and return the exit status and the document."""
    done = call("spiderpool", {**ADD, **environ}, stdin)
    return done.returncode, json.loads(done.stdout)


def test_ten_megabytes_of_foreign_keys_are_read(tmp_path):
    """Size alone is no fault."""
    status, document = answer(config(tmp_path, comment="x" * 10 * MEGABYTE))

    assert (0, "10.0.0.5/8") == (status, document["ips"][0]["address"])


@pytest.mark.parametrize(
    "stdin",
    [b"{" * 10 * MEGABYTE, b"[" * 100_000, b"\0" * 10 * MEGABYTE, b'{"a":' * 100_000, b"9" * 10 * MEGABYTE],
    ids=["braces", "deep", "zeros", "deep-objects", "one-number"],
)
def test_ten_megabytes_of_rubbish_are_refused_shortly(stdin):
    """Code 6, and an answer that a log can hold."""
    status, document = answer(stdin)

    assert (1, 6) == (status, document["code"])
    assert len(json.dumps(document)) < 1000


def test_more_than_the_limit_is_not_read(tmp_path):
    """Code 5 instead of all the memory there is."""
    status, document = answer(b" " * (64 * MEGABYTE + 1))

    assert (1, 5) == (status, document["code"])


def test_a_hundred_thousand_ranges_are_served(tmp_path):
    """A pool written address by address, every second one."""
    ips = [f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(2, 200_000, 2)]
    status, document = answer(config(tmp_path, [{"name": "v4", "subnet": "10.0.0.0/8", "ips": ips}]))

    assert (0, "10.0.0.2/8") == (status, document["ips"][0]["address"])


@pytest.mark.parametrize(
    "value",
    ["x'; DROP TABLE address; --", "\x1b[2J", "a\nb", "[red]", "конт", "x" * 10_000, "../../etc", "%n%n"],
    ids=["sql", "escape", "newline", "markup", "cyrillic", "long", "path", "format"],
)
@pytest.mark.parametrize("key", ["K8S_POD_NAME", "K8S_POD_NAMESPACE", "K8S_POD_UID"])
def test_hostile_names_are_data(tmp_path, key, value):
    """They are stored as they are, or refused with their key; the store stays sound and DEL works."""
    pair = {"CNI_ARGS": f"IgnoreUnknown=1;{key}={value}"}
    status, document = answer(config(tmp_path), **pair)

    assert status == 0 or (document["code"] == 4 and "CNI_ARGS" in document["msg"])
    assert [] == problems(Database(f"{tmp_path}/data", 5))
    done = call("spiderpool", {**ADD, "CNI_COMMAND": "DEL", **pair}, config(tmp_path))
    assert (0, b"") == (done.returncode, done.stdout)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    """An environment is bytes; names are text."""
    done = call("spiderpool", {**ADD, "CNI_ARGS": b"K8S_POD_NAME=\xff\xfe"}, config(tmp_path))

    assert 4 == json.loads(done.stdout)["code"]


def test_a_surrogate_in_json_is_no_name(tmp_path):
    """JSON can spell what UTF-8 cannot."""
    raw = config(tmp_path).replace(b'"v4"', b'"\\ud800"')
    status, document = answer(raw)

    assert (1, 7) == (status, document["code"])
    assert "\\ud800" in document["msg"]


def test_the_clock_may_jump(tmp_path):
    """A store written in the future works today: the wall clock was set back by a year."""
    from spidercni.cni.plugin import run
    from spidercni.ipam.local.store import LocalStore
    from tests.unit.store_contract import allocation, claim, release

    database = Database(f"{tmp_path}/data", 5)
    future = LocalStore(database, lambda: time.time() + 3e7, 60)
    run(claim(future, allocation(at=time.time() + 3e7)))
    run(claim(future, allocation(offset=1, container="c2", at=time.time() + 3e7)))
    run(release(future, allocation(container="c2").attachment))

    pool = {"name": "v4", "subnet": "10.0.0.0/24", "ips": ["10.0.0.5-10.0.0.7"]}
    addresses = [
        answer(config(tmp_path, [pool]), CNI_CONTAINERID=container)[1]["ips"][0]["address"] for container in ("a", "b")
    ]

    assert ["10.0.0.7/24", "10.0.0.6/24"] == addresses, "the one in use is kept, the cooling one comes last"
    assert [] == problems(database)

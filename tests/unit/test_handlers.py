"""What the verbs promise beyond the allocator, on the embedded store."""

from __future__ import annotations

import pytest

from spidercni.cni.environment import Environment
from spidercni.cni.plugin import run
from spidercni.cni.request import Request
from spidercni.errors import AttachmentConflict, NoCandidatePool, PoolExhausted
from spidercni.ipam import handlers
from spidercni.ipam.plugin import real_context

POOL = {"name": "v4", "subnet": "10.0.0.0/24", "ips": ["10.0.0.5"]}


@pytest.fixture
def call(tmp_path):
    """Return a function that makes a call and returns the address of an ADD."""
    context = real_context({"SPIDERCNI_PENDING_DIR": str(tmp_path / "pending")})
    verbs = {"ADD": handlers.add, "DEL": handlers.delete}

    def make(command, container, uid="", **pool):
        ipam = {"data_dir": str(tmp_path / "data"), "pools_dir": str(tmp_path), "pools": [POOL | pool]}
        args = f"IgnoreUnknown=1;K8S_POD_UID={uid}" if uid else ""
        environment = Environment(command, container, "/x", "eth0", args=args)
        config = {"cniVersion": "1.0.0", "name": "net", "ipam": ipam}
        answer = run(verbs[command](Request(environment, "1.0.0", "net", config), context))
        return answer.document["ips"][0]["address"] if answer else None

    return make


def test_a_late_add_of_an_old_sandbox_takes_nothing(call):
    """The newer sandbox keeps its address, also through the old one's DEL (INV-IPAM-4, INV-IPAM-5)."""
    assert "10.0.0.5/24" == call("ADD", "old", "u1")
    assert "10.0.0.5/24" == call("ADD", "new", "u1")
    with pytest.raises(AttachmentConflict, match="old sandbox"):
        call("ADD", "old", "u1")
    call("DEL", "old", "u1")
    with pytest.raises(PoolExhausted):
        call("ADD", "stranger", "u2")
    assert "10.0.0.5/24" == call("ADD", "new", "u1")


@pytest.mark.parametrize("change", [{"disable": True}, {"ips": ["10.0.0.9"]}, {"name": "other"}, {"ips": []}])
def test_an_attachment_keeps_its_address_whatever_became_of_the_pool(call, change):
    """INV-IPAM-3: asked again, the answer is the same; only a new attachment meets the change."""
    assert "10.0.0.5/24" == call("ADD", "c1")
    assert "10.0.0.5/24" == call("ADD", "c1", **change)


def test_a_pool_that_may_not_serve_gives_nothing_new(call):
    """Nothing is allocated and the reason is said."""
    with pytest.raises(NoCandidatePool, match="filtered out"):
        call("ADD", "c1", disable=True)
    assert "10.0.0.5/24" == call("ADD", "c2")

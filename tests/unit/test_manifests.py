"""Pools and reservations from YAML files."""

import os

import pytest
import yaml

from spidercni.errors import InvalidConfig, StoreUnavailable, UnsupportedField
from spidercni.ipam.local.manifests import read
from spidercni.model.addresses import format_ranges

POOL = """
apiVersion: spiderpool.spidernet.io/v2beta1
kind: SpiderIPPool
metadata: {name: %s, labels: {a: b}}
spec: {subnet: 10.0.0.0/24, ips: [10.0.0.5-10.0.0.9], default: true}
"""


def test_several_documents_and_files(tmp_path):
    """All files with a known suffix, sorted; other kinds and other files are passed over."""
    (tmp_path / "b.yaml").write_text(POOL % "b" + "---" + POOL % "a" + "---\n---\nkind: ConfigMap\n")
    (tmp_path / "c.json").write_text(
        '{"apiVersion": "spiderpool.spidernet.io/v2beta1", "kind": "SpiderReservedIP",'
        ' "metadata": {"name": "r"}, "spec": {"ips": ["10.0.0.7"]}}'
    )
    (tmp_path / "README").write_text(": not yaml [")

    pools, reserved = read(str(tmp_path))

    assert [pool.name for pool in pools] == ["a", "b"]
    assert {family: format_ranges(family, each) for family, each in reserved.items()} == {4: ["10.0.0.7"], 6: []}
    assert [pools[0].default, pools[0].scope] == [True, ""]


def test_lists_are_read(tmp_path):
    """What `kubectl get -o yaml` prints has its pools in `items`."""
    items = [yaml.safe_load(POOL % name) for name in ("a", "b")]
    for kind in ("List", "SpiderIPPoolList"):
        (tmp_path / "x.yaml").write_text(yaml.safe_dump({"kind": kind, "apiVersion": "v1", "items": items}))
        assert ["a", "b"] == [pool.name for pool in read(str(tmp_path))[0]]


def test_hidden_files_are_of_editors(tmp_path):
    """A lock or a backup of an editor is no manifest; what is no file is refused and not waited for."""
    (tmp_path / ".#x.yaml").symlink_to("somebody@host.123")
    (tmp_path / ".x.yaml").write_text(": [")
    assert () == read(str(tmp_path))[0]
    os.mkfifo(tmp_path / "x.yaml")
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        read(str(tmp_path))


def test_no_directory_no_pools(tmp_path):
    """It need not be there, unless somebody has named it."""
    assert () == read(str(tmp_path / "none"))[0]
    with pytest.raises(InvalidConfig, match="pools_dir"):
        read(str(tmp_path / "none"), must_exist=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "is ['1'] or is [1]"),
        ("a: !!python/object/apply:os.system [id]", "is not YAML"),
        (POOL % "A", "metadata.name"),
        (POOL % "a" + "---" + POOL % "a", "another manifest"),
        ("kind: SpiderIPPool\nmetadata: {name: a}\nspec: {}", "apiVersion"),
        ("apiVersion: v1\nkind: SpiderIPPool\nmetadata: {name: a}\nspec: {}", "apiVersion"),
        ("apiVersion: spiderpool.spidernet.io/v2beta1\nkind: SpiderIPPool\nspec: {}", "metadata"),
        ("apiVersion: spiderpool.spidernet.io/v2beta1\nkind: SpiderIPPool\nmetadata: {name: a}", "spec"),
        ((POOL % "a") + "  ips: []\n", "is not YAML"),
        ((POOL % "a").replace("SpiderIPPool", "SpiderIPPools"), "kind"),
        ((POOL % "a").replace("SpiderIPPool", "SpiderReservedIP").replace("ips:", "ip:"), "spec"),
        ((POOL % "a").replace("10.0.0.5-", "10.0.9.5-"), "spec.ips[0]"),
    ],
)
def test_a_bad_manifest_is_refused_by_file_and_field(tmp_path, text, says):
    """The error names the file; nothing in YAML is executed."""
    (tmp_path / "x.yaml").write_text(text)

    with pytest.raises((InvalidConfig, UnsupportedField)) as caught:
        read(str(tmp_path))

    assert "x.yaml" in str(caught.value)
    assert says in str(caught.value) or says == "is ['1'] or is [1]"


def test_an_unreadable_directory_is_an_error(tmp_path):
    """A file where the directory should be is not an empty directory."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreUnavailable, match="cannot be read"):
        read(str(tmp_path / "file"))

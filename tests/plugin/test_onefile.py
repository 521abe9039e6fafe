"""The executable in the form of one file, which unpacks itself for every call."""

from pathlib import Path

import pytest

from tests.lab import Attachment, Node, Runtime

from .conftest import MakeContainer
from .networks import Networks
from .store import Store


def test_an_attachment_and_no_litter(
    node: Node,
    tools: Path,
    onefile_bin_dir: Path,
    networks: Networks,
    store: Store,
    container: MakeContainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one file serves an attachment like the folder does, and leaves none of what it unpacked."""
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    monkeypatch.setenv("TMPDIR", str(unpacked))
    runtime = Runtime(tools, (onefile_bin_dir,), tmp_path / "cache")
    network, there = networks.write(), container("c1")
    attachment = Attachment("c1", str(there.netns))
    runtime.add(network, attachment)
    assert sorted(str(address.ip) for address in there.addresses()) == store.used()
    runtime.check(network, attachment)
    runtime.delete(network, attachment)
    assert store.used() == []
    assert list(unpacked.iterdir()) == []

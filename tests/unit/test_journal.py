"""Releases that wait for their store: none is lost, each is done once, none frees a newer container's address."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from spidercni.cni.environment import Environment
from spidercni.cni.plugin import run
from spidercni.cni.request import Request
from spidercni.errors import StoreCorrupt, StoreUnavailable
from spidercni.ipam import handlers, journal
from spidercni.ipam.journal import Journal, Note, name_of
from spidercni.ipam.plugin import real_context
from spidercni.model.attachment import Attachment


class Node:
    """One machine: its handlers on a store and a journal of the test's own."""

    def __init__(self, directory: Path) -> None:
        self.data_dir = directory / "data"
        self.file = self.data_dir / "addresses.sqlite"
        self.pending = directory / "pending"
        self.now = time.time()
        environ = {"SPIDERCNI_PENDING_DIR": str(self.pending), "SPIDERCNI_COOLDOWN_SECONDS": "0"}
        self.context = real_context(environ)._replace(clock=lambda: self.now)

    def request(self, command: str, container: str, **more: object) -> Request:
        """Make a request on the store."""
        pool = {"name": "v4", "subnet": "10.0.0.0/24", "ips": ["10.0.0.5-10.0.0.6"]}
        ipam = {
            "type": "spiderpool",
            "data_dir": str(self.data_dir),
            "pools_dir": str(self.data_dir.parent),
            "pools": [pool],
        }
        config = {"cniVersion": "1.1.0", "name": "net", "ipam": ipam, **more}
        return Request(Environment(command, container, "/x", "eth0"), "1.1.0", "net", config)

    def add(self, container: str) -> str:
        """Give a container an address and return it."""
        answer = run(handlers.add(self.request("ADD", container), self.context))
        return str(answer.document["ips"][0]["address"])

    def delete(self, container: str) -> None:
        """Release a container's address, or note that."""
        run(handlers.delete(self.request("DEL", container), self.context))

    def collect(self, *valid: str) -> None:
        """Collect, or note that."""
        attachments = [{"containerID": container, "ifname": "eth0"} for container in valid]
        request = self.request("GC", "", **{"cni.dev/valid-attachments": attachments})
        run(handlers.collect(request, self.context))

    def used(self) -> list[str]:
        """Return who has an address."""
        store = self.context.open_store(handlers.StoreConfig(str(self.data_dir)))
        return sorted(each.attachment.container_id for each in run(store.allocations()))

    def notes(self) -> list[str]:
        """Return the names of the notes."""
        return sorted(os.listdir(self.pending)) if self.pending.exists() else []

    def break_store(self) -> bytes:
        """Damage the store; return what it was."""
        sound = self.file.read_bytes()
        self.file.write_bytes(b"rubbish")
        return sound


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """A machine with two containers that have all addresses there are."""
    node = Node(tmp_path)
    node.add("a")
    node.add("b")
    return node


def test_a_del_waits_for_its_store(node):
    """It succeeds while the store is away, and is done before the next ADD, whose address it is."""
    sound = node.break_store()
    node.delete("a")
    assert 1 == len(node.notes())
    node.file.write_bytes(sound)

    assert "10.0.0.5/24" == node.add("c")
    assert [] == node.notes()
    assert ["b", "c"] == node.used()


@pytest.mark.parametrize("other", [lambda node: node.delete("zz"), lambda node: node.collect("a", "b")])
def test_any_release_takes_what_waits_along(node, other):
    """The next DEL or GC of anybody carries the notes out."""
    sound = node.break_store()
    node.delete("a")
    node.file.write_bytes(sound)
    other(node)
    assert [] == node.notes()
    assert ["b"] == node.used()


def test_a_container_that_came_back_keeps_its_address(node):
    """DEL noted, store back, ADD of the same container: it gets an address that no late note frees."""
    sound = node.break_store()
    node.delete("a")
    note = (node.pending / node.notes()[0]).read_bytes()
    name = node.notes()[0]
    node.file.write_bytes(sound)
    node.add("a")
    # As if the process had died before it removed the note: INV-JOURNAL-2.
    (node.pending / name).write_bytes(note)
    node.delete("zz")
    assert ["a", "b"] == node.used()
    assert [] == node.notes()


def test_a_gc_waits_and_spares_what_came_after_it(node):
    """Noted, it releases what it would have released then, and nothing younger."""
    node.now += 1000
    sound = node.break_store()
    node.collect("b")
    node.file.write_bytes(sound)
    node.now += 1
    run(handlers.delete(node.request("DEL", "zz"), node.context))
    assert ["b"] == node.used()
    node.add("young")
    node.now += 1
    sound = node.break_store()
    node.collect()
    node.file.write_bytes(sound)
    node.delete("zz")
    assert ["young"] == node.used()


def test_notes_are_of_their_store(node, tmp_path):
    """What waits for one store does not touch, nor wait for, another."""
    node.break_store()
    node.delete("a")
    (tmp_path / "other").mkdir()
    other = Node(tmp_path / "other")
    other.pending = node.pending
    other.context = other.context._replace(journal=node.context.journal)
    assert "10.0.0.5/24" == other.add("a")
    assert 1 == len(node.notes())


def test_the_agent_carries_out_all_that_waits(node):
    """At start and when a store is back; what is still away is an error, and its notes stay."""
    sound = node.break_store()
    node.delete("a")
    node.delete("b")
    with pytest.raises(StoreCorrupt):
        run(handlers.carry_out_notes(node.context))
    assert 2 == len(node.notes())
    node.file.write_bytes(sound)
    assert 2 == run(handlers.carry_out_notes(node.context))
    assert ([], []) == (node.used(), node.notes())
    assert 0 == run(handlers.carry_out_notes(node.context))


def test_where_nothing_can_be_noted_the_runtime_is_told(node):
    """Neither done nor noted is never a success."""
    node.break_store()
    node.pending.write_text("a file where the directory should be")
    with pytest.raises((StoreCorrupt, StoreUnavailable)):
        node.delete("a")


def test_notes_are_bounded(node, monkeypatch):
    """Beyond the bound DEL fails as it would without a journal."""
    monkeypatch.setattr(journal, "MOST_NOTES", 3)
    node.break_store()
    for number in range(3):
        node.delete(f"c{number}")
    with pytest.raises(StoreCorrupt):
        node.delete("c3")
    assert 3 == len(node.notes())


def test_a_foreign_file_stops_nothing_silently(tmp_path):
    """What is no note is named; half-written ones of a killed process are passed over."""
    notes = Journal(str(tmp_path))
    (tmp_path / "half.json.new").write_text("{")
    assert [] == notes.notes("/x")
    (tmp_path / "strange.json").write_text(json.dumps({"a": 1}))
    with pytest.raises(StoreUnavailable, match=r"strange\.json"):
        notes.notes("/x")


def test_notes_come_back_as_they_were_in_order(tmp_path):
    """Every field of both kinds, by the time of writing."""
    attachment = Attachment("net", "c1", "eth0")
    written = [
        Note(name_of(2.0, 7), "/d", "n", attachment),
        Note(name_of(1.0, 9), "/d", "n", attachment, frozenset({attachment}), 3.5),
        Note(name_of(1.0, 10, 1), "/d", "n", attachment, frozenset(), 3.5),
    ]
    notes = Journal(str(tmp_path / "made"))
    for note in written:
        notes.write(note)
    assert sorted(written, key=lambda note: note.name) == notes.notes("/d")
    assert [] == notes.notes("/other")
    assert 0o700 == (tmp_path / "made").stat().st_mode & 0o777

"""Interruptions made on purpose: a plugin that dies in its transaction, and a runtime that dies before the answer.

A plugin killed in the middle of its transaction leaves a *hot* journal of SQLite's, which the next one to open the
file must roll back before it can even read.
"""

import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from tests.lab import Attachment, execute, variables
from tests.lab.runtime import Json

from .networks import Networks
from .store import Store


@pytest.fixture
def interrupted(spiderpool: Path, networks: Networks, attachment: Attachment) -> Json:
    """A store whose last transaction was cut off; returns the result of the ADD before it."""
    result = execute(spiderpool, "ADD", networks.config(), attachment)
    (path,) = networks.data_dir.glob("*.sqlite")
    child = os.fork()
    if child == 0:
        _die_in_a_transaction(path)
    assert os.waitpid(child, 0)[1] == 0
    assert path.with_name(f"{path.name}-journal").stat().st_size > 0
    return result


@pytest.mark.parametrize("command", ["ADD", "CHECK", "STATUS", "GC", "DEL"])
def test_every_verb_works_on(
    spiderpool: Path, networks: Networks, attachment: Attachment, interrupted: Json, command: str
) -> None:
    """Whichever verb comes first after the kill, it finds the state of before the transaction."""
    config = {**networks.config(), "prevResult": interrupted, "cni.dev/valid-attachments": []}
    answer = execute(spiderpool, command, config, attachment)
    assert answer == (interrupted if command == "ADD" else None)


def test_a_person_can_look(store: Store, interrupted: Json) -> None:
    """`ctl check` and `ctl address list` work when they come first after the kill."""
    assert store.ctl("check").returncode == 0
    assert len(store.used()) == len(interrupted["ips"])


def test_a_person_can_look_first(store: Store, interrupted: Json) -> None:
    """`ctl address list` does not depend on `ctl check` having been there before it."""
    assert len(store.used()) == len(interrupted["ips"])


def test_an_answer_that_nobody_reads(
    spiderpool: Path, networks: Networks, store: Store, attachment: Attachment
) -> None:
    """An ADD whose answer cannot be written fails, and leaves nothing allocated that nobody knows of."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [spiderpool],
        env=variables(spiderpool, "ADD", attachment),
        input=json.dumps(networks.config()).encode(),
        stdout=writing,
        stderr=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    os.close(writing)
    assert done.returncode == 1
    assert store.used() == []


def _die_in_a_transaction(path: Path) -> None:
    """Change so much that SQLite writes to the file before the commit, and end at once, as SIGKILL does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("DELETE FROM address")
    connection.execute("CREATE TABLE filler (text)")
    connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 500,)] * 500)
    os._exit(0)

"""The embedded store: the contract of all stores, and what is its own."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

from spidercni.cni.plugin import run
from spidercni.errors import StoreCorrupt, StoreUnavailable
from spidercni.ipam.local import audit
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.store import LocalStore
from spidercni.ipam.local.usage import usages
from spidercni.model.attachment import Attachment
from tests.unit.store_contract import FIRST4, V4, StoreContract, allocation, claim, collect, release


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """Return a settable clock."""
    return Clock()


@pytest.fixture
def domain(tmp_path, clock):
    """Return two handles on one file."""
    return [LocalStore(Database(str(tmp_path / "data"), 5), clock, 10) for _ in range(2)]


@pytest.fixture
def database(tmp_path):
    """Return the file that `domain` works on."""
    return Database(str(tmp_path / "data"), 5)


class TestContract(StoreContract):
    """The embedded store keeps the contract."""


def test_looking_creates_nothing(domain, database):
    """Reading, releasing and collecting where nothing was ever allocated leave no file behind."""
    store, _ = domain
    run(store.allocations())
    run(release(store, Attachment("net", "c1", "eth0")))
    run(collect(store, "net", "node", lambda _: True))

    assert not database.directory.exists()


def test_at_rest_there_are_private_files(domain, database):
    """The store and its blank journal, no lock file; nobody else may read who has which address."""
    run(claim(domain[0], allocation()))

    assert ["addresses.sqlite", "addresses.sqlite-journal"] == sorted(os.listdir(database.directory))
    assert bytes(8) == (database.directory / "addresses.sqlite-journal").read_bytes()[:8]
    assert (database.directory.stat().st_mode & 0o777, database.path.stat().st_mode & 0o777) == (0o700, 0o600)


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + b"\xff" * 500, os.urandom(9000)])
def test_a_damaged_file_is_refused_and_left_alone(database, domain, content):
    """INV-STORE-2: neither an ADD nor a DEL nor a look takes a damaged file for an empty store."""
    database.directory.mkdir()
    database.path.write_bytes(content)

    for attempt in (
        claim(domain[0], allocation()),
        domain[0].allocations(),
        release(domain[0], allocation().attachment),
    ):
        with pytest.raises(StoreCorrupt, match="--repair"):
            run(attempt)
    assert content == database.path.read_bytes()


def test_a_file_of_another_program_is_refused(database, domain):
    """A sound SQLite file that is not ours is not written to."""
    database.directory.mkdir()
    connection = sqlite3.connect(database.path)
    connection.execute("CREATE TABLE address (x)")
    connection.close()

    with pytest.raises(StoreCorrupt, match="is not a store of spidercni"):
        run(claim(domain[0], allocation()))


def test_a_file_of_a_later_release_is_refused(database, domain):
    """A downgrade must not misread what a later release wrote."""
    run(claim(domain[0], allocation()))
    connection = sqlite3.connect(database.path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()

    with pytest.raises(StoreUnavailable, match="schema 99"):
        run(domain[0].allocations())


def test_a_lost_file_is_not_a_new_store(database, domain):
    """The journal that rests beside it says that the file was there: its addresses are in use (INV-STORE-2)."""
    run(claim(domain[0], allocation()))
    database.path.unlink()

    for attempt in (claim(domain[0], allocation(container="c2")), domain[0].allocations(), domain[0].exists()):
        with pytest.raises(StoreCorrupt, match="its journal is still there"):
            run(attempt)
    repaired = audit.repair(database, "now", [allocation(container="c3")])
    assert (1, 1) == (repaired.saved, repaired.remembered)
    assert [False] == run(claim(domain[0], allocation(container="c2")))


@pytest.mark.parametrize("link", ["directory", "file"])
def test_a_link_to_what_is_not_there_is_not_a_new_store(database, domain, link, tmp_path):
    """A disk that is not mounted: neither an ADD that starts anew nor a DEL that finds nothing."""
    if link == "directory":
        database.directory.symlink_to(tmp_path / "not-mounted")
    else:
        database.directory.mkdir()
        database.path.symlink_to(tmp_path / "not-mounted" / "addresses.sqlite")

    for attempt in (claim(domain[0], allocation()), release(domain[0], allocation().attachment)):
        with pytest.raises(StoreUnavailable, match="is its disk mounted"):
            run(attempt)


def test_leftovers_of_a_killed_creation_do_no_harm(database, domain):
    """A process that died while it made the file left a half-made one of another name."""
    database.directory.mkdir()
    (database.directory / "addresses.sqlite.new").write_bytes(b"half")
    (database.directory / "addresses.sqlite.new-journal").write_bytes(b"made")

    assert run(claim(domain[0], allocation())) == [True]
    assert not list(database.directory.glob("*.new*"))


def test_a_held_lock_ends_in_an_error_that_can_be_retried(database, clock, domain):
    """Waiting has an end, and the error says who is in the way."""
    run(claim(domain[0], allocation()))
    impatient = LocalStore(Database(str(database.directory), 0.2), clock, 10)
    descriptor = os.open(database.directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    started = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable, match="is busy") as caught:
            run(claim(impatient, allocation(offset=1, container="c2")))
    finally:
        os.close(descriptor)
    assert caught.value.code == 11
    assert time.monotonic() - started >= 0.2


KILLED = """
import os, signal, sys
from spidercni.ipam.local.database import Database
with Database(sys.argv[1], 5).write() as connection:
    connection.execute("DELETE FROM address")
    connection.execute("PRAGMA cache_spill = 1")
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("CREATE TABLE big (x)")
    connection.executemany("INSERT INTO big VALUES (?)", [("x" * 4000,) for _ in range(200)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_whoever_reads_first_rolls_a_killed_change_back(database, domain):
    """After `kill -9` in the middle of a change, also a mere look finds the state of before."""
    run(claim(domain[0], allocation()))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(database.directory)], check=False)

    assert killed.returncode == -9
    assert (database.directory / "addresses.sqlite-journal").stat().st_size > 0, "the change had begun on the disk"
    assert [allocation()] == run(domain[0].allocations())
    assert audit.problems(database) == []


def test_audit_finds_a_wrong_index_and_repair_mends_it(database, domain):
    """Whatever disagrees is said; the old file is kept; afterwards all addresses are still in use."""
    run(claim(domain[0], allocation(), allocation(offset=1, container="c2"), allocation(offset=4, container="c3")))
    run(release(domain[0], Attachment("net", "c3", "eth0")))
    connection = sqlite3.connect(database.path)
    connection.execute("DELETE FROM run")
    connection.commit()
    connection.close()

    assert audit.problems(database) == ["the index of taken IPv4 addresses has 3 too few and 0 too many"]
    repaired = audit.repair(database, "now")

    assert (repaired.saved, repaired.lost, repaired.complete) == (2, (), True)
    assert repaired.kept_aside.exists()
    assert audit.problems(database) == []
    assert [allocation(), allocation(offset=1, container="c2")] == run(domain[0].allocations())
    assert run(claim(domain[0], allocation(container="c9"))) == [False]


def test_repair_saves_what_a_torn_file_still_has(database, domain):
    """A page overwritten in the middle costs what was on it and nothing else."""
    many = [allocation(offset=0, container=f"c{n}")._replace(interface=_address(n)) for n in range(2000)]
    run(claim(domain[0], *many))
    raw = bytearray(database.path.read_bytes())
    middle = len(raw) // 4096 // 2 * 4096
    raw[middle : middle + 4096] = os.urandom(4096)
    database.path.write_bytes(raw)

    with pytest.raises(StoreCorrupt):
        audit.problems(database)
    repaired = audit.repair(database, "now")

    assert bytes(raw) == repaired.kept_aside.read_bytes()
    assert audit.problems(database) == []
    assert 1500 <= repaired.saved <= 2000
    assert repaired.saved == len(run(domain[0].allocations()))


def test_repair_of_rubbish_gives_an_empty_store_and_says_so(database, domain):
    """Nothing can be saved from random bytes; they are kept."""
    database.directory.mkdir()
    database.path.write_bytes(b"rubbish" * 1000)

    repaired = audit.repair(database, "now")

    assert (repaired.saved, repaired.complete) == (0, False)
    assert repaired.kept_aside.read_bytes() == b"rubbish" * 1000
    assert run(domain[0].allocations()) == []


def test_repair_takes_what_the_runtime_remembers_as_in_use(database, domain):
    """What only the runtime knows is in use again; the old file's word counts more."""
    run(claim(domain[0], allocation()))
    forgotten = allocation(offset=2, container="c3")
    stale = allocation(offset=0, container="c9")

    repaired = audit.repair(database, "now", [stale, forgotten])

    assert (2, 1) == (repaired.saved, repaired.remembered)
    assert [allocation(), forgotten] == run(domain[0].allocations())
    assert [] == audit.problems(database)


def test_an_impossible_record_is_found_and_not_lost_silently(database, domain):
    """A record that nobody could have written is named by audit and by repair."""
    run(claim(domain[0], allocation(), allocation(offset=1, container="c2")))
    connection = sqlite3.connect(database.path)
    connection.execute("UPDATE address SET prefix_length = 77 WHERE container_id = 'c2'")
    connection.commit()
    connection.close()

    assert any("impossible record" in problem for problem in audit.problems(database))
    repaired = audit.repair(database, "now")
    assert (repaired.saved, len(repaired.lost)) == (1, 1)
    assert "c2" in repaired.lost[0]


def test_usage_counts_are_right(database, domain, clock):
    """Total, reserved, in use, cooling and free of a pool; in use counts whoever gave the address."""
    stranger = allocation(offset=3, container="c4")._replace(pool="other")
    run(claim(domain[0], allocation(), allocation(offset=1, container="c2"), stranger))
    run(release(domain[0], Attachment("net", "c2", "eth0")))
    from spidercni.model.pool import parse_reserved

    (usage,) = usages(database, [V4], parse_reserved(["10.0.0.9", "10.0.0.77"], "x"))

    assert usage[1:] == (5, 1, 1, 2, 1, 2)


def test_usage_counts_what_a_configuration_reserves(database, domain):
    """Inline reservations are known from the last ADD; they are not free."""

    async def know():
        async with domain[0].session() as session:
            await session.start(V4._replace(scope="net", reserved=("10.0.0.5-10.0.0.7",)))

    run(know())
    (usage,) = usages(database, [], {})
    assert (5, 3, 2) == (usage.total, usage.reserved, usage.free)


def test_usage_of_a_64_is_exact(tmp_path):
    """Counts of a pool beyond 2^63 are exact numbers, and need no store."""
    from spidercni.model.pool import parse_pool

    pool = parse_pool("big", {"subnet": "fd00::/64", "ips": ["fd00::-fd00::ffff:ffff:ffff:ffff"]}, "big")
    (usage,) = usages(Database(str(tmp_path / "none"), 1), [pool], {})

    assert (usage.total, usage.free) == ((1 << 64) - 1, (1 << 64) - 1)


def test_a_copy_of_the_file_is_a_backup(database, domain, tmp_path):
    """At rest the one file is everything: a plain copy can be looked at elsewhere."""
    run(claim(domain[0], allocation()))
    (tmp_path / "copy").mkdir()
    shutil.copy(database.path, tmp_path / "copy")

    copied = LocalStore(Database(str(tmp_path / "copy"), 1), Clock(), 10)
    assert [each.number for each in run(copied.allocations())] == [FIRST4]


def _address(offset):
    from spidercni.model.addresses import interface_of

    return interface_of(4, FIRST4 + 2 * offset, 16)

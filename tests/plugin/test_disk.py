"""A disk that is full, read-only or has damaged the store: never a lie, never a second owner, and a way out."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.lab import Attachment, CniError, Node, execute
from tests.lab.kernel import MS_RDONLY, MS_REMOUNT, mount, unmount

from .networks import Networks
from .store import Store

# What becomes of the file: how many bytes are kept of its head and of its tail, and what is put between them.
DAMAGES = {
    "empty": (slice(0), b"", slice(0)),
    "foreign": (slice(0), b"not a database\n" * 1000, slice(0)),
    "cut off": (slice(6000), b"", slice(0)),
    "without its head": (slice(0), bytes(100), slice(100, None)),
}


# Where releases are noted that could not be carried out.
PENDING = Path("/var/lib/spidercni/pending")


@pytest.fixture(autouse=True)
def nothing_noted(node: Node) -> None:
    """Begin with an empty journal."""
    for note in PENDING.glob("*"):
        note.unlink()


@pytest.fixture
def disk(node: Node, networks: Networks) -> Iterator[Path]:
    """A small disk of its own under the store."""
    networks.data_dir.mkdir()
    mount("lab", str(networks.data_dir), "tmpfs", options="size=256k")
    yield networks.data_dir
    unmount(str(networks.data_dir))


def fill(disk: Path) -> Path:
    """Write a file until nothing more fits, and return it."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1024))
    return path


def add_until_refused(spiderpool: Path, networks: Networks) -> CniError:
    """Attach one container after the other, and return the first error."""
    for number in range(90):
        try:
            execute(spiderpool, "ADD", networks.config(), Attachment(f"more{number}", "/run/netns/not-there"))
        except CniError as error:
            return error
    pytest.fail("90 containers fit on a full disk", pytrace=False)


def test_a_full_disk_is_named_and_survived(
    disk: Path, spiderpool: Path, networks: Networks, store: Store, attachment: Attachment
) -> None:
    """On a full disk ADD is refused with the reason and leaves nothing, DEL works, and all is well with new space."""
    execute(spiderpool, "ADD", networks.config(), attachment)
    filler = fill(disk)
    # What space the store has reserved, or half-filled, may serve some more.
    refused = add_until_refused(spiderpool, networks)
    assert refused.code == 11
    assert "full" in refused.msg
    assert "space" in refused.details
    held = store.used()
    assert len(held) % 2 == 0, "no half of a dual-stack attachment is left"
    execute(spiderpool, "DEL", networks.config(), attachment)
    assert len(store.used()) == len(held) - 2
    filler.unlink()
    execute(spiderpool, "ADD", networks.config(), Attachment("c2", attachment.netns))
    assert len(store.used()) == len(held)
    assert store.ctl("check").returncode == 0


def test_status_is_not_ready_on_a_full_disk(disk: Path, spiderpool: Path, networks: Networks) -> None:
    """STATUS says what is missing while no ADD could be recorded."""
    filler = fill(disk)
    with pytest.raises(CniError, match="cannot be written") as caught:
        execute(spiderpool, "STATUS", networks.config())
    assert caught.value.code == 50
    filler.unlink()
    assert execute(spiderpool, "STATUS", networks.config()) is None


def test_a_disk_full_from_the_start_makes_no_half_store(
    disk: Path, spiderpool: Path, networks: Networks, store: Store, attachment: Attachment
) -> None:
    """A first ADD on a full disk leaves no store behind that would be taken for a damaged one later."""
    filler = fill(disk)
    with pytest.raises(CniError) as caught:
        execute(spiderpool, "ADD", networks.config(), attachment)
    assert caught.value.code == 11
    filler.unlink()
    execute(spiderpool, "ADD", networks.config(), attachment)
    assert len(store.used()) == 2


@pytest.mark.parametrize(("command", "code"), [("ADD", 11), ("DEL", None), ("STATUS", 50), ("CHECK", None)])
def test_a_read_only_disk(
    disk: Path, spiderpool: Path, networks: Networks, attachment: Attachment, command: str, code: int | None
) -> None:
    """On a read-only disk an ADD is refused, a DEL is noted, STATUS is not ready, and CHECK still works."""
    result = execute(spiderpool, "ADD", networks.config(), attachment)
    mount("lab", str(disk), "tmpfs", flags=MS_REMOUNT | MS_RDONLY)
    config = {**networks.config(), "prevResult": result}
    answered = None
    try:
        execute(spiderpool, command, config, Attachment("c2", "/run/netns/any") if command == "ADD" else attachment)
    except CniError as error:
        answered = error.code
    assert answered == code
    assert len(list(PENDING.glob("*.json"))) == (command == "DEL")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_store_is_not_touched(
    spiderpool: Path, networks: Networks, store: Store, attachment: Attachment, damage: str
) -> None:
    """A damaged store is refused by every verb with the way out, and not a byte of it changes before `--repair`."""
    result = execute(spiderpool, "ADD", networks.config(), attachment)
    (path,) = networks.data_dir.glob("*.sqlite")
    head, between, tail = DAMAGES[damage]
    content = path.read_bytes()
    damaged = content[head] + between + content[tail]
    path.write_bytes(damaged)
    config = {**networks.config(), "prevResult": result, "cni.dev/valid-attachments": []}
    for command, code in (("ADD", 107), ("CHECK", 107), ("STATUS", 50)):
        with pytest.raises(CniError) as caught:
            execute(spiderpool, command, config, attachment)
        assert (command, caught.value.code) == (command, code)
        assert "--repair" in caught.value.details
    execute(spiderpool, "DEL", config, attachment)
    execute(spiderpool, "GC", config, attachment)
    assert len(list(PENDING.glob("*.json"))) == 2, "releases are noted until the store is repaired"
    assert path.read_bytes() == damaged
    assert store.ctl("check").returncode == 3

    assert store.ctl("check", "--repair", "--yes").returncode == 1, "what could not be read may be lost"
    assert damaged in [kept.read_bytes() for kept in networks.data_dir.iterdir()]
    assert store.ctl("check").returncode == 0
    execute(spiderpool, "ADD", networks.config(), Attachment("c2", attachment.netns))

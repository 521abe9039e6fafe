"""After the store's file was lost to damage, living containers keep their addresses to themselves."""

import json
from pathlib import Path

from tests.lab import Attachment, Runtime

from .conftest import MakeContainer
from .networks import Networks
from .store import Store


def test_repair_asks_what_the_runtime_remembers(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer
) -> None:
    """Rubbish instead of the store: repair takes the addresses in libcni's cache as in use; nobody else gets them."""
    network = networks.write()
    inside = {name: Attachment(name, str(container(name).netns)) for name in ("red", "green", "blue")}
    for name in ("red", "green"):
        runtime.add(network, inside[name])
    before = store.addresses()
    store_file(networks).write_bytes(b"rubbish" * 1000)
    (runtime.cache_dir / "results" / "strange").write_text("{}")

    done = store.ctl("check", "--repair", "--yes", "--cache-dir", str(runtime.cache_dir))

    assert done.returncode == 1, "the file could not be read whole"
    assert "saved 4 allocations, 4 of them from what the runtime remembers" in done.stdout
    assert "strange" in done.stderr
    assert [without_time(each) for each in before] == [without_time(each) for each in store.addresses()]
    runtime.check(network, inside["red"])
    given = runtime.add(network, inside["blue"])
    assert not {ip["address"] for ip in given["ips"]} & {each["address"] for each in before}
    for each in inside.values():
        runtime.delete(network, each)
    assert store.used() == []


def test_what_belongs_to_another_store_is_not_taken(
    runtime: Runtime, networks: Networks, store: Store, container: MakeContainer, tmp_path: Path
) -> None:
    """The runtime's cache has every network of the node; only those on this store count."""
    runtime.add(networks.write(), Attachment("red", str(container("red").netns)))
    other = Store(store.executable, tmp_path / "other")
    other.data_dir.mkdir()
    store_file(networks, other.data_dir).write_bytes(b"rubbish" * 1000)

    done = other.ctl("check", "--repair", "--yes", "--cache-dir", str(runtime.cache_dir))

    assert "saved 0 allocations" in done.stdout
    assert other.used() == []


def store_file(networks: Networks, data_dir: Path | None = None) -> Path:
    """Return the path of the store's file."""
    return (data_dir or networks.data_dir) / "addresses.sqlite"


def without_time(address: dict[str, object]) -> str:
    """Return an address as text without the time of its allocation, which a repair cannot know."""
    return json.dumps({key: value for key, value in address.items() if key != "allocatedAt"}, sort_keys=True)

"""The command line, on a store made by real calls of the plugin."""

import json
import sqlite3

import pytest
import yaml
from click.testing import CliRunner

from spidercni.cli.main import cli
from spidercni.cli.output import bar, percent
from spidercni.cni.plugin import run
from spidercni.ipam.local.database import Database
from spidercni.ipam.local.store import LocalStore
from tests.unit.store_contract import V4, V6, allocation, claim


@pytest.fixture
def data_dir(tmp_path):
    """Return the directory of a store with three addresses in two pools, known to it as inline ones."""
    store = LocalStore(Database(str(tmp_path / "data"), 5), lambda: 1000.0, 10)

    async def know():
        async with store.session() as session:
            for pool in (V4, V6):
                await session.start(pool._replace(scope="net"))

    run(know())
    run(claim(store, allocation(), allocation(V6), allocation(offset=1, container="c2[red]")))
    return str(tmp_path / "data")


def ctl(data_dir, *words, answer=None):
    """Run `spidercni ctl` on the store; return status, stdout, stderr."""
    done = CliRunner().invoke(
        cli, ["ctl", *words, "--data-dir", data_dir, "--pools-dir", f"{data_dir}/.."], input=answer
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_pools(data_dir):
    """Counts are numbers for programs and a bar for people; -o yaml says the same as -o json."""
    status, text, _ = ctl(data_dir, "pool", "list", "-o", "json")
    pools = json.loads(text)

    assert (status, [pool["name"] for pool in pools]) == (0, ["v4", "v6"])
    assert {"total": 5, "inUse": 2, "free": 3, "allocated": 2}.items() <= pools[0].items()
    assert pools == yaml.safe_load(ctl(data_dir, "pool", "list", "-o", "yaml")[1])
    table = ctl(data_dir, "pool", "list")[1]
    assert "████······" in table
    assert "<0.1%" in table


def test_one_pool(data_dir):
    """Its spec as it was written; an unknown one is status 1."""
    assert "10.0.0.5-10.0.0.9" in ctl(data_dir, "pool", "show", "v4")[1]
    status, _, error = ctl(data_dir, "pool", "show", "nope")
    assert status == 1
    assert "nope" in error


def test_addresses(data_dir):
    """One line an address, also through a pipe; filters; foreign text is never taken for markup."""
    status, text, _ = ctl(data_dir, "address", "list")

    assert (status, len(text.splitlines())) == (0, 4)
    assert "c2[red]" in text
    found = json.loads(ctl(data_dir, "address", "list", "-o", "json", "--pool", "v6")[1])
    assert [each["address"] for each in found] == ["fd00::5/64"]
    assert json.loads(ctl(data_dir, "address", "show", "10.0.0.5", "-o", "json")[1])["containerID"] == "c1"
    assert json.loads(ctl(data_dir, "address", "list", "-o", "json", "--container", "zz")[1]) == []


def test_unknown_and_impossible_addresses(data_dir):
    """Not there is status 1, not an address is wrong usage, status 2."""
    assert ctl(data_dir, "address", "show", "10.0.0.99")[0] == 1
    assert ctl(data_dir, "address", "show", "10.0.0.x")[0] == 2


def test_a_pool_of_the_past_can_be_forgotten(data_dir):
    """Not while it has addresses in use; afterwards it is not listed."""
    assert 1 == ctl(data_dir, "pool", "forget", "v6", "--network", "net")[0]
    assert 0 == ctl(data_dir, "address", "release", "fd00::5", "--yes")[0]
    assert 0 == ctl(data_dir, "pool", "forget", "v6", "--network", "net")[0]
    assert 1 == ctl(data_dir, "pool", "forget", "v6", "--network", "net")[0]
    assert ["v4"] == [pool["name"] for pool in json.loads(ctl(data_dir, "pool", "list", "-o", "json")[1])]


def test_release_asks_first(data_dir):
    """Anything but yes releases nothing; --yes does not ask."""
    assert ctl(data_dir, "address", "release", "10.0.0.5", answer="n\n")[0] == 1
    assert ctl(data_dir, "address", "show", "10.0.0.5")[0] == 0
    assert ctl(data_dir, "address", "release", "10.0.0.5", "--yes")[0] == 0
    assert ctl(data_dir, "address", "show", "10.0.0.5")[0] == 1


def test_check_and_repair(data_dir):
    """0 sound, 1 inconsistent, 3 damaged; --repair asks, keeps the old file and ends with a sound store."""
    assert ctl(data_dir, "check")[0] == 0
    connection = sqlite3.connect(f"{data_dir}/addresses.sqlite")
    connection.execute("DELETE FROM run")
    connection.commit()
    connection.close()

    assert ctl(data_dir, "check")[0] == 1
    assert ctl(data_dir, "check", "--repair", answer="n\n")[0] == 1
    status, text, _ = ctl(data_dir, "check", "--repair", "--yes")
    assert status == 0
    assert "saved 3 allocations" in text
    assert "damaged-" in text
    assert ctl(data_dir, "check")[0] == 0


def test_a_damaged_store_is_status_3(data_dir):
    """Every command says so and what to do."""
    with open(f"{data_dir}/addresses.sqlite", "wb") as file:
        file.write(b"rubbish")

    for words in (["check"], ["pool", "list"], ["address", "list"]):
        status, _, error = ctl(data_dir, *words)
        assert status == 3
        assert "--repair" in error


def test_a_bad_setting_is_status_3(data_dir, monkeypatch):
    """By name and value."""
    monkeypatch.setenv("SPIDERCNI_LOCK_TIMEOUT_SECONDS", "soon")

    status, _, error = ctl(data_dir, "check")
    assert status == 3
    assert "SPIDERCNI_LOCK_TIMEOUT_SECONDS" in error


def test_options_stand_in_front_or_behind(data_dir):
    """`ctl --data-dir X check` says the same as `ctl check --data-dir X`."""
    for words in (["--data-dir", data_dir, "address", "list"], ["address", "list", "--data-dir", data_dir]):
        assert "c2[red]" in CliRunner().invoke(cli, ["ctl", *words]).output


def test_no_store_is_no_error(tmp_path, monkeypatch):
    """A fresh machine has nothing, and looking makes nothing; a directory that was named must be there."""
    monkeypatch.setenv("SPIDERCNI_DATA_DIR", str(tmp_path / "none"))
    for words, output in ((["address", "list", "-o", "json"], "[]"), (["check"], "there is no store yet")):
        done = CliRunner().invoke(cli, ["ctl", *words])
        assert 0 == done.exit_code
        assert output in done.stdout
    assert not (tmp_path / "none").exists()
    assert 3 == CliRunner().invoke(cli, ["ctl", "--data-dir", str(tmp_path / "none"), "check"]).exit_code


def test_what_a_table_prints_can_be_given_back(data_dir):
    """An address with its prefix length is that address."""
    assert 0 == ctl(data_dir, "address", "show", "10.0.0.5/24")[0]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell):
    """Each shell gets a script that calls us back."""
    assert "_SPIDERCNI_COMPLETE" in CliRunner().invoke(cli, ["completion", shell]).output


@pytest.mark.parametrize(
    ("used", "total", "drawn", "said"),
    [
        (0, 10, "··········", "0.0%"),
        (1, 1 << 64, "▏·········", "<0.1%"),
        (5, 10, "█████·····", "50.0%"),
        (99, 100, "█████████▉", "99.0%"),
        ((1 << 64) - 1, 1 << 64, "█████████▉", ">99.9%"),
        (10, 10, "██████████", "100.0%"),
        (0, 0, "··········", "-"),
    ],
)
def test_bars_do_not_lie(used, total, drawn, said):
    """Something used is never nothing, something free is never full."""
    assert (drawn, said) == (bar(used, total), percent(used, total))

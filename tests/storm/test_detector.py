"""The storm's own detector: an assertion that cannot fail would prove nothing."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .beliefs import BeliefTable, TwoBelieversError
from .worker import Storm, Unexpected, Worker

# A plugin with the worst of faults: it gives everybody the same address.
GIVES_ONE_TO_ALL = """#!/bin/sh
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.77.0.10/24"}]}'
exit 0
"""
REFUSES_WRONGLY = """#!/bin/sh
echo '{"cniVersion": "1.0.0", "code": 999, "msg": "a defect"}'
exit 1
"""


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[tuple[BeliefTable, BeliefTable]]:
    """Two processes' views of one table."""
    pair = BeliefTable(tmp_path / "beliefs", 4), BeliefTable(tmp_path / "beliefs", 4)
    yield pair
    for table in pair:
        table.close()


def storm(tmp_path: Path, plugin: str) -> Storm:
    """Return a storm of a second on a plugin that is a shell script."""
    path = tmp_path / "plugin"
    path.write_text(plugin)
    path.chmod(0o755)
    return Storm(path, {}, "10.77.0.10", 4, tmp_path / "beliefs", until=time.monotonic() + 1)


def test_two_believers_are_found_out(tables: tuple[BeliefTable, BeliefTable]) -> None:
    """A second believer of an address is an error, whichever process it is in."""
    tables[0].believe(3, who=1)
    with pytest.raises(TwoBelieversError, match="given to 2, and 1 owns it"):
        tables[1].believe(3, who=2)
    with pytest.raises(TwoBelieversError):
        tables[1].give_up(3, who=2)


def test_one_after_the_other_is_fine(tables: tuple[BeliefTable, BeliefTable]) -> None:
    """An address that was given up may be believed by the next one, and each address stands for itself."""
    tables[0].believe(0, who=1)
    tables[0].believe(1, who=1)
    tables[0].give_up(0, who=1)
    tables[1].believe(0, who=2)
    assert tables[0].believed() == tables[1].believed() == [0, 1]


def test_an_address_given_twice_ends_the_storm(tmp_path: Path) -> None:
    """A plugin that gives one address to two attachments is found out by the worker itself."""
    with pytest.raises(TwoBelieversError):
        Worker(storm(tmp_path, GIVES_ONE_TO_ALL), 1).run()


def test_a_defect_ends_the_storm(tmp_path: Path) -> None:
    """An answer that is neither success nor 'try again' is not counted as an ordinary refusal."""
    with pytest.raises(Unexpected, match="a defect"):
        Worker(storm(tmp_path, REFUSES_WRONGLY), 1).run()

"""Cases as data: a bug report can be one more row of a file in `testdata/`."""

from pathlib import Path

import pytest
import yaml

TESTDATA = Path(__file__).parents[2] / "testdata"


def load(name: str) -> list:
    """Return the rows of a file as parameters, named by their `name`."""
    rows = yaml.safe_load((TESTDATA / name).read_text())
    return [pytest.param(row, id=row["name"].replace(" ", "-")) for row in rows]


def says(error_texts: str, case: dict) -> None:
    """Assert that an error says everything that the case asks for."""
    for text in case.get("says", []):
        assert str(text) in error_texts, f"{text!r} is not in {error_texts!r}"

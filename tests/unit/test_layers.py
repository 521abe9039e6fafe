"""Imports look down only, and a foreign library has one owner (docs/design/layers.md)."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "spidercni"

# From the top to the bottom. Rooms of one line do not know each other.
LAYERS = [
    {"__main__"},
    {"main"},
    {"cli"},
    {"agent", "controller"},
    {"ipam", "coordinator", "ifacer", "testing"},
    {"kube", "net"},
    {"cni"},
    {"model", "settings"},
    {"errors"},
]
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}

# `main` picks the plugin from argv[0] and `cli` is its other face; nothing else may know the entry points.
OWNERS = {
    "click": {"cli"},
    "rich": {"cli"},
    "yaml": {"cli", "ipam", "settings"},
    "sqlite3": {"ipam"},
    "httpx": {"kube"},
    "pyroute2": {"net"},
    "pydantic": {"model", "settings", "cli", "agent", "controller"},
    "starlette": {"agent"},
    "uvicorn": {"agent"},
    "prometheus_client": {"agent"},
}

# Modules whose docstring says "Pure." import nothing that does I/O.
WITH_IO = {"os", "socket", "sqlite3", "subprocess", "fcntl", "time", "random", "pathlib", "signal", "threading", "yaml"}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield each module's dotted name below `spidercni` and its file."""
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path) -> Iterator[str]:
    """Yield the absolute names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            yield module
            if module == "spidercni":
                yield from (f"spidercni.{alias.name}" for alias in node.names if not alias.name.startswith("_"))


def room_of(name: str) -> str:
    """Return the first part of a dotted name."""
    return name.split(".")[0]


ALL = [(name, path) for name, path in modules() if name]


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_imports_look_down(name, path):
    """A room imports only itself and rooms of lower layers."""
    room = room_of(name)
    for imported in imports(path):
        if imported.startswith("spidercni."):
            other = room_of(imported.removeprefix("spidercni."))
            assert other == room or RANK[other] > RANK[room], f"{name} must not import {imported}"


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_foreign_libraries_have_owners(name, path):
    """A library is imported by its owner only, and `cni` by nothing but the standard library."""
    room = room_of(name)
    for imported in imports(path):
        library = room_of(imported)
        if library in OWNERS:
            assert room in OWNERS[library], f"{name} must not import {library}"
        elif library != "spidercni":
            assert library in sys.stdlib_module_names or library == "__future__", f"{library} has no owner"


@pytest.mark.parametrize(("name", "path"), ALL, ids=[name for name, _ in ALL])
def test_pure_modules_do_no_io(name, path):
    """A module that calls itself pure imports nothing that reads or writes the world."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert docstring, f"{name} has no docstring"
    if "Pure." in docstring.splitlines()[0]:
        assert not {room_of(imported) for imported in imports(path)} & WITH_IO
        assert not [i for i in imports(path) if i.startswith("spidercni.ipam.local")]


def test_every_room_has_a_layer():
    """A new room is put into the table above."""
    assert {room_of(name) for name, _ in ALL} <= set(RANK)

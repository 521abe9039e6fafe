"""Pools and reservations from a directory of YAML files, in the form that is applied to a cluster.

Only PyYAML's safe loader is used; it is imported when there is a file to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spidercni.errors import InvalidConfig, StoreUnavailable, quoted
from spidercni.model.fields import Fields
from spidercni.model.intervals import Interval, IntervalSet
from spidercni.model.pool import Pool, check_name, parse_pool, parse_reserved

API_VERSION = "spiderpool.spidernet.io/v2beta1"
POOL = "SpiderIPPool"
RESERVED = "SpiderReservedIP"
SUFFIXES = (".yaml", ".yml", ".json")


def read(directory: str) -> tuple[tuple[Pool, ...], dict[int, IntervalSet]]:
    """Return the pools by name, and what is reserved of each family. Other kinds are passed over.

    A missing directory is an empty one. Raises InvalidConfig (7), StoreUnavailable (11).
    """
    pools: dict[str, Pool] = {}
    reserved: dict[int, list[Interval]] = {4: [], 6: []}
    for where, document in _documents(directory):
        kind, name, spec = _envelope(document, where)
        if kind == POOL:
            if name in pools:
                raise InvalidConfig(f"{where}: metadata.name is {quoted(name)}", "another manifest has that pool too")
            pools[name] = parse_pool(name, spec, f"{where}: spec")
        elif kind == RESERVED:
            for family, numbers in parse_reserved(spec.get("ips"), f"{where}: spec.ips").items():
                reserved[family].extend(numbers)
    return tuple(pools[name] for name in sorted(pools)), _merged(reserved)


def _merged(reserved: dict[int, list[Interval]]) -> dict[int, IntervalSet]:
    return {family: IntervalSet(numbers) for family, numbers in reserved.items()}


def _documents(directory: str) -> Iterator[tuple[str, Any]]:
    for path in _files(directory):
        import yaml  # some 20 ms, only where there is a manifest

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            text = path.read_text(encoding="utf-8")
            documents = list(yaml.load_all(text, Loader=loader))
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be read", error.strerror or str(error)) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise InvalidConfig(f"{path} is not YAML", " ".join(str(error).split())[:300]) from error
        for index, document in enumerate(documents):
            if document is not None:
                yield f"{path}[{index}]" if len(documents) > 1 else str(path), document


def _files(directory: str) -> Iterable[Path]:
    try:
        return sorted(path for path in Path(directory).iterdir() if path.suffix in SUFFIXES)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StoreUnavailable(f"{directory} cannot be read", error.strerror or str(error)) from error


def _envelope(document: object, where: str) -> tuple[str, str, dict[str, Any]]:
    """Return kind, name and spec of a manifest; an empty kind for one that is not ours."""
    fields = Fields(document, where)
    kind: str = fields.get("kind", str, "")
    if kind not in (POOL, RESERVED):
        return "", "", {}
    version: str = fields.get("apiVersion", str, "")
    if version != API_VERSION:
        raise InvalidConfig(f"{where}: apiVersion is {quoted(version)}", f"a {kind} has {API_VERSION}")
    assert isinstance(document, dict)
    metadata = Fields(document.get("metadata"), f"{where}: metadata")
    name = check_name(f"{where}: metadata.name", metadata.get("name", str, ""))
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise InvalidConfig(f"{where}: spec is {quoted(spec)}", "it is an object")
    return kind, name, spec

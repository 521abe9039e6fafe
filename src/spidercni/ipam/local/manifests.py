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
# Other kinds of that API: they mean nothing here. Any other word with that API is a spelling mistake.
PASSED_OVER = ("SpiderSubnet", "SpiderEndpoint", "SpiderCoordinator", "SpiderMultusConfig", "SpiderIPAddress")
# What `kubectl get -o yaml` prints.
LISTS = ("List", f"{POOL}List", f"{RESERVED}List")
SUFFIXES = (".yaml", ".yml", ".json")


def read(directory: str, must_exist: bool = False) -> tuple[tuple[Pool, ...], dict[int, IntervalSet]]:
    """Return the pools by name, and what is reserved of each family. Kinds of other APIs are passed over.

    A missing directory is an empty one unless it must exist. Raises InvalidConfig (7), UnsupportedField (2),
    StoreUnavailable (11).
    """
    pools: dict[str, Pool] = {}
    reserved: dict[int, list[Interval]] = {4: [], 6: []}
    for where, document in _documents(directory, must_exist):
        kind, name, spec = _envelope(document, where)
        if kind == POOL:
            if name in pools:
                raise InvalidConfig(f"{where}: metadata.name is {quoted(name)}", "another manifest has that pool too")
            pools[name] = parse_pool(name, spec, f"{where}: spec")
        elif kind == RESERVED:
            Fields(spec, f"{where}: spec").refuse_unknown(("ips", "ipVersion"))
            for family, numbers in parse_reserved(spec.get("ips"), f"{where}: spec.ips").items():
                reserved[family].extend(numbers)
    return tuple(pools[name] for name in sorted(pools)), _merged(reserved)


def _merged(reserved: dict[int, list[Interval]]) -> dict[int, IntervalSet]:
    return {family: IntervalSet(numbers) for family, numbers in reserved.items()}


def _documents(directory: str, must_exist: bool) -> Iterator[tuple[str, Any]]:
    for path in _files(directory, must_exist):
        from spidercni.ipam.local import strict_yaml  # PyYAML costs some 20 ms, only where there is a manifest

        try:
            documents = strict_yaml.load_all(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StoreUnavailable(f"{path} cannot be read", error.strerror or str(error)) from error
        except ValueError as error:
            raise InvalidConfig(f"{path} is not YAML", " ".join(str(error).split())[:300]) from error
        for index, document in enumerate(documents):
            if document is not None:
                yield from _items(f"{path}[{index}]" if len(documents) > 1 else str(path), document)


def _items(where: str, document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, dict) and document.get("kind") in LISTS:
        for index, item in enumerate(Fields(document, where).objects("items")):
            yield f"{where}: items[{index}]", item
    else:
        yield where, document


def _files(directory: str, must_exist: bool) -> Iterable[Path]:
    """Return the files with a known suffix, sorted. Hidden ones are of editors and not of administrators."""
    try:
        found = sorted(path for path in Path(directory).iterdir() if path.suffix in SUFFIXES)
    except FileNotFoundError:
        if must_exist:
            raise InvalidConfig(f"ipam.pools_dir is {quoted(directory)}", "there is no such directory") from None
        return ()
    except OSError as error:
        raise StoreUnavailable(f"{directory} cannot be read", error.strerror or str(error)) from error
    shown = [path for path in found if not path.name.startswith(".")]
    for path in shown:
        if path.exists() and not path.is_file():
            raise StoreUnavailable(f"{path} cannot be read", "it is not a file")
    return shown


def _envelope(document: object, where: str) -> tuple[str, str, dict[str, Any]]:
    """Return kind, name and spec of a manifest; an empty kind for one that is not ours."""
    fields = Fields(document, where)
    kind: str = fields.get("kind", str, "")
    version: str = fields.get("apiVersion", str, "")
    if kind not in (POOL, RESERVED):
        if version.partition("/")[0] == API_VERSION.partition("/")[0] and kind not in PASSED_OVER:
            raise InvalidConfig(f"{where}: kind is {quoted(kind)}", f"known kinds: {POOL}, {RESERVED}")
        return "", "", {}
    if version != API_VERSION:
        raise InvalidConfig(f"{where}: apiVersion is {quoted(version)}", f"a {kind} has {API_VERSION}")
    assert isinstance(document, dict)
    metadata = Fields(document.get("metadata"), f"{where}: metadata")
    name = check_name(f"{where}: metadata.name", metadata.get("name", str, ""))
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise InvalidConfig(f"{where}: spec is {quoted(spec)}", "it is an object")
    return kind, name, spec

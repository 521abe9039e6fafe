"""Where a setting's value comes from: an option, else the environment, else the file, else the default."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from spidercni.errors import InvalidConfig, StoreUnavailable, quoted
from spidercni.settings.table import TABLE, variable_of

FILE = "/etc/spidercni/config.yaml"
FILE_VARIABLE = "SPIDERCNI_CONFIG"
DEFAULT = "default"


class Found(NamedTuple):
    """A value, and where it was found: `default`, the path of the file, a variable, or `command line`."""

    value: Any
    source: str


def collect(
    environ: Mapping[str, str], names: Collection[str] = tuple(TABLE), options: Mapping[str, object] | None = None
) -> dict[str, Found]:
    """Return the settings of these names, parsed. An empty variable is as good as none, and so is an option of None.

    Only the values of these names are looked at, but every key of the file must be one that we know.
    Raises InvalidConfig, which names key, value and source; StoreUnavailable for a file that cannot be read.
    """
    path = environ.get(FILE_VARIABLE) or FILE
    in_file = _read_file(path, must_exist=bool(environ.get(FILE_VARIABLE)))
    found = {}
    for name in names:
        option, text = (options or {}).get(name), environ.get(variable_of(name))
        if option is not None:
            found[name] = Found(_parse(name, f"{name} on the command line", option), "command line")
        elif text:
            found[name] = Found(_parse(name, variable_of(name), text), variable_of(name))
        elif in_file.get(name) is not None:
            found[name] = Found(_parse(name, f"{path}: {name}", in_file[name]), path)
        else:
            found[name] = Found(TABLE[name].default, DEFAULT)
    if "node" in found and not found["node"].value:
        found["node"] = found["node"]._replace(value=os.uname().nodename)
    return found


def _parse(name: str, where: str, value: object) -> Any:
    try:
        return TABLE[name].parse(value)
    except ValueError as error:
        raise InvalidConfig(f"{where} is {quoted(value)}", str(error)) from None


def _read_file(path: str, *, must_exist: bool) -> Mapping[str, object]:
    """Return what the file says. There need not be one, unless the environment names it."""
    try:
        with open(path, encoding="utf-8") as stream:
            text = stream.read()
    except FileNotFoundError as error:
        if not must_exist:
            return {}
        raise InvalidConfig(f"{FILE_VARIABLE} is {quoted(path)}", "there is no such file") from error
    except (OSError, ValueError) as error:
        raise StoreUnavailable(f"{path} cannot be read", quoted(str(error))) from error
    return _decode(path, text)


def _decode(path: str, text: str) -> Mapping[str, object]:
    import yaml  # some 20 ms, only where there is a file

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        document = yaml.load(text, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidConfig(f"{path} is not YAML", " ".join(str(error).split())[:300]) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidConfig(f"{path} is {quoted(document)}", "it has lines such as data_dir: /var/lib/spidercni")
    for key, value in document.items():
        if key not in TABLE:
            # A misspelt data_dir, passed over, would make a second store that knows nothing of the first.
            raise InvalidConfig(
                f"{path} has the unknown key {quoted(key)} with the value {quoted(value)}",
                f"known keys: {', '.join(TABLE)}",
            )
    return document

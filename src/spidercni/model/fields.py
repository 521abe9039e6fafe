"""Read the fields of a foreign JSON or YAML object; every complaint names the key and the value. Pure.

Pydantic does the same with more comfort; it is not used here because importing it costs a one-shot plugin more
than all its other work together (`docs/design/start-up.md`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from spidercni.errors import InvalidConfig, UnsupportedField, quoted

T = TypeVar("T")

_TYPE_NAMES = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


class Fields:
    """The fields of one object; `where` is its path in the document, for errors."""

    def __init__(self, source: object, where: str) -> None:
        if not isinstance(source, Mapping):
            raise InvalidConfig(f"{where} is {quoted(source)}", "it must be an object")
        self._source = source
        self.where = where

    @staticmethod
    @contextmanager
    def naming(key: str, value: object) -> Iterator[None]:
        """Turn a ValueError of the block into an InvalidConfig that names `key` and `value`."""
        try:
            yield
        except ValueError as error:
            raise InvalidConfig(f"{key} is {quoted(value)}", Fields.show_text(error)) from error

    @staticmethod
    def show_text(error: ValueError) -> str:
        """Return the text of an error without control characters, shortened."""
        return ascii(str(error))[1:-1][:200]

    @staticmethod
    def as_list(value: object, where: str) -> list[Any]:
        """Return a list; None is an empty one. Raises InvalidConfig."""
        if value is None:
            return []
        if not isinstance(value, list):
            raise InvalidConfig(f"{where} is {quoted(value)}", "it must be a list")
        return value

    def refuse_unknown(self, known: Collection[str]) -> None:
        """Refuse a key that is not ours: it is a spelling mistake. Raises UnsupportedField (code 2)."""
        for key, value in self._source.items():
            if key not in known:
                raise UnsupportedField(
                    f"{self.where} has the unknown key {quoted(key)} with the value {quoted(value)}",
                    f"known keys: {', '.join(sorted(known))}",
                )

    def has(self, key: str) -> bool:
        """Tell whether the field is given; null is not."""
        return self._source.get(key) is not None

    def get(self, key: str, kind: type[T], default: T | None) -> Any:
        """Return a field of a plain type, or the default. Raises InvalidConfig."""
        value = self._source.get(key)
        if value is None:
            return default
        # A bool is an int in Python, not in a configuration.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise InvalidConfig(f"{self.where}.{key} is {quoted(value)}", f"it must be {_TYPE_NAMES[kind]}")
        return value

    def parse(self, key: str, parser: Callable[[object], T]) -> T:
        """Return the parsed value of a required field. Raises InvalidConfig."""
        if not self.has(key):
            raise InvalidConfig(f"{self.where}.{key} is missing", f"{self.where} needs {key}")
        value = self._source[key]
        with self.naming(f"{self.where}.{key}", value):
            return parser(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, empty where the field is missing. Raises InvalidConfig."""
        entries = self.as_list(self._source.get(key), f"{self.where}.{key}")
        for index, entry in enumerate(entries):
            if not isinstance(entry, str) or not entry.isprintable():
                raise InvalidConfig(f"{self.where}.{key}[{index}] is {quoted(entry)}", "it must be a text")
        return tuple(entries)

    def objects(self, key: str) -> list[Any]:
        """Return a list of foreign objects, empty where the field is missing. Raises InvalidConfig."""
        return self.as_list(self._source.get(key), f"{self.where}.{key}")

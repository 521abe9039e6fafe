"""YAML as an administrator means it: only plain values, and a key once.

PyYAML takes the last of two equal keys without a word: a reservation would be lost. Only its safe loader is used.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _StrictLoader(_Loader):  # type: ignore[misc]  # which of the two is known at run time
    """Refuses a key that stands twice in one object."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the object of a node."""
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", node.start_mark)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


def load_all(text: str) -> list[Any]:
    """Return the documents of a text. Raises ValueError."""
    try:
        return list(yaml.load_all(text, Loader=_StrictLoader))
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error

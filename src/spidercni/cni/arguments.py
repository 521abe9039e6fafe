"""CNI_ARGS: `k=v` pairs separated by `;` (libcni `LoadArgs` sets the rules). Pure."""

from __future__ import annotations

from collections.abc import Collection

from spidercni.errors import InvalidEnvironment, quoted

_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def parse(text: str, known: Collection[str]) -> dict[str, str]:
    """Return the pairs whose key is in `known`.

    An unknown key is refused unless the pair `IgnoreUnknown=1` (or `true`, any case) is there.
    Raises InvalidEnvironment (code 4) and names the pair.
    """
    if not text:
        return {}
    pairs: dict[str, str] = {}
    for pair in text.split(";"):
        key, equals, value = pair.partition("=")
        if not key or not equals or "=" in value:
            raise InvalidEnvironment(
                f"invalid env variables: CNI_ARGS has {quoted(pair)}",
                "a pair is written KEY=VALUE, pairs are separated by ';'",
            )
        if not value.isprintable():
            raise InvalidEnvironment(f"invalid env variables: CNI_ARGS has {quoted(pair)}, which is not text")
        if key in pairs:
            raise InvalidEnvironment(
                f"invalid env variables: CNI_ARGS has {quoted(key)} twice", "several addresses are written IP=A,B"
            )
        pairs[key] = value
    ignore = _truth(pairs.pop("IgnoreUnknown", "false"))
    unknown = sorted(set(pairs) - set(known))
    if unknown and not ignore:
        raise InvalidEnvironment(
            f"invalid env variables: CNI_ARGS has unknown keys {quoted(unknown)}",
            "add IgnoreUnknown=1 to have them ignored",
        )
    return {key: value for key, value in pairs.items() if key in known}


def _truth(value: str) -> bool:
    try:
        return _TRUTH[value.lower()]
    except KeyError:
        raise InvalidEnvironment(
            f"invalid env variables: CNI_ARGS has IgnoreUnknown={quoted(value)}", "it is 1, true, 0 or false"
        ) from None

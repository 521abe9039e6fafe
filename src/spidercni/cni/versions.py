"""The versions of the CNI specification, and which verb exists since when. Pure."""

from __future__ import annotations

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")

# Chaining and `prevResult` begin with 0.3.0, so that a chained plugin cannot honour an older version.
CHAINED = SUPPORTED[2:]

# Verbs that a configuration of an older version must not be asked for (SPEC "Section 2", skel does the same).
VERB_SINCE = {"CHECK": "0.4.0", "STATUS": "1.1.0", "GC": "1.1.0"}

# What a configuration without `cniVersion` means; libcni's decoder takes it so.
IMPLIED = "0.1.0"


def at_least(version: str, floor: str) -> bool:
    """Tell whether a supported `version` is `floor` or later."""
    return SUPPORTED.index(version) >= SUPPORTED.index(floor)

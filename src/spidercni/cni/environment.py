"""The CNI_* variables: which verb needs which, and what their values may be (SPEC "Parameters"). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from spidercni.errors import InvalidEnvironment, quoted

COMMANDS = ("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION")

# SPEC makes CNI_NETNS optional for DEL (the namespace may be gone) and asks STATUS for nothing: runtimes send
# it empty variables. CNI_PATH is required only where the specification says so: we delegate to nobody.
REQUIRED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "GC": ("CNI_PATH",),
    "STATUS": (),
    "VERSION": (),
}

# `\Z`, not `$`: the latter lets a trailing newline pass.
IDENTIFIER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*\Z")
IFNAME_BYTES = 15


class Environment(NamedTuple):
    """The variables of one call; a variable that is unset, or set to nothing, is an empty string."""

    command: str
    container_id: str = ""
    netns: str = ""
    ifname: str = ""
    path: str = ""
    args: str = ""


def ifname_fault(ifname: str) -> str:
    """Say what is wrong with an interface name, or return an empty string (rules of the Linux kernel)."""
    if len(ifname.encode(errors="surrogateescape")) > IFNAME_BYTES:
        return f"longer than {IFNAME_BYTES} bytes"
    if ifname in (".", ".."):
        return "not a name"
    if any(character in "/:" or character.isspace() for character in ifname):
        return "a name has no '/', ':' or white space"
    if not ifname.isprintable():
        return "a name is printable text"
    return ""


def read(environ: Mapping[str, str]) -> Environment:
    """Check the variables that the verb needs; all that is wrong is named in one error.

    Raises InvalidEnvironment (code 4).
    """
    command = environ.get("CNI_COMMAND", "")
    if command not in COMMANDS:
        raise InvalidEnvironment(f"unknown CNI_COMMAND: {command!r}", f"CNI_COMMAND is one of {', '.join(COMMANDS)}")
    required = REQUIRED[command]
    missing = [name for name in required if not environ.get(name)]
    invalid = []
    container_id = environ.get("CNI_CONTAINERID", "")
    if "CNI_CONTAINERID" in required and container_id and not IDENTIFIER.match(container_id):
        invalid.append(
            f"CNI_CONTAINERID={quoted(container_id)} (letters, digits, '_', '.', '-'; a letter or digit first)"
        )
    ifname = environ.get("CNI_IFNAME", "")
    if "CNI_IFNAME" in required and ifname and (fault := ifname_fault(ifname)):
        invalid.append(f"CNI_IFNAME={quoted(ifname)} ({fault})")
    if missing or invalid:
        raise InvalidEnvironment("; ".join(_complaints(missing, invalid)))
    return Environment(
        command=command,
        container_id=container_id,
        netns=environ.get("CNI_NETNS", ""),
        ifname=ifname,
        path=environ.get("CNI_PATH", ""),
        args=environ.get("CNI_ARGS", ""),
    )


def _complaints(missing: list[str], invalid: list[str]) -> list[str]:
    complaints = []
    if missing:
        complaints.append(f"required env variables [{','.join(missing)}] missing")
    if invalid:
        complaints.append(f"invalid env variables: {', '.join(invalid)}")
    return complaints

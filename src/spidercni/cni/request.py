"""One call of a plugin, decoded: the environment and the network configuration from standard input. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from spidercni.cni.environment import IDENTIFIER, Environment
from spidercni.cni.versions import IMPLIED, VERB_SINCE, at_least
from spidercni.errors import IncompatibleVersion, InvalidConfig, UndecodableInput, quoted
from spidercni.model.attachment import Attachment

# libcni sends the second spelling beside the first (containernetworking/cni#1101); either is accepted.
VALID_ATTACHMENT_KEYS = ("cni.dev/valid-attachments", "cni.dev/attachments")


class Request(NamedTuple):
    """A call whose environment and envelope are sound; the plugin's own section is not looked at yet."""

    environment: Environment
    cni_version: str
    network: str
    config: Mapping[str, Any]

    @property
    def attachment(self) -> Attachment:
        """The attachment that ADD, DEL and CHECK are about."""
        return Attachment(self.network, self.environment.container_id, self.environment.ifname)


def decode(environment: Environment, stdin: bytes, supported: Sequence[str]) -> Request:
    """Decode the network configuration.

    Raises UndecodableInput (6), IncompatibleVersion (1), InvalidConfig (7).
    """
    config = _decode_object(stdin)
    version = config.get("cniVersion") or IMPLIED
    if not isinstance(version, str):
        raise UndecodableInput(f"cniVersion is {quoted(version)}", 'it must be a string such as "1.0.0"')
    if version not in supported:
        raise IncompatibleVersion(
            "incompatible CNI versions", f"config is {quoted(version)}, plugin supports {list(supported)}"
        )
    since = VERB_SINCE.get(environment.command)
    if since and not at_least(version, since):
        raise IncompatibleVersion(
            f"config version does not allow {environment.command}",
            f'{environment.command} exists since CNI {since}, cniVersion is "{version}"',
        )
    name = config.get("name")
    if not isinstance(name, str) or not IDENTIFIER.match(name):
        raise InvalidConfig(
            f"name is {quoted(name)}" if "name" in config else "name is missing",
            "the name of a network has letters, digits, '_', '.', '-' and begins with a letter or digit",
        )
    return Request(environment, version, name, config)


def _decode_object(stdin: bytes) -> dict[str, Any]:
    try:
        config = json.loads(stdin)
    except (ValueError, RecursionError) as error:
        raise UndecodableInput("the network configuration is not JSON", quoted(str(error))) from error
    if not isinstance(config, dict):
        raise UndecodableInput("the network configuration is not a JSON object", f"it is {quoted(config)}")
    return config


def valid_attachments(request: Request) -> frozenset[Attachment] | None:
    """Return the attachments that GC must spare, or None when the runtime sent no list.

    No list is not an empty list: the first asks for nothing, the second says that nothing is valid.
    Raises UndecodableInput (6).
    """
    lists = [request.config[key] for key in VALID_ATTACHMENT_KEYS if request.config.get(key) is not None]
    if not lists:
        return None
    valid = set()
    for entries in lists:
        if not isinstance(entries, list):
            raise UndecodableInput(f"{VALID_ATTACHMENT_KEYS[0]} is {quoted(entries)}", "it must be a list")
        for entry in entries:
            valid.add(Attachment(request.network, *_attachment_names(entry)))
    return frozenset(valid)


def _attachment_names(entry: object) -> tuple[str, str]:
    if isinstance(entry, dict):
        container_id, ifname = entry.get("containerID"), entry.get("ifname")
        if isinstance(container_id, str) and isinstance(ifname, str):
            return container_id, ifname
    raise UndecodableInput(
        f"{VALID_ATTACHMENT_KEYS[0]} has {quoted(entry)}", 'an entry is {"containerID": "…", "ifname": "…"}'
    )

"""The entry of every plugin: one call in, exactly one document out.

Order matters: the verb is known before the handlers are imported, so that VERSION and a wrong environment cost
nothing; everything is checked before a handler starts; the document is complete before its first byte is written.
This is the one place where an exception becomes a CNI error document. Nothing unforeseen ends in an empty success.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NamedTuple, TypeVar

from spidercni.cni import environment
from spidercni.cni.request import Request, decode
from spidercni.cni.streams import Streams, read_all
from spidercni.errors import Defect, InvalidNetns, NotServing, SpidercniError, quoted

# A network configuration of 10 MB has been asked for in earnest; this only bounds memory.
STDIN_LIMIT_BYTES = 64 << 20

OWN_NETNS = "/proc/self/ns/net"

T = TypeVar("T")


class Answer(NamedTuple):
    """The result document of ADD, and how to take back what was done for it if nobody can be given it."""

    document: dict[str, Any]
    undo: Callable[[], Coroutine[Any, Any, None]]


# A handler returns None for the verbs that print nothing.
Handler = Callable[[Request], Coroutine[Any, Any, Answer | None]]


class Plugin(NamedTuple):
    """One CNI plugin: its name, the versions that all its verbs honour, and how to get its handlers."""

    name: str
    about: str
    versions: tuple[str, ...]
    load_handlers: Callable[[Mapping[str, str]], Mapping[str, Handler]]


def serve(plugin: Plugin, environ: Mapping[str, str], streams: Streams) -> int:
    """Answer one call and return the exit status: 0 on success, 1 with an error document otherwise.

    Raises OSError when the answer cannot be written; nothing is left allocated for it then.
    """
    if not environ.get("CNI_COMMAND"):
        print(f"{plugin.about}\nCNI protocol versions supported: {', '.join(plugin.versions)}", file=sys.stderr)
        return 0
    version = plugin.versions[-1]
    try:
        call = environment.read(environ)
        if call.command == "VERSION":
            # Standard input is not read: a runtime may leave it open (skel does not read it either).
            answer: Answer | None = Answer(
                {"cniVersion": version, "supportedVersions": list(plugin.versions)}, _nothing
            )
        else:
            _refuse_own_netns(call, environ)
            request = decode(call, read_all(streams.stdin, STDIN_LIMIT_BYTES), plugin.versions)
            version = request.cni_version
            answer = run(plugin.load_handlers(environ)[call.command](request))
    except SpidercniError as error:
        return _fail(streams, error, version)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever it was, the runtime gets a document
        return _fail(streams, _defect(plugin, error), version)
    if answer is not None:
        _deliver(streams, answer)
    return 0


async def _nothing() -> None:
    """Take nothing back: VERSION does nothing."""


def _deliver(streams: Streams, answer: Answer) -> None:
    try:
        streams.write(answer.document)
    except OSError:
        # A runtime does not always send DEL after a failed ADD (macvlan sends none to its IPAM plugin).
        run(answer.undo())
        raise


def run(handler: Coroutine[Any, Any, T]) -> T:
    """Run a handler to its end without an event loop.

    Handlers are coroutines because the agent serves many at once. A one-shot plugin on the embedded store never
    has to wait for anything but the disk, and importing asyncio would cost it more than all its work.
    """
    try:
        handler.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    handler.close()
    raise Defect("a handler waited where no event loop runs")


def refuse_all(name: str) -> Mapping[str, Handler]:
    """Return a handler for every verb that says that the plugin is not there yet."""

    async def refuse(request: Request) -> None:
        raise NotServing(
            f"{name} cannot serve {request.environment.command} in this release",
            f"remove the plugin {name} from network {request.network}, or install a release that has it",
        )

    return dict.fromkeys(environment.COMMANDS, refuse)


def error_document(error: SpidercniError, version: str) -> dict[str, Any]:
    """Return the error object of SPEC "Error"."""
    document: dict[str, Any] = {"cniVersion": version, "code": error.code, "msg": error.summary}
    if error.details:
        document["details"] = error.details
    return document


def _fail(streams: Streams, error: SpidercniError, version: str) -> int:
    document = error_document(error, version)
    # libcni shows stderr only when stdout is empty; it is for people who call the plugin by hand.
    print(json.dumps(document), file=sys.stderr)
    streams.write(document)
    return 1


def _defect(plugin: Plugin, error: Exception) -> Defect:
    import traceback  # only a defect pays for it

    traceback.print_exception(error, file=sys.stderr)
    return Defect(
        f"{plugin.name} met an error it did not foresee: {type(error).__name__}",
        f"{quoted(str(error), 400)}; please report it",
    )


def _refuse_own_netns(call: environment.Environment, environ: Mapping[str, str]) -> None:
    """Refuse to work on the plugin's own network namespace, as skel does, but before any work is done.

    Otherwise a mistaken path makes a plugin configure the node itself. A namespace that cannot be looked at is
    no error here: it may be gone already.
    """
    if call.command not in ("ADD", "DEL") or not call.netns:
        return
    if environ.get("CNI_NETNS_OVERRIDE", "").lower() in ("true", "1"):
        return
    try:
        own, given = os.stat(OWN_NETNS), os.stat(call.netns)
    except (OSError, ValueError):
        return
    if (own.st_dev, own.st_ino) == (given.st_dev, given.st_ino):
        raise InvalidNetns(
            "plugin's netns and netns from CNI_NETNS should not be the same",
            f"CNI_NETNS={quoted(call.netns)} is the network namespace that the plugin runs in",
        )

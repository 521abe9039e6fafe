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
    # Does what earlier calls had to leave; returns how much that was. For long-lived processes, with their environment.
    resume: Callable[[Mapping[str, str]], Coroutine[Any, Any, int]] | None = None


async def _nothing() -> None:
    """Take nothing back."""


class Reply(NamedTuple):
    """All that a caller gets: exit status and the bytes for stdout; and what only we know."""

    status: int
    body: bytes = b""
    error: SpidercniError | None = None
    undo: Callable[[], Coroutine[Any, Any, None]] = _nothing


class Call(NamedTuple):
    """What one call comes with; standard input is read only when it is needed."""

    environ: Mapping[str, str]
    read_stdin: Callable[[], bytes]
    netns: str = ""  # a path of CNI_NETNS as this process sees it, where that is another than the caller's


async def respond(plugin: Plugin, call: Call, load_handlers: Callable[[], Mapping[str, Handler]]) -> Reply:
    """Answer one call. Whatever happens, the reply is a result or an error document with status 1."""
    version = plugin.versions[-1]
    try:
        variables = environment.read(call.environ)
        if variables.command == "VERSION":
            # Standard input is not read: a runtime may leave it open (skel does not read it either).
            return Reply(0, _encode({"cniVersion": version, "supportedVersions": list(plugin.versions)}))
        if variables.command == "ADD":
            _refuse_own_netns(variables, call)
        request = decode(variables, call.read_stdin(), plugin.versions)
        version = request.cni_version
        answer = await load_handlers()[variables.command](request)
        if variables.command == "DEL":
            # As skel does: what can be released is released before the mistake is reported.
            _refuse_own_netns(variables, call)
        return Reply(0, _encode(answer.document), undo=answer.undo) if answer is not None else Reply(0)
    except SpidercniError as error:
        return _failure(error, version)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever it was, the runtime gets a document
        return _failure(_defect(plugin, error), version)


def serve(plugin: Plugin, environ: Mapping[str, str], streams: Streams) -> int:
    """Answer the call that this process was started for, and return the exit status.

    Raises OSError when the answer cannot be written; nothing is left allocated for it then.
    """
    if not environ.get("CNI_COMMAND"):
        print(f"{plugin.about}\nCNI protocol versions supported: {', '.join(plugin.versions)}", file=sys.stderr)
        return 0
    call = Call(environ, lambda: read_all(streams.stdin, STDIN_LIMIT_BYTES))
    reply = run(respond(plugin, call, lambda: plugin.load_handlers(environ)))
    try:
        streams.write(reply.body)
    except OSError:
        # A runtime does not always send DEL after a failed ADD (macvlan sends none to its IPAM plugin).
        run(reply.undo())
        raise
    if reply.error is not None:
        _explain(reply)  # after the document: nothing that goes wrong here may cost it
    return reply.status


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


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _failure(error: SpidercniError, version: str) -> Reply:
    """Make the error object of SPEC "Error"."""
    document: dict[str, Any] = {"cniVersion": version, "code": error.code, "msg": error.summary}
    if error.details:
        document["details"] = error.details
    return Reply(1, _encode(document), error)


def _defect(plugin: Plugin, error: Exception) -> Defect:
    defect = Defect(
        f"{plugin.name} met an error it did not foresee: {type(error).__name__}",
        f"{quoted(str(error), 400)}; please report it",
    )
    defect.__cause__ = error
    return defect


def _explain(reply: Reply) -> None:
    """Tell people who call the plugin by hand; libcni shows stderr only when stdout is empty."""
    if isinstance(reply.error, Defect) and reply.error.__cause__ is not None:
        import traceback  # only a defect pays for it

        traceback.print_exception(reply.error.__cause__, file=sys.stderr)
    print(reply.body.decode().rstrip(), file=sys.stderr)


def _refuse_own_netns(variables: environment.Environment, call: Call) -> None:
    """Refuse to work on the plugin's own network namespace.

    Otherwise a mistaken path makes a plugin configure the node itself. A namespace that cannot be looked at is
    no error here: it may be gone already.
    """
    path = call.netns or variables.netns
    if not path:
        return
    if call.environ.get("CNI_NETNS_OVERRIDE", "").lower() in ("true", "1"):
        return
    try:
        own, given = os.stat(OWN_NETNS), os.stat(path)
    except (OSError, ValueError):
        return
    if (own.st_dev, own.st_ino) == (given.st_dev, given.st_ino):
        raise InvalidNetns(
            "plugin's netns and netns from CNI_NETNS should not be the same",
            f"CNI_NETNS={quoted(variables.netns)} is the network namespace that the plugin runs in",
        )

"""Spiderpool's agent API: for its own Go plugins and for third parties, while a node is being taken over.

Each request becomes the call that a plugin would have been executed for, and runs where those run: the same handlers,
the same turn of the container, the same store. What only a cluster knows is refused with the reason, never made up.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spidercni.agent import spiderpool_wire as wire
from spidercni.agent.door import Door
from spidercni.agent.health import Health
from spidercni.agent.report import Ending, Outcome
from spidercni.agent.web import refusal
from spidercni.cni.plugin import run
from spidercni.errors import SpidercniError, UndecodableInput
from spidercni.ipam.store import Store
from spidercni.model.allocation import Allocation
from spidercni.model.attachment import Attachment

# A request is a few hundred bytes; this only bounds memory.
_BODY_BYTES = 1 << 20

_NO_COORDINATOR = (
    "coordinator config is not available: it comes from the cluster's SpiderCoordinator, and this agent serves the"
    " embedded store, which has none"
)
_TEXTS = {
    Ending.FULL: "the agent of spidercni has too many calls at once; try again",
    Ending.SLOW: "the agent of spidercni could not serve the call in time; the store is slow or locked, try again",
}


class SpiderpoolApi:
    """Answers the requests. `open_store` gives the store as it is set now."""

    def __init__(self, door: Door, health: Health, open_store: Callable[[], Store]) -> None:
        self._door = door
        self._health = health
        self._open_store = open_store

    def routes(self) -> list[Route]:
        """Return all of them."""
        return [
            Route("/v1/ipam/healthy", self._health.ready),
            Route("/v1/ipam/ip", _telling(self._allocate), methods=["POST"]),
            Route("/v1/ipam/ip", _telling(self._release), methods=["DELETE"]),
            Route("/v1/ipam/ips", self._allocate_many, methods=["POST"]),
            Route("/v1/ipam/ips", _telling(self._release_many), methods=["DELETE"]),
            Route("/v1/workloadendpoint", _telling(self._endpoint)),
            Route("/v1/coordinator/config", self._coordinator),
            *self._health.routes(),
        ]

    async def _allocate(self, request: Request) -> Response:
        args = wire.parse(wire.AddArgs, await _body(request))
        async with _leaving(request) as leaving:
            outcome = await self._door.carry_out(wire.add_call(args), leaving)
        if (fault := _fault(outcome)) is not None:
            return fault
        assert outcome.reply is not None
        pools = await self._pools(Attachment(wire.NETWORK, args.container_id, args.ifname))
        return JSONResponse(wire.add_response(args.ifname, json.loads(outcome.reply.body), pools))

    async def _release(self, request: Request) -> Response:
        args = wire.parse(wire.DelArgs, await _body(request))
        async with _leaving(request) as leaving:
            outcome = await self._door.carry_out(wire.del_call(args, args.ifname), leaving)
        return _fault(outcome) or Response()

    async def _allocate_many(self, _request: Request) -> Response:
        """Do nothing, as Spiderpool's agent does: the request is declared there, and no more."""
        return Response()

    async def _release_many(self, request: Request) -> Response:
        """Release all interfaces of the container.

        Spiderpool answers 521 or 522 where it is forbidden to release a workload's addresses after a conflict. The
        embedded store knows no workloads and forbids nothing.
        """
        args = wire.parse(wire.BatchDelArgs, await _body(request))
        there = await self._find(lambda each: each.attachment.container_id == args.container_id)
        ifnames = {each.attachment.ifname for each in there if each.attachment.network == wire.NETWORK}
        async with _leaving(request) as leaving:
            for ifname in sorted(ifnames):
                if fault := _fault(await self._door.carry_out(wire.del_call(args, ifname), leaving)):
                    return fault
        return Response()

    async def _endpoint(self, request: Request) -> Response:
        """Answer for pods of any network: whoever was given the addresses through a plugin may be asked for here."""
        namespace, pod = request.query_params.get("podNamespace"), request.query_params.get("podName")
        if not namespace or not pod:
            return refusal(400, "podNamespace and podName are required")
        there = await self._find(lambda each: (each.owner.namespace, each.owner.pod) == (namespace, pod))
        if not there:
            return refusal(404, wire.not_found(namespace, pod))
        # A pod that was deleted by force and its successor of the same name may live at once: the newer is meant.
        newest = max(there, key=lambda each: each.allocated_at)
        return JSONResponse(wire.endpoint(each for each in there if each.owner == newest.owner))

    async def _coordinator(self, _request: Request) -> Response:
        return refusal(500, _NO_COORDINATOR)

    async def _find(self, condition: Callable[[Allocation], bool]) -> list[Allocation]:
        there = await asyncio.to_thread(lambda: run(self._open_store().allocations()))
        return [each for each in there if condition(each)]

    async def _pools(self, attachment: Attachment) -> dict[str, str]:
        """Return the pool of each address; none where the store cannot be read now: the field is not required."""
        try:
            there = await asyncio.to_thread(lambda: run(self._open_store().attached(attachment)))
        except SpidercniError:
            return {}
        return {str(each.interface): each.pool for each in there}


def _telling(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Turn one of our errors into an answer: 400 for a request that is none, 500 for the rest."""

    async def handle_and_tell(request: Request) -> Response:
        try:
            return await handle(request)
        except UndecodableInput as error:
            return refusal(400, str(error))
        except SpidercniError as error:
            return refusal(500, str(error))

    return handle_and_tell


def _fault(outcome: Outcome) -> Response | None:
    """Return the answer for a call that has not succeeded."""
    if outcome.ending != Ending.ANSWERED or outcome.reply is None:
        return refusal(500, _TEXTS.get(outcome.ending, str(outcome.ending)))
    return refusal(500, str(outcome.reply.error)) if outcome.reply.status else None


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_BYTES:
            raise UndecodableInput(f"the request has more than {_BODY_BYTES} bytes")
    return bytes(body)


@asynccontextmanager
async def _leaving(request: Request) -> AsyncIterator[asyncio.Task[None]]:
    """Give a task that ends when the client has left; the whole body has been read before."""

    async def wait() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(wait())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

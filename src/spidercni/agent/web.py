"""HTTP/1.1 servers inside the agent's event loop, on sockets that are open already. Imported when one is on.

uvicorn looks ten times a second whether it is to stop, installs handlers of signals and ends the process when it cannot
listen. None of that fits a guest in another program: `Front` waits for an event and is given its socket.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spidercni.errors import StoreUnavailable

# Who asks for health or metrics asks again every few seconds; a queue of them is a mistake.
_BACKLOG = 64
# What is asked here is answered in milliseconds; what is not by then is not waited for when the agent stops.
_FINISH_SECONDS = 2


class Front(uvicorn.Server):
    """One HTTP server. `run_until_stopped` ends after `stop`."""

    def __init__(
        self,
        name: str,
        raw: socket.socket,
        place: str,
        routes: Sequence[Route],
        finish_seconds: int = _FINISH_SECONDS,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                _application(routes),
                loop="asyncio", http="h11", ws="none", lifespan="off", interface="asgi3",
                log_config=None, access_log=False, proxy_headers=False, server_header=False, date_header=False,
                timeout_graceful_shutdown=finish_seconds,
            )
        )  # fmt: skip
        self.name = name
        self.place = place
        self._raw = raw
        self._stopped = asyncio.Event()

    async def run_until_stopped(self) -> None:
        """Serve."""
        await self.serve(sockets=[self._raw])

    def stop(self) -> None:
        """Take no new connections; let what runs end."""
        self._stopped.set()

    async def main_loop(self) -> None:
        """Wait, instead of looking every 100 ms."""
        await self._stopped.wait()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the agent."""
        yield


def bind(name: str, address: str, port: int) -> socket.socket:
    """Listen at an address of this machine. Raises StoreUnavailable, which names both."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    raw = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw.bind((address, port))
        raw.listen(_BACKLOG)
    except OSError as error:
        raw.close()
        raise StoreUnavailable(
            f"the agent cannot listen for {name} at {address} port {port}: {error.strerror}",
            f"choose {name}_address and {name}_port, or {name}_port 0 for none",
        ) from error
    return raw


def refusal(status: int, text: str) -> Response:
    """Return an error the way Spiderpool's agent does: the body is a JSON string."""
    return JSONResponse(text, status_code=status)


def _application(routes: Sequence[Route]) -> Starlette:
    async def refuse(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse(error.detail, status_code=error.status_code, headers=error.headers)

    return Starlette(routes=list(routes), exception_handlers={HTTPException: refuse})

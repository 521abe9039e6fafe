"""One relay's connection: frames over a non-blocking socket, and the netns that came with the request."""

from __future__ import annotations

import array
import asyncio
import os
import socket
import struct
from types import TracebackType

from spidercni.agent.wire import Decoder, Frame, encode

_READ_BYTES = 1 << 16
# A relay sends one descriptor; room for a few more, so that a stranger's are closed and not lost in the kernel.
_MOST_DESCRIPTORS = 4


class Connection:
    """A connected Unix socket. Use as a context: it closes the socket and the netns."""

    def __init__(self, raw: socket.socket) -> None:
        raw.setblocking(False)
        self._socket = raw
        self._decoder = Decoder()
        self.netns: int | None = None

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        if self.netns is not None:
            os.close(self.netns)
            self.netns = None

    def peer_uid(self) -> int:
        """Return the user that the relay runs as, as the kernel saw it when it connected."""
        raw = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _pid, uid, _gid = struct.unpack("3i", raw)
        return int(uid)

    async def receive(self) -> Frame | None:
        """Return the next frame, or None when the relay has left. Raises ProtocolError."""
        while (frame := self._decoder.next_frame()) is None:
            data = await self._read()
            if not data:
                return None
            self._decoder.feed(data)
        return frame

    async def send(self, frame: Frame) -> None:
        """Send a frame. Raises OSError when the relay has left."""
        await asyncio.get_running_loop().sock_sendall(self._socket, encode(frame))

    async def _read(self) -> bytes:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return self._receive_now()
            except BlockingIOError:
                readable = loop.create_future()
                descriptor = self._socket.fileno()
                loop.add_reader(descriptor, _wake, readable)
                try:
                    await readable
                finally:
                    loop.remove_reader(descriptor)
            except ConnectionResetError:
                return b""

    def _receive_now(self) -> bytes:
        """Read what is there. Raises BlockingIOError when nothing is."""
        space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * array.array("i").itemsize)
        data, ancillary, _flags, _address = self._socket.recvmsg(_READ_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._keep(payload)
        return data

    def _keep(self, payload: bytes) -> None:
        """Keep the first descriptor that ever came, close others."""
        descriptors = array.array("i")
        descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
        for descriptor in descriptors:
            if self.netns is None:
                self.netns = descriptor
            else:
                os.close(descriptor)


def _wake(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)

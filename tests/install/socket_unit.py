"""What systemd does for a socket unit, without systemd: it holds the socket and starts the service when somebody comes.

sd_listen_fds(3): the socket is descriptor 3, LISTEN_FDS says how many there are, LISTEN_PID is the process executed.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import threading
from pathlib import Path

_AS_SYSTEMD = 'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=agent exec "$@"'


class SocketUnit:
    """A socket and the service that is started for it, again whenever it has ended and somebody waits."""

    def __init__(self, directory: Path, command: list[str | Path], environ: dict[str, str] | None = None) -> None:
        self.path = directory / "agent.sock"
        self.log = directory / "agent.log"
        self.log.touch()
        self.statuses: list[int] = []
        self._command = command
        self._environ = {"PATH": "/usr/bin:/bin", **(environ or {})}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(self.path))
        self._socket.listen(1024)
        self._over = threading.Event()
        self._changing = threading.Lock()
        self._service: subprocess.Popen[bytes] | None = None
        self._watch = threading.Thread(target=self._watch_socket)

    def __enter__(self) -> SocketUnit:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()
        self.stop()
        self._socket.close()

    @property
    def starts(self) -> int:
        """How often the service was started."""
        with self._changing:
            return len(self.statuses) + (self._service is not None)

    def runs(self) -> bool:
        """Tell whether the service runs."""
        with self._changing:
            self._reap()
            return self._service is not None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the service, if it runs; the socket stays."""
        with self._changing:
            self._reap()
            if self._service is not None:
                self._service.send_signal(number)
                self._service.wait(60)
                self._reap()

    def try_restart(self) -> None:
        """Do as `systemctl try-restart`."""
        with self._changing:
            self._reap()
            if self._service is not None:
                self._service.send_signal(signal.SIGTERM)
                self._service.wait(60)
                self._reap()
                self._start()

    def _watch_socket(self) -> None:
        while not self._over.is_set():
            with self._changing:
                self._reap()
                if self._service is None and select.select([self._socket], [], [], 0)[0]:
                    self._start()
            self._over.wait(0.01)

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self._service = subprocess.Popen(
                ["/bin/sh", "-c", _AS_SYSTEMD, "sh", *map(str, self._command)],
                stdin=self._socket.fileno(),
                stdout=log,
                stderr=log,
                env=self._environ,
            )

    def _reap(self) -> None:
        if self._service is not None and (status := self._service.poll()) is not None:
            self.statuses.append(status)
            self._service = None


def plugin_environ(container: str, command: str, agent_socket: str | Path) -> dict[str, str]:
    """Return what a runtime hands to a plugin, and where its relay looks for the agent (nowhere: an empty string)."""
    return {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container,
        "CNI_NETNS": "/not/there",
        "CNI_IFNAME": "eth0",
        "CNI_PATH": os.defpath,
        "PATH": "/usr/bin:/bin",
        "SPIDERCNI_AGENT_SOCKET": str(agent_socket),
    }

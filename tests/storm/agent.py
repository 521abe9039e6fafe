"""An agent that is killed every second and comes back."""

import os
import subprocess
import threading
from pathlib import Path
from types import TracebackType

LIFE = 1.0  # seconds


class DyingAgent:
    """Use as a context. `deaths` counts."""

    def __init__(self, executable: Path, folder: Path) -> None:
        self.socket = folder / "run" / "agent.sock"
        self.deaths = 0
        self._executable = executable
        self._log = folder / "agent.log"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> "DyingAgent":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _live(self) -> None:
        command = [self._executable, "agent", "--socket", self.socket]
        while not self._over.is_set():
            with self._log.open("ab") as log:
                process = subprocess.Popen(command, stderr=log, env={**os.environ})
            self._over.wait(LIFE)
            process.kill()
            process.wait()
            self.deaths += 1

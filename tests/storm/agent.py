"""An agent that is killed every second and comes back."""

import multiprocessing
import subprocess
from pathlib import Path
from types import TracebackType

LIFE = 1.0  # seconds

_CONTEXT = multiprocessing.get_context("fork")


class DyingAgent:
    """Use as a context. `deaths` counts.

    A process of its own starts and kills it, not a thread: the storm's workers are forked meanwhile, and would inherit
    the pipe on which a thread waits for its child to execute.
    """

    def __init__(self, executable: Path, folder: Path) -> None:
        self.socket = folder / "run" / "agent.sock"
        self._executable = executable
        self._log = folder / "agent.log"
        self._over = _CONTEXT.Event()
        self._deaths = _CONTEXT.Value("i", 0)
        self._process = _CONTEXT.Process(target=self._live)

    @property
    def deaths(self) -> int:
        """How often it was killed so far."""
        return self._deaths.value

    def __enter__(self) -> "DyingAgent":
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._process.join()

    def _live(self) -> None:
        command = [self._executable, "agent", "--socket", self.socket]
        while not self._over.is_set():
            with self._log.open("ab") as log:
                process = subprocess.Popen(command, stderr=log)
            self._over.wait(LIFE)
            process.kill()
            process.wait()
            self._deaths.value += 1

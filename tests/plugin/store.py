"""What the store holds, asked the way a person asks: with `spidercni ctl`."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.lab.runtime import Json


@dataclass(frozen=True)
class Store:
    """One data folder and the executable that reads it."""

    executable: Path
    data_dir: Path

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `spidercni ctl` on this store."""
        environment = {**os.environ, "SPIDERCNI_DATA_DIR": str(self.data_dir)}
        command = [str(self.executable), "ctl", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def addresses(self) -> list[Json]:
        """Return every address in use, as `ctl address list` shows it."""
        done = self.ctl("address", "list", "-o", "json")
        assert done.returncode == 0, done
        listed: list[Json] = json.loads(done.stdout)
        return listed

    def used(self) -> list[str]:
        """Return every address in use as text, without its prefix length, sorted."""
        return sorted(entry["address"].partition("/")[0] for entry in self.addresses())

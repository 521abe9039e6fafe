"""What the outer rings test against: the built executable and the Go tools.

Whatever is missing fails the test that needs it, with the reason: a ring that skips itself looks like one that passed.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def folder_form() -> Path:
    """Return the executable in the form of a folder, from SPIDERCNI_EXECUTABLE_DIR or dist/."""
    folder = Path(os.environ.get("SPIDERCNI_EXECUTABLE_DIR", ROOT / "dist" / "spidercni.d"))
    return _existing(folder / "spidercni", "SPIDERCNI_EXECUTABLE_DIR")


def file_form() -> Path:
    """Return the executable in the form of one file, from SPIDERCNI_ONEFILE or dist/."""
    return _existing(Path(os.environ.get("SPIDERCNI_ONEFILE", ROOT / "dist" / "spidercni")), "SPIDERCNI_ONEFILE")


def tools() -> Path:
    """Return the folder with cnitool, our conformance program and the main plugins."""
    done = subprocess.run([ROOT / "scripts" / "build-tools"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"scripts/build-tools failed: {done.stderr}", pytrace=False)
    return Path(done.stdout.strip())


def _existing(path: Path, variable: str) -> Path:
    if not os.access(path, os.X_OK) or path.is_dir():
        pytest.fail(f"no executable {path}: run scripts/build first, or set {variable}", pytrace=False)
    return path.resolve()

"""The one-file form runs the program in a child, which must not outlive the process that the runtime started."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests import built

from .conftest import Relay

# The bootloader's child waits after the fork until its parent says that it may begin.
SHIM = """
#include <semaphore.h>
#include <signal.h>
int sem_post(sem_t *semaphore) { (void)semaphore; raise(SIGKILL); return -1; }
"""


@pytest.fixture
def shim(compiler: str, tmp_path: Path) -> Path:
    """A library that kills the parent right before it says so."""
    (tmp_path / "shim.c").write_text(SHIM)
    library = tmp_path / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", tmp_path / "shim.c", "-o", library], check=True)
    return library


def running(executable: Path, mark: str) -> set[int]:
    """Return the processes of an executable that have a mark in their environment."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "exe").readlink() == executable and mark.encode() in (process / "environ").read_bytes():
                found.add(int(process.name))
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_parent_killed_before_the_child_begins(one_file: Relay, shim: Path, tmp_path: Path) -> None:
    """INV-START-3: the child that waits for its parent's word does not wait for ever."""
    mark = f"SHIM_OF={tmp_path}"
    done = subprocess.run(
        ["spiderpool"],
        executable=one_file.executable,
        env={
            **one_file.environ, "CNI_COMMAND": "STATUS", "LD_PRELOAD": str(shim), "SHIM_OF": str(tmp_path),
            "PATH": os.environ["PATH"],
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=False,
    )  # fmt: skip
    assert -9 == done.returncode
    end = time.monotonic() + 10
    while running(built.file_form(), mark):
        assert time.monotonic() < end, "the child is still there"
        time.sleep(0.01)

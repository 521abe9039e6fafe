"""Building the bootloader: once for each input, seen to work, and never a slow executable unnoticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ROOT

SCRIPT = ROOT / "build" / "bootloader.py"


def build(**environ: str) -> subprocess.CompletedProcess[str]:
    """Ask for the bootloader."""
    return subprocess.run(
        [sys.executable, SCRIPT], env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("compiler", ["/not/there", "false"])
def test_without_a_compiler(compiler: str) -> None:
    """There is a warning, and PyInstaller's own bootloader is used."""
    done = build(CC=compiler, RELAY_REQUIRED="")
    assert (0, "\n") == (done.returncode, done.stdout)
    assert "WARNING: no relay, every call will start Python" in done.stderr


def test_required(tmp_path: Path) -> None:
    """A release build refuses to go on without a relay."""
    done = build(CC="/not/there", RELAY_REQUIRED="1")
    assert 1 == done.returncode
    assert "no C compiler /not/there" in done.stderr


def test_cached(compiler: str) -> None:
    """What was built for the same source is used again, after a look whether it works."""
    first, second = build(), build()
    assert first.stdout == second.stdout
    assert os.access(first.stdout.strip(), os.X_OK)
    assert "" == second.stderr


def test_a_broken_cache(compiler: str, tmp_path: Path) -> None:
    """A damaged file in the cache is built again, and comes out the same to the bit."""
    good = Path(build().stdout.strip())
    cache = tmp_path / "spidercni"
    cache.mkdir()
    for content in (b"", b"#!/bin/sh\necho no\n"):
        broken = cache / good.name
        broken.write_bytes(content)
        broken.chmod(0o755)
        assert str(broken) == build(XDG_CACHE_HOME=str(tmp_path)).stdout.strip()
        assert good.read_bytes() == broken.read_bytes()


def test_the_executable_needs_no_library_that_a_node_may_lack() -> None:
    """The bootloader needs the C library and nothing else, not even zlib."""
    done = subprocess.run(["ldd", build().stdout.strip()], capture_output=True, text=True, check=True)
    names = {line.split()[0].rpartition("/")[2] for line in done.stdout.splitlines()}
    assert names <= {"linux-vdso.so.1", "libc.so.6", "libdl.so.2", "libpthread.so.0", "libm.so.6"} | {
        name for name in names if name.startswith("ld-linux")
    }

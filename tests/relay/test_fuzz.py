"""Random bytes in the place of an agent, under AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import random
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from .agent import ACCEPTED, ANSWER, DECLINED, frame
from .conftest import ROOT, SANITIZERS

SECONDS = int(os.environ.get("SPIDERCNI_FUZZ_SECONDS", "10"))
FLAGS = ("-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror")

LIBFUZZER = ("-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all", "-DLIBFUZZER")


def has_libfuzzer(folder: Path) -> bool:
    """Tell whether clang and its run-time libraries are here."""
    if not shutil.which("clang"):
        return False
    (folder / "try.c").write_text("int LLVMFuzzerTestOneInput(void);\nint LLVMFuzzerTestOneInput(void) { return 0; }\n")
    command = ["clang", *LIBFUZZER, folder / "try.c", "-o", folder / "try"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_random_bytes(compiler: str, generated: Path) -> None:
    """Whole frames and broken ones: no memory error, the parser's rules hold, and every conversation ends."""
    program = generated / "fuzz"
    source = ROOT / "native" / "fuzz.c"
    subprocess.run([compiler, *FLAGS, *SANITIZERS, f"-I{generated}", source, "-o", program], check=True)
    seed = random.randrange(1 << 32)
    done = subprocess.run([program, str(SECONDS), str(seed)], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, f"{program} {SECONDS} {seed}\n{done.stderr[-4000:]}"
    assert int(done.stdout.split()[0]) > 1000


def test_guided_by_coverage(generated: Path, tmp_path: Path) -> None:
    """The same, guided by libFuzzer to whatever reaches new code."""
    program = generated / "libfuzz"
    if not has_libfuzzer(tmp_path):
        pytest.skip("no clang with libFuzzer (Debian: clang libclang-rt-14-dev); test_random_bytes needs only gcc")
    source = ROOT / "native" / "fuzz.c"
    subprocess.run(["clang", *FLAGS, *LIBFUZZER, f"-I{generated}", source, "-o", program], check=True)
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    starts = (frame(ACCEPTED), frame(DECLINED), frame(ANSWER, b"\0{}"), frame(ACCEPTED) + frame(ANSWER, b"\1x"))
    for number, start in enumerate(starts):
        for after_go in (0, 1):
            (seeds / f"{number}-{after_go}").write_bytes(struct.pack("B", after_go) + start)
    done = subprocess.run(
        [program, f"-max_total_time={SECONDS}", "-max_len=4096", "-print_final_stats=1", seeds],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr[-4000:]
    runs = re.search(r"number_of_executed_units:\s+(\d+)", done.stderr)
    assert runs is not None
    assert int(runs[1]) > 1000

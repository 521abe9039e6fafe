"""PyInstaller's bootloader with the relay (`native/relay.c`) linked in.

    python build/bootloader.py             build it unless the cache has it; print its path, nothing if there is none
    python build/bootloader.py --header P  only write the header that is made from the Python sources

PyInstaller is not patched: pip builds it from its own source distribution, in the version that is installed, with two
flags more for the linker. Takes a quarter of a minute, once for each source, compiler and version of PyInstaller.
Without a compiler there is a warning and an executable that starts Python for every call; RELAY_REQUIRED=1 makes that
an error.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NATIVE = ROOT / "native"

CFLAGS = (
    "-std=gnu11", "-O2", "-g0", "-fPIE", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2",
    "-Wall", "-Wextra", "-Werror",
)  # fmt: skip
LINKFLAGS = ("-Wl,--wrap=main", "-Wl,--wrap=fork")


class NoBootloader(Exception):
    """There is no compiler, or what it made does not work."""


def header() -> str:
    """Return `generated.h`: what the relay says by itself, in the very bytes that Python would say."""
    sys.path.insert(0, str(ROOT / "src"))
    from spidercni.cni.plugin import STDIN_LIMIT_BYTES, Call, respond, run
    from spidercni.coordinator.plugin import PLUGIN as COORDINATOR
    from spidercni.ifacer.plugin import PLUGIN as IFACER
    from spidercni.ipam.plugin import PLUGIN as SPIDERPOOL
    from spidercni.main import PLUGINS

    ask = Call({"CNI_COMMAND": "VERSION"}, lambda: b"")
    entries = []
    for plugin in (SPIDERPOOL, COORDINATOR, IFACER):
        reply = run(respond(plugin, ask, dict))
        entries.append((plugin.name, reply.body.decode("ascii")))
    # The first one is who a file under any other name is.
    assert PLUGINS == tuple(name for name, _ in entries)
    return "\n".join(
        [
            "/* Made by build/bootloader.py from spidercni.cni.plugin and the versions of each plugin. */",
            "#include <stddef.h>",
            f"#define STDIN_LIMIT ((size_t){STDIN_LIMIT_BYTES})",
            f"#define PLUGINS_COUNT {len(entries)}",
            "struct plugin { const char *name, *version; size_t version_size; };",
            "static const struct plugin PLUGINS[PLUGINS_COUNT] = {",
            *(f"\t{{{quoted(name)}, {quoted(body)}, {len(body)}}}," for name, body in entries),
            "};",
            "",
        ]
    )


def quoted(text: str) -> str:
    """Return printable ASCII text as a C string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def compiler() -> list[str]:
    """Return the command of the C compiler: $CC, or the first one there is. Raises NoBootloader."""
    given = shlex.split(os.environ.get("CC", ""))
    for command in [given] if given else [["gcc"], ["clang"], ["cc"]]:
        if shutil.which(command[0]):
            return command
    raise NoBootloader(f"there is no C compiler {' '.join(given)}".rstrip())


def run_tool(command: list[str], **environment: str) -> str:
    """Run a command and return what it printed. Raises NoBootloader with all it said."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoBootloader(f"{shlex.join(command)} failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout


def key_of(made: str, cc: list[str]) -> str:
    """Return a name for all that decides about the result."""
    inputs = hashlib.sha256()
    for text in (
        *((NATIVE / name).read_text() for name in ("relay.c", "frame.h")),
        made,
        version("pyinstaller"),
        shlex.join([*cc, *CFLAGS, *LINKFLAGS]),
        run_tool([*cc, "--version"]),
        run_tool([*cc, "-dumpmachine"]),
    ):
        inputs.update(text.encode() + b"\0")
    return inputs.hexdigest()[:32]


def build(made: str, cc: list[str], folder: Path) -> Path:
    """Build in a folder and return the bootloader. Raises NoBootloader."""
    (folder / "generated.h").write_text(made)
    relay = folder / "relay.o"
    # The name of the folder, which is another one each time, must not get into the file.
    anonymous = f"-ffile-prefix-map={folder}=."
    run_tool([*cc, *CFLAGS, anonymous, f"-I{folder}", "-c", str(NATIVE / "relay.c"), "-o", str(relay)])
    target = folder / "target"
    run_tool(
        [
            sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet",
            "--no-deps", "--no-compile", "--no-cache-dir", "--no-binary", "pyinstaller", "--target", str(target),
            f"pyinstaller=={version('pyinstaller')}",
        ],
        CC=shlex.join(cc),
        LINKFLAGS=shlex.join([*LINKFLAGS, str(relay)]),
        PYINSTALLER_COMPILE_BOOTLOADER="1",
        # The node needs no libz of its own then.
        PYINSTALLER_BOOTLOADER_WAF_ARGS="--static-zlib",
    )  # fmt: skip
    found = list(target.glob("PyInstaller/bootloader/Linux-*/run"))
    if len(found) != 1:
        raise NoBootloader(f"PyInstaller has built {len(found)} bootloaders for Linux")
    return found[0]


def check(bootloader: Path, made: str) -> None:
    """Let the bootloader answer VERSION, and reach PyInstaller's own main otherwise. Raises NoBootloader."""

    def call(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [name], executable=bootloader, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    for name in ("spiderpool", "coordinator", "ifacer", "a copy"):
        done = call(name, CNI_COMMAND="VERSION")
        if done.returncode != 0 or done.stderr or f", {quoted(done.stdout)}, " not in made:
            raise NoBootloader(f"the bootloader says to VERSION as {name}: {done}")
    for environment in ({}, {"CNI_COMMAND": "VERSION", "SPIDERCNI_RELAYED": "1"}):
        done = call("spiderpool", **environment)
        # It has no archive yet and says so.
        if done.returncode == 0 or done.stdout or "archive" not in done.stderr:
            raise NoBootloader(f"the bootloader does not go on to Python: {done}")


def cached() -> Path:
    """Return the bootloader with the relay, built if need be, and seen to work. Raises NoBootloader."""
    cc, made = compiler(), header()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spidercni"
    kept = cache / f"bootloader-{key_of(made, cc)}"
    if not works(kept, made):
        cache.mkdir(parents=True, exist_ok=True)
        say(f"building the bootloader with the relay (PyInstaller {version('pyinstaller')}, {' '.join(cc)})")
        with tempfile.TemporaryDirectory(dir=cache, prefix="bootloader.") as name:
            new = build(made, cc, Path(name))
            check(new, made)
            os.replace(new, kept)
    return kept


def works(bootloader: Path, made: str) -> bool:
    """Tell whether a bootloader is there and does what it should."""
    try:
        check(bootloader, made)
    except (NoBootloader, OSError):
        return False
    return True


def say(text: str) -> None:
    """Tell the person who builds."""
    print(f"build: {text}", file=sys.stderr)


def find() -> str:
    """Return the path of the bootloader with the relay, or an empty string after a warning.

    Exits instead of the warning where RELAY_REQUIRED=1.
    """
    try:
        return str(cached())
    except (NoBootloader, OSError, subprocess.SubprocessError) as error:
        if os.environ.get("RELAY_REQUIRED", "0") not in ("", "0"):
            sys.exit(f"build: no relay, and RELAY_REQUIRED is set: {error}")
        say(f"WARNING: no relay, every call will start Python: {error}")
        return ""


def main() -> None:
    """Do what the command line says."""
    if sys.argv[1:2] == ["--header"] and len(sys.argv) == 3:
        Path(sys.argv[2]).write_text(header())
    elif len(sys.argv) == 1:
        print(find())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

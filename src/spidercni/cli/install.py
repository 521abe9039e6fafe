"""`spidercni install`: install.sh, which the executable carries, for that executable (docs/design/install.md)."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import click

_SHELL = "/bin/sh"


@click.command()
@click.option("--bin-dir", metavar="DIR", help="The folder of the plugins.  [default: /opt/cni/bin]")
@click.option("--upgrade", is_flag=True, help="Take over names that belong to others; their files are kept aside.")
@click.option("--systemd", is_flag=True, help="The agent too: a socket unit that starts it at the first call.")
@click.option("--unit-dir", metavar="DIR", help="Where units are.  [default: /etc/systemd/system]")
@click.option("--rollback", is_flag=True, help="Back to the version of before; once more, and it is undone.")
@click.option("--uninstall", is_flag=True, help="Remove all that was put there and nothing else.")
def install(**options: str | bool | None) -> None:
    """Lay this executable down where container runtimes look for CNI plugins, or take it away again.

    Everything lies in a folder of its own, DIR/.spidercni/VERSION-HASH/, and spiderpool, coordinator, ifacer and
    spidercni in DIR are links into it, swapped one by one: plugins may run meanwhile. It is what install.sh does.
    """
    if not getattr(sys, "frozen", False):
        raise click.ClickException("only the built executable installs itself; use install.sh")
    carried = Path(sys._MEIPASS)  # type: ignore[attr-defined]
    command = [_SHELL, "-c", (carried / "install.sh").read_text(), "spidercni install"]
    command += ["--from", str(_own_files(Path(sys.executable).resolve(), carried)), *_words(options)]
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a shell would go on doing so
    try:
        # In the place of this process: the script may remove the files that it came from.
        os.execve(_SHELL, command, _environ(os.environ))
    except OSError as error:
        raise click.ClickException(f"{_SHELL}: {error.strerror}") from None


def _words(options: Mapping[str, str | bool | None]) -> list[str]:
    """Return the options as install.sh takes them."""
    words = []
    for name, value in options.items():
        if value is not None and value is not False:
            words.append(f"--{name.replace('_', '-')}")
        if isinstance(value, str):
            words.append(value)
    return words


def _own_files(executable: Path, carried: Path) -> Path:
    """Return what is to be copied: the folder of the folder form, or the one file."""
    folder = executable.parent
    if carried.resolve() != folder / "_internal":
        return executable
    if foreign := sorted({path.name for path in folder.iterdir()} - {executable.name, "_internal"}):
        raise click.ClickException(
            f"{folder} is to be copied whole, and holds more than this executable: {', '.join(foreign[:3])}"
        )
    return folder


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what PyInstaller's bootloader put there for this process."""
    clean = {name: value for name, value in environ.items() if not name.startswith(("_PYI_", "LD_LIBRARY_PATH"))}
    if "LD_LIBRARY_PATH_ORIG" in environ:
        clean["LD_LIBRARY_PATH"] = environ["LD_LIBRARY_PATH_ORIG"]
    return clean

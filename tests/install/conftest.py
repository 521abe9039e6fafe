"""The install ring: install.sh, by the system's shell and by busybox alone, with the built executable in both forms."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import built

ROOT = Path(__file__).parents[2]

NAMES = ("spiderpool", "coordinator", "ifacer", "spidercni")


@dataclass(frozen=True)
class Shell:
    """A shell with the tools that a script finds in it."""

    command: tuple[str, ...]
    path: str

    def run(self, *words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        """Run the shell with some arguments and wait for its end."""
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [*self.command, *map(str, words)],
            env={"PATH": self.path},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )


@dataclass(frozen=True)
class Installer:
    """install.sh, for one folder of plugins."""

    shell: Shell
    bin_dir: Path

    def words(self, *arguments: str | Path) -> list[str]:
        """Return the command line."""
        return [*self.shell.command, str(ROOT / "install.sh"), "--bin-dir", str(self.bin_dir), *map(str, arguments)]

    def attempt(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run it and return how it went."""
        return self.shell.run(*self.words(*arguments)[len(self.shell.command) :])

    def run(self, *arguments: str | Path) -> str:
        """Run it and return what it said; it has to succeed."""
        done = self.attempt(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refuse(self, *arguments: str | Path) -> str:
        """Run it and return what it complained about; it has to fail and to say why."""
        done = self.attempt(*arguments)
        assert done.returncode == 1, done.stdout + done.stderr
        assert done.stderr.startswith("install.sh: ")
        return done.stderr

    def versions(self) -> set[str]:
        """Return the names of the folders that are laid down."""
        return {path.name for path in (self.bin_dir / ".spidercni").iterdir() if path.is_dir()}

    def target(self, name: str) -> str:
        """Return the name of the folder that a name leads to."""
        return (self.bin_dir / name).readlink().parts[1]


@pytest.fixture(scope="session")
def busybox_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tools of busybox and no others."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.fail("install.sh must run on busybox, which is not here: apt-get install busybox", pytrace=False)
    folder = tmp_path_factory.mktemp("busybox")
    subprocess.run([busybox, "--install", "-s", folder], check=True)
    return folder


@pytest.fixture(params=["sh", "busybox"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """The system's shell and tools, then busybox without anything else."""
    if request.param == "sh":
        return Shell(("/bin/sh",), "/usr/sbin:/usr/bin:/sbin:/bin")
    folder = request.getfixturevalue("busybox_path")
    return Shell((str(folder / "sh"),), str(folder))


@pytest.fixture
def installer(shell: Shell, tmp_path: Path) -> Installer:
    """install.sh for a folder that is empty."""
    bin_dir = tmp_path / "bin"
    bin_dir.mkdir()
    return Installer(shell, bin_dir)


@pytest.fixture(scope="session")
def folder_form() -> Path:
    """The executable in the form of a folder."""
    return built.folder_form().parent


@pytest.fixture(scope="session")
def file_form() -> Path:
    """The executable in the form of one file."""
    return built.file_form()


MakeRelease = Callable[[str], Path]


@pytest.fixture
def release(folder_form: Path, tmp_path: Path) -> MakeRelease:
    """Makes a folder that works like the built one and is not the same."""

    def make(name: str) -> Path:
        folder = tmp_path / "releases" / name
        shutil.copytree(folder_form, folder, symlinks=True)
        (folder / "_internal" / "release").write_text(name)
        return folder

    return make

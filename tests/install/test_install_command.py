"""`spidercni install`: install.sh for the executable that runs it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import NAMES, ROOT, Installer, MakeRelease, Shell
from .test_install import assert_answers, snapshot


@pytest.fixture
def installed(tmp_path: Path) -> Installer:
    """What is installed, for looking at it."""
    (tmp_path / "bin").mkdir()
    return Installer(Shell(("/bin/sh",), "/usr/bin:/bin"), tmp_path / "bin")


def run(executable: Path, *words: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `spidercni install` from somewhere."""
    return subprocess.run(
        [executable, "install", *words],
        env={"PATH": "/usr/bin:/bin", **environ},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def executable_of(form: Path) -> Path:
    """Return the executable of one of the two forms."""
    return form / "spidercni" if form.is_dir() else form


@pytest.mark.parametrize("form", ["folder_form", "file_form"])
def test_it_lays_itself_down(installed: Installer, form: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Just what install.sh does with it, also through a link; with --uninstall it takes itself away."""
    source = request.getfixturevalue(form)
    (tmp_path / "link").symlink_to(executable_of(source))
    done = run(tmp_path / "link", "--bin-dir", installed.bin_dir)
    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith("spidercni install: ")
    assert_answers(installed)
    before = snapshot(installed.bin_dir)
    assert "nothing was changed" in installed.run("--from", source)
    assert "nothing was changed" in run(installed.bin_dir / "spidercni", "--bin-dir", installed.bin_dir).stdout
    assert before == snapshot(installed.bin_dir)
    done = run(installed.bin_dir / "spidercni", "--bin-dir", installed.bin_dir, "--uninstall")
    assert 0 == done.returncode, done.stderr
    assert [] == list(installed.bin_dir.iterdir())


def test_upgrade_and_rollback(installed: Installer, release: MakeRelease, file_form: Path) -> None:
    """The new one installs itself over the old one, of whatever form, and what is installed goes back."""
    sources = [release("one") / "spidercni", file_form, release("two") / "spidercni"]
    targets = []
    for source in sources:
        assert 0 == run(source, "--bin-dir", installed.bin_dir, "--upgrade").returncode
        targets.append(installed.target("spiderpool"))
    assert 3 == len(set(targets))
    for expected in (targets[1], targets[2]):
        done = run(installed.bin_dir / "spidercni", "--bin-dir", installed.bin_dir, "--rollback")
        assert 0 == done.returncode, done.stderr
        assert dict.fromkeys(NAMES, expected) == {name: installed.target(name) for name in NAMES}
        assert_answers(installed)


@pytest.mark.parametrize("form", ["folder_form", "file_form"])
def test_its_own_libraries_stay_its_own(
    installed: Installer, form: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The system's tools run with the caller's library path, not with that of the frozen program."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "id").write_text(f'#!/bin/sh\nenv >{tmp_path}/seen\nexec /usr/bin/id "$@"\n')
    (tools / "id").chmod(0o755)
    (tmp_path / "file").write_text("")
    environ = {"PATH": f"{tools}:/usr/bin:/bin", "LD_LIBRARY_PATH": "/callers"}
    done = run(executable_of(request.getfixturevalue(form)), "--bin-dir", tmp_path / "file" / "bin", **environ)
    assert 1 == done.returncode
    assert done.stderr.startswith("spidercni install: cannot make")
    seen = (tmp_path / "seen").read_text()
    assert "LD_LIBRARY_PATH=/callers\n" in seen
    assert [] == re.findall(r"_PYI_.*|_MEI.*|LD_LIBRARY_PATH_ORIG.*", seen)


def test_units(installed: Installer, folder_form: Path, tmp_path: Path) -> None:
    """--systemd lays down the agent's units too."""
    (tmp_path / "units").mkdir()
    words = ("--bin-dir", installed.bin_dir, "--unit-dir", tmp_path / "units")
    done = run(folder_form / "spidercni", *words, "--systemd")
    assert 0 == done.returncode, done.stderr
    assert f"ExecStart={installed.bin_dir}/spidercni agent" in (tmp_path / "units/spidercni-agent.service").read_text()
    run(installed.bin_dir / "spidercni", *words, "--uninstall")
    assert [] == [*installed.bin_dir.iterdir(), *(tmp_path / "units").iterdir()]


def test_a_folder_with_more_in_it(installed: Installer, folder_form: Path, tmp_path: Path) -> None:
    """Unpacked among other files it does not copy those."""
    mixed = tmp_path / "mixed"
    shutil.copytree(folder_form, mixed, symlinks=True)
    (mixed / "diary").write_text("private")
    done = run(mixed / "spidercni", "--bin-dir", installed.bin_dir)
    assert 1 == done.returncode
    assert "diary" in done.stderr
    assert [] == list(installed.bin_dir.iterdir())


def test_the_same_options(folder_form: Path) -> None:
    """It has install.sh's options but --from, which is itself."""
    script = subprocess.check_output(["/bin/sh", ROOT / "install.sh", "--help"], text=True)
    ours = run(folder_form / "spidercni", "--help").stdout
    options = {text: set(re.findall(r"^ +(?:-h, )?(--[a-z-]+)", text, re.MULTILINE)) for text in (script, ours)}
    assert options[script] - {"--from"} == options[ours] - {"--help"}


def test_from_source(tmp_path: Path) -> None:
    """What is not built cannot be laid down, and says so."""
    done = subprocess.run(
        [sys.executable, "-m", "spidercni", "install", "--bin-dir", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 1 == done.returncode
    assert "use install.sh" in done.stderr
    assert [] == list(tmp_path.iterdir())

"""install.sh --rollback: back to the version of before, and nowhere else."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from .conftest import NAMES, Installer, MakeRelease
from .test_install import assert_answers, foreign, snapshot


def test_back_and_forth(installer: Installer, release: MakeRelease) -> None:
    """It goes back to the version of before; once more, and it is undone."""
    installer.run("--from", release("one"))
    one = installer.target("spiderpool")
    installer.run("--from", release("two"))
    two = installer.target("spiderpool")
    for expected in (one, two, one):
        assert f"is back at spidercni {expected}" in installer.run("--rollback")
        assert dict.fromkeys(NAMES, expected) == {name: installer.target(name) for name in NAMES}
        assert_answers(installer)
    assert {one, two} == installer.versions()


def test_installing_what_is_there_is_no_step(installer: Installer, release: MakeRelease) -> None:
    """The version of before is the one that was in use before, however often the new one was installed."""
    one, two = release("one"), release("two")
    installer.run("--from", one)
    before = installer.target("spiderpool")
    for _ in range(2):
        installer.run("--from", two)
    (installer.bin_dir / "ifacer").unlink()
    installer.run("--from", two)
    installer.run("--rollback")
    assert before == installer.target("ifacer")
    assert_answers(installer)


def test_nothing_to_go_back_to(installer: Installer, folder_form: Path) -> None:
    """Without a version of before it is refused, and nothing is changed."""
    assert "no version of before" in installer.refuse("--rollback")
    assert [] == list(installer.bin_dir.iterdir())
    installer.run("--from", folder_form)
    before = snapshot(installer.bin_dir)
    assert "no version of before" in installer.refuse("--rollback")
    assert before == snapshot(installer.bin_dir)


def test_a_spoilt_version_is_no_way_back(installer: Installer, release: MakeRelease) -> None:
    """A version that somebody has changed since is not gone back to."""
    installer.run("--from", release("one"))
    spoilt = installer.bin_dir / ".spidercni" / installer.target("spiderpool")
    installer.run("--from", release("two"))
    (spoilt / "_internal" / "release").write_text("not ours")
    before = snapshot(installer.bin_dir)
    assert "was changed" in installer.refuse("--rollback")
    assert before == snapshot(installer.bin_dir)


def test_names_of_others_are_refused(installer: Installer, release: MakeRelease) -> None:
    """A name that somebody has taken since is not taken back without --upgrade."""
    installer.run("--from", release("one"))
    installer.run("--from", release("two"))
    (installer.bin_dir / "coordinator").unlink()
    foreign(installer.bin_dir / "coordinator")
    assert "--upgrade" in installer.refuse("--rollback")
    installer.run("--rollback", "--upgrade")
    assert_answers(installer)


def test_killed_at_any_moment(installer: Installer, release: MakeRelease) -> None:
    """However an upgrade or a rollback is killed, every name works, and there is a way back to a version of before."""
    releases = [release("one"), release("two")]
    installer.run("--from", releases[0])
    installer.run("--from", releases[1])
    moments = random.Random(11)
    for number in range(12):
        words = ("--rollback",) if number % 2 else ("--from", releases[number // 2 % 2])
        with subprocess.Popen(
            installer.words(*words),
            env={"PATH": installer.shell.path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as change:
            time.sleep(moments.uniform(0, 1.0))
            os.killpg(change.pid, signal.SIGKILL)
        assert_answers(installer)
    installer.run("--from", releases[0])
    installer.run("--from", releases[1])
    installer.run("--rollback")
    assert 1 == len({installer.target(name) for name in NAMES})
    assert "one" == (installer.bin_dir / "spiderpool").resolve().with_name("_internal").joinpath("release").read_text()


def test_one_thing_at_a_time(installer: Installer) -> None:
    """What contradicts itself is refused."""
    installer.refuse("--rollback", "--uninstall")
    installer.refuse("--rollback", "--systemd")
    installer.refuse("--systemd", "--uninstall")
    installer.refuse("--unit-dir", "")
